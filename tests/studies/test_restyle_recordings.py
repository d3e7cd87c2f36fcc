"""`intona study restyle --only recordings`: the plan, the claims, the swap of readers, the toy study."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intona import cli, systems
from intona.data.prepare import PrepareConfig, prepare
from intona.data.prepared import Prepared
from intona.encoders.style import NAMES
from intona.errors import UserError
from intona.studies.engine.claims import decide
from intona.studies.engine.runner import StudyOutcome
from intona.studies.restyle import conditions as trial
from intona.studies.restyle import own_axes, recordings, speakers, speech
from intona.studies.restyle import recordings_page as page
from intona.studies.restyle.conditions import Conditions, RowStyle
from intona.studies.restyle.results import RestyleResults

from ..systems.conftest import SMALL

pytest.importorskip("transformers", reason="a VITS voice needs transformers")

pytestmark = pytest.mark.trains


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another corpus: other splits make another fingerprint."""
    out = tmp_path_factory.mktemp("reader") / "ru"
    prepare("festvox", SMALL, out, PrepareConfig(language="ru", stress="none", dev=2, test=2, workers=0))
    return out


def test_all_arms_speak_with_one_tuned_decoder(spoken: Path, voice: Path, reader: Path) -> None:
    plan = recordings.declare(data=spoken, size="toy", vits=str(voice), readers=(reader,))
    tuned = "encoder/decoder-A"
    for arm in recordings.ARMS:
        for seed in (0, 1, 2):
            job = plan.job(f"said/{arm}.g3/{seed}")
            assert job.arguments["decoder"] == tuned and job.arguments["model"] == f"voice/{arm}/{seed}"
            assert {tuned, "encoder/posterior"} <= {j.name for j in plan.chain(job.name)}
    models = {n: plan.job(f"voice/{n}/0").arguments["overrides"] for n in recordings.ARMS}
    assert models["palette-unaligned"] == models["palette"] | {"align": "none"}
    assert models["bridge"] == models["palette"]
    for name in ("test", "gate", "said/text/0", "said/copies/0"):
        assert plan.job(name).arguments["decoder"] == tuned
    assert "decoder" not in plan.job("said/text.voice/0").arguments
    other = plan.job("encoder/decoder-B")
    assert other.arguments["data"] == str(reader) and other.arguments["overrides"]["any_language"] == "true"
    assert "any_language" not in plan.job(tuned).arguments["overrides"]
    swapped = plan.job("said/palette.g3.B/0")
    assert swapped.arguments["decoder"] == "encoder/decoder-B"
    assert swapped.arguments["model"] == "voice/palette/0"
    rows = {r for c in recordings.CLAIMS for r in (c.arm, c.other)}
    assert {f"said/{r}/{0 if r == 'text' else s}" for r in rows for s in (0, 1, 2)} <= {
        j.name for j in plan.jobs
    }
    for job in plan.jobs:  # every call takes its arguments
        module, _, function = job.call.partition(":")
        call = getattr(importlib.import_module(module), function)
        inspect.signature(call).bind(out=None, needs=None, limit_minutes=None, **job.arguments)
    alone = recordings.declare(data=spoken, size="toy", vits=str(voice))
    assert not [j.name for j in alone.jobs if j.name.endswith(("-B", ".B/0"))]


def test_a_reader_is_named_once(spoken: Path, voice: Path) -> None:
    with pytest.raises(UserError, match="each reader is a corpus of its own"):
        recordings.declare(data=spoken, size="toy", vits=str(voice), readers=(spoken,))


