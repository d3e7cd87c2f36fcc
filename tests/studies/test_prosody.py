"""`intona study prosody`: arms that differ in their encoder alone, probes, the page, and the whole of it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intona import checkpoint, cli, systems
from intona.config import write_json
from intona.data.prepared import Prepared
from intona.errors import UserError
from intona.studies.engine.account import costs, left_lines
from intona.studies.engine.claims import decide
from intona.studies.engine.job import folder
from intona.studies.engine.page import Point, spearman
from intona.studies.engine.plan import StudyPlan
from intona.studies.engine.runner import StudyOutcome
from intona.studies.prosody import page as report
from intona.studies.prosody import plan as study
from intona.studies.prosody import probe
from intona.studies.prosody.published import CLAIMS

pytestmark = pytest.mark.trains

LOOP = {"loop.steps": "4", "loop.save_every": "2", "loop.validate_every": "4", "loop.keep": "9"}
FEW = LOOP | {"loop.precision": "fp32"}
NOBODY = FEW | {"speaker": "none", "batch": "6", "per_utterance": "1"}


def plan(data: Path, **how: object) -> StudyPlan:
    return study.declare(data=data, size="toy", **how)  # type: ignore[arg-type]


def test_voices_differ_in_their_encoder_alone(spoken: Path) -> None:
    declared = plan(spoken, seeds=(0, 1), arms=tuple(study.ARMS))
    voices = [j for j in declared.jobs if j.name.startswith("voice/")]
    assert study.equal_steps(declared) == 60
    assert len({c.voice[0] for c in costs(declared, spoken)}) == 1
    free = {"encoder_rate", "encoder_weights"}
    for seed in (0, 1):
        settings = [
            {**j.arguments["overrides"], **{k: v for k, v in j.arguments.items() if k != "overrides"}}
            for j in voices
            if j.seed == seed
        ]
        same = [{k: v for k, v in s.items() if k not in free | {"encoder"}} for s in settings]
        assert all(s == same[0] for s in same)
        assert all(s["loop.seed"] == str(seed) for s in same)
    paper = [j.arguments["overrides"] for j in voices if not study.ARMS[j.arm].optional]
    assert {o["encoder_rate"] for o in paper} == {"1"}
    by_name = {j.name: j.arguments for j in voices}
    assert by_name["voice/frozen-1+2/0"]["overrides"]["encoder_rate"] == "0"
    assert by_name["voice/frozen-1+2/0"]["encoder"] == "encoder/1+2/0"
    drawn = {j.arm for j in voices if j.arguments["overrides"].get("encoder_weights") == "random"}
    assert drawn == {"random", "frozen-random", "slow-random"}


def test_seeds_and_arms_expand_and_stages_are_shared(spoken: Path) -> None:
    declared = plan(spoken, seeds=(0, 7))
    names = [j.name for j in declared.jobs]
    assert sum(n.startswith("voice/") for n in names) == 7 + 5
    assert "voice/2-softmax/0" in names and "voice/2-softmax/7" not in names
    assert [j.name for j in declared.chain("voice/1+2+3/7")] == [
        "speakers",
        "encoder/1/7",
        "encoder/1+2/7",
        "encoder/1+2+3/7",
        "voice/1+2+3/7",
    ]
    assert "retrieval/2-no-adaln/0" in names and "retrieval/1/0" not in names
    assert "retrieval/2-no-adaln/7" in names  # spaces are compared over all seeds
    assert "probe/0" in names and "probe/7" not in names
    assert declared.job("judge").wants == tuple(n for n in names if n.startswith("said/"))
    softmax = declared.job("encoder/2-softmax/0").arguments["overrides"]
    assert softmax == declared.job("encoder/2/0").arguments["overrides"] | {"model.loss": "softmax"}
    # What is asked for later changes nothing of what stands.
    first = plan(spoken, arms=("1", "random"))
    assert {n: declared.fingerprints[n] for n in first.fingerprints} == dict(first.fingerprints)


def test_the_small_study_fits_seven_hours_of_two_cores(spoken: Path) -> None:
    assert study.declare(data=spoken, size="small", seeds=(0, 1)).minutes < 840


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"arms": ("1+3",)}, 'unknown arm "1\\+3"'),
        ({"arms": ("1", "1")}, "none of them twice"),
        ({"seeds": (1, 1)}, "none of them twice"),
        ({"seeds": ()}, "need at least one arm"),
    ],
)
def test_a_bad_request_is_refused(spoken: Path, how: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        plan(spoken, **how)


def test_a_dry_run_prints_the_plan_and_makes_nothing(
    spoken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    line = ["study", "prosody", "--data", str(spoken), "--output", str(out), "--seeds", "0,1", "--dry-run"]
    assert cli.main(line) == 0
    output = capsys.readouterr().out
    assert (
        "| 1+2+3 | 1 |" in output
        and "| 2-softmax | 1 |" not in output
        and "the same budget for each" in output
    )
    assert not out.exists()
    assert cli.main([*line[:-1], "--arms", "1+2+4", "--dry-run"]) == 1
    assert 'unknown arm "1+2+4"' in capsys.readouterr().err


def test_a_toy_plan_says_seconds_and_a_stage_that_is_not_trained(
    spoken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["study", "prosody", "--data", str(spoken), "--output", str(tmp_path / "out"), "--dry-run"]
    assert cli.main([*line, "--size", "toy"]) == 0
    rows = {
        r.split(" | ")[0]: r.split(" | ")[2:5] for r in capsys.readouterr().out.splitlines() if "| 0 |" in r
    }
    assert rows["| random"] == ["none", "0.4", "0.4"]
    assert rows["| 1"] == ["0.2", "0.4", "0.4"] and rows["| 1+2+3"][0] == "0.4"
    assert cli.main([*line, "--size", "toy", "--prosody.gradtts.loop.steps", "600"]) == 0
    assert "| 1 | 0 | 0.2 | 4.0 | 0.4 |" in capsys.readouterr().out
    assert cli.main([*line, "--loop.steps", "600"]) == 1
    assert "--prosody.gradtts.loop.steps" in capsys.readouterr().err


@pytest.fixture(scope="module")
def chain(spoken: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of three jobs with the runs of the curriculum, four steps each."""
    root, before = tmp_path_factory.mktemp("chain"), None
    out: dict[str, Path] = {}
    for name, stage in (
        ("1", "prosody.mlm"),
        ("1+2", "prosody.contrastive"),
        ("1+2+3", "prosody.refine"),
    ):
        more = NOBODY if before else FEW | {"max_tokens": "400"}
        run = root / name / "run"
        before = systems.train(stage, size="toy", data=spoken, out=run, overrides=more, init=before)
        out[f"encoder/{name}/0"] = root / name
    return out


