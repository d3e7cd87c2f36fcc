"""`intona study restyle`: what its arms differ in, the rule, probes of known data, the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intona import cli, systems
from intona.config import write_json
from intona.data.prepared import Prepared
from intona.encoders.style import NAMES
from intona.errors import UserError
from intona.evaluation import read_manifest
from intona.latents import vits
from intona.study import Outcome
from intona.study.account import costs
from intona.study.job import folder
from intona.systems.restyle import probes, study, study_report, sweep, trial, verdict
from intona.systems.restyle.measured import measured_of
from intona.systems.restyle.published import CLAIMS
from intona.systems.restyle.trial import Conditions, Wanted

pytest.importorskip("transformers", reason="a VITS voice needs transformers")
QUICK = {"loop.steps": "2", "loop.save_every": "2", "loop.validate_every": "2", "loop.precision": "fp32"}


def plan(data: Path, **how: object) -> Any:
    return study.declare(data=data, size="toy", **how)  # type: ignore[arg-type]


# ---------------------------------------------------------------- the declaration


def test_arms_of_a_comparison_differ_in_what_they_say(spoken: Path) -> None:
    wanted = plan(spoken, seeds=(0, 7))
    models = {j.name: j.arguments for j in wanted.jobs if j.name.startswith("voice/")}
    same = ("data", "corpus", "size", "voice", "posterior")
    assert all(len({m[k] for m in models.values()}) == 1 for k in same)
    base = models["voice/palette/0"]["overrides"]
    assert models["voice/palette-unaligned/0"]["overrides"] == base | {"align": "none"}
    assert models["voice/bridge/0"]["overrides"] == base
    assert models["voice/palette/7"]["overrides"] == base | {"loop.seed": "7"}
    assert "voice/paper-palette/7" not in models and "voice/palette-decoder/0" not in models
    assert models["voice/palette-embedding/0"]["style"] == "encoder/style"
    # Networks that cost more a step get fewer, in the same minutes.
    minutes = {c.voice[0] for c in costs(wanted, spoken) if c.voice[0]}
    assert max(minutes) - min(minutes) < 0.02 * max(minutes)


def test_every_arm_speaks_at_every_scale(spoken: Path) -> None:
    wanted = plan(spoken, arms=("palette", "palette-decoder"), repeat=())
    said = [j for j in wanted.jobs if j.name.startswith("said/")]
    assert len(said) == 1 + 2 * 3  # toy has fewer
    whole = study.declare(data=spoken, arms=("palette",), repeat=())
    scales = {j.arguments["guidance"] for j in whole.jobs if j.name.startswith("said/palette.")}
    assert scales == {0, 1, 2, 3, 5, 10}
    tuned = wanted.job("said/palette-decoder.g3/0")
    assert tuned.arguments["model"] == "voice/palette/0" and "encoder/decoder-0" in tuned.needs
    assert wanted.job("judge").arguments["against"] == ["text@0"]
    first = plan(spoken, arms=("palette",))
    assert {n: wanted.fingerprints[n] for n in first.fingerprints} == dict(first.fingerprints)


def test_the_small_study_fits_five_hours_of_two_cores(spoken: Path) -> None:
    whole = study.declare(data=spoken, size="small", seeds=(0, 1))
    assert whole.minutes < 600
    # Further seeds speak at what is decided about, the verdict and the claims alike.
    again = {j.arguments["guidance"] for j in whole.jobs if j.name.startswith("said/") and j.seed == 1}
    assert again == set(study.DECIDING)
    named = {float(a.rsplit(".g", 1)[1]) for c in CLAIMS for a in (c.arm, c.other)}
    assert named | {verdict.PRIMARY} <= again


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
            rows[f"{name}.{pole}"] = Wanted(sentence=name, item=name, pole=pole, reference="r", z=z)
    return Conditions(scale={n: (0.0, 1.0) for n in NAMES}, rows=rows)


def said(**pitch: float) -> dict[str, dict[str, Any]]:
    return {k.replace("_", "."): {"z": [v if n == "pitch" else 9.0 for n in NAMES]} for k, v in pitch.items()}


def test_share_of_the_asked_shift() -> None:
    asked = conditions(a=(-1, 1), b=(2, 1))
    exact = said(a_low=-1, a_high=1, b_low=2, b_high=1)
    whole = verdict.shift(exact, asked)
    assert whole is not None and whole.estimate == pytest.approx(1) and whole.n == 2
    half = said(a_low=0, a_high=1, b_low=0, b_high=-0.5)  # where it lies does not count, only the shift
    found = verdict.shift(half, asked)
    assert found is not None and found.estimate == pytest.approx(0.5)
    back = verdict.shift(said(a_low=1, a_high=-1, b_low=1, b_high=2), asked, ("pitch",))
    assert back is not None and back.estimate == pytest.approx(-1)
    lost = verdict.shift({**exact, "b.low": {"z": None}}, asked)  # what cannot be measured has not moved
    assert lost is not None and lost.estimate == pytest.approx(2 / 3) and lost.n == 2
    assert verdict.shift(exact, asked, ("rate",)) is None


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
        ("lost", "open"): "reproduced",
        ("kept", "moved"): "refuted",
        ("kept", "not moved"): "no steering",
        ("kept", "open"): "open",
        ("open", "moved"): "open",
    }
    for (of_words, of_style), found in table.items():
        assert verdict.verdict(of_words, of_style) == found  # type: ignore[arg-type]


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
    effects = study_report.swap_effects(rows)
    style_effect, speaker_effect = effects["pitch"]
    assert style_effect is not None and style_effect["estimate"] == pytest.approx(0.3)
    assert speaker_effect is not None and speaker_effect["estimate"] == pytest.approx(-2)
    assert "SIM with A" not in effects
    rows["0.low.A"]["z"] = None
    left, _ = study_report.swap_effects(rows)["pitch"]
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
                symbols=symbols,
                pooled={"Z_text": content.mean(0), "Z_audio": sound.mean(0), "noise": rng.standard_normal(4)},
                style=style,
                correlation={"aligned": np.ones(3), "unaligned": np.zeros(3)},
            )
        )
    return out


def test_probes_find_what_lies_there_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    found = probes.found_of(probed(rng, 60), probed(rng, 30))
    for kind in ("linear", "nearest"):
        for space in ("Z_text", "Z_audio"):
            assert found["content"][space][kind]["estimate"] > 0.9
        assert abs(found["content"]["noise"][kind]["estimate"] - 1 / 3) < 0.15
        assert found["style"]["Z_audio"][kind]["pitch"]["estimate"] > 0.6
        assert found["style"]["noise"][kind]["pitch"]["estimate"] < 0.2
        assert found["style"]["Z_audio"][kind]["rate"]["estimate"] < 0.2
        assert found["speaker"]["Z_audio"][kind]["estimate"] == 1
        assert found["speaker"]["noise"][kind]["estimate"] < 0.8
    assert found["content chance"]["estimate"] == pytest.approx(1 / 3, abs=0.1)
    assert found["correlation"]["aligned"]["estimate"] == 1 and found["speakers"] == 2
    alone = probes.found_of(probed(rng, 20, speakers=1), probed(rng, 8, speakers=1))
    assert alone["speaker"] == {} and "speaker chance" not in alone


def test_explained_variance_and_correlation_are_the_textbook_ones() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal(50), rng.standard_normal(50)
    found = probes.explained(0.5 * x, x, 0.0)
    assert found["estimate"] == pytest.approx(1 - ((0.5 * x) ** 2).sum() / (x**2).sum())
    assert found["low"] <= found["estimate"] <= found["high"]
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
    sweep.find_people(out=out["people"], **how)
    trial.declare_test(out=out["test"], sentences=2, **how)
    more = {"stage": "restyle.palette", "size": "toy", "overrides": QUICK}
    assert sweep.train(out=out["voice/palette/0"], posterior="encoder/posterior", style="", **more, **how)
    return out


def test_the_two_styles_of_a_sentence_are_apart(spoken: Path, needs: dict[str, Path]) -> None:
    prepared = Prepared.open(spoken)
    found, manifest = trial.read(needs["test"]), read_manifest(needs["test"] / "manifest.jsonl")
    assert len(manifest) == 4 == len(found.rows) and len(manifest.speakers) == 2
    train = {i.id for i in prepared.items("train")}
    columns = [NAMES.index(n) for n in verdict.STEERED]
    for row in manifest.rows:
        wanted = found.rows[row.id]
        assert wanted.reference in train and prepared[wanted.item].text == row.text
        assert (needs["test"] / "copy-synthesis" / f"{row.id}.wav").is_file()
    for sentence in manifest.speakers:
        low, high = (np.array(found.rows[f"{sentence}.{p}"].z)[columns].mean() for p in trial.POLES)
        assert low < high
    measured = measured_of(prepared)
    ends = trial.poles(prepared.items("train"), measured)
    assert set(ends) == {0} and not set(ends[0]["low"]) & set(ends[0]["high"])
    with pytest.raises(UserError, match="no speaker has"):
        trial.poles(prepared.items("train")[:2], measured)


def test_speaking_goes_on_and_asks_for_both_styles(
    spoken: Path, voice: Path, needs: dict[str, Path], tmp_path: Path
) -> None:
    how: dict[str, Any] = {"needs": needs, "model": "voice/palette/0", "steps": 2, **at(spoken, voice)}
    assert sweep.say(out=tmp_path, guidance=3.0, limit_minutes=0, **how) is False
    assert sweep.say(out=tmp_path, guidance=3.0, limit_minutes=None, **how)
    found = json.loads((tmp_path / "found.json").read_text())
    assert len(found["rows"]) == 4 and found["failures"] == []
    first = {p.name: p.read_bytes() for p in (tmp_path / "wavs").iterdir()}
    (tmp_path / "wavs" / sorted(first)[0]).unlink()
    assert sweep.say(out=tmp_path, guidance=3.0, limit_minutes=None, **how)
    assert {p.name: p.read_bytes() for p in (tmp_path / "wavs").iterdir()} == first
    # Without a style both poles are one and the same; without a model they are decode(Z_text).
    assert sweep.say(out=tmp_path / "0", guidance=0.0, limit_minutes=None, **how)
    sounds = {p.name: p.read_bytes() for p in (tmp_path / "0" / "wavs").iterdir()}
    assert len(set(sounds.values())) == 2
    control = {k: v for k, v in how.items() if k != "model"}
    assert sweep.say(out=tmp_path / "text", limit_minutes=None, **control)
    with pytest.raises(UserError, match="was planned on"):
        sweep.say(out=tmp_path, limit_minutes=None, **(control | {"corpus": "other"}))


def test_the_swap_needs_two_speakers(
    spoken: Path, voice: Path, two_voices: Path, needs: dict[str, Path], tmp_path: Path
) -> None:
    how: dict[str, Any] = {"limit_minutes": None, "model": "voice/palette/0", "guidance": 2.0, "steps": 1}
    assert sweep.swap(out=tmp_path, needs=needs, **how, **at(spoken, voice))
    assert json.loads((tmp_path / "found.json").read_text())["applicable"] is False
    two = {n: tmp_path / n for n in needs}
    for path in two.values():
        path.mkdir(parents=True)
    where = at(spoken, two_voices)
    sweep.find_people(out=two["people"], needs=two, limit_minutes=None, **where)
    trial.declare_test(out=two["test"], needs=two, limit_minutes=None, sentences=1, **where)
    model = two["voice/palette/0"] / "run"
    systems.train(
        "restyle.palette", size="toy", data=spoken, out=model, overrides={**QUICK, "vits": str(two_voices)}
    )
    (tmp_path / "swap").mkdir()
    assert sweep.swap(out=tmp_path / "swap", needs=two, **how, **where)
    found = json.loads((tmp_path / "swap" / "found.json").read_text())
    assert found["applicable"] and len(found["rows"]) == 4
    assert {(r["style"], r["speaker"]) for r in found["rows"].values()} == {
        (s, v) for s in trial.POLES for v in "AB"
    }


def test_probes_of_a_corpus(spoken: Path, voice: Path, needs: dict[str, Path], tmp_path: Path) -> None:
    probes.look(out=tmp_path, needs=needs, limit_minutes=None, train=0, test=0, **at(spoken, voice))
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["fitted"] == 9 and found["scored"] == 3 and found["speakers"] == 1
    assert found["left out"] == {}
    assert set(found["content"]) == {"Z_text", "Z_audio", "prosody vector"}
    # What the alignment names can be read from Z_text of a voice, however random, better than by chance.
    assert found["content"]["Z_text"]["linear"]["estimate"] > found["content chance"]["estimate"]
    # A prosody vector holds what it is: the attributes come back.
    assert found["style"]["prosody vector"]["linear"]["pitch"]["estimate"] > 0.5


def test_symbols_of_frames_follow_the_alignment(spoken: Path, voice: Path) -> None:
    from intona.audio import read_audio
    from intona.latents.vits.posterior import latents_of

    prepared, space = Prepared.open(spoken), vits.load(str(voice))
    item = prepared.items("train")[0]
    z = latents_of(space, None, read_audio(prepared.audio_path(item)))
    named = probes.symbols_of(space, item, z, None)
    assert len(named) == len(z)
    ids = [int(i) for i in space.tokens(item.text) if int(i) != 0]
    heard = [int(n) for i, n in enumerate(named) if (not i or n != named[i - 1]) and n != 0]
    place = 0
    for symbol in heard:  # in the order of the text
        place = ids.index(symbol, place)


# ---------------------------------------------------------------- the page


def test_the_page_of_half_a_study_names_what_is_missing(
    spoken: Path, voice: Path, needs: dict[str, Path], tmp_path: Path
) -> None:
    wanted = plan(spoken, arms=("palette",), vits=str(voice))
    done = []
    for name in ("test", "people"):
        own = folder(tmp_path, name)
        own.parent.mkdir(parents=True, exist_ok=True)
        own.symlink_to(needs[name])
        write_json(own / "done.json", {"fingerprint": wanted.fingerprints[name], "made": 1.0})
        done.append(name)
    rows = {id: {"z": [0.1] * len(NAMES), "cosine": 0.5} for id in trial.read(needs["test"]).rows}
    own = folder(tmp_path, "said/palette.g3/0")
    own.mkdir(parents=True)
    write_json(own / "found.json", {"rows": rows, "failures": [], "guidance": 3.0, "style": "prosody"})
    name = "said/palette.g3/0"
    write_json(own / "done.json", {"fingerprint": wanted.fingerprints[name], "made": 1.0})
    ended = Outcome(
        done=(*done, name), failed={"said/palette.g10/0": "no <b>luck</b>"}, blocked=(), left=("judge",)
    )
    page = study_report.write(wanted, tmp_path, ended).read_text(encoding="utf-8")
    assert "failed: no &lt;b&gt;luck&lt;/b&gt;" in page and "Not judged yet" in page
    assert "Does style cost the words?" in page and "not moved" in page and "0.500" in page
    assert "not measured" in page  # claims without the evaluation


def test_a_dry_run_prints_the_plan_and_makes_nothing(
    spoken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    line = ["study", "restyle", "--data", str(spoken), "--out", str(out), "--seeds", "0,1", "--dry-run"]
    assert cli.main(line) == 0
    told = capsys.readouterr().out
    assert "| palette | 1 |" in told and "the same budget for each" in told and not out.exists()


@pytest.mark.slow
def test_the_toy_study_runs_and_reports(
    spoken: Path, mute: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["study", "restyle", "--data", str(spoken), "--out", str(tmp_path), "--size", "toy"]
    line += ["--asr", "none", "--workers", "1", "--vits", str(mute), "--arms", "palette,palette-decoder"]
    assert cli.main(line) == 0
    assert "jobs done" in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "no arm failed" in page and "Not applicable: the voice has one speaker" in page
