"""`intona study meld --only silence`: how mels end, texts, probes, the plan, and all of it at toy size."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intona import cli
from intona.config import write_json
from intona.data.prepare import PrepareConfig, prepare
from intona.data.prepared import Prepared
from intona.errors import UserError
from intona.studies.engine.claims import decide
from intona.studies.meld import encoder_probes, silence_page, silence_plan
from intona.studies.meld import silence_jobs as jobs
from intona.studies.meld.endings import Ending, TrainingSpeech, letters, levels, measure

from ..systems.meld.conftest import SMALL

pytestmark = pytest.mark.trains

HOP = 0.01
TRAINING = TrainingSpeech(loud=-15.0, frames_per_letter=10.0, hop_seconds=HOP)
TEXT = "абвгд ежзик, лмноп рстуф"  # 20 letters: 200 frames are expected


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("meld-silence") / "ru"
    prepare("festvox", SMALL, out, PrepareConfig(language="ru", phonemes="corpus", dev=1, test=3, workers=0))
    return out


def mel(*parts: tuple[int, float]) -> np.ndarray:
    """(frames, dB) after one another."""
    return np.concatenate([np.full((n, 8), np.log(10) * db / 20) for n, db in parts])


def ending(x: np.ndarray, ended: bool = True) -> Ending:
    return measure(x, TEXT, ended=ended, training=TRAINING)


def test_levels_are_the_mean_power() -> None:
    assert levels(mel((2, -20.0), (1, -60.0))) == pytest.approx([-20, -20, -60])
    assert levels(np.full((1, 4), -1000.0))[0] == -200
    mixed = np.log(np.array([[1.0, 0.0001]]))
    assert levels(mixed)[0] == pytest.approx(10 * np.log10(0.5), abs=1e-4)


def test_the_training_level_is_that_of_the_loudest_frames() -> None:
    utterances = [(mel((90, -40.0), (10, -10.0)), "абвгд"), (mel((60, -40.0)), "аб"), (mel((5, -40.0)), "!")]
    of = TrainingSpeech.of(utterances, HOP)
    assert of.loud == pytest.approx(-10) and of.frames_per_letter == pytest.approx((20 + 30) / 2)


@pytest.mark.parametrize(
    ("parts", "place", "seconds", "prolonged"),
    [
        (((200, -15),), "inside", 0.0, False),
        (((100, -15), (100, -60), (100, -15)), "inside", 1.0, True),
        (((100, -15), (99, -60), (100, -15)), "inside", 0.99, False),
        (((100, -15), (150, -49), (100, -15)), "inside", 0.0, False),  # 34 dB down is quiet, not silent
        (((100, -15), (150, -51), (100, -15)), "inside", 1.5, True),
        (((120, -60), (200, -15)), "start", 1.2, True),
        (((200, -15), (300, -60)), "end", 3.0, True),
        (((300, -60),), "end", 3.0, True),
    ],
)
def test_prolonged_silence(
    parts: tuple[tuple[int, float], ...], place: str, seconds: float, prolonged: bool
) -> None:
    of = ending(mel(*parts))
    assert getattr(of, place) == pytest.approx(seconds) and of.long_silence is prolonged
    assert of.seconds == pytest.approx(sum(n for n, _ in parts) * HOP)
    assert sum(x > 0 for x in (of.start, of.inside, of.end)) == (seconds > 0)


def test_early_and_late_endings_of_cut_and_repeated_speech() -> None:
    speech = mel((200, -15))
    assert not ending(speech).early and not ending(speech).late
    assert not ending(speech[:100]).early and ending(speech[:99]).early  # truncated
    assert ending(speech[:0]).early and not ending(speech[:0]).long_silence  # no frame at all
    # Silence behind it does not make speech longer.
    trailing = ending(np.concatenate([speech[:80], mel((150, -60))]))
    assert trailing.early and trailing.long_silence
    # Repeated until it is cut: late, whatever is in it.
    cut = ending(np.concatenate([speech] * 3), ended=False)
    assert cut.late and not cut.early and not cut.long_silence
    assert ending(mel((50, -15), (550, -60)), ended=False).early is False


def test_the_texts_are_of_three_kinds_and_not_in_the_corpus(three: Path) -> None:
    texts = jobs.provoking_texts()
    assert len(texts) == 30 == len({t.id for t in texts}) == len({t.text for t in texts})
    assert [sum(t.kind == k for t in texts) for k in jobs.KINDS] == [10, 10, 10]
    prepared = Prepared.open(three)
    spoken = {"".join(filter(str.isalpha, i.text.lower())) for i in prepared}
    assert not spoken & {"".join(filter(str.isalpha, t.text.lower())) for t in texts}
    assert min(letters(t.text) for t in texts if t.kind == "long") > 200
    assert [t.kind for t in jobs.provoking_texts(1)] == list(jobs.KINDS)
    assert jobs.text_of(jobs.row_id("list-01", 7)) == "list-01"


def test_the_probe_reads_classes_off_a_line() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 900)
    x = np.eye(5)[labels] * 2 + 0.1 * rng.normal(size=(900, 5))
    names = np.array([10, 20, 30])[labels]
    guess = encoder_probes.fit_classes((x[:600], names[:600]), (x[600:700], names[600:700]))
    assert (guess(x[700:]) == names[700:]).all()
    noise = rng.normal(size=(900, 5))
    guess = encoder_probes.fit_classes((noise[:600], names[:600]), (noise[600:700], names[600:700]))
    assert (guess(noise[700:]) == names[700:]).mean() < 0.5


def test_the_plan_is_as_published(three: Path) -> None:
    plan = silence_plan.declare(data=three, size="small", seeds=(0, 1, 2))
    voices = [j for j in plan.jobs if j.name.startswith("voice/")]
    assert [(j.arm, j.seed) for j in voices] == [
        (a, s) for s in (0, 1, 2) for a in ("joint", "mel-lm", "codes")
    ]
    for job in voices:
        overrides = job.arguments["overrides"]
        assert overrides["model.positions"] == "sequence" and overrides["pace"] == "none"
        assert overrides["model.ctc"] == "0" and overrides["loop.steps"] == "3000"
        assert job.arguments["stage"] == "meld.tts" and job.minutes == pytest.approx(30)
    draws = [j for j in plan.jobs if j.name.startswith("draw/")]
    assert len(draws) == 9 and all(j.arguments["draws"] == 10 for j in draws)
    assert plan.job("judge").wants == tuple(j.name for j in draws)
    assert sum(j.name.startswith("probe/") for j in plan.jobs) == 6
    assert sum(j.name.startswith("dev-speech/") for j in plan.jobs) == 1
    assert silence_plan.texts_of("small") == 30
    more = silence_plan.declare(data=three, seeds=(0, 1, 2, 3), arms=tuple(silence_plan.ARMS))
    assert {n: f for n, f in more.fingerprints.items() if n in plan.fingerprints} == plan.fingerprints
    with pytest.raises(UserError, match="unknown arm"):
        silence_plan.declare(data=three, arms=("codec",))


def test_the_claims_have_the_margins_of_the_plan() -> None:
    by = {(c.measure, c.other): c for c in silence_plan.CLAIMS}
    assert by["wer", "codes"].bounds == 0.013 and by["wer", "mel-lm"].bounds == 0.010
    assert by["long_silence", "mel-lm"].effect is None and by["omission", "codes"].sign == -1
    assert {c.other for c in silence_plan.CLAIMS} == {"codes", "mel-lm"}


def finish(out: Path, plan: Any, name: str) -> Path:
    directory = out / "jobs" / name
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "done.json", {"fingerprint": plan.fingerprints[name], "made": 1.0})
    return directory


def test_items_are_texts_and_no_draw_is_skipped(three: Path, tmp_path: Path) -> None:
    plan = silence_plan.declare(data=three, size="toy", seeds=(0, 1, 2))
    rng = np.random.default_rng(0)
    for arm, rate in (("joint", 0.1), ("mel-lm", 0.6), ("codes", 0.1)):
        for seed in (0, 1, 2):
            directory = finish(tmp_path, plan, f"draw/{arm}/{seed}")
            rows = []
            for t in jobs.provoking_texts():
                for n in range(10):
                    x = ending(mel((0, -15)) if n == 9 else mel((200, -15)))
                    silent = bool(rng.random() < rate)
                    x = dataclasses.replace(x, long_silence=silent)
                    rows.append({"id": jobs.row_id(t.id, n), "text": t.id, "letters": 20, **vars(x)})
            lines = "".join(json.dumps(r) + "\n" for r in rows)
            (directory / "endings.jsonl").write_text(lines, encoding="utf-8")
    results = silence_page.read(plan, tmp_path)
    sums = results.sums("joint", 0, "early")
    assert len(sums) == 30 and set(sums.values()) == {(1.0, 10.0)}
    claims = {(c.measure, c.other): c for c in silence_plan.CLAIMS}
    claim = claims["long_silence", "mel-lm"]
    test = results.test(claim)
    assert test is not None and test.trainings.items == 30 and decide(claim, test) == "holds"
    assert decide(claims["omission", "codes"], results.test(claims["omission", "codes"])) == "not measured"


def test_probes_are_sums_over_utterances() -> None:
    of = {"ids": ["a", "b"], "phoneme": [[3.0, 4.0], [0.0, 0.0]], "f0": [[2.0, 4.0], [1.0, 4.0]]}
    assert silence_page._probe_sums(of, "phoneme") == {"a": (3.0, 4.0)}
    shares = silence_page._probe_sums(of, "f0")
    assert sum(a for a, _ in shares.values()) / sum(b for _, b in shares.values()) == pytest.approx(3 / 8)
    assert silence_page._probe_sums(of, "speaker") == {}


def test_draws_go_on_where_they_stopped(three: Path, joint: Path, tmp_path: Path) -> None:
    training, voice, out = (tmp_path / n for n in ("training", "voice", "draw"))
    for directory in (training, voice, out):
        directory.mkdir()
    (voice / "run").symlink_to(joint)
    prepared = Prepared.open(three)
    how = {"data": str(three), "corpus": prepared.fingerprint}
    jobs.training_speech(out=training, needs={}, limit_minutes=None, **how)
    measured = json.loads((training / "found.json").read_text())
    assert len(measured["recordings"]) == 3
    assert not any(r["long_silence"] or r["early"] for r in measured["recordings"].values())
    how_drawn: dict[str, Any] = {"voice": "v", "training": "t", "per_kind": 1, "draws": 1, "decoded": 0}
    needs = {"v": voice, "t": training}
    assert jobs.draw(out=out, needs=needs, limit_minutes=0, **how_drawn) is False
    path = out / "endings.jsonl"
    names = [jobs.row_id(t.id, 0) for t in jobs.provoking_texts(1)]
    kept = {"id": names[0], "text": jobs.text_of(names[0]), "kept": True}
    path.write_text(json.dumps(kept) + '\n{"id": "half', encoding="utf-8")
    assert jobs.draw(out=out, needs=needs, limit_minutes=None, **how_drawn)
    rows = jobs.by_id(path)
    assert set(rows) == set(names) and rows[names[0]]["kept"]
    assert all({"long_silence", "early", "late"} <= rows[n].keys() for n in names[1:])


@pytest.mark.slow
def test_the_toy_study_runs_and_writes_its_claims(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["study", "meld", "--only", "silence", "--data", str(three), "--output", str(tmp_path)]
    line += ["--size", "toy", "--asr", "none", "--workers", "1", "--seeds", "0"]
    assert cli.main([*line, "--arms", "joint,codes"]) == 0
    assert "jobs done" in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "no arm failed" in page and "The stop rule" in page and "What the encoders represent" in page
    rows = json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))
    probed = next(r for r in rows if r["measure"] == "probe_phoneme")
    assert probed["seeds"] == "1 and 1 seeds" and probed["verdict"].startswith("open")
