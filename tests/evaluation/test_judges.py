"""The list of all judges: order, names, what stands in for what is missing; results kept between judges."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest

from intona.audio import Audio
from intona.encoders import ge2e
from intona.encoders.ge2e import GE2E
from intona.errors import UserError
from intona.evaluation import EvaluationConfig, Manifest, evaluate
from intona.evaluation import judges as judges_module
from intona.evaluation.compare import compare
from intona.evaluation.finished import read_report
from intona.evaluation.html import write_html
from intona.evaluation.judges import build_judges, f0, get, names
from intona.evaluation.judges.base import Inputs, Judge, Measure, Score, Unavailable
from intona.evaluation.judges.cache import ArrayCache, sound_key
from intona.evaluation.manifest import Row
from intona.evaluation.normalize import normalizer
from intona.evaluation.wavs import read_clip
from intona.pool import ReloadsInWorker

Folder = Callable[..., Path]
Voice = Callable[..., Audio]
WITH_REFERENCE = {"against_reference", "pitch_errors", "intonation", "mcd"}


class _Loads(ReloadsInWorker):
    """Holds a network that cannot be pickled."""

    count = 0

    @cached_property
    def network(self) -> Callable[[], str]:
        self.count += 1
        return lambda: "loaded"


def test_names_are_unique_and_nothing_is_called_mos(folder: Folder) -> None:
    judges = build_judges(Inputs(reference=True, prompts=folder("prompts")))
    measures = [m for j in judges for m in j.measures]
    assert len({j.name for j in judges}) == len(judges)
    assert len({m.name for m in measures}) == len({m.title for m in measures}) == len(measures)
    assert not any(m.title.upper().split()[0] in ("MOS", "UTMOS") for m in measures)
    assert {j.name for j in judges if not isinstance(j, Unavailable) and j.needs_reference} <= WITH_REFERENCE


def test_what_is_not_given_is_not_there() -> None:
    built = [j.name for j in build_judges(Inputs())]
    assert built == [n for n in names() if n not in WITH_REFERENCE | {"speaker"}]
    assert [j.name for j in build_judges(Inputs(), ("timing", "default"))] == built
    assert all(isinstance(j, Unavailable) for j in build_judges(Inputs(), ("asr", "failures")))
    with pytest.raises(UserError, match='"mcd" compares with recordings'):
        build_judges(Inputs(), ("mcd",))


def test_only_builds_no_other() -> None:
    """With a recognizer that cannot be had, the rest can still be asked for."""
    nowhere = Inputs(recognizer="/nowhere")
    assert [j.name for j in build_judges(nowhere, ("timing", "f0"))] == ["f0", "timing"]
    with pytest.raises(UserError):
        build_judges(nowhere)
    with pytest.raises(UserError, match='did you mean "timing"'):
        build_judges(Inputs(), ("timings",))


def test_every_built_in_judge_has_a_name_and_a_class() -> None:
    for name in names():
        judge = get(name)
        assert issubclass(judge, Judge) and judge.name == name and judge.measures
        assert judge.installed() or judge.install


def test_settings_of_a_judge_are_its_arguments(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GE2E, "__init__", lambda self, **_: None)
    monkeypatch.setattr(ge2e, "weights_path", lambda: Path("w"))
    inputs = Inputs(reference=True, settings={"mcd": {"sample_rate": 24_000}, "timing": {"speed": 2}})
    (mcd,) = build_judges(inputs, ("mcd",))
    assert isinstance(mcd, Judge) and mcd.describe()["mcd_rate"] == 24_000
    with pytest.raises(UserError, match=r'settings of the judge "timing".*speed'):
        build_judges(inputs, ("timing",))
    for judge, more in (("speaker", {"prompts": folder("prompts")}), ("utmos", {})):
        wrong = Inputs(settings={judge: {"modle": "x"}}, **more)
        with pytest.raises(UserError, match=f'settings of the judge "{judge}": .*modle'):
            build_judges(wrong, (judge,))
    with pytest.raises(UserError, match="beam"):
        build_judges(Inputs(recognizer="/nowhere", settings={"asr": {"beam": 2}}), ("asr",))


class Loudness(Judge):
    """As a package of somebody else would define it: two measures, one of them pooled."""

    name = "loudness"
    measures = (
        Measure(name="peak_db", title="peak, dB", failed=-90.0, better="higher", digits=1, headline=True),
        Measure(name="clipped", title="clipped", pooled=True, failed=1.0, better="lower", digits=4),
    )

    def __init__(self, *, limit: float = 0.99) -> None:
        self.limit = limit

    def describe(self) -> dict[str, float]:
        return {"limit": self.limit}

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        count, total = int((np.abs(audio.samples) >= self.limit).sum()), len(audio)
        return {
            "peak_db": Score(value=20 * float(np.log10(audio.peak))),
            "clipped": Score(value=count / total, numerator=count, denominator=total),
        }


class NeedsPackage(Loudness):
    name, packages, install = "needs_package", ("no_such_package",), "pip install no-such-package"
    measures = (Measure(name="gone", title="gone"),)


def test_a_judge_from_outside_reaches_every_table(
    folder: Folder, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Built by name with its settings; its measures stand in records, tables, the page and a comparison."""
    outside = {"loudness": Loudness, "needs_package": NeedsPackage}
    known = names()
    monkeypatch.setattr(judges_module, "names", lambda: (*known, *outside))
    monkeypatch.setattr(judges_module, "get", lambda name: outside.get(name) or get(name))
    config = EvaluationConfig(
        judges=("timing", *outside), settings={"loudness": {"limit": 0.1}}, resamples=100, asr=None
    )
    wavs = {"loud": folder("loud"), "quiet": folder("quiet", gain=0.4, skip=("u1",))}
    for name, path in wavs.items():
        evaluate({"first": wavs["loud"], name: path}, manifest, out=tmp_path / name, config=config)
    report = read_report(tmp_path / "quiet").report
    assert [m.name for m in report.measures][-3:] == ["peak_db", "clipped", "gone"]
    assert report.judges["loudness"] == {"limit": 0.1}
    assert report.unavailable["gone"].hint == "pip install no-such-package"
    quiet = report.row("quiet").cells
    assert quiet["peak_db"].scored and quiet["peak_db"].counted
    assert quiet["peak_db"].scored.n == 3 and quiet["peak_db"].counted.n == 4
    assert quiet["clipped"].macro is not None
    assert "| peak, dB ↑ | clipped ↓ | clipped macro ↓ |" in (tmp_path / "quiet" / "table.md").read_text()
    page = write_html(tmp_path / "quiet", wavs={}, utterances=0).read_text(encoding="utf-8")
    headline = page[page.index('id="headline"') : page.index('id="counted"')]
    assert "peak, dB ↑" in headline and "clipped macro ↓" in page and "no-such-package" in page
    result = compare([tmp_path / "loud", tmp_path / "quiet"], against="first", measures=["peak_db"])
    assert [(d.system, d.measure) for d in result.differences] == [("loud", "peak_db"), ("quiet", "peak_db")]
    assert result.differences[1].paired.difference < -7


