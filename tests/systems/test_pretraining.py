"""Stages 1 to 3: what each learns, exact resume, ranks, the hand-over, and what is refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from intona import checkpoint, encoders, systems
from intona import config as configs
from intona.data.prepared import Prepared
from intona.encoders import ge2e, pretrained
from intona.encoders.conformance import check
from intona.errors import UserError
from intona.systems.encoder import contrastive, mlm
from intona.systems.encoder.retrieve import Space, neighbours, retrieve
from intona.training.stage import stage_of

from .interruption import hashes, interrupted

pytestmark = pytest.mark.trains

HERE = Path(__file__).parent
STAGES = ("prosody.mlm", "prosody.contrastive", "prosody.refine")
QUICK = {
    "loop.steps": "8",
    "loop.save_every": "4",
    "loop.validate_every": "4",
    "loop.log_every": "1",
    "loop.precision": "fp32",
    "loop.keep": "9",
}
NOBODY = {"speaker": "none", "batch": "6", "per_utterance": "1"}


def _train(stage: str, data: Path, out: Path, init: Path | None = None, **more: str) -> Path:
    own = NOBODY if stage != "prosody.mlm" else {"max_tokens": "400"}
    return systems.train(stage, size="toy", data=data, out=out, overrides={**QUICK, **own, **more}, init=init)


@pytest.fixture(scope="module")
def runs(spoken: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The whole curriculum, eight steps a stage."""
    root = tmp_path_factory.mktemp("curriculum")
    found: dict[str, Path] = {}
    before = None
    for stage in STAGES:
        before = found[stage] = _train(stage, spoken, root / stage, before)
    return found


def _tensors(path: Path, name: str = "model") -> dict[str, torch.Tensor]:
    return checkpoint.read_tensors(path / f"{name}.safetensors")


@pytest.mark.parametrize("stage", STAGES)
def test_stopped_and_resumed_is_bit_equal_to_straight(
    stage: str, spoken: Path, runs: dict[str, Path], tmp_path: Path
) -> None:
    number = STAGES.index(stage)
    init = runs[STAGES[number - 1]] if number else None
    task = mlm.MlmTask if stage == "prosody.mlm" else contrastive.ContrastiveTask
    with interrupted(task, 6):  # after the checkpoint of step 4: two steps are lost
        _train(stage, spoken, tmp_path, init)
    assert checkpoint.steps(tmp_path) == [0, 4]
    _train(stage, spoken, tmp_path, init)
    straight = hashes(runs[stage].parent, 8)
    assert straight == hashes(tmp_path, 8)
    assert {"encoder.json", "tokenizer.json", "bpe.json", "state/loop.json"} <= straight.keys()


def test_a_stage_starts_from_the_one_before(spoken: Path, runs: dict[str, Path]) -> None:
    one, two = runs["prosody.mlm"], runs["prosody.contrastive"]
    first = _tensors(two.parent / "step-00000000")
    for name, tensor in _tensors(one, "ema").items():
        if name.startswith("model.encoder."):
            torch.testing.assert_close(first[name], tensor)
    assert pretrained.pieces(two).to_json() == pretrained.pieces(one).to_json()
    start = _tensors(runs["prosody.refine"].parent / "step-00000000")
    moved = [k for k, v in _tensors(two, "ema").items() if not torch.equal(start[k], v)]
    assert moved == ["model.bias"]  # sound and scale come over too; the bias is fitted
    end = _tensors(runs["prosody.refine"])
    assert torch.equal(end["model.audio.norm.mean"], start["model.audio.norm.mean"])  # frozen
    assert not torch.equal(end["model.audio.out.weight"], start["model.audio.out.weight"])
    config = json.loads((two / "config.json").read_text())
    assert config["init"].startswith("step-00000008:")


def test_a_stage_is_built_as_the_one_before(spoken: Path, runs: dict[str, Path]) -> None:
    """Whatever size is asked for: the weights fit no other."""
    paper = contrastive.paper()
    after = contrastive.built_as_stage(paper, runs["prosody.mlm"])
    assert after.model.text == pretrained.config(runs["prosody.mlm"]) != paper.model.text
    assert after.model.audio == paper.model.audio and after.loop == paper.loop
    refined = contrastive.built_as_stage(paper, runs["prosody.contrastive"])
    said = json.loads((runs["prosody.contrastive"] / "config.json").read_text())
    assert refined.model == configs.from_dict(type(paper.model), said["model"])


