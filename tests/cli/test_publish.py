"""`intona publish`: a run becomes a model with a card, called by its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from intona import checkpoint, cli, encoders, models, synth
from intona.config import to_dict
from intona.encoders.dual_stream import DualStreamConfig, DualStreamEncoder
from intona.errors import UserError
from intona.text import PhonemeTokenizer

from ..runtime.conftest import PLAIN, save_voice, unchecked_annotations

SIZES = DualStreamConfig(
    n_tokens=9, n_pieces=12, dim=16, heads=2, hidden=16, stream_layers=1, shared_layers=1, out=16
)
QUICK = "vocoder-draft"
CONFIG = {"stage": "prosody.contrastive", "size": "toy", "corpus": "ab12", "loop": {"seed": 4}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    state = {f"model.encoder.{k}": v for k, v in DualStreamEncoder(SIZES).state_dict().items()}
    tensors = {"model": state, "ema": state, "state/optimizer": {"0.exp_avg": torch.ones(1 << 16)}}
    tokenizer = PhonemeTokenizer.build([tuple("abcdefg")])
    files = {"config.json": CONFIG, "encoder.json": to_dict(SIZES), "tokenizer.json": tokenizer.to_json()}
    checkpoint.save(tmp_path / "run", 7, tensors=tensors, files=files)
    return tmp_path / "run"


def _publish(*words: object) -> int:
    return cli.main(["publish", *map(str, words)])


def test_an_encoder_is_called_by_its_name(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "shelf/mine"
    assert _publish(run, out, "--summary", "a small one", "--language", "ru") == 0
    told = capsys.readouterr()
    assert told.out.startswith(f"{out}: encoder, 0.0") and "licence" in told.err
    monkeypatch.setenv("INTONA_MODELS", str(tmp_path / "shelf"))
    card = next(c for c in models.shipped("encoder") if c.name == "mine")
    assert (card.system, card.summary, card.language) == (
        "prosody.contrastive --size toy",
        "a small one",
        "ru",
    )
    assert card.more["training"] == {"steps": 7, "seed": 4, "corpus": "ab12"}
    assert not (out / "state").exists()
    ours, theirs = encoders.load("mine").state_dict(), encoders.load(run).state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], atol=1e-3, rtol=1e-3, msg=name)


def test_published_again_it_keeps_what_the_card_says_by_hand(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    assert _publish(run, out, "--licence", "Apache-2.0") == 0
    card = json.loads((out / "card.json").read_text("utf-8"))
    (out / "card.json").write_text(json.dumps({**card, "figures": {"WER": 0.2}, "parameters": 1}), "utf-8")
    (tmp_path / "more.json").write_text('{"steps": 4}')
    assert _publish(run, out, "--summary", "better", "--card", tmp_path / "more.json") == 0
    again = json.loads((out / "card.json").read_text("utf-8"))
    assert again == {**card, "figures": {"WER": 0.2}, "summary": "better", "steps": 4}
    checkpoint.verify(out)


def test_a_lexicon_comes_with_the_model(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "lexicon.txt").write_text("nginx = энджин+икс\n", encoding="utf-8")
    out = tmp_path / "mine"
    assert _publish(run, out) == 0
    checkpoint.verify(out)
    assert (out / "lexicon.txt").read_text("utf-8") == "nginx = энджин+икс\n"
    (run / "lexicon.txt").unlink()
    assert _publish(run, out) == 0  # again: what lies in the model stays
    assert (out / "lexicon.txt").read_text("utf-8") == "nginx = энджин+икс\n"
    (run / "lexicon.txt").write_text("nginx\n", encoding="utf-8")
    capsys.readouterr()
    assert _publish(run, out) == 1
    assert "lexicon.txt, line 1" in capsys.readouterr().err
    assert (out / "lexicon.txt").read_text("utf-8") == "nginx = энджин+икс\n"


def test_nothing_of_somebody_else_is_overwritten(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "diary"
    mine.mkdir()
    (mine / "card.json").write_text("{}")
    for out in (mine, run / "step-00000007", mine / "card.json"):
        assert _publish(run, out) == 1
        assert str(out) in capsys.readouterr().err
    assert [p.name for p in mine.iterdir()] == ["card.json"]


def test_what_cannot_be_called_by_name_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = {"model": {"a": torch.zeros(2)}}
    checkpoint.save(tmp_path / "vae", 1, tensors=state, files={"config.json": {"stage": "prosody.melvae"}})
    assert _publish(tmp_path / "vae", tmp_path / "out") == 1
    assert "a run of prosody.melvae is no model by itself" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert _publish(tmp_path / "nowhere", tmp_path / "out") == 1


def test_a_full_disk_leaves_the_model_that_stood_there(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    assert _publish(run, out) == 0
    before = (out / "card.json").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
        assert _publish(run, out, "--summary", "new") == 1
    assert "not published (No space left)" in capsys.readouterr().err
    checkpoint.verify(out)
    assert (out / "card.json").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "run"]


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A run of a voice of two languages."""
    return save_voice(tmp_path / "runs", speakers=["anna", "boris"], languages=["en", "ru"], **PLAIN)