def test_every_kept_checkpoint_is_probed(spoken: Path, chain: dict[str, Path], tmp_path: Path) -> None:
    corpus = Prepared.open(spoken).fingerprint
    how = {"data": str(spoken), "corpus": corpus, "chain": list(chain), "gallery": 4}
    assert probe.follow(out=tmp_path, needs=chain, limit_minutes=0, **how) is False  # type: ignore[arg-type]
    assert probe.follow(out=tmp_path, needs=chain, limit_minutes=None, **how)  # type: ignore[arg-type]
    points = json.loads((tmp_path / probe.RESULTS).read_text())["points"]
    assert [(p["place"], p["step"]) for p in points] == [(i, s) for i in range(3) for s in (0, 2, 4)]
    assert all("R@1-diff" not in p for p in points[:3])
    assert all(0 <= p["R@1-diff"]["estimate"] <= 1 for p in points[3:])
    for p in points:
        assert p["phoneme"]["estimate"] > 3 * p["phoneme majority"]  # what goes in can be read out
        assert p["phoneme"]["estimate"] > p["phoneme ahead"]["estimate"]
        assert p["duration"]["low"] < p["duration"]["estimate"] < p["duration"]["high"] < 1
        assert 1 < p["masked phonemes"]["estimate"] < 10
        assert 1 < p["masked phonemes unigram"] < math.log(59)
    assert len({p["masked pieces unigram"] for p in points}) == 1
    # Stage 2 starts from stage 1: the same streams under the same heads, the same masks.
    assert points[3]["masked pieces"] == points[2]["masked pieces"]
    assert points[2]["masked phonemes"]["estimate"] < points[0]["masked phonemes"]["estimate"]


def test_heads_that_are_none_and_other_data_are_refused(spoken: Path, chain: dict[str, Path]) -> None:
    two = checkpoint.resolve(chain["encoder/1+2/0"] / "run")
    with pytest.raises(UserError, match=r"run of prosody\.mlm"):
        probe.masked_loss(two, two, Prepared.open(spoken))
    with pytest.raises(UserError, match="was planned on"):
        probe.find_speakers(out=two, needs={}, limit_minutes=None, data=str(spoken), corpus="other")


