"""`intona study restyle`: what its arms differ in, the rule, probes of known data, the page."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from intona import cli, systems
from intona.audio import Audio
from intona.config import write_json
from intona.data.prepared import Prepared
from intona.encoders.style import NAMES
from intona.errors import UserError
from intona.evaluation import Row, read_manifest
from intona.evaluation.judges.base import Score
from intona.studies.engine.account import costs
from intona.studies.engine.job import folder
from intona.studies.engine.runner import StudyOutcome
from intona.studies.restyle import conditions as trial
from intona.studies.restyle import gate, jobs, metrics, probes, speakers, speech, verdict
from intona.studies.restyle import page as report
from intona.studies.restyle import plan as study
from intona.studies.restyle.conditions import Conditions, RowStyle
from intona.studies.restyle.published import CLAIMS, COMPARISONS
from intona.systems.restyle import vits

pytest.importorskip("transformers", reason="a VITS voice needs transformers")

pytestmark = pytest.mark.trains
QUICK = {"loop.steps": "2", "loop.save_every": "2", "loop.validate_every": "2", "loop.precision": "fp32"}


@pytest.fixture(autouse=True)
def russian_piper(monkeypatch: pytest.MonkeyPatch) -> None:
    """The corpus of these tests is Russian: so is the voice that the plans name, which nothing here opens."""
    language_of = vits.language_of
    monkeypatch.setattr(vits, "language_of", lambda name: "ru" if name == study.PIPER else language_of(name))


def plan(data: Path, **how: object) -> Any:
    return study.declare(data=data, size="toy", **how)  # type: ignore[arg-type]


# ---------------------------------------------------------------- the declaration


def test_arms_of_a_comparison_differ_in_what_they_say(spoken: Path) -> None:
    declared = plan(spoken, arms=tuple(study.ARMS), seeds=(0, 7))
    models = {j.name: j.arguments for j in declared.jobs if j.name.startswith("voice/")}
    same = ("data", "corpus", "size", "voice")
    assert all(len({m[k] for m in models.values()}) == 1 for k in same)
    assert {m["posterior"] for n, m in models.items() if "own" not in n} == {"encoder/posterior"}
    base = models["voice/palette/0"]["overrides"]
    assert models["voice/palette-unaligned/0"]["overrides"] == base | {"align": "none"}
    assert models["voice/bridge/0"]["overrides"] == base
    synthetic = models["voice/palette-own/0"]["overrides"]
    assert synthetic == base | {"speech": "own", "sentences": "12"}
    assert models["voice/palette-own-unaligned/0"]["overrides"] == synthetic | {"align": "none"}
    assert models["voice/bridge-own/0"]["overrides"] == synthetic
    assert models["voice/palette-own/7"]["overrides"] == synthetic | {"loop.seed": "7"}
    assert {m["posterior"] for n, m in models.items() if "own" in n} == {""}
    assert "voice/bridge-own/7" not in models and "voice/palette-decoder/0" not in models
    assert not any("words" in n for n in models)
    assert models["voice/palette-embedding/0"]["style"] == "encoder/style"
    # Networks that cost more a step get fewer, in the same minutes.
    minutes = {c.voice[0] for c in costs(declared, spoken) if c.voice[0]}
    assert max(minutes) - min(minutes) < 0.02 * max(minutes)


def test_palette_speaks_at_every_scale_and_the_others_where_they_are_compared(spoken: Path) -> None:
    whole = study.declare(data=spoken, arms=tuple(study.ARMS), repeat=())

    def scales(arm: str, plan: Any = whole) -> set[float]:
        return {j.arguments["guidance"] for j in plan.jobs if j.arm == arm and j.name.startswith("said/")}

    assert scales("palette-own") == {0, 1, 2, 3, 5, 10} and scales("bridge") == {1, 3}
    others = set(study.ARMS) - {"palette-own", "palette", "bridge", "bridge-own"}
    assert all(scales(a) == {verdict.PRIMARY} for a in others)
    declared = plan(spoken, arms=("palette", "palette-decoder", "palette-words"), repeat=())
    assert scales("palette", declared) == {1, 3, 10}  # toy has fewer
    tuned, words = (declared.job(f"said/palette-{n}.g3/0") for n in ("decoder", "words"))
    assert tuned.arguments["model"] == "voice/palette/0" and "encoder/decoder-0" in tuned.needs
    assert words.arguments["model"] == "voice/palette/0" and words.arguments["described"] is True
    assert declared.job("said/text-rate/0").arguments["paced"] is True
    assert declared.job("gate").needs == ("test", "encoder/posterior", "said/text/0")
    assert declared.job("judge").arguments["against"] == ["text@0"]
    first = plan(spoken, arms=("palette",))
    assert {n: declared.fingerprints[n] for n in first.fingerprints if n != "judge"} == {
        n: f for n, f in first.fingerprints.items() if n != "judge"
    }


def test_what_is_repeated_is_what_the_claims_are_about(spoken: Path) -> None:
    """A claim needs two seeds of both its arms, at its scales: else it is open whatever is found."""
    whole = study.declare(data=spoken, size="small", seeds=(0, 1))
    rows = {r for c in CLAIMS for r in (c.arm, c.other)}
    assert {r.rsplit(".g", 1)[0] for r in rows} == set(study.REPEATED) <= set(study.DEFAULT_ARMS)
    jobs = {j.name for j in whole.jobs}
    assert {f"said/{r}/{seed}" for r in rows for seed in (0, 1)} <= jobs
    again = {j.arm for j in whole.jobs if j.seed == 1 and j.name.startswith("voice/")}
    assert again == set(study.REPEATED)
    named = {r.rsplit(".g", 1)[0] for c in COMPARISONS for r in (c.arm, c.other)}
    assert named <= set(study.ARMS)


def test_the_small_study_fits_five_hours_of_a_core(spoken: Path) -> None:
    whole = study.declare(data=spoken, size="small", seeds=(0, 1))
    assert whole.minutes <= 300
    kinds = {n: len([j for j in whole.jobs if j.name.startswith(n)]) for n in ("voice/", "said/", "gate")}
    assert kinds == {"voice/": 9, "said/": 24, "gate": 1}
    drawn = [n for n in study.DEFAULT_ARMS if dict(study.ARMS[n].overrides).get("model.network.kind")]
    assert drawn == ["palette-own-2d"]  # what an image shows in so few steps is decided before it runs


@pytest.mark.parametrize(
    ("how", "message"),
    [({"arms": ("pallete",)}, 'did you mean "palette"'), ({"seeds": (1, 1)}, "none of them twice")],
)
def test_a_bad_request_is_refused(spoken: Path, how: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan(spoken, **how)


# ---------------------------------------------------------------- the rule


def conditions(**ends: tuple[float, float]) -> Conditions:
    """Sentences whose two styles have this pitch; other attributes are the same in both."""
    rows = {}
    for name, pair in ends.items():
        for pole, value in zip(trial.POLES, pair, strict=True):
            z = tuple(value if n == "pitch" else 0.5 for n in NAMES)
            rows[f"{name}.{pole}"] = RowStyle(sentence=name, item=name, pole=pole, reference="r", z=z)
    return Conditions(scale={n: (0.0, 1.0) for n in NAMES}, rows=rows)


def measured_rows(**pitch: float) -> dict[str, dict[str, Any]]:
    return {k.replace("_", "."): {"z": [v if n == "pitch" else 9.0 for n in NAMES]} for k, v in pitch.items()}


def test_share_of_the_requested_shift() -> None:
    requested = conditions(a=(-1, 1), b=(2, 1))
    exact = measured_rows(a_low=-1, a_high=1, b_low=2, b_high=1)
    whole = metrics.shift(exact, requested)
    assert whole is not None and whole.estimate == pytest.approx(1) and whole.n == 2
    half = measured_rows(
        a_low=0, a_high=1, b_low=0, b_high=-0.5
    )  # where it lies does not count, only the shift
    results = metrics.shift(half, requested)
    assert results is not None and results.estimate == pytest.approx(0.5)
    back = metrics.shift(measured_rows(a_low=1, a_high=-1, b_low=1, b_high=2), requested, ("pitch",))
    assert back is not None and back.estimate == pytest.approx(-1)
    lost = metrics.shift({**exact, "b.low": {"z": None}}, requested)  # what cannot be measured has not moved
    assert lost is not None and lost.estimate == pytest.approx(2 / 3) and lost.n == 2
    assert metrics.shift(exact, requested, ("rate",)) is None


def test_a_voice_far_from_the_reader_shows_its_shift() -> None:
    """Nine and eleven deviations below every recording: two apart, and as much of what was asked."""
    requested = conditions(a=(-1, 1), b=(-1, 1))
    far = measured_rows(a_low=-11, a_high=-9, b_low=-11, b_high=-10)
    results = metrics.shift(far, requested)
    assert results is not None and results.estimate == pytest.approx(0.75)
    # An octave's slip is ten deviations and counts as four.
    slip = metrics.shift(measured_rows(a_low=-11, a_high=-1, b_low=-11, b_high=-11), requested)
    assert slip is not None and slip.estimate == pytest.approx(metrics.FAR / 4)
    # What both styles have in common has no direction; what they differ in has.
    toward, away = (metrics.direction(r, requested) for r in (far, measured_rows(a_low=-9, a_high=-11)))
    assert toward is not None and toward.estimate == pytest.approx(1)
    assert away is not None and away.estimate == pytest.approx(-0.5)  # the other sentence says nothing: 0


def test_words_ask_for_what_they_name() -> None:
    requested = conditions(a=(-1, 1))
    ends = {"low": [-1.2 if n == "pitch" else 0.0 for n in NAMES], "high": [1.2, *[0.0] * (len(NAMES) - 1)]}
    results = metrics.shift(measured_rows(a_low=0, a_high=1.2), metrics.described(requested, ends))
    assert results is not None and results.estimate == pytest.approx(0.5)


def test_the_space_of_an_arms_encoder_is_compared_by_differences() -> None:
    requested = conditions(a=(-1, 1), b=(-1, 1))
    common = np.array([5.0, 5.0])
    rows = {
        f"{s}.{p}": {"own": list(common + k * np.array([0, 1.0])), "asked": list(k * np.array([0, 2.0]))}
        for s in "ab"
        for p, k in (("low", -1), ("high", 1))
    }
    results = metrics.encoder_direction(rows, requested)
    assert results is not None and results.estimate == pytest.approx(1, abs=1e-4)
    rows["b.low"]["own"] = None
    results = metrics.encoder_direction(rows, requested)
    assert results is not None and results.n == 1


def test_the_rule_of_the_verdict() -> None:
    def value(low: float | None, high: float | None) -> dict[str, Any]:
        return {"estimate": 0.0, "low": low, "high": high}

    assert verdict.words(value(0.11, 0.3)) == "lost" and verdict.words(value(-0.1, 0.09)) == "kept"
    assert (
        verdict.words(value(0.05, 0.2)) == verdict.words(None) == verdict.words(value(None, None)) == "open"
    )
    assert verdict.style(value(0.2, 0.5)) == "moved" and verdict.style(value(-0.2, 0.05)) == "not moved"
    table = {
        ("lost", "moved"): "reproduced",
        ("lost", "not moved"): "words lost, no steering",
        ("lost", "open"): "open",
        ("kept", "moved"): "refuted",
        ("kept", "not moved"): "no steering",
        ("kept", "open"): "open",
        ("open", "moved"): "open",
    }
    for (of_words, of_style), results in table.items():
        assert verdict.verdict(of_words, of_style) == results  # type: ignore[arg-type]


def test_a_bad_posterior_wins_nothing() -> None:
    """Words that copy synthesis loses, and a style that the references do not keep, are no arm's failure."""
    bounded = "bounded by the posterior"
    for copy in ("lost", "open"):
        assert verdict.verdict("lost", "moved", copy=copy) == bounded  # type: ignore[arg-type]
        assert verdict.verdict("kept", "moved", copy=copy) == "refuted"  # type: ignore[arg-type]
        assert verdict.verdict("open", "moved", copy=copy) == "open"  # type: ignore[arg-type]
    for ceiling in ("not moved", "open"):
        assert verdict.verdict("kept", "not moved", ceiling=ceiling) == bounded  # type: ignore[arg-type]
        assert verdict.verdict("lost", "moved", ceiling=ceiling) == "reproduced"  # type: ignore[arg-type]