def test_default_speakers_and_aliases_go_into_the_card(
    two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "voice"
    flags = ["--default-speaker", "ru=boris", "--default-speaker", "en = anna", "--alias", "two-en=en"]
    assert _publish(two, out, *flags) == 0
    card = json.loads((out / "card.json").read_text("utf-8"))
    assert card["default_speakers"] == {"ru": "boris", "en": "anna"} and card["aliases"] == {"two-en": "en"}
    assert _publish(two, out, "--summary", "again") == 0  # they are kept
    assert json.loads((out / "card.json").read_text("utf-8"))["aliases"] == {"two-en": "en"}
    capsys.readouterr()
    for flag, value, message in (
        ("--default-speaker", "ru=clara", 'unknown speaker "clara"'),
        ("--default-speaker", "de=anna", 'unknown language "de"'),
        ("--default-speaker", "anna", "such as ru=anna"),
        ("--alias", "two-de=de", 'unknown language "de"'),
        ("--alias", "Two/En=en", "aliases"),
    ):
        assert _publish(two, tmp_path / "other", flag, value) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_a_card_names_the_vocoder_of_its_voice(
    two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "voice"
    assert _publish(two, out) == 0
    assert synth.load(out, backend="torch").identity()["vocoder"] is None  # HiFi-GAN
    assert _publish(two, out, "--default-vocoder", QUICK) == 0
    assert synth.load(out, backend="torch").identity()["vocoder"] == QUICK
    assert synth.load(out, backend="torch", vocoder="griffin-lim").identity()["vocoder"] == "griffin-lim"
    capsys.readouterr()
    assert _publish(two, tmp_path / "other", "--default-vocoder", "hifigam") == 1
    assert "hifigan" in capsys.readouterr().err
    for value in ("../hifigan", 3):
        with pytest.raises(UserError, match="card: default_vocoder"):
            models.default_vocoder({"default_vocoder": value}, where="card")


def test_what_is_no_voice_has_no_speakers(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _publish(run, tmp_path / "out", "--default-speaker", "ru=anna") == 1
    assert "is for voices, not for a model of kind encoder" in capsys.readouterr().err


def test_graphs_are_written_or_left_out_whole(
    two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_graphs, without = tmp_path / "graphs", tmp_path / "plain"
    graphs = {"onnx.json", "encoder.onnx", "decoder.onnx"}
    with unchecked_annotations():
        assert _publish(two, with_graphs, "--graphs") == 0
    assert graphs <= {p.name for p in with_graphs.iterdir()}
    checkpoint.verify(with_graphs, state=False)
    capsys.readouterr()
    # Published again it has the same weights, at the same places, and so the same graphs.
    again = tmp_path / "again"
    assert _publish(with_graphs, again) == 0
    checkpoint.verify(again, state=False)
    for name in graphs:
        assert (again / name).read_bytes() == (with_graphs / name).read_bytes()
    capsys.readouterr()
    assert _publish(two, without) == 0
    assert not graphs & {p.name for p in without.iterdir()} and "ONNX" not in capsys.readouterr().err
    # Other weights in its place: the old graphs and what the card says of them go.
    other = save_voice(tmp_path / "more", speakers=["anna"], languages=["en", "ru"], **PLAIN)
    assert _publish(other, again) == 0
    assert "without ONNX graphs" in capsys.readouterr().err
    assert not graphs & {p.name for p in again.iterdir()}
    assert "export" not in json.loads((again / "card.json").read_text("utf-8"))
    checkpoint.verify(again, state=False)