def test_the_page_of_half_a_study_names_what_is_missing(
    spoken: Path, chain: dict[str, Path], tmp_path: Path
) -> None:
    declared = plan(spoken, arms=("random", "1+2", "1+2+3"))
    for name in ("1+2", "1+2+3"):
        job = declared.job(f"retrieval/{name}/0")
        directory = folder(tmp_path, job.name)
        directory.mkdir(parents=True)
        arguments: dict[str, Any] = job.arguments | {"gallery": 4}
        probe.find_sounds(out=directory, needs=chain, limit_minutes=None, **arguments)
        write_json(directory / "done.json", {"fingerprint": declared.fingerprints[job.name], "made": 1.0})
    bad = "voice/1+2/0"
    ended = StudyOutcome(
        done=("retrieval/1+2/0", "retrieval/1+2+3/0"),
        failed={bad: "no <b>luck</b>"},
        blocked=("said/1+2/0",),
        left=("judge",),
    )
    page = report.write(declared, tmp_path, ended).read_text(encoding="utf-8")
    assert "failed: no &lt;b&gt;luck&lt;/b&gt;" in page and f"waits for {bad}, which failed" in page
    assert "0.746" in page and "published" in page and "Not evaluated yet" in page
    assert "open: 1 seed, 3 needed" in page and "not measured" in page  # R@1 of 1+2+3 beside 1+2; speech
    lines = left_lines(declared, tmp_path, ended)
    assert f"| {bad} | failed: no <b>luck</b> |" in lines and "| judge | left |" in lines


def test_a_claim_of_a_space_is_judged_on_paired_queries(spoken: Path, tmp_path: Path) -> None:
    def retrieval(rate: float, seed: int) -> dict[str, Any]:
        rng = np.random.default_rng(seed)
        hits = {f"u{i}": (int(rng.binomial(50, rate)), 50) for i in range(40)}
        return {"encoder": {"R@1-sim text-audio": {"hits": hits}}, "speaker_of": dict.fromkeys(hits, "s")}

    space = {
        (arm, seed): retrieval(rate, seed) for arm, rate in (("1+2", 0.5), ("2", 0.4)) for seed in (0, 1, 2)
    }
    results = report.ProsodyResults(
        plan=plan(spoken, seeds=(0, 1, 2)), out=tmp_path, space=space, speech=None, chain=()
    )
    claim = next(c for c in CLAIMS if (c.arm, c.other, c.measure) == ("1+2", "2", "R@1-sim"))
    assert decide(claim, results.test(claim, (0, 1, 2))) == "holds"
    assert decide(claim, results.test(claim, (0, 1))) == "open: 2 seeds, 3 needed"
    softmax = next(c for c in CLAIMS if c.other == "2-softmax")
    assert decide(softmax, results.test(softmax, (0, 1, 2))) == "not measured"
    test = results.test(claim, (0, 1))
    assert test is not None and test.paired.n == 80 and test.paired.clusters == 40


def test_rank_correlation_says_its_n() -> None:
    def points(*ys: float) -> list[Point]:
        return [Point(label="p", arm="a", x={"estimate": i}, y={"estimate": y}) for i, y in enumerate(ys)]

    assert spearman(points(1, 2, 3, 10)) == "Spearman +1.00, n = 4"
    assert spearman(points(3, 2, 1)) == "Spearman -1.00, n = 3"
    assert spearman(points(1, 2)) == "no rank correlation, n = 2"
    assert spearman(points(1, 1, 1)) == "no rank correlation, n = 3"


@pytest.mark.slow
def test_the_toy_study_runs_goes_on_and_reports(
    spoken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["study", "prosody", "--data", str(spoken), "--output", str(tmp_path), "--size", "toy"]
    line += ["--asr", "none", "--workers", "1"]
    assert cli.main([*line, "--arms", "random,1"]) == 0
    assert "jobs done" in capsys.readouterr().out
    assert cli.main([*line, "--arms", "random,1,2"]) == 0  # one arm more: judged again with it
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "2@0" in page and "All " in page and "no arm failed" in page and "copy synthesis" in page
    spent = (folder(tmp_path, "voice/1/0") / "spent.jsonl").read_text().splitlines()
    assert len(spent) == 1