def test_the_gate_says_so_loudly() -> None:
    def results(wer: float | None, low: float) -> dict[str, Any]:
        share = {"estimate": low + 0.1, "low": low, "high": low + 0.2}
        copy = None if wer is None else {"estimate": wer, "low": wer, "high": wer}
        return {"copy wer": copy, "ceiling": {"steered": share}}

    assert gate.warning_of(results(0.2, 0.3)) == gate.warning_of(results(None, 0.3)) == ""
    assert "WER 0.83" in gate.warning_of(results(0.83, 0.3)) and "BOUNDS" in gate.warning_of(
        results(0.83, 0.3)
    )
    assert "0.10 [0.00, 0.20] of their style" in gate.warning_of(results(0.2, 0.0))


def test_effects_of_the_swap() -> None:
    rows = {}
    for s, (style, who) in enumerate(2 * [(0.3, -2.0)]):
        for name, pole in (("low", 0), ("high", 1)):
            for speaker, other in (("A", 0), ("B", 1)):
                z = [s + pole * style + other * who] * len(NAMES)
                key = f"{s}.{name}.{speaker}"
                rows[key] = {
                    "sentence": str(s),
                    "style": name,
                    "speaker": speaker,
                    "z": z,
                    "sim": [None, None],
                }
    effects = report.swap_effects(rows)
    style_effect, speaker_effect = effects["pitch"]
    assert style_effect is not None and style_effect["estimate"] == pytest.approx(0.3)
    assert speaker_effect is not None and speaker_effect["estimate"] == pytest.approx(-2)
    assert "SIM with A" not in effects
    rows["0.low.A"]["z"] = None
    left, _ = report.swap_effects(rows)["pitch"]
    assert left is not None and left["n"] == 1