def test_a_fitted_bias_is_the_one_thing_that_stage_3_starts_otherwise(
    spoken: Path, runs: dict[str, Path], tmp_path: Path
) -> None:
    run = _train("prosody.refine", spoken, tmp_path, runs["prosody.contrastive"], fit_bias="0")
    fitted = _tensors(runs["prosody.refine"].parent / "step-00000000")
    kept = _tensors(run.parent / "step-00000000")
    assert [k for k in kept if not torch.equal(kept[k], fitted[k])] == ["model.bias"]
    assert torch.equal(kept["model.bias"], _tensors(runs["prosody.contrastive"], "ema")["model.bias"])


def test_stage_1_leaves_the_join_alone(runs: dict[str, Path]) -> None:
    run = runs["prosody.mlm"]
    before, after = _tensors(run.parent / "step-00000000"), _tensors(run)
    moved = {k for k in before if not torch.equal(before[k], after[k])}
    assert any("encoder.phonemes" in k for k in moved)
    assert any("encoder.pieces" in k for k in moved)
    assert not any(k.startswith(("model.encoder.shared", "model.encoder.project")) for k in moved)


def test_loaded_encoder_keeps_the_contract_and_follows_names(spoken: Path, runs: dict[str, Path]) -> None:
    run = runs["prosody.contrastive"]
    encoder = encoders.load(run)
    symbols = pretrained.phonemes(run).symbols
    assert check(encoder, n_tokens=len(symbols), n_pieces=100, speaker_dim=256) == []
    # The same phonemes under other numbers give the same states.
    other = (*symbols[:2], "new", *reversed(symbols[2:]))
    moved = encoders.load(run, symbols=other)
    prepared = Prepared.open(spoken)
    item = prepared.items("test")[0]
    from intona.data.pieces import collate_pieces, text_of, utterance_of

    lengths = torch.tensor([len(item.phonemes)])
    out = []
    for net, names in ((encoder, symbols), (moved, other)):
        ids = [names.index(s) for s in item.phonemes]
        pieces = collate_pieces([text_of(utterance_of(item), ids, pretrained.pieces(run))])
        out.append(net(torch.tensor([ids]), lengths, None, pieces)[0])
    torch.testing.assert_close(*out)
    assert torch.equal(
        moved.phonemes.embedding.weight[-1], encoder.phonemes.embedding.weight[-1]
    )  # the mask symbol


def test_vectors_of_held_out_phonemes(spoken: Path, runs: dict[str, Path]) -> None:
    found = Space(runs["prosody.refine"], spoken).embed("test")
    prepared = Prepared.open(spoken)
    assert set(found.utterances) == {i.id for i in prepared.items("test")}
    assert len(found.text) == len(found.audio) == len(found.phonemes)
    assert torch.allclose(torch.from_numpy(found.text).norm(dim=1), torch.ones(len(found.text)), atol=1e-5)
    assert not {" ", ",", "."} & set(found.phonemes)
    heard, labels = Space(runs["prosody.refine"], spoken).hear("train", set(found.speakers), most=2)
    assert len(heard) == len(labels) > 50 and {s for s, *_ in labels} == set(found.speakers)
    assert len(found.neighbours) == len(found.text) and " " not in {s for n in found.neighbours for s in n}
    recalls = retrieve(runs["prosody.refine"], spoken, gallery=4, ks=(1,))
    assert set(recalls.baselines) == {"speaker", "speaker and phoneme", "triphone"}
    # One reader: his mean sound is one query for all; with the phoneme it finds the right one more often.
    alone, named = (
        recalls.baselines[b]["R@1-diff text-audio"].recall for b in ("speaker", "speaker and phoneme")
    )
    assert alone is not None and named is not None and named.estimate > alone.estimate
    r = recalls.encoder["R@1-diff text-audio"]
    assert r.recall is not None and r.gallery == 4 and r.chance == 0.25
    assert recalls.encoder["R@1-sim audio-text"].recall is not None


