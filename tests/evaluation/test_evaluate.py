"""`evaluate` on folders of wavs: the defects of known evaluators, each a test, and known answers.

Numbers in the docstrings are those of the list in docs/reference/evaluation-rules.md.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from scipy.stats import binomtest

from intona.audio import Audio
from intona.errors import UserError
from intona.evaluation import EvaluationConfig, Manifest, Report, Row, evaluate, to_json, to_markdown
from intona.evaluation.finished import find_audio
from intona.evaluation.judges.asr import AsrJudge
from intona.evaluation.judges.base import Judge, Measure, Score, Unavailable
from intona.evaluation.judges.failures import FailureJudge
from intona.evaluation.normalize import normalizer
from intona.evaluation.wavs import index_folder

QUICK = EvaluationConfig(resamples=500)
Folder = Callable[..., Path]
Asr = Callable[..., AsrJudge]
Hear = Callable[[Audio], str]


class Level(Judge):
    """A judge with a worst value: minus the level in dB; answers NaN for what is louder than full scale."""

    name = "level"
    measures = (Measure(name="level", title="level", failed=1.0, better="higher"),)

    def describe(self) -> dict[str, Any]:
        return {"version": 1}

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        peak = float(np.abs(audio.samples).max())
        return {"level": Score(value=float("nan") if peak > 1 else 5 * peak)}


def _run(folder: Path, manifest: Manifest, tmp_path: Path, *judges: Any, **more: Any) -> Report:
    systems = more.pop("systems", {"ours": folder})
    return evaluate(systems, manifest, out=tmp_path / "report", judges=judges, config=QUICK, **more)


def _records(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "report" / "records.jsonl").read_text().splitlines()]


def test_a_perfect_system(
    folder: Folder, manifest: Manifest, tmp_path: Path, asr: Asr, hears_right: Hear
) -> None:
    report = _run(folder("ours"), manifest, tmp_path, asr(hears_right))
    row = report.row("ours")
    assert (row.n, row.scored, row.failures) == (4, 4, {})
    assert row.cells["wer"].counted.estimate == 0.0  # type: ignore[union-attr]


def test_the_hypothesis_side_is_the_audio(
    folder: Folder, manifest: Manifest, tmp_path: Path, asr: Asr
) -> None:
    """1. What is spoken decides, never the file compared with itself: other speech, WER 1."""
    report = _run(folder("ours"), manifest, tmp_path, asr(lambda audio: "совсем другие слова сказаны"))
    assert report.row("ours").cells["wer"].counted.estimate >= 1.0  # type: ignore[union-attr]


def test_one_made_up_transcript_is_one_lost_utterance(
    folder: Folder, manifest: Manifest, tmp_path: Path, asr: Asr, hears_right: Hear
) -> None:
    """40 words for three: three errors of the robust figure, 40 of the plain one, and both stand there."""
    made_up = "спасибо за просмотр подписывайтесь на канал " * 8
    first = np.argmax([1 if t == "кот ест рыбу" else 0 for t in (r.text for r in manifest.rows)])

    def hear(audio: Audio) -> str:
        right = hears_right(audio)
        return made_up if right == manifest.rows[first].text else right

    report = _run(folder("ours"), manifest, tmp_path, asr(hear))
    wer, cer = (report.row("ours").cells[name] for name in ("wer", "cer"))
    total = sum(len(r.text.split()) for r in manifest.rows)
    errors = len(made_up.split())
    assert wer.counted.estimate == pytest.approx(errors / total)  # type: ignore[union-attr]
    assert wer.robust.estimate == wer.robust_scored.estimate == pytest.approx(3 / total)  # type: ignore[union-attr]
    assert cer.robust.estimate < 0.25 < 1 < cer.counted.estimate  # type: ignore[union-attr]
    heads = "| WER ↓ | WER macro ↓ | WER robust ↓ | CER ↓ | CER macro ↓ | CER robust ↓ |"
    lines = to_markdown(report).splitlines()
    rows = [lines[i + 2] for i, line in enumerate(lines) if heads in line]
    assert len(rows) == 2 and all(f"| {3 / total:.3f} [" in row for row in rows)


def test_no_failure_is_not_said_to_be_impossible(
    folder: Folder, manifest: Manifest, tmp_path: Path, ears: Any, hears_right: Hear
) -> None:
    """0 of 4 is a share between 0 and .49, and so is a difference of two such systems."""
    judge = FailureJudge(ears(hears_right), normalizer("ru"))
    systems = {"ours": folder("ours"), "theirs": folder("theirs")}
    report = _run(Path(), manifest, tmp_path, judge, systems=systems)
    cell = report.row("ours").cells["ar_failure"].counted
    expected = binomtest(0, 4).proportion_ci(method="wilson")
    assert cell is not None and (cell.low, cell.high) == pytest.approx((expected.low, expected.high))
    paired = next(d for d in report.differences if d.measure == "ar_failure").paired
    assert (paired.low, paired.high) == pytest.approx((-expected.high, expected.high)) and paired.p == 1.0
    assert "of shares (failure rates, votes) Wilson's score interval" in to_markdown(report)


def test_digits_in_a_text_are_told(folder: Folder, tmp_path: Path, asr: Asr) -> None:
    manifest = Manifest(rows=(Row(id="u0", text="ему 25 лет"), Row(id="u1", text="без цифр")))
    wavs = folder("ours")
    words = {0: "ему двадцать пять лет", 1: "без цифр"}
    ours = asr(lambda audio: words[0 if len(audio.samples) == 8000 else 1])
    voice = soundfile.read(wavs / "u1.wav")[0]
    soundfile.write(wavs / "u1.wav", voice[:7000], 16000)
    with pytest.warns(
        UserWarning, match=r"1 of 2 texts contain digits \(u0\): compared as the front end reads"
    ):
        report = _run(wavs, manifest, tmp_path, ours)
    assert report.row("ours").cells["wer"].counted.estimate == 0.0  # type: ignore[union-attr]
    assert "- 1 of 2 texts contain digits" in to_markdown(report)


@pytest.mark.parametrize(("listed", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_ids_are_found_in_either_unicode_form(tmp_path: Path, voice: Any, listed: str, stored: str) -> None:
    row = Row(id=unicodedata.normalize(listed, "ёж_й"), text="да")
    (tmp_path / "wavs").mkdir()
    path = tmp_path / "wavs" / f"{unicodedata.normalize(stored, row.id)}.wav"
    voice(0.3).write(path)
    files, extra = index_folder(tmp_path / "wavs", Manifest(rows=(row,)))
    assert (files, extra) == ({row.id: path}, [])
    assert find_audio(tmp_path / "wavs", [row.id]) == {row.id: path}


def test_order_of_manifest_and_folder_play_no_part(
    folder: Folder, manifest: Manifest, tmp_path: Path, asr: Asr, hears_right: Hear
) -> None:
    """2. Text and audio are joined by id: shuffled rows give the same records, and still WER 0."""
    wavs = folder("ours")
    shuffled = Manifest(rows=(manifest.rows[2], manifest.rows[0], manifest.rows[3], manifest.rows[1]))
    report = _run(wavs, shuffled, tmp_path, asr(hears_right))
    assert report.row("ours").cells["wer"].counted.estimate == 0.0  # type: ignore[union-attr]
    # Files swapped on disk, on the other hand, are wrong words.
    (wavs / "u0.wav").rename(wavs / "x.wav")
    (wavs / "u1.wav").rename(wavs / "u0.wav")
    (wavs / "x.wav").rename(wavs / "u1.wav")
    report = _run(wavs, shuffled, tmp_path, asr(hears_right))
    assert report.row("ours").cells["wer"].counted.estimate > 0.4  # type: ignore[union-attr]


def _break(path: Path, how: str) -> None:
    samples, rate = soundfile.read(path, dtype="float32")
    if how == "missing":
        path.unlink()
    elif how == "unreadable":
        path.write_bytes(b"RIFF not really")
    elif how == "empty":
        soundfile.write(path, samples[:0], rate)
    elif how == "silent":
        soundfile.write(path, samples * 0, rate)
    elif how == "non-finite":
        samples[100] = np.nan
        soundfile.write(path, samples, rate, subtype="FLOAT")
    elif how == "too long":
        soundfile.write(path, np.zeros(4000 * 700, np.int16), 4000)
    elif how == "score not finite":
        soundfile.write(path, samples * 50, rate, subtype="FLOAT")


@pytest.mark.parametrize("how", ["missing", "unreadable", "empty", "silent", "non-finite", "too long"])
def test_failures_are_counted(
    folder: Folder, manifest: Manifest, tmp_path: Path, asr: Asr, hears_right: Hear, how: str
) -> None:
    """3, 5, 14. One of four outputs fails: all its words are deleted, the predictor gets 1.0, N stays 4."""
    wavs = folder("ours")
    _break(wavs / "u1.wav", how)
    report = _run(wavs, manifest, tmp_path, asr(hears_right), Level())
    row = report.row("ours")
    assert (row.n, row.scored, row.failures) == (4, 3, {how: 1})
    wer, level = row.cells["wer"], row.cells["level"]
    words = [len(r.text.split()) for r in manifest.rows]
    assert wer.counted.estimate == pytest.approx(words[1] / sum(words))  # type: ignore[union-attr]
    assert wer.macro.estimate == pytest.approx(1 / 4)  # type: ignore[union-attr]
    assert (wer.counted.n, wer.scored.n) == (4, 3)  # type: ignore[union-attr]
    assert wer.scored.estimate == 0.0  # type: ignore[union-attr]
    scored = level.scored.estimate  # type: ignore[union-attr]
    assert level.counted.estimate == pytest.approx((3 * scored + 1.0) / 4)  # type: ignore[union-attr]
    assert f"| 3/4 | 1 {how} |" in to_markdown(report)


def test_a_score_that_is_not_finite_is_a_failure(folder: Folder, manifest: Manifest, tmp_path: Path) -> None:
    """12, 13. A NaN of a judge is neither left out of the mean nor logged as 0: it gets the worst value."""
    wavs = folder("ours")
    _break(wavs / "u2.wav", "score not finite")
    report = _run(wavs, manifest, tmp_path, Level())
    assert report.row("ours").failures == {"score not finite": 1}
    assert report.row("ours").cells["level"].counted.n == 4  # type: ignore[union-attr]
    assert [r["value"] for r in _records(tmp_path) if r["id"] == "u2"] == [1.0]


def test_five_percent_failures_are_not_a_better_wer(tmp_path: Path, asr: Asr) -> None:
    """Dropping 5 % failures turns a WER of 6.9 % into 2.0 %: here the two stand side by side."""
    rows = tuple(Row(id=f"u{i:03}", text=" ".join(["слово"] * 10)) for i in range(100))
    wavs = tmp_path / "wavs"
    wavs.mkdir()
    tone = 0.1 * np.sin(np.arange(1600) * 0.1)
    for row in rows[5:]:
        soundfile.write(wavs / f"{row.id}.wav", tone, 16000)
    heard = iter([" ".join(["слово"] * 9 + ["слава"])] * 19 + [rows[0].text] * 76)
    report = _run(wavs, Manifest(rows=rows), tmp_path, asr(lambda audio: next(heard)))
    cell = report.row("ours").cells["wer"]
    assert cell.scored.estimate == pytest.approx(0.02)  # type: ignore[union-attr]
    assert cell.counted.estimate == pytest.approx(0.069)  # type: ignore[union-attr]


def test_undefined_values_show_their_n(folder: Folder, manifest: Manifest, tmp_path: Path) -> None:
    """6. A measure that the first utterance lacks is still a column, over its own n, and says so."""

    class Sometimes(Level):
        name = "sometimes"
        measures = (Measure(name="sometimes", title="sometimes"),)

        def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
            return {"sometimes": Score(value=None if row.id == "u0" else 2.0)}

    report = _run(folder("ours"), manifest, tmp_path, Sometimes())
    assert report.row("ours").cells["sometimes"].scored.n == 3  # type: ignore[union-attr]
    assert "2.00 [2.00, 2.00] (n = 3)" in to_markdown(report)
    assert [r["status"] for r in _records(tmp_path)] == ["undefined", "ok", "ok", "ok"]


def test_a_judge_that_is_not_installed_stays_visible(
    folder: Folder, manifest: Manifest, tmp_path: Path
) -> None:
    """12. Its column says so in each row; nothing else loses its place."""
    absent = Unavailable(
        name="mos", measures=(Measure(name="mos", title="Predictor"),), reason="not installed", hint="get it"
    )
    report = _run(folder("ours"), manifest, tmp_path, Level(), absent)
    text = to_markdown(report)
    assert "| Predictor |" in text
    assert text.count("not installed") == 3  # main table, scored-only table, how to get it
    assert to_json(report)["unavailable"]["mos"] == {"reason": "not installed", "hint": "get it"}


def test_interval_is_an_interval_and_not_a_deviation(
    folder: Folder, manifest: Manifest, tmp_path: Path
) -> None:
    """5, 10. Brackets hold the bootstrap interval of the mean; its width is not typed in anywhere."""
    same = _run(folder("same"), manifest, tmp_path, Level())
    cell = same.row("ours").cells["level"].counted
    assert cell is not None and cell.low == pytest.approx(cell.high)  # equal items, no width

    for i, row in enumerate(manifest.rows):
        path = tmp_path / "same" / f"{row.id}.wav"
        samples, rate = soundfile.read(path)
        soundfile.write(path, samples * (i + 1) / 4, rate)
    cell = _run(tmp_path / "same", manifest, tmp_path, Level()).row("ours").cells["level"].counted
    assert cell is not None and cell.low is not None and cell.high is not None
    assert cell.low < cell.estimate < cell.high


def test_calling_again_never_repeats_an_utterance(folder: Folder, manifest: Manifest, tmp_path: Path) -> None:
    """11. Calling again never repeats an utterance in the mean: one record per system, id and measure."""
    for _ in range(2):
        _run(
            folder("ours") if not (tmp_path / "ours").exists() else tmp_path / "ours",
            manifest,
            tmp_path,
            Level(),
        )
    places = [(r["system"], r["id"], r["measure"]) for r in _records(tmp_path)]
    assert len(places) == len(set(places)) == 4


def test_extra_files_are_named_not_judged(folder: Folder, manifest: Manifest, tmp_path: Path) -> None:
    wavs = folder("ours")
    (wavs / "old_u0.wav").write_bytes((wavs / "u0.wav").read_bytes())
    report = _run(wavs, manifest, tmp_path, Level())
    assert report.row("ours").extra_files == 1
    assert len(_records(tmp_path)) == 4


def test_resume_judges_only_what_is_new(
    folder: Folder, manifest: Manifest, tmp_path: Path, ears: Any, asr: Asr, hears_right: Hear
) -> None:
    wavs = folder("ours")
    judge = asr(hears_right)
    whole = to_json(_run(wavs, manifest, tmp_path, judge))
    calls = judge.transcribe.calls  # type: ignore[attr-defined]
    assert calls == 4
    # A kill in the middle of a line: whole records stay, the torn one is judged again.
    records = tmp_path / "report" / "records.jsonl"
    lines = records.read_bytes().splitlines(keepends=True)
    records.write_bytes(b"".join(lines[:5]) + lines[5][:20])
    again = asr(hears_right)
    assert to_json(_run(wavs, manifest, tmp_path, again)) == whole
    assert again.transcribe.calls == 2  # type: ignore[attr-defined]
    assert len(_records(tmp_path)) == 8


@pytest.mark.parametrize("change", ["audio", "text", "settings"])
def test_resume_repeats_what_changed(
    folder: Folder, manifest: Manifest, tmp_path: Path, asr: Asr, hears_right: Hear, change: str
) -> None:
    wavs = folder("ours")
    _run(wavs, manifest, tmp_path, asr(hears_right))
    judge = asr(hears_right, "better ears" if change == "settings" else "ears")
    if change == "audio":
        samples, rate = soundfile.read(wavs / "u0.wav")
        soundfile.write(wavs / "u0.wav", samples * 0.5, rate)
    elif change == "text":
        first = manifest.rows[0]
        manifest = Manifest(rows=(Row(id=first.id, text=first.text + " да"), *manifest.rows[1:]))
    _run(wavs, manifest, tmp_path, judge)
    assert judge.transcribe.calls == (4 if change == "settings" else 1)  # type: ignore[attr-defined]


def test_no_table_of_an_earlier_call_survives_a_failing_one(
    folder: Folder, manifest: Manifest, tmp_path: Path
) -> None:
    """No partial report is taken for a whole one."""
    wavs = folder("ours")
    _run(wavs, manifest, tmp_path, Level())

    class Breaks(Level):
        def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
            raise RuntimeError("out of memory")

        def describe(self) -> dict[str, Any]:
            return {"version": 2}

    with pytest.raises(RuntimeError):
        _run(wavs, manifest, tmp_path, Breaks())
    assert not (tmp_path / "report" / "table.json").exists()
    assert not (tmp_path / "report" / "table.md").exists()


def test_paired_differences_and_flags(folder: Folder, manifest: Manifest, tmp_path: Path) -> None:
    systems = {"recording": folder("recording", gain=1.0), "loud": folder("loud", gain=2.0)}
    report = _run(systems["loud"], manifest, tmp_path, Level(), systems=systems)
    assert report.row("loud").cells["level"].flagged
    assert not report.row("recording").cells["level"].flagged
    (difference,) = report.differences
    assert (difference.system, difference.against) == ("loud", "recording")
    assert difference.paired.difference == pytest.approx(1.0, abs=1e-3)
    assert difference.paired.p == 2 / 16  # four pairs: no p below 1/8 exists
    assert "▲" in to_markdown(report)


def test_copy_and_failure_against_a_reference(folder: Folder, manifest: Manifest, tmp_path: Path) -> None:
    from intona.evaluation.judges.f0 import ReferenceJudge

    reference = folder("reference")
    ours = folder("ours", skip=("u3",))
    report = _run(ours, manifest, tmp_path, ReferenceJudge(), reference=reference)
    cells = report.row("ours").cells
    assert cells["f0_rmse"].scored.estimate == pytest.approx(0.0, abs=1e-6)  # type: ignore[union-attr]
    assert cells["duration_ratio"].scored.estimate == pytest.approx(1.0)  # type: ignore[union-attr]
    # A distance has no worst value: no counted figure is made up, and the n says what is missing.
    assert cells["f0_rmse"].counted is None
    assert cells["f0_rmse"].scored.n == 3  # type: ignore[union-attr]
    assert report.row("ours").failures == {"missing": 1}


def test_speakers_are_clusters(folder: Folder, manifest: Manifest, tmp_path: Path) -> None:
    rows = tuple(Row(id=r.id, text=r.text, speaker="ab"[i % 2]) for i, r in enumerate(manifest.rows))
    report = _run(folder("ours"), Manifest(rows=rows), tmp_path, Level())
    assert report.row("ours").cells["level"].counted.clusters == 2  # type: ignore[union-attr]
    assert "over speakers" in to_markdown(report)


def test_input_errors_are_one_line(folder: Folder, manifest: Manifest, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    wavs = folder("ours")
    other = folder("other", skip=("u1",))
    cases: list[tuple[str, dict[str, Any]]] = [
        ("no such folder", {"systems": {"a": tmp_path / "none"}}),
        ("holds no audio file", {"systems": {"a": empty}}),
        ("no recording for 1 of 4", {"systems": {"a": wavs}, "reference": other}),
        ("no system", {"systems": {}}),
    ]
    for message, more in cases:
        with pytest.raises(UserError, match=message) as caught:
            _run(wavs, manifest, tmp_path, Level(), **more)
        assert "\n" not in str(caught.value)
    stray = tmp_path / "stray"
    stray.mkdir()
    (stray / "z.wav").write_bytes((wavs / "u0.wav").read_bytes())
    with pytest.raises(UserError, match=r"none of its 1 audio files .*u0\.wav"):
        _run(stray, manifest, tmp_path, Level())
    (wavs / "u0.flac").write_bytes(b"")
    with pytest.raises(UserError, match=r"both u0\.flac and u0\.wav exist"):
        _run(wavs, manifest, tmp_path, Level())


def test_a_bad_recording_is_an_input_error(folder: Folder, manifest: Manifest, tmp_path: Path) -> None:
    from intona.evaluation.judges.f0 import ReferenceJudge

    reference, ours = folder("reference"), folder("ours")
    _break(reference / "u2.wav", "silent")
    with pytest.raises(UserError, match=r"u2\.wav: the recording is silent"):
        _run(ours, manifest, tmp_path, ReferenceJudge(), reference=reference)
    with pytest.raises(UserError, match="give the reference folder"):
        _run(ours, manifest, tmp_path, ReferenceJudge())


def test_comparing_with_an_unknown_system(folder: Folder, manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(UserError, match='did you mean "ours"'):
        evaluate(
            {"ours": folder("ours")},
            manifest,
            out=tmp_path / "report",
            judges=[Level()],
            config=EvaluationConfig(against="our", resamples=100),
        )


def test_json_is_plain_and_whole(folder: Folder, manifest: Manifest, tmp_path: Path) -> None:
    report = _run(folder("ours"), manifest, tmp_path, Level())
    stored = json.loads((tmp_path / "report" / "table.json").read_text())
    assert stored == json.loads(json.dumps(to_json(report)))
    assert stored["manifest_sha256"] == manifest.sha256
    assert stored["judges"]["level"] == {"version": 1}


def test_the_page_names_tests_that_exist(root: Path) -> None:
    import re

    page = (root / "docs/reference/evaluation-rules.md").read_text(encoding="utf-8")
    code = "".join(p.read_text(encoding="utf-8") for p in (root / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) > 10
    assert [name for name in named if f"def {name}(" not in code] == []


def test_distance_of_the_recording_from_itself_is_no_comparison(
    folder: Folder, manifest: Manifest, tmp_path: Path
) -> None:
    """It would swell the family that Holm's adjustment pays for."""
    from intona.evaluation.judges.f0 import ReferenceJudge

    systems = {"recording": folder("recording"), "ours": folder("ours", gain=0.5)}
    report = _run(
        systems["ours"],
        manifest,
        tmp_path,
        Level(),
        ReferenceJudge(),
        systems=systems,
        reference=systems["recording"],
    )
    assert [d.measure for d in report.differences] == ["level"]
