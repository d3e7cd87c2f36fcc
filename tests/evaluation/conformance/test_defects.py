"""The fourteen defects of well-known evaluators, each shown not to be ours, through `evaluate` itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile

from intona.audio import Audio
from intona.errors import UserError
from intona.evaluation import Manifest, Row, to_json, to_markdown
from intona.evaluation.judges.base import Judge, Measure, Score, Unavailable
from intona.evaluation.normalize import normalizer

RATE = 16_000
Values = Callable[..., dict[str, float]]


class Constant(Judge):
    """A judge of one measure that answers `value(row)`."""

    def __init__(self, value: Callable[[Row], float | None], *, name: str = "constant") -> None:
        self.name, self.value = name, value
        self.measures = (Measure(name=name, title=name, failed=1.0, better="higher"),)

    def describe(self) -> dict[str, Any]:
        return {"name": self.name}

    def judge(self, audio: Audio, row: Row, reference: Audio | None) -> dict[str, Score]:
        return {self.name: Score(value=self.value(row))}


def test_01_the_audio_is_not_its_own_reference(bench: Any, values: Values) -> None:
    """Noise in place of speech: an evaluator that transcribes one file for both sides says WER 0."""
    rng = np.random.default_rng(0)
    wavs = bench.folder("ours", lambda a: Audio(rng.normal(size=12_800).astype(np.float32) * 0.1, RATE))
    found = values(bench.run(wavs, judges=bench.hearing()))
    assert found["wer"] == 1.0
    assert {r["detail"]["hypothesis"] for r in bench.records() if r["measure"] == "wer"} == {"шум"}


def test_02_texts_and_files_are_joined_by_id(bench: Any, values: Values) -> None:
    """The manifest backwards: still WER 0. Two files swapped: their words are wrong, and only theirs."""
    wavs = bench.folder("ours")
    backwards = Manifest(rows=tuple(reversed(bench.manifest.rows)))
    assert values(bench.run(wavs, judges=bench.hearing(), manifest=backwards))["wer"] == 0.0
    swap = bench.folder("swapped")
    a, b = (swap / "u0.wav").read_bytes(), (swap / "u1.wav").read_bytes()
    (swap / "u0.wav").write_bytes(b)
    (swap / "u1.wav").write_bytes(a)
    bench.run(swap, judges=bench.hearing())
    wrong = {r["id"] for r in bench.records() if r["measure"] == "wer" and r["value"] > 0}
    assert wrong == {"u0", "u1"}


def test_03_silent_short_and_missing_outputs_count(bench: Any, values: Values) -> None:
    """Three of four are silent, too short and missing: N stays 4, and all their words are deleted."""
    wavs = bench.folder("ours")
    bench.write(wavs / "u0.wav", Audio(np.zeros(8_000, np.float32), RATE))
    bench.write(wavs / "u1.wav", Audio(np.ones(100, np.float32), RATE))
    (wavs / "u2.wav").unlink()
    report = bench.run(wavs, judges=[*bench.hearing(), Constant(lambda row: 4.0)])
    row, words = report.row("ours"), [len(r.text.split()) for r in bench.manifest.rows]
    assert (row.n, row.scored, row.failures) == (4, 1, {"silent": 1, "empty": 1, "missing": 1})
    found = values(report)
    assert found["wer"] == pytest.approx(sum(words[:3]) / sum(words))
    assert found["constant"] == pytest.approx((4 + 3 * 1) / 4)
    assert "1/4" in to_markdown(report)


def test_04_level_and_delay_are_no_errors(bench: Any, values: Values) -> None:
    """Same voice 6 dB quieter: MCD 0 (4.26 dB with c_0). 100 ms later: F0 RMSE near 0 (61.8 Hz unaligned)."""
    quiet = bench.folder("quiet", lambda a: Audio(a.samples / np.float32(2), RATE))
    found = values(bench.run(quiet))
    assert found["mcd"] < 0.2 and found["mcd_c0"] == pytest.approx(4.26, abs=0.1)
    late = bench.folder("late", lambda a: Audio(np.pad(a.samples, (1_600, 0)), RATE))
    found = values(bench.run(late))
    assert found["f0_rmse"] < 60 and found["f0_corr"] > 0.97


def test_05_no_utterance_vanishes_and_brackets_are_an_interval(bench: Any) -> None:
    """A score that crashes into NaN counts at its worst; the interval is of the mean, not sd of the items."""
    wavs = bench.folder("ours")
    spread = {"u0": 2.0, "u1": 3.0, "u2": 4.0, "u3": 5.0}
    report = bench.run(wavs, judges=[Constant(lambda row: spread[row.id])])
    cell = report.row("ours").cells["constant"].counted
    assert cell is not None and cell.estimate == 3.5
    assert 2.0 <= cell.low < 3.5 < cell.high <= 5.0  # type: ignore[operator]
    sd = float(np.std(list(spread.values()), ddof=1))
    assert cell.high - cell.low != pytest.approx(2 * sd)  # type: ignore[operator]
    broken = Constant(lambda row: float("nan") if row.id == "u3" else 4.0, name="broken")
    row = bench.run(wavs, judges=[broken]).row("ours")
    assert row.failures == {"score not finite": 1}
    assert row.cells["broken"].counted.n == 4  # type: ignore[union-attr]
    assert row.cells["broken"].counted.estimate == pytest.approx((3 * 4 + 1) / 4)  # type: ignore[union-attr]


def test_06_measures_are_not_those_of_the_first_utterance(bench: Any) -> None:
    """The first utterance has no value: the column stays, over the other three, and says so."""
    judge = Constant(lambda row: None if row.id == "u0" else 2.0)
    report = bench.run(bench.folder("ours"), judges=[judge])
    cell = report.row("ours").cells["constant"]
    assert (cell.scored.n, cell.scored.estimate) == (3, 2.0)  # type: ignore[union-attr]
    assert "(n = 3)" in to_markdown(report)


def test_07_insertions_are_no_part_of_the_denominator(bench: Any, values: Values) -> None:
    """Every word heard three times: WER 2, which a denominator of N + I would make .67."""
    says = lambda text: " ".join(w for w in text.split() for _ in range(3))  # noqa: E731
    found = values(bench.run(bench.folder("ours"), judges=bench.hearing(says)))
    assert found["wer"] == 2.0


def test_08_one_normalizer_for_both_sides_and_it_is_named(bench: Any) -> None:
    """ "We don't think it's Bob's" scores .60 or .00 by the normalizer; ours is named, with versions."""
    english = normalizer("en")
    assert english("We don't think it's Bob's") == english("we do not think it is bob's")
    report = bench.run(bench.folder("ours"), judges=bench.hearing())
    described = to_json(report)["judges"]["asr"]
    assert described["normalizer"] == normalizer("ru").id
    assert "whisper-normalizer" in described["normalizer"] and english.id != normalizer("ru").id
    assert described["normalizer"] in to_markdown(report)


def test_09_corpus_and_macro_stand_apart(bench: Any, spoken: dict[str, Audio]) -> None:
    """1 of 1 words wrong and 0 of 6: corpus 1/7 = .14, macro 1/2. An empty reference is refused, not 2.0."""
    manifest = Manifest(rows=(Row(id="u0", text="да"), Row(id="u1", text="раз два три четыре пять шесть")))
    voices = list(spoken.values())
    known = {"да": voices[0], manifest.rows[1].text: voices[1]}
    wavs = bench.path / "two"
    wavs.mkdir()
    for row, audio in zip(manifest.rows, voices, strict=False):
        bench.write(wavs / f"{row.id}.wav", audio)
    bench.spoken = known
    judges = bench.hearing(lambda text: "нет" if text == "да" else text)
    cell = bench.run(wavs, judges=judges, manifest=manifest).row("ours").cells["wer"]
    assert (cell.counted.estimate, cell.macro.estimate) == (pytest.approx(1 / 7), 0.5)  # type: ignore[union-attr]
    with pytest.raises(UserError, match="no words to compare with"):
        Manifest(rows=(Row(id="u0", text="…"),))


def test_10_no_width_is_typed_in_and_no_column_lowers_a_total(bench: Any) -> None:
    """Equal items have an interval of width 0, unequal ones do not; no figure is a sum over measures."""
    wavs = bench.folder("ours")
    same = bench.run(wavs, judges=[Constant(lambda row: 3.0)]).row("ours").cells["constant"].counted
    assert same is not None and same.low == same.high == 3.0
    one = bench.run(wavs, judges=[Constant(lambda row: 3.0, name="a")])
    two = bench.run(
        wavs,
        judges=[
            Constant(lambda row: 3.0, name="a"),
            Unavailable(
                name="b", measures=(Measure(name="b", title="b", failed=1.0),), reason="none", hint="…"
            ),
        ],
    )
    assert set(one.row("ours").cells) == set(two.row("ours").cells) == {"a"}
    assert one.row("ours").cells["a"].counted == two.row("ours").cells["a"].counted
    assert [m.name for m in two.measures] == ["a", "b"]


@pytest.mark.parametrize("workers", [0, 2])
def test_11_nothing_is_repeated_per_worker(bench: Any, workers: int) -> None:
    """One record per system, utterance and measure, however many processes judge, called once or twice."""
    from intona.evaluation.judges import build_judges
    from intona.evaluation.judges.base import Inputs

    wavs = bench.folder("ours")
    for _ in range(2):
        report = bench.run(wavs, judges=build_judges(Inputs(), ("timing",)), workers=workers)
    places = [(r["system"], r["id"], r["measure"]) for r in bench.records()]
    assert len(places) == len(set(places)) == 4 * 6
    assert report.row("ours").cells["speaking_rate"].scored.n == 4  # type: ignore[union-attr]


def test_12_a_predictor_that_cannot_run_stays_in_sight(bench: Any) -> None:
    """Its column says why in every row, and how to get it."""
    missing = Unavailable(
        name="utmos",
        measures=(Measure(name="utmos", title="UTMOS22", failed=1.0),),
        reason="no weights given",
        hint="give the directory",
    )
    text = to_markdown(bench.run(bench.folder("ours"), judges=[Constant(lambda row: 1.0), missing]))
    assert "UTMOS22" in text and "no weights given" in text and "give the directory" in text


def test_13_what_is_not_finite_is_never_zero(bench: Any) -> None:
    """NaN and infinity are failures with the worst value, in records and table; never 0, never dropped."""
    odd = {"u0": float("nan"), "u1": float("inf"), "u2": -float("inf"), "u3": 4.0}
    report = bench.run(bench.folder("ours"), judges=[Constant(lambda row: odd[row.id])])
    assert [r["value"] for r in bench.records()] == [1.0, 1.0, 1.0, 4.0]
    assert report.row("ours").failures == {"score not finite": 3}


def test_14_a_mean_is_over_the_manifest_and_not_over_the_folder(bench: Any, values: Values) -> None:
    """One file of four, and one that nobody asked for: N is 4, the stray file is named and not judged."""
    wavs = bench.folder("ours")
    for name in ("u1", "u2", "u3"):
        (wavs / f"{name}.wav").unlink()
    soundfile.write(wavs / "u9.wav", np.ones(8_000) * 0.1, RATE)
    report = bench.run(wavs, judges=[Constant(lambda row: 5.0)])
    assert values(report)["constant"] == pytest.approx((5 + 3) / 4)
    assert (report.row("ours").n, report.row("ours").scored, report.row("ours").extra_files) == (4, 1, 1)
    assert {r["id"] for r in bench.records()} == {"u0", "u1", "u2", "u3"}


def test_five_percent_of_failures_do_not_better_a_wer(bench: Any, values: Values) -> None:
    """WER 2.0 % over what was scored, 6.9 % over what was asked for: both columns, and the second leads."""
    rows = tuple(Row(id=f"u{i:03}", text=" ".join(["слово"] * 10)) for i in range(100))
    wavs = bench.path / "many"
    wavs.mkdir()
    for row in rows[5:]:
        bench.write(wavs / f"{row.id}.wav", bench.spoken[bench.manifest.rows[0].text])
    heard = iter([" ".join(["слово"] * 9 + ["слава"])] * 19 + [rows[0].text] * 76)
    report = bench.run(wavs, judges=bench.hearing(lambda text: next(heard)), manifest=Manifest(rows=rows))
    assert report.row("ours").cells["wer"].scored.estimate == pytest.approx(0.02)  # type: ignore[union-attr]
    assert values(report)["wer"] == pytest.approx(0.069)