# ---------------------------------------------------------------- probes


def probed(rng: np.random.Generator, count: int, *, speakers: int = 2) -> list[probes.Probed]:
    """Z_text holds the symbol, Z_audio the symbol, the pitch and the speaker, noise nothing."""
    out = []
    for i in range(count):
        speaker, style = i % speakers, rng.standard_normal(len(NAMES) + 1)
        symbols = rng.integers(0, 3, 12)
        content = np.eye(3)[symbols] + 0.1 * rng.standard_normal((12, 3))
        who = np.full((12, 1), float(speaker)) + 0.1 * rng.standard_normal((12, 1))
        sound = np.concatenate([content, np.full((12, 1), style[0]), who], axis=1)
        out.append(
            probes.Probed(
                id=str(i),
                speaker=speaker,
                frames={"Z_text": content, "Z_audio": sound},
                symbols={"Z_text": symbols, "Z_audio": symbols},
                pooled={"Z_text": content.mean(0), "Z_audio": sound.mean(0), "noise": rng.standard_normal(4)},
                style=style,
                correlation={"aligned": np.ones(3), "another text": np.zeros(3)},
            )
        )
    return out


def test_probes_find_what_lies_there_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    results = probes.results_of(probed(rng, 60), probed(rng, 30))
    for kind in ("linear", "nearest"):
        for space in ("Z_text", "Z_audio"):
            assert results["content"][space][kind]["estimate"] > 0.9
        assert abs(results["content"]["noise"][kind]["estimate"] - 1 / 3) < 0.15
        assert results["style"]["Z_audio"][kind]["pitch"]["estimate"] > 0.6
        assert results["style"]["noise"][kind]["pitch"]["estimate"] < 0.2
        assert results["style"]["Z_audio"][kind]["rate"]["estimate"] < 0.2
        assert results["speaker"]["Z_audio"][kind]["estimate"] == 1
        assert results["speaker"]["noise"][kind]["estimate"] < 0.8
    assert results["content chance"]["noise"]["estimate"] == pytest.approx(1 / 3, abs=0.1)
    assert results["correlation"]["another text"]["estimate"] == 0
    assert results["correlation"]["aligned"]["estimate"] == 1 and results["speakers"] == 2
    alone = probes.results_of(probed(rng, 20, speakers=1), probed(rng, 8, speakers=1))
    assert alone["speaker"] == {} and "speaker chance" not in alone