def test_descriptions_are_json_and_judges_travel_to_workers(folder: Folder) -> None:
    for judge in build_judges(Inputs(reference=True, prompts=folder("prompts"))):
        if isinstance(judge, Unavailable):
            continue
        described = judge.describe()
        assert json.loads(json.dumps(described)) == described
        assert pickle.loads(pickle.dumps(judge)).describe() == described
        assert "/" not in json.dumps({k: v for k, v in described.items() if k == "model"})


def test_what_is_loaded_or_holds_code_is_made_anew_in_a_worker() -> None:
    """The published normalizers hold lambdas, and networks do not pickle: a worker loads its own."""
    for language in ("ru", "en"):
        ours = normalizer(language)
        theirs = pickle.loads(pickle.dumps(ours))
        assert theirs.id == ours.id and theirs("Д+ом, 25!") == ours("Д+ом, 25!")

    judge = _Loads()
    assert judge.network() == "loaded" and judge.count == 1
    copy = pickle.loads(pickle.dumps(judge))
    assert copy.count == 1 and "network" not in vars(copy) and copy.network() == "loaded"
    assert isinstance(vars(_Loads)["network"], cached_property) and issubclass(_Loads, ReloadsInWorker)


def test_every_judge_answers_short_noisy_and_quiet_sound(voice: Voice, folder: Folder) -> None:
    """The least that the reader lets through: 50 ms, white noise, a peak of -79 dB. No judge may raise."""
    rng = np.random.default_rng(0)
    row, reference = Row(id="u0", text="мама мыла раму"), voice(0.6)
    sounds = {
        "short": Audio(voice(0.05).samples, 16_000),
        "noise": Audio((0.1 * rng.normal(size=9_600)).astype(np.float32), 16_000),
        "quiet": Audio(voice(0.6).samples * np.float32(6e-4), 16_000),
        "loud": Audio(voice(0.6).samples * np.float32(50), 16_000),
        "click": Audio(np.eye(1, 9_600, 4_000, dtype=np.float32)[0], 16_000),
        "48 kHz": voice(0.3, rate=48_000),
    }
    judges = build_judges(Inputs(reference=True, prompts=folder("prompts")))
    for judge in judges:
        if isinstance(judge, Unavailable) or judge.name == "distillmos":
            continue
        for name, sound in sounds.items():
            scores = judge.judge(sound, row, reference)
            assert set(scores) == {m.name for m in judge.measures}
            for measure, score in scores.items():
                assert score.value is None or np.isfinite(score.value), (judge.name, name, measure)