def test_neighbours_skip_the_space_between_words() -> None:
    phonemes = ["a", "b", " ", "c", ",", " ", "d"]
    assert [neighbours(phonemes, p) for p in (0, 1, 3, 6)] == [("", "b"), ("a", "c"), ("b", ","), (",", "")]


def test_verb_prints_a_table_and_writes_the_figures(
    spoken: Path, runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from intona.cli import main

    out = tmp_path / "r.json"
    run = runs["prosody.contrastive"].parent
    assert main(["retrieve", str(run), str(spoken), "--gallery", "4", "--output", str(out)]) == 0
    told = capsys.readouterr().out
    assert "| R@1-diff text-audio |" in told and "| R@1-sim-spk audio-text |" in told
    assert json.loads(out.read_text())["encoder"]["R@1-diff text-audio"]["chance"] == 0.25
    # A split too small for the default gallery: one line says so and names a gallery that works.
    assert main(["retrieve", str(run), str(spoken)]) == 0
    told = capsys.readouterr().out
    assert "has 63 others" in told and "sim" not in "".join(r for r in told.splitlines() if r.startswith("|"))
    (size,) = re.findall(r"--gallery (\d+) is the largest that works", told)
    assert main(["retrieve", str(run), str(spoken), "--gallery", size]) == 0
    assert "| R@1-sim-spk audio-text |" in capsys.readouterr().out
    assert main(["retrieve", str(run), str(spoken), "--gallery", str(int(size) + 1)]) == 0
    assert "R@1-sim-spk" not in capsys.readouterr().out
    assert main(["retrieve", str(runs["prosody.mlm"]), str(spoken)]) == 1
    assert "prosody.mlm has no audio side" in capsys.readouterr().err


@pytest.mark.usefixtures("messages_on_stderr")
def test_text_files_join_the_corpus_and_held_out_sentences_do_not(
    spoken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared = Prepared.open(spoken)
    held = prepared.items("test")[0].text
    book = tmp_path / "book.txt"
    book.write_text(f"Мама мыла раму. Шумел камыш! {held} Мама мыла раму.", encoding="utf-8")
    from intona.systems.encoder.pretrain import read_texts

    found, fingerprint = read_texts([book], prepared, "")
    assert not any(s.startswith("ˈ") for u in found for s in u.phonemes)  # as the corpus: without stress
    assert [u.plain for u in found] == ["Мама мыла раму.", "Шумел камыш!"]
    assert len(fingerprint) == 16
    assert "belong to dev or test" in capsys.readouterr().err
    with pytest.raises(UserError, match="cannot be read"):
        read_texts([tmp_path / "none.txt"], prepared, "ru")
    with pytest.raises(UserError, match="no front end"):
        read_texts([book], prepared, "en")
    prepared.frontends["ru"]["backend_version"] = "0"
    with pytest.raises(UserError, match=r"phonemizer version: '0' there.*--texts"):
        read_texts([book], prepared, "ru")


@pytest.mark.slow  # tests/encoders/test_ranks.py holds the quick one
@pytest.mark.parametrize("stage", ["prosody.contrastive", "prosody.refine"])
def test_two_gloo_ranks_equal_one_process(
    stage: str, spoken: Path, runs: dict[str, Path], tmp_path: Path
) -> None:
    """Sampler, batch statistics, loss over all pairs and gradients: 2 x 3 pairs against 1 x 6."""
    more = {"loop.steps": "1", "loop.validate_every": "9", "model.text.dropout": "0"}
    init = runs["prosody.contrastive"]
    _train(stage, spoken, tmp_path / "one", init, **more)
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    env["PYTHONPATH"] = os.pathsep.join([str(HERE.parents[1] / "src"), env.get("PYTHONPATH", "")])
    settings = QUICK | NOBODY | more | {"batch": "3", "init": str(init)}
    done = subprocess.run(
        [
            sys.executable,
            str(HERE / "pretrain_ranks.py"),
            *(stage, str(spoken), str(tmp_path / "two"), "2"),
            *(f"{k}={v}" for k, v in settings.items()),
        ],
        capture_output=True,
        text=True,
        env=env,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = (
        checkpoint.read_tensors(tmp_path / name / "step-00000001" / "state" / "optimizer.safetensors")
        for name in ("one", "two")
    )
    assert one.keys() == two.keys()
    moved = 0
    for name, want in one.items():
        if name.endswith(":exp_avg"):  # after one update it is the gradient itself
            torch.testing.assert_close(two[name], want, atol=1e-6, rtol=1e-3)
            moved += int(want.abs().max() > 1e-6)
    assert moved > 50


@pytest.mark.skipif(ge2e.weights_path() is None, reason=ge2e.MEND)
def test_with_speaker_vectors(spoken: Path, tmp_path: Path) -> None:
    run = _train("prosody.contrastive", spoken, tmp_path, speaker="ge2e", **{"loop.steps": "2"})
    assert (spoken / "speaker-ge2e.safetensors").is_file()
    assert len(Space(run, spoken).embed("test").text) > 50
    config = json.loads((run / "config.json").read_text())
    assert config["speaker"] == "ge2e"


def test_with_vectors_of_a_model_in_a_directory(
    spoken: Path, tmp_path: Path, tiny_wavlm: Callable[..., Path]
) -> None:
    pytest.importorskip("transformers")
    wavlm = tiny_wavlm(tmp_path / "tiny-sv")
    run = _train("prosody.contrastive", spoken, tmp_path / "run", speaker=str(wavlm), **{"loop.steps": "2"})
    assert json.loads((run / "encoder.json").read_text())["speaker_dim"] == 12
    assert json.loads((run / "speaker.json").read_text())["embedder"] == "WavLM tiny-sv"
    assert (spoken / "speaker-wavlm-tiny-sv.safetensors").is_file()
    assert len(Space(run, spoken).embed("test").text) > 50
    # Other weights under the same name give other vectors: what stands on the encoder is not told those.
    (spoken / "speaker-wavlm-tiny-sv.safetensors").unlink()
    tiny_wavlm(wavlm, seed=1)
    with pytest.raises(UserError, match=r"made otherwise than .* makes them now .*embedder_sha256"):
        Space(run, spoken).embed("test")
    with pytest.raises(UserError, match="no such directory"):
        _train("prosody.contrastive", spoken, tmp_path / "none", speaker="./nowhere")


def test_what_is_refused(spoken: Path, runs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--init RUN"):
        _train("prosody.refine", spoken, tmp_path / "a")
    with pytest.raises(UserError, match=r"lower the batch to 9 or less"):
        _train("prosody.contrastive", spoken, tmp_path / "b", batch="64")
    with pytest.raises(UserError, match="do not fit"):
        _train("prosody.contrastive", spoken, tmp_path / "c", runs["prosody.mlm"], **{"model.text.dim": "16"})
    with pytest.raises(UserError, match="no pretrained text encoder"):
        empty = tmp_path / "d"
        empty.mkdir()
        (empty / "config.json").write_text("{}")
        encoders.load(empty)


def test_the_other_arms_train(spoken: Path, tmp_path: Path) -> None:
    """Softmax instead of sigmoid, and no AdaLN."""
    more = {"loop.steps": "2"}
    _train("prosody.contrastive", spoken, tmp_path / "softmax", **more, **{"model.loss": "softmax"})
    deaf = _train("prosody.contrastive", spoken, tmp_path / "deaf", **more, **{"model.text.adaln": "false"})
    assert not any("modulation" in k or "nobody" in k for k in _tensors(deaf))
    assert len(Space(deaf, spoken).embed("test").text) > 50


@pytest.mark.parametrize("stage", STAGES)
def test_presets_say_what_they_cost(stage: str) -> None:
    for name, preset in stage_of(stage).sizes.items():
        config = preset()
        assert (config.stage, config.size) == (stage, name)
        assert preset.__doc__
        assert name == "toy" or "Command: `intona train" in preset.__doc__


def test_the_example_of_the_page_runs_with_the_shipped_encoder_and_with_a_run(
    runs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    page = (HERE.parents[1] / "docs" / "systems" / "prosody.md").read_text(encoding="utf-8")
    code = page.split("```python\n")[1].split("```")[0]
    assert code.count('RUN = "prosody-ru"') == 1
    for run in ("prosody-ru", str(runs["prosody.contrastive"])):
        exec(compile(code.replace("prosody-ru", run), "docs/systems/prosody.md", "exec"), {})
        assert "torch.Size([2," in capsys.readouterr().out