def test_the_verb_knows_the_part(
    spoken: Path, voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["study", "restyle", "--data", str(spoken), "--output", str(tmp_path / "out"), "--dry-run"]
    line += ["--vits", str(voice), "--seeds", "0,1,2"]
    assert cli.main([*line, "--only", "recordings"]) == 0
    assert "study restyle recordings: 4 arms" in capsys.readouterr().out
    assert cli.main([*line, "--readers", str(spoken)]) == 1
    assert "restyle --only recordings" in capsys.readouterr().err


# ---------------------------------------------------------------- claims


def results_with(
    tmp_path: Path, figures: dict[tuple[str, int], Any], count: int = 20, **more: Any
) -> RestyleResults:
    """Results in which the two styles of each sentence request a pitch 2 deviations apart."""
    rows = {
        f"s{n}.{pole}": RowStyle(
            sentence=f"s{n}",
            item=f"s{n}",
            pole=pole,
            reference="r",
            z=tuple(sign if name == "pitch" else 0.0 for name in NAMES),
        )
        for n in range(count)
        for pole, sign in zip(trial.POLES, (-1.0, 1.0), strict=True)
    }
    plan = more.pop("plan", None)
    return RestyleResults(
        plan=plan,
        out=tmp_path,
        figures=figures,
        swaps={},
        gate=None,
        probes=None,
        people={},
        conditions=Conditions(scale={n: (0.0, 1.0) for n in NAMES}, rows=rows),
        speech=None,
        **more,
    )


def figures_of(share: float, rng: np.random.Generator, count: int = 20, **more: Any) -> dict[str, Any]:
    """Speech that realizes a share of the requested pitch, give or take; the range moves by half of it."""
    rows = {}
    for n in range(count):
        size = share + (0.05 * rng.standard_normal() if share else 0.0)
        for pole, sign in zip(trial.POLES, (-1.0, 1.0), strict=True):
            z = [0.0] * len(NAMES)
            z[NAMES.index("pitch")], z[NAMES.index("range")] = sign * size, sign * size / 2
            rows[f"s{n}.{pole}"] = {"z": z, **more}
    return {"rows": rows, "failures": []}


def test_a_share_of_the_pitch_is_claimed_over_trainings(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    figures = {("palette.g3", seed): figures_of(0.6 + 0.02 * seed, rng) for seed in range(3)}
    figures["text", 0] = figures_of(0.0, rng)
    results = results_with(tmp_path, figures)
    claim = next(c for c in recordings.CLAIMS if c.arm == "palette.g3" and c.measure == "shift")
    test = page.test_of(results, claim, (0, 1, 2))
    assert test is not None and test.trainings.seeds == (3, 3) and test.trainings.items == 20
    assert test.trainings.difference == pytest.approx(0.62, abs=0.03)
    assert decide(claim, test) == "holds"
    two = page.test_of(results, claim, (0, 1))
    assert decide(claim, two) == "open: 2 seeds, 3 needed"
    unmeasured = next(c for c in recordings.CLAIMS if c.measure == "wer")
    assert page.test_of(results, unmeasured, (0, 1, 2)) is None


def test_moved_is_measured_where_nothing_was_requested(tmp_path: Path) -> None:
    results = results_with(tmp_path, {("a", 0): figures_of(1.0, np.random.default_rng(1))})
    pitch, spread = (results.value("a", 0, f"moved {n}") for n in ("pitch", "range"))
    assert pitch is not None and spread is not None
    assert pitch["estimate"] == pytest.approx(2, abs=0.05)
    assert spread["estimate"] == pytest.approx(pitch["estimate"] / 2)
    assert results.value("a", 0, "shift range") is None
    share = results.value("a", 0, "shift")
    assert share is not None and share["estimate"] == pytest.approx(pitch["estimate"] / 2)


def test_the_swap_separates_style_and_reader(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    first: dict[str, Any] = {"sim A": 0.8, "sim B": 0.4}
    other: dict[str, Any] = {"sim A": 0.5, "sim B": 0.7}
    figures = {
        ("palette.g3", 0): figures_of(0.5, rng, **first),
        ("palette.g3.B", 0): figures_of(0.5, rng, **other),
    }
    effects = page.study_page.swap_effects(page.swap_cells(results_with(tmp_path, figures), "B", 0))
    of_style, of_reader = effects["pitch"]
    assert of_style is not None and of_style["estimate"] == pytest.approx(1, abs=0.05)
    assert of_reader is not None and of_reader["estimate"] == pytest.approx(0, abs=0.05)
    similar = {name: effects[f"SIM with {name}"] for name in "AB"}
    for name, change in (("A", -0.3), ("B", 0.3)):
        of_style, of_reader = similar[name]
        assert of_style is not None and of_style["estimate"] == pytest.approx(0)
        assert of_reader is not None and of_reader["estimate"] == pytest.approx(change)


# ---------------------------------------------------------------- the jobs


def test_amounts_of_rate_and_range() -> None:
    scale = {"rate": (4.0, 1.0), "range": (0.2, 0.05)}
    assert own_axes.rate_of(1, scale) == pytest.approx(1.25) and own_axes.rate_of(-9, scale) == 0.5
    flat = [0.0] * len(NAMES)
    assert own_axes.factor_of(1, scale, None) == own_axes.factor_of(1, scale, flat) == pytest.approx(1.25)
    narrow = [-2.0 if n == "range" else 0.0 for n in NAMES]  # .1: half the mean
    assert own_axes.factor_of(-1, scale, narrow) == pytest.approx(0.5)
    assert own_axes.factor_of(-9, scale, narrow) == 0 and own_axes.factor_of(9, scale, narrow) == 3


@pytest.fixture(scope="module")
def needs(spoken: Path, voice: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of a tuned decoder, the readers' vectors, the test set and two controls."""
    root = tmp_path_factory.mktemp("recordings")
    names = ("encoder/posterior", "encoder/decoder-A", "people", "test", "said/text/0", "said/text.voice/0")
    out = {n: root / n for n in names}
    for path in out.values():
        path.mkdir(parents=True)
    at = {"data": str(spoken), "corpus": Prepared.open(spoken).fingerprint}
    how: dict[str, Any] = {"needs": out, "limit_minutes": None, "voice": str(voice), **at}
    quick = {"loop.steps": "2", "loop.save_every": "2", "loop.validate_every": "2", "vits": str(voice)}
    systems.train(
        "restyle.decoder", size="toy", data=spoken, out=out["encoder/decoder-A"] / "run", overrides=quick
    )
    speakers.measure_speakers(out=out["people"], readers={"A": at}, **how)
    trial.declare_test(out=out["test"], sentences=1, decoder="encoder/decoder-A", **how)
    speech.speak(out=out["said/text/0"], decoder="encoder/decoder-A", **how)
    speech.speak(out=out["said/text.voice/0"], **how)
    return out


def wavs(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.glob("*.wav"))}


def test_copies_and_controls_are_spoken_by_the_tuned_decoder(
    spoken: Path, voice: Path, needs: dict[str, Path], tmp_path: Path
) -> None:
    at = {"data": str(spoken), "corpus": Prepared.open(spoken).fingerprint, "voice": str(voice)}
    tuned, plain = (wavs(needs[f"said/{n}/0"] / "wavs") for n in ("text", "text.voice"))
    assert tuned.keys() == plain.keys() and all(tuned[n] != plain[n] for n in tuned)
    how: dict[str, Any] = {"needs": needs, "limit_minutes": None, "copied": True, **at}
    assert speech.speak(out=tmp_path, decoder="encoder/decoder-A", **how)
    assert wavs(tmp_path / "wavs") == wavs(needs["test"] / "copy-synthesis")
    rows = json.loads((tmp_path / "found.json").read_text())["rows"]
    has_vectors = importlib.util.find_spec("resemblyzer") is not None
    assert rows and all(("sim A" in r) == has_vectors for r in rows.values())


@pytest.mark.parametrize("axis", own_axes.AXES)
def test_each_axis_speaks_and_goes_on(
    axis: str, spoken: Path, voice: Path, needs: dict[str, Path], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("intona.systems.restyle.axis.SENTENCES", 4)
    monkeypatch.setattr("intona.systems.restyle.axis.FEWEST", 10)
    at = {"data": str(spoken), "corpus": Prepared.open(spoken).fingerprint, "voice": str(voice)}
    how: dict[str, Any] = {"needs": needs, "axis": axis, "unshifted": "said/text.voice/0", **at}
    assert own_axes.speak_axis(out=tmp_path, limit_minutes=0, **how) is False
    assert own_axes.speak_axis(out=tmp_path, limit_minutes=None, **how)
    results = json.loads((tmp_path / "found.json").read_text())
    place = NAMES.index(own_axes.AXES[axis])
    for pole, sign in zip(trial.POLES, (-1, 1), strict=True):
        assert results["described"][pole][place] == sign
        assert sum(map(abs, results["described"][pole])) == 1
    low, high = wavs(tmp_path / "wavs").values()
    assert low != high and (len(low) != len(high)) == (axis == "rate")


# ---------------------------------------------------------------- the page


def test_the_page_of_a_study_that_has_not_begun(spoken: Path, voice: Path, tmp_path: Path) -> None:
    plan = recordings.declare(data=spoken, size="toy", vits=str(voice))
    outcome = StudyOutcome(done=(), failed={}, blocked=(), left=tuple(j.name for j in plan.jobs))
    text = page.write(plan, tmp_path, outcome).read_text(encoding="utf-8")
    assert "There is one reader" in text and "not measured" in text
    written = json.loads((tmp_path / "claims.json").read_text())
    assert [r["claim"] for r in written] == [c.text for c in recordings.CLAIMS]
    assert {r["command"] for r in written} == {"intona study restyle --only recordings"}


def test_the_tables_of_swap_and_axes(tmp_path: Path, spoken: Path, voice: Path, reader: Path) -> None:
    plan = recordings.declare(data=spoken, size="toy", vits=str(voice), readers=(reader,))
    rng = np.random.default_rng(3)
    more: dict[str, Any] = {"sim A": 0.7, "sim B": 0.4, "sim voice": 0.5}
    rows = ("text", "text.B", "copies", "copies.B", "palette.g3", "palette.g3.B", "own-range")
    figures = {(row, 0): figures_of(0.5, rng, **more) for row in rows}
    figures["own-range", 0] |= {"described": {"low": [0, -1, 0, 0, 0, 0], "high": [0, 1, 0, 0, 0, 0]}}
    results = results_with(tmp_path, figures, plan=plan)
    swap, axes = page.swap_section(results), page.axes_section(results)
    assert axes is not None
    text = str(swap.body)
    assert text.count("0.700") >= 6 and "decoder B minus A" in text
    assert "range" in str(axes.body) and "+0.25" in str(axes.body)


@pytest.mark.slow
def test_the_toy_study_of_recordings_runs_and_reports(
    spoken: Path, mute: Path, reader: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["study", "restyle", "--only", "recordings", "--data", str(spoken), "--output", str(tmp_path)]
    line += ["--size", "toy", "--asr", "none", "--workers", "1", "--vits", str(mute)]
    line += ["--readers", str(reader), "--arms", "palette,palette-unaligned"]
    assert cli.main(line) == 0
    assert "jobs done" in capsys.readouterr().out
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "no arm failed" in text and "decoder B minus A" in text
    assert cli.main(line) == 0  # nothing is repeated
