"""A corpus of two languages: one voice, read as each; a study judges one of them; other symbols later."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from intona import checkpoint, synth, systems
from intona.data.merge import merge
from intona.data.prepare import PrepareConfig, prepare
from intona.data.prepared import Prepared
from intona.errors import UserError
from intona.evaluation.manifest import read_manifest
from intona.studies.engine import common, stages
from intona.synth.prompts import read_columns
from intona.systems.ditto.voice import DittoVoice

pytestmark = pytest.mark.trains

SMALL = Path(__file__).parents[1] / "assets" / "festvox-ru-small"
SAID = (  # as long as the recordings; what is heard does not matter here
    "Good morning to all of you, and thank you for coming here so early today.",
    "Please leave your name and your number after the tone, and we will call you.",
    "Who is there, and what do you want from me at this time of the night, my friend?",
    "The weather was fine, the sea was calm, and nobody said a word until the evening.",
)
FEW = {"loop.steps": "1", "loop.save_every": "1", "loop.validate_every": "1", "loop.precision": "fp32"}


@pytest.fixture(scope="module")
def both(spoken: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("both")
    (place / "src").mkdir()
    rows = []
    for wav, text in zip(sorted((SMALL / "wav").glob("*.wav")), SAID, strict=False):
        shutil.copy(wav, place / "src")
        rows.append(f"{wav.name}|{text}|reader")
    (place / "src" / "metadata.csv").write_text("id|text|speaker\n" + "\n".join(rows), encoding="utf-8")
    prepare("csv", place / "src", place / "en", PrepareConfig(language="en", dev=1, test=1, workers=0))
    merge([spoken, place / "en"], place / "data")
    return place / "data"


@pytest.fixture(scope="module")
def run(spoken: Path, both: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A voice of both languages that went on from one of Russian alone, on the same text encoder."""
    place = tmp_path_factory.mktemp("run")
    systems.train("prosody.mlm", size="toy", data=both, out=place / "mlm", overrides=FEW)
    how = {"size": "toy", "encoder": place / "mlm"}
    few = FEW | {"max_frames": "1200", "speaker": "none"}  # without the package that makes vectors
    systems.train("prosody.ditto", data=spoken, out=place / "ru", overrides=few | {"latents": "mel8"}, **how)
    systems.train(
        "prosody.ditto",
        data=both,
        out=place / "both",
        init=place / "ru",
        overrides=few | {"latents": str(place / "ru"), "optim.lr": "0"},
        **how,
    )
    return place


def test_symbols_of_a_dual_stream_encoder_move_by_name(run: Path, spoken: Path, both: Path) -> None:
    name = "model.encoder.phonemes.embedding.weight"
    before, now = (checkpoint.weights_of(run / n)[1][name] for n in ("ru", "both"))
    old, new = (Prepared.open(d).tokenizer.symbols for d in (spoken, both))
    assert len(old) < len(new) and len(before) == len(old) + 1 and len(now) == len(new) + 1
    for i, symbol in enumerate(old):
        assert (before[i] == now[new.index(symbol)]).all(), symbol
    assert (before[-1] == now[-1]).all()  # the mask's


def test_the_voice_reads_each_text_in_its_own_language(run: Path) -> None:
    voice = synth.load(run / "both")
    assert isinstance(voice, DittoVoice) and voice.info["languages"] == ["en", "ru"]
    assert voice.sentences("no")[0].phonemes == ("n", "ˈoʊ")
    assert voice.sentences("кот")[0].phonemes[0] == "k"
    assert voice.say("Good morning.", steps=1).duration > 0.1
    with pytest.raises(UserError, match=r'--language: unknown language "de"'):
        voice.say("Guten Tag.", steps=1, language="de")


def test_a_study_judges_one_language_of_several(run: Path, both: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (both / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sorted({r["language"] for r in rows}) == ["en", "ru"]
    corpus = common.corpus(both, aligned=False)
    job = common.test_job(corpus, sentences=0, minutes=1)
    assert corpus.language == "ru" and job.arguments["language"] == "ru"
    stages.declare_test(out=tmp_path / "test", needs={}, limit_minutes=None, **job.arguments)
    manifest = read_manifest(tmp_path / "test" / stages.MANIFEST)
    assert [r.id for r in manifest.rows] == [r["id"] for r in rows if r["language"] == "ru"]
    columns = read_columns(tmp_path / "test" / stages.MANIFEST)
    assert {c["language"] for c in columns.values()} == {"ru"}


def test_a_voice_with_other_text_pieces_is_refused(run: Path, spoken: Path, tmp_path: Path) -> None:
    systems.train("prosody.mlm", size="toy", data=spoken, out=tmp_path / "mlm", overrides=FEW)
    with pytest.raises(UserError, match="trained with other text pieces"):
        systems.train(
            "prosody.ditto",
            size="toy",
            data=spoken,
            out=tmp_path / "voice",
            encoder=tmp_path / "mlm",
            init=run / "ru",
            overrides=FEW | {"latents": "mel8"},
        )
