"""`intona study ditto`: the same minutes for each voice, encoders shared with `study prosody`, its page."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from intona import cli
from intona.audio import read_audio
from intona.config import write_json
from intona.data.prepared import Prepared
from intona.evaluation import Manifest, Row, write_manifest
from intona.latents.mel import MelLatents
from intona.studies.ditto import copy_synthesis
from intona.studies.ditto import page as report
from intona.studies.ditto import plan as study
from intona.studies.engine.account import costs
from intona.studies.engine.job import folder
from intona.studies.engine.plan import StudyPlan
from intona.studies.engine.runner import StudyOutcome
from intona.studies.prosody import plan as curriculum
from intona.systems.ditto.latents import open_latents


def plan(data: Path, **how: object) -> StudyPlan:
    return study.declare(data=data, size="toy", **how)  # type: ignore[arg-type]


def test_every_voice_has_the_same_minutes(root: Path, spoken: Path) -> None:
    measured = (root / "docs" / "notebook" / "ditto.md").read_text(encoding="utf-8")
    assert f"a step of the small preset {study.SIZES['small'].seconds['mel8']:g} s" in measured
    for size in ("small", "toy"):
        declared = study.declare(
            data=spoken, size=size, seeds=(0, 1), arms=tuple(study.ARMS), repeat=tuple(study.ARMS)
        )
        assert len({c.voice[0] for c in costs(declared, spoken) if c.voice[0]}) == 1
        seconds = study.SIZES[size].seconds
        for arm, steps in study.voice_steps(declared).items():
            minutes = steps * seconds[study.ARMS[arm].latents] / 60
            assert minutes == pytest.approx(study.SIZES[size].voice, rel=0.02)


def test_encoder_arms_differ_in_their_encoder_alone(spoken: Path) -> None:
    declared = plan(spoken, arms=tuple(study.ARMS))
    free = {"encoder_weights"}
    settings = []
    for arm in ("random", "1", "1+2", "1+2+3"):
        job = declared.job(f"voice/{arm}/0")
        assert job.arguments["encoder"] == f"encoder/{arm}/0" and job.arguments["encoder"] in job.needs
        overrides = {k: v for k, v in job.arguments["overrides"].items() if k not in free}
        settings.append(
            [overrides, {k: v for k, v in job.arguments.items() if k not in ("encoder", "overrides")}]
        )
    assert all(s == settings[0] for s in settings)
    drawn = [
        j.arm
        for j in declared.jobs
        if (j.arguments.get("overrides") or {}).get("encoder_weights") == "random"
    ]
    assert drawn == ["random"]
    # Of the other latents nothing else differs but how many steps the minutes hold.
    main, vae, frames = (declared.job(f"voice/{a}/0").arguments for a in ("1+2", "vae", "frames"))
    assert vae["runs"] == {"latents": "encoder/vae/0"} and "latents" not in vae["overrides"]
    assert frames["overrides"]["latents"] == "mel" and main["overrides"]["latents"] == "mel8"
    loop = ("loop.", "optim.warmup", "latents")
    bare = [{k: v for k, v in a["overrides"].items() if not k.startswith(loop)} for a in (main, vae, frames)]
    assert bare[0] == bare[1] == bare[2]


def test_encoders_are_the_jobs_of_study_prosody(spoken: Path) -> None:
    """A folder of one study serves the other: same names, same fingerprints."""
    arms = ("random", "1", "1+2", "1+2+3", "gradtts")
    ours = plan(spoken, seeds=(0, 1), arms=arms, repeat=("random", "1+2"))
    theirs = curriculum.declare(data=spoken, size="toy", seeds=(0, 1))
    shared = [n for n in ours.fingerprints if n.startswith("encoder/") and "vae" not in n] + ["speakers"]
    assert len(shared) == 4 + 3 + 1  # random, 1, 1+2, 1+2+3; of the second seed random, 1, 1+2
    assert all(ours.fingerprints[n] == theirs.fingerprints[n] for n in shared)
    grad, theirs_grad = ours.job("voice/gradtts/0").arguments, theirs.job("voice/1+2/0").arguments
    changed = {k for k in grad["overrides"] if grad["overrides"][k] != theirs_grad["overrides"].get(k)}
    assert changed <= {"loop.steps", "loop.save_every", "loop.validate_every", "optim.warmup"}
    assert {k: v for k, v in grad.items() if k != "overrides"} == {
        k: v for k, v in theirs_grad.items() if k != "overrides"
    }


def test_the_sweep_is_on_dev_and_changes_one_thing_at_a_time(spoken: Path) -> None:
    declared = plan(spoken)
    ways = [j for j in declared.jobs if j.name.startswith("sweep-")]
    assert all(j.needs == ("voice/1+2/0", "dev") and j.arguments["test"] == "dev" for j in ways)
    usual = {"settings": study.TOY_DEFAULTS, "prompts": True, "lengths": False}
    for job in ways:
        how = usual | {k: v for k, v in job.arguments.items() if k in usual}
        flat = how["settings"] | {k: how[k] for k in ("prompts", "lengths")}
        normal = usual["settings"] | {"prompts": True, "lengths": False}
        changed = {k for k in normal if flat[k] != normal[k]}
        if "ancestral" in job.arm:  # in place of each step's own noise there is drawn noise: less of it
            assert changed == {"solver", "temperature"}
        else:
            assert len(changed) == (job.arm != "steps-4")
    lengths = {j.arm: j.arguments.get("lengths", False) for j in ways}
    assert {k: v for k, v in lengths.items() if v} == {"recorded-length": True, "one-pace": "one-pace"}
    assert declared.job("dev").arguments["split"] == "dev"
    assert declared.job(f"judge-sweep-{study.MAIN}").arguments["against"] == ["steps-4@0"]
    assert all(j.arguments.get("test", "test") == "test" for j in declared.jobs if j.name.startswith("said/"))


def test_fewer_arms_need_fewer_jobs(spoken: Path) -> None:
    names = [j.name for j in plan(spoken, arms=("plain",)).jobs]
    assert not any(n.startswith("encoder/") for n in names) and "speakers" not in names
    assert "copy/mel8/0" in names and "copy/vae/0" not in names and "sweep-plain/steps-2/0" in names
    names = [j.name for j in plan(spoken, arms=("gradtts",)).jobs]
    assert "dev" not in names and "judge-latents" not in names
    # What is asked for later changes nothing of what stands.
    few = plan(spoken, arms=("1+2", "vae"))
    more = plan(spoken, arms=(*study.DEFAULT_ARMS, "vae"), seeds=(0, 1))
    kept = few.fingerprints
    assert {n: more.fingerprints[n] for n in kept} == kept


def test_the_small_study_fits_nine_core_hours(spoken: Path) -> None:
    small = study.declare(data=spoken, size="small")
    voices = [j.arm for j in small.jobs if j.name.startswith("voice/")]
    assert voices == ["random", "1+2", "gradtts"] and 6 * 60 <= small.minutes <= 9 * 60


def test_fewer_minutes_are_fewer_steps_of_every_voice_and_nothing_else(
    spoken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = study.declare(data=spoken, size="small")
    third = study.declare(data=spoken, size="small", voice_minutes=145 / 3)
    for arm, steps in study.voice_steps(whole).items():
        assert study.voice_steps(third)[arm] == pytest.approx(steps / 3, abs=1)
    assert third.minutes == pytest.approx(whole.minutes - 3 * 145 * 2 / 3)
    same = {n for n in whole.fingerprints if whole.fingerprints[n] == third.fingerprints[n]}
    assert {"speakers", "encoder/1+2/0", "test", "dev", "copy/mel8/0"} <= same
    assert not any(n.startswith(("voice/", "said/", "sweep")) for n in same)
    line = ["--data", str(spoken), "--output", str(tmp_path / "out"), "--dry-run", "--voice-minutes"]
    assert cli.main(["study", "ditto", *line, "20"]) == 0
    assert "| random | 0 | none | 20 |" in capsys.readouterr().out
    assert cli.main(["study", "ditto", *line, "0"]) == 1
    assert "--voice-minutes: 0 is not a number of minutes" in capsys.readouterr().err
    assert cli.main(["study", "meld", *line, "3"]) == 1
    assert "--voice-minutes: study meld has no such option" in capsys.readouterr().err


def test_a_dry_run_prints_the_plan_and_makes_nothing(
    spoken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    line = ["study", "ditto", "--data", str(spoken), "--output", str(out), "--dry-run"]
    assert cli.main(line) == 0
    output = capsys.readouterr().out
    assert "| gradtts | 0 |" in output and "the same budget for each" in output
    assert not out.exists()
    assert cli.main([*line, "--arms", "vea"]) == 1
    assert 'unknown arm "vea"; did you mean "vae"' in capsys.readouterr().err


# --- the latents alone ----------------------------------------------------------------------------------


def test_errors_of_the_latents_alone(spoken: Path) -> None:
    prepared = Prepared.open(spoken)
    items = prepared.items("test")
    nothing = copy_synthesis.mel_errors(MelLatents(prepared.spec), prepared, items)
    assert nothing["nats"]["estimate"] < 1e-6 and nothing["nats"]["n"] == len(items)
    errors = [
        copy_synthesis.mel_errors(open_latents(name, prepared), prepared, items)["nats"]["estimate"]
        for name in ("mel2", "mel8")
    ]
    assert 0.01 < errors[0] < 0.5 and 0.01 < errors[1] < 0.5
    # By hand, on the first of them.
    space = open_latents("mel8", prepared)
    mel = prepared.mel(items[0])
    codes, after = space.encode(torch.from_numpy(mel)[None], torch.tensor([len(mel)]))
    by_hand = np.abs(space.decode(codes, after)[0, : len(mel)].numpy() - mel).mean()
    assert copy_synthesis.mel_errors(space, prepared, items[:1])["nats"]["estimate"] == pytest.approx(by_hand)


def test_recordings_go_through_the_latents(
    spoken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from intona.vocoder import load_vocoder

    monkeypatch.setattr(copy_synthesis, "load_vocoder", lambda name: load_vocoder("griffin-lim"))
    prepared = Prepared.open(spoken)
    test = tmp_path / "test"
    test.mkdir()
    rows = tuple(Row(id=i.name, text=i.text) for i in prepared.items("test"))
    write_manifest(test / "manifest.jsonl", Manifest(rows=rows))
    how = {"data": str(spoken), "corpus": prepared.fingerprint, "latents": "mel8", "run": "", "test": "test"}
    out = tmp_path / "own"
    out.mkdir()
    call = {"out": out, "needs": {"test": test}, **how}
    assert copy_synthesis.speak_copy(**call, limit_minutes=0) is False  # type: ignore[arg-type]
    assert copy_synthesis.speak_copy(**call, limit_minutes=None)  # type: ignore[arg-type]
    for item in prepared.items("test"):
        copy = read_audio(out / "wavs" / f"{item.name}.wav")
        assert copy.duration == pytest.approx(item.seconds, abs=0.03)
    results = json.loads((out / "found.json").read_text())
    assert (results["kind"], results["dim"]) == ("patch", 128) and 0 < results["deviations"]["estimate"] < 0.5


# --- the page -------------------------------------------------------------------------------------------


def test_the_page_of_half_a_study_names_what_is_missing(spoken: Path, tmp_path: Path) -> None:
    declared = plan(spoken, arms=("1+2", "gradtts"))
    job = declared.job("copy/mel8/0")
    directory = folder(tmp_path, job.name)
    directory.mkdir(parents=True)
    value = {"estimate": 0.1234, "low": 0.11, "high": 0.14, "n": 3}
    write_json(directory / "found.json", {"rate": 10.77, "dim": 128, "nats": value, "deviations": value})
    write_json(directory / "done.json", {"fingerprint": declared.fingerprints[job.name], "made": 1.0})
    wavs = folder(tmp_path, "said/1+2/0") / "wavs"
    wavs.mkdir(parents=True)
    rows = [{"ids": [str(i)], "speech": 2.0, "wall": 1.0, "processor": 1.0 + i} for i in range(3)]
    (wavs / "times.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    ended = StudyOutcome(
        done=(job.name,), failed={"voice/gradtts/0": "no <b>luck</b>"}, blocked=(), left=("judge",)
    )
    page = report.write(declared, tmp_path, ended).read_text(encoding="utf-8")
    assert "failed: no &lt;b&gt;luck&lt;/b&gt;" in page and "Not evaluated yet" in page
    assert "0.123" in page and "10.77 Hz x 128" in page
    factors = report._factors(report.read(declared, tmp_path), "said")
    assert factors["1+2@0"]["estimate"] == 1.0  # (1 + 2 + 3) s for 6 s of speech
    assert ".125 / .176" in page and "not measured" in page


@pytest.mark.slow
def test_the_toy_study_runs_goes_on_and_reports(
    spoken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["study", "ditto", "--data", str(spoken), "--output", str(tmp_path), "--size", "toy"]
    line += ["--asr", "none", "--workers", "1"]
    assert cli.main([*line, "--arms", "plain"]) == 0
    assert "jobs done" in capsys.readouterr().out
    shutil.rmtree(folder(tmp_path, "said/plain/0"))  # as if it had never been
    assert cli.main([*line, "--arms", "plain,vae"]) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "vae@0" in page and "plain@0" in page and "no arm failed" in page and "no-reference@0" in page
    spent = (folder(tmp_path, "voice/plain/0") / "spent.jsonl").read_text().splitlines()
    assert len(spent) == 1