def test_a_runaway_does_not_end_the_evaluation(voice: Voice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sounds too long to align have no distance; that is one utterance's answer, not an error."""
    from intona.evaluation.judges import align

    monkeypatch.setattr(align, "MAX_CELLS", 10)
    row = Row(id="u0", text="мама")
    for judge in build_judges(Inputs(reference=True), tuple(WITH_REFERENCE)):
        scores = judge.judge(voice(0.61), row, voice(0.6))  # type: ignore[union-attr]
        gone = {"f0_rmse", "gpe", "f0_wcorr", "mcd"} & set(scores)
        assert gone and all(scores[name].value is None for name in gone)


def test_one_pitch_analysis_serves_all_judges(
    folder: Folder, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    real = f0.f0_contour
    monkeypatch.setattr(f0, "f0_contour", lambda *a, **k: (calls.append(1), real(*a, **k))[1])
    monkeypatch.setattr(f0, "_contours", ArrayCache())
    ours, reference = folder("ours", gain=0.7), folder("reference")
    judges = build_judges(Inputs(reference=True), ("f0", "contour", "timing", *WITH_REFERENCE))
    report = evaluate(
        {"ours": ours},
        manifest,
        out=tmp_path / "report",
        reference=reference,
        judges=judges,
        config=EvaluationConfig(resamples=100),
    )
    assert len(calls) == 2 * len(manifest)
    assert report.row("ours").cells["mcd"].scored.estimate < 0.2  # type: ignore[union-attr]
    clip = read_clip(ours / "u0.wav")
    assert clip.audio is not None and len(f0.contour(clip.audio)) > 0 and len(calls) == 2 * len(manifest)


def test_the_cache_computes_once_and_stays_in_its_budget() -> None:
    kept, made = ArrayCache(budget=1000), []

    def make(i: int) -> Callable[[], tuple[np.ndarray]]:
        return lambda: (made.append(i) or np.full(50, i, np.float64),)  # type: ignore[func-returns-value]

    for i in (0, 1, 0, 2, 0):  # 400 bytes each: 1 goes when 2 comes, for 0 was used since
        assert kept(bytes([i]), make(i))[0][0] == i
    assert made == [0, 1, 2]
    assert kept.size <= 1000
    kept(b"1", make(1))
    assert made == [0, 1, 2, 1]


def test_sounds_differ_by_rate_and_samples(voice: Voice) -> None:
    a = voice(0.2)
    same = Audio(a.samples.copy(), a.sample_rate)
    assert sound_key(a) == sound_key(same) != sound_key(Audio(a.samples, 22_050))
    assert sound_key(a, same) != sound_key(a)