def test_explained_variance_and_correlation_are_the_textbook_ones() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal(50), rng.standard_normal(50)
    results = probes.explained(0.5 * x, x, 0.0)
    assert results["estimate"] == pytest.approx(1 - ((0.5 * x) ** 2).sum() / (x**2).sum())
    assert results["low"] <= results["estimate"] <= results["high"]
    both = probes.correlations(np.stack([x, np.ones(50)], 1), np.stack([y, y], 1))
    assert both == pytest.approx([np.corrcoef(x, y)[0, 1], 0])


# ---------------------------------------------------------------- the jobs


def at(data: Path, voice: Path) -> dict[str, str]:
    return {"data": str(data), "corpus": Prepared.open(data).fingerprint, "voice": str(voice)}


@pytest.fixture(scope="module")
def needs(spoken: Path, voice: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of the jobs test, people and one model."""
    root = tmp_path_factory.mktemp("study")
    out = {n: root / n for n in ("encoder/posterior", "people", "test", "voice/palette/0")}
    for path in out.values():
        path.mkdir(parents=True)
    how: dict[str, Any] = {"needs": out, "limit_minutes": None, **at(spoken, voice)}
    speakers.measure_speakers(out=out["people"], **how)
    trial.declare_test(out=out["test"], sentences=2, **how)
    more = {"stage": "restyle.palette", "size": "toy", "overrides": QUICK}
    assert jobs.train(out=out["voice/palette/0"], posterior="encoder/posterior", style="", **more, **how)
    return out


def test_the_two_styles_of_a_sentence_are_apart(spoken: Path, needs: dict[str, Path]) -> None:
    prepared = Prepared.open(spoken)
    styles, manifest = trial.read_conditions(needs["test"]), read_manifest(needs["test"] / "manifest.jsonl")
    assert len(manifest) == 4 == len(styles.rows) and len(manifest.speakers) == 2
    train = {i.id for i in prepared.items("train")}
    pitch = NAMES.index("pitch")
    for row in manifest.rows:
        row_style = styles.rows[row.id]
        assert row_style.reference in train and prepared[row_style.item].text == row.text
        assert (needs["test"] / "copy-synthesis" / f"{row.id}.wav").is_file()
    for sentence in manifest.speakers:
        low, high = (styles.rows[f"{sentence}.{p}"].z[pitch] for p in trial.POLES)
        assert low < high
    assert styles.of[0] == 2 <= styles.of[1] <= styles.of[2] == len(prepared.items("test"))


def item(id: str, words: int, seconds: float, speaker: int = 0) -> Any:
    return SimpleNamespace(id=id, text=" ".join(["word"] * words), seconds=seconds, speaker=speaker)


def test_poles_are_sentences_that_differ_in_pitch_and_little_else() -> None:
    rng = np.random.default_rng(0)
    items = [item(f"{i:03d}", 6, 2.0) for i in range(200)]
    # Single words that are lower and higher than any sentence are no pole.
    items += [item("short low", 1, 2.0), item("short high", 3, 2.0), item("quick", 6, 1.2)]
    measured = {i.id: dict(zip(NAMES, rng.standard_normal(len(NAMES)), strict=True)) for i in items}
    measured["short low"]["pitch"], measured["short high"]["pitch"] = -9.0, 9.0
    measured["quick"]["pitch"] = -9.0
    pairs = trial.poles(items, measured)[0]
    assert len(pairs) == 20 and len({p for pair in pairs for p in pair}) == 40
    order = sorted(items[:200], key=lambda i: measured[i.id]["pitch"])
    assert {low for low, _ in pairs} == {i.id for i in order[:20]}
    assert {high for _, high in pairs} == {i.id for i in order[-20:]}
    gaps = [measured[h]["pitch"] - measured[low]["pitch"] for low, high in pairs for h in (high,)]
    assert gaps == sorted(gaps, reverse=True)

    def unlike(pairs: Any) -> float:
        return sum((measured[h][n] - measured[low][n]) ** 2 for low, h in pairs for n in trial.ALIKE)

    lows, highs = zip(*pairs, strict=True)
    assert unlike(pairs) < min(unlike(zip(lows, np.roll(highs, k), strict=True)) for k in range(1, 20))
    with pytest.raises(UserError, match="no speaker has"):
        trial.poles(items[:3], measured)


def test_only_sentences_of_some_words_are_spoken() -> None:
    items = [item(str(n), n, 2.0) for n in (1, 2, 4, 7, 14, 15, 43)]
    chosen, usable = trial.sentences_of(items, 0)
    assert [i.id for i in chosen] == ["4", "7", "14"] and usable == 3
    items[3].text += ", isn't it?"  # quotes and stops are no signs
    items.append(item("#", 5, 2.0))
    items[-1].text = "press # to go on"
    some, usable = trial.sentences_of(items, 2)
    assert [i.id for i in some] == ["4", "7"] and usable == 3
    with pytest.raises(UserError, match="none of 2 test sentences has 4 to 14 words"):
        trial.sentences_of(items[:2], 0)


def test_speaking_goes_on_and_asks_for_both_styles(
    spoken: Path, voice: Path, needs: dict[str, Path], tmp_path: Path
) -> None:
    how: dict[str, Any] = {"needs": needs, "model": "voice/palette/0", "steps": 2, **at(spoken, voice)}
    assert speech.speak(out=tmp_path, guidance=3.0, limit_minutes=0, **how) is False
    assert speech.speak(out=tmp_path, guidance=3.0, limit_minutes=None, **how)
    results = json.loads((tmp_path / "found.json").read_text())
    assert len(results["rows"]) == 4 and results["failures"] == []
    first = {p.name: p.read_bytes() for p in (tmp_path / "wavs").iterdir()}
    (tmp_path / "wavs" / sorted(first)[0]).unlink()
    assert speech.speak(out=tmp_path, guidance=3.0, limit_minutes=None, **how)
    assert {p.name: p.read_bytes() for p in (tmp_path / "wavs").iterdir()} == first
    # Without a style both poles are one and the same; without a model they are decode(Z_text).
    assert speech.speak(out=tmp_path / "0", guidance=0.0, limit_minutes=None, **how)
    sounds = {p.name: p.read_bytes() for p in (tmp_path / "0" / "wavs").iterdir()}
    assert len(set(sounds.values())) == 2
    control = {k: v for k, v in how.items() if k != "model"}
    assert speech.speak(out=tmp_path / "text", limit_minutes=None, **control)
    rows_by_run = {n: json.loads((tmp_path / n / "found.json").read_text())["rows"] for n in ("0", "text")}
    for rows in rows_by_run.values():  # one sound, one measurement
        assert all(rows[k]["z"] == rows[k.replace(".low", ".high")]["z"] for k in rows)
    # Words in place of references; the text at the reference's rate, whose poles have other lengths.
    assert speech.speak(out=tmp_path / "words", limit_minutes=None, guidance=3.0, described=True, **how)
    words = json.loads((tmp_path / "words" / "found.json").read_text())
    assert words["described"]["low"][0] == -words["described"]["high"][0] < 0
    assert speech.speak(out=tmp_path / "rate", limit_minutes=None, paced=True, **control)
    sizes = {p.name: p.stat().st_size for p in (tmp_path / "rate" / "wavs").iterdir()}
    assert len(set(sizes.values())) > 2
    with pytest.raises(UserError, match="was planned on"):
        speech.speak(out=tmp_path, limit_minutes=None, **(control | {"corpus": "other"}))


def test_the_gate_measures_the_ceiling(
    spoken: Path, voice: Path, needs: dict[str, Path], tmp_path: Path
) -> None:
    where = at(spoken, voice)
    control = tmp_path / "text"
    assert speech.speak(out=control, needs=needs, limit_minutes=None, **where)
    gate.measure_gate(
        out=tmp_path,
        needs={**needs, "said/text/0": control},
        limit_minutes=None,
        language="ru",
        asr="none",
        control="said/text/0",
        sentences=2,
        **where,
    )
    results = json.loads((tmp_path / "found.json").read_text())
    assert results["lost"] is None and results["own"]["n"] == results["foreign"]["n"] == 2
    assert set(results["ceiling"]) == {"steered", *verdict.SHOWN} and results["references"] >= 2
    # Random weights give no style back: the terminal and the page are told.
    assert "BOUNDS" in (tmp_path / "note.txt").read_text() and "of their style" in gate.warning_of(results)


def test_correlation_of_pitch_and_errors_of_words(tmp_path: Path) -> None:
    t = np.arange(22050 * 2) / 22050
    rise, fall = (
        Audio((0.3 * np.sin(2 * np.pi * np.cumsum(f) / 22050)).astype(np.float32), 22050)
        for f in (150 + 50 * t, 250 - 50 * t)
    )
    assert gate.pitch_correlation(rise, rise) == pytest.approx(1)
    results = gate.pitch_correlation(rise, fall)
    assert results is not None and results < -0.9
    assert gate.pitch_correlation(rise, Audio(np.zeros(44100, np.float32), 22050)) is None

    class Judge:
        def judge(self, audio: Audio, row: Row, reference: object) -> dict[str, Score]:
            return {"wer": Score(value=0.5, numerator=1, denominator=2)}

        def failed(self, row: Row) -> dict[str, Score]:
            return {"wer": Score(value=1.0, numerator=2, denominator=2)}

    rise.write(tmp_path / "a.wav")
    rows = [Row(id=i, text="two words", speaker=i) for i in "ab"]
    assert gate.errors_of(Judge(), rows, tmp_path) == ([1, 2], [2, 2])


def test_the_swap_needs_two_speakers(
    spoken: Path, voice: Path, two_voices: Path, needs: dict[str, Path], tmp_path: Path
) -> None:
    how: dict[str, Any] = {"limit_minutes": None, "model": "voice/palette/0", "guidance": 2.0, "steps": 1}
    assert speech.swap(out=tmp_path, needs=needs, **how, **at(spoken, voice))
    assert json.loads((tmp_path / "found.json").read_text())["applicable"] is False
    two = {n: tmp_path / n for n in needs}
    for path in two.values():
        path.mkdir(parents=True)
    where = at(spoken, two_voices)
    speakers.measure_speakers(out=two["people"], needs=two, limit_minutes=None, **where)
    trial.declare_test(out=two["test"], needs=two, limit_minutes=None, sentences=1, **where)
    model = two["voice/palette/0"] / "run"
    systems.train(
        "restyle.palette", size="toy", data=spoken, out=model, overrides={**QUICK, "vits": str(two_voices)}
    )
    (tmp_path / "swap").mkdir()
    assert speech.swap(out=tmp_path / "swap", needs=two, **how, **where)
    results = json.loads((tmp_path / "swap" / "found.json").read_text())
    assert results["applicable"] and len(results["rows"]) == 4
    assert {(r["style"], r["speaker"]) for r in results["rows"].values()} == {
        (s, v) for s in trial.POLES for v in "AB"
    }


def test_probes_of_a_corpus(
    spoken: Path, voice: Path, needs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "FRAMES", 10_000)  # all: a few frames of three recordings say little
    probes.run_probes(out=tmp_path, needs=needs, limit_minutes=None, train=0, test=0, **at(spoken, voice))
    results = json.loads((tmp_path / "found.json").read_text())
    assert results["fitted"] == 9 and results["scored"] == 3 and results["speakers"] == 1
    assert results["left out"] == {}
    assert set(results["content"]) == {"Z_text", "Z_audio", "prosody vector"}
    # What a frame was made of can be read from Z_text of a voice, however random, better than by chance.
    chance = results["content chance"]["Z_text"]["estimate"]
    assert results["content"]["Z_text"]["nearest"]["estimate"] > 1.3 * chance  # 1.7 to 3 measured
    assert set(results["correlation"]) == {"aligned", "unaligned", "another text"}
    # A prosody vector holds what it is: the attributes come back.
    assert results["style"]["prosody vector"]["linear"]["pitch"]["estimate"] > 0.5


def test_symbols_of_frames_follow_the_alignment(spoken: Path, voice: Path) -> None:
    from intona.audio import read_audio
    from intona.systems.restyle.vits.posterior import latents_of

    prepared, space = Prepared.open(spoken), vits.load(str(voice))
    item = prepared.items("train")[0]
    z = latents_of(space, None, read_audio(prepared.audio_path(item)))
    named = probes.symbols_of(space, item, z, None)
    assert len(named) == len(z)
    ids = [int(i) for i in space.tokens(item.text) if int(i) != 0]
    symbols = [int(n) for i, n in enumerate(named) if (not i or n != named[i - 1]) and n != 0]
    place = 0
    for symbol in symbols:  # in the order of the text
        place = ids.index(symbol, place)


# ---------------------------------------------------------------- the page


def test_the_page_of_half_a_study_names_what_is_missing(
    spoken: Path, voice: Path, needs: dict[str, Path], tmp_path: Path
) -> None:
    declared = plan(spoken, arms=("palette",), vits=str(voice))
    done = []
    for name in ("test", "people"):
        directory = folder(tmp_path, name)
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.symlink_to(needs[name])
        write_json(directory / "done.json", {"fingerprint": declared.fingerprints[name], "made": 1.0})
        done.append(name)
    rows = {
        id: {"z": [0.1] * len(NAMES), "sim voice": 0.5} for id in trial.read_conditions(needs["test"]).rows
    }
    directory = folder(tmp_path, "said/palette.g3/0")
    directory.mkdir(parents=True)
    write_json(directory / "found.json", {"rows": rows, "failures": [], "guidance": 3.0, "style": "prosody"})
    name = "said/palette.g3/0"
    write_json(directory / "done.json", {"fingerprint": declared.fingerprints[name], "made": 1.0})
    ended = StudyOutcome(
        done=(*done, name), failed={"said/palette.g10/0": "no <b>luck</b>"}, blocked=(), left=("judge",)
    )
    page = report.write(declared, tmp_path, ended).read_text(encoding="utf-8")
    assert "failed: no &lt;b&gt;luck&lt;/b&gt;" in page and "Not evaluated yet" in page
    assert "Does style cost the words?" in page and "not moved" in page and "0.500" in page
    assert "bounded by the posterior" in page  # no gate yet, so that no ceiling is known
    assert "not measured" in page  # claims without the evaluation


def test_a_dry_run_prints_the_plan_and_makes_nothing(
    spoken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    line = ["study", "restyle", "--data", str(spoken), "--output", str(out), "--seeds", "0,1", "--dry-run"]
    assert cli.main(line) == 0
    output = capsys.readouterr().out
    assert "| palette-own | 1 |" in output and "the same budget for each" in output and not out.exists()


def test_a_corpus_in_another_language_is_refused_before_anything_runs(
    spoken: Path, voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    english, out = tmp_path / "en", tmp_path / "out"
    shutil.copytree(voice, english)
    tokens = json.loads((english / "tokenizer_config.json").read_text())
    (english / "tokenizer_config.json").write_text(json.dumps(tokens | {"language": "eng"}))
    line = ["study", "restyle", "--data", str(spoken), "--output", str(out), "--dry-run"]
    assert cli.main([*line, "--vits", str(english)]) == 1
    output = capsys.readouterr()
    assert "the corpus is in ru, the voice en speaks en" in output.err and not output.out
    assert not out.exists()
    assert cli.main([*line, "--vits", str(voice)]) == 0


def test_a_missing_voice_is_reported_before_anything_runs(
    spoken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["study", "restyle", "--data", str(spoken), "--output", str(tmp_path / "out")]
    line += ["--vits", str(tmp_path / "nobody"), "--asr", "none"]
    assert cli.main([*line, "--dry-run"]) == 0
    assert "the study cannot run here" in capsys.readouterr().err
    assert cli.main(line) == 1
    assert "no such directory" in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_toy_study_runs_and_reports(
    spoken: Path, mute: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["study", "restyle", "--data", str(spoken), "--output", str(tmp_path), "--size", "toy"]
    line += ["--asr", "none", "--workers", "1", "--vits", str(mute), "--arms", "palette,palette-decoder"]
    assert cli.main(line) == 0
    assert "jobs done" in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "no arm failed" in page and "Not applicable: the voice has one speaker" in page
