"""`intona study prosody --only screening`: the models, the plan, and the whole of it at toy size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from intona import cli
from intona.data.contours import CorpusContours
from intona.data.prepared import Prepared
from intona.errors import UserError
from intona.studies.engine.claims import decide
from intona.studies.prosody import predict, screening
from intona.studies.prosody import screening_page as page

pytestmark = pytest.mark.trains


def data(n: int, seed: int, curve: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6)) * [1, 2, 3, 1, 1, 1] + 5
    y = (x[:, 0] - 5) ** 2 if curve else x @ [1.0, -2, 0.5, 0, 0, 0] + 7
    return x, y + 0.1 * rng.normal(size=n)


def r2(model: Callable[[np.ndarray], np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> float:
    x, y = test
    return 1 - ((y - model(x)) ** 2).sum() / ((y - y.mean()) ** 2).sum()


def test_ridge_learns_a_line_and_a_network_a_curve() -> None:
    line, curve = ([data(n, s, curve) for n, s in ((800, 0), (200, 1), (400, 2))] for curve in (False, True))
    assert r2(predict.fit_ridge(*line[:2]), line[2]) > 0.99
    assert r2(predict.fit_network(*line[:2]), line[2]) > 0.9
    assert r2(predict.fit_ridge(*curve[:2]), curve[2]) < 0.2
    assert r2(predict.fit_network(*curve[:2]), curve[2]) > 0.7


def test_the_penalty_is_that_of_the_closed_form() -> None:
    (x, y), dev = data(60, 3), data(60, 4)
    z = (x - x.mean(0)) / (x.std(0) + 1e-6)
    fitted = [
        np.linalg.solve(z.T @ z + penalty * np.eye(6), z.T @ (y - y.mean())) for penalty in predict.PENALTIES
    ]
    dev_z = (dev[0] - x.mean(0)) / (x.std(0) + 1e-6)
    best = min(fitted, key=lambda w: ((dev[1] - y.mean() - dev_z @ w) ** 2).mean())
    assert np.allclose(predict.fit_ridge((x, y), dev)(dev[0]), y.mean() + dev_z @ best)


def test_subsets_have_the_minutes_that_are_requested() -> None:
    seconds = [10.0] * 30
    subsets = list(predict.speech_subsets(seconds, 1, 4))
    assert [len(s) for s in subsets] == [6] * 4 and len({tuple(s) for s in subsets}) == 4
    assert subsets == list(predict.speech_subsets(seconds, 1, 4))
    assert list(predict.speech_subsets(seconds, 5, 4)) == [list(range(30))]


def test_rows_are_phones_voiced_phones_and_gaps(spoken: Path) -> None:
    prepared = Prepared.open(spoken)
    contours, vectors = CorpusContours(prepared), predict.symbol_vectors(prepared)
    item = prepared.items("test")[0]
    states = vectors(item)
    rows = predict.rows_of(item, states, prepared, contours)
    durations = prepared.durations(item)
    assert durations is not None
    phones = [p for w in item.words for p in range(w.start, w.end) if durations[p]]
    assert np.allclose(rows["duration"][1], np.log1p(durations[phones]))
    assert np.array_equal(rows["energy"][0], states[phones])
    assert len(rows["pitch"][1]) < len(phones) and (rows["pitch"][1] != 0).all()
    assert len(rows["pauses"][1]) == len(item.words) - 1
    assert np.expm1(rows["pauses"][1]).sum() + durations[phones].sum() <= durations.sum()


def test_r2_is_about_the_mean_of_all_training_speech() -> None:
    def utterance(*values: float) -> predict.Rows:
        return {"duration": (np.zeros((len(values), 1)), np.array(values))}

    split = {"train": [utterance(1, 3)], "dev": [utterance(2)], "test": [utterance(2, 4), utterance(0)]}
    scored = predict.score(split, [[0]], "duration", lambda train, dev: lambda x: np.ones(len(x)))
    assert scored["parts"] == [[4 - 10, 4], [4 - 1, 4]] and scored["r2"] == pytest.approx(-3 / 8)


def test_the_plan_shares_stages_and_takes_the_texts(spoken: Path, tmp_path: Path) -> None:
    plan = screening.declare(data=spoken, size="small", seeds=(0, 1), texts=tmp_path)
    names = [j.name for j in plan.jobs]
    assert names.count("predict/symbols/0") == 1 and "predict/symbols/1" not in names
    assert [j.name for j in plan.chain("predict/1+3/1")] == [
        "speakers",
        "encoder/1/1",
        "encoder/1+3/1",
        "predict/1+3/1",
    ]
    stage1 = plan.job("encoder/1/0").arguments["overrides"]
    assert stage1["loop.steps"] == "3000" and stage1["texts"] == str(tmp_path)
    assert plan.job("encoder/random/0").arguments["overrides"]["loop.steps"] == "0"
    assert plan.job("encoder/2/0").arguments["init"] == "encoder/random/0"
    few = screening.declare(data=spoken, size="toy", arms=("2+3",))
    assert {j.name.rsplit("/", 1)[0] for j in few.jobs if "/" in j.name} == {
        "encoder/random",
        "encoder/2",
        "encoder/2+3",
        "retrieval/2+3",
        "predict/2+3",
    }
    with pytest.raises(UserError, match="unknown arm"):
        screening.declare(data=spoken, arms=("3",))


def test_the_combined_stage_is_added_without_changing_the_other_jobs(spoken: Path) -> None:
    before = screening.declare(data=spoken, seeds=(0, 1))
    after = screening.declare(data=spoken, seeds=(0, 1), arms=tuple(screening.ARMS))
    assert before.fingerprints.items() < after.fingerprints.items()
    added = {n for n in after.fingerprints if n not in before.fingerprints}
    kinds = ("encoder", "retrieval", "predict")
    assert added == {f"{k}/{a}/{s}" for k in kinds for a in screening.ADDED_ARMS for s in (0, 1)}
    assert after.job("encoder/1+combined/0").arguments["init"] == "encoder/1/0"
    assert after.job("encoder/combined/0").arguments["stage"] == "prosody.combined"
    margins = {c.measure: c.bounds for c in screening.COMBINED_CLAIMS if c.effect is not None}
    assert margins == {"R@1-diff": pytest.approx(0.0165), "R@1-sim": pytest.approx(0.012)}


def test_the_verb_knows_its_parts(spoken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["study", "prosody", "--data", str(spoken), "--output", str(tmp_path / "out"), "--dry-run"]
    assert cli.main([*line, "--only", "screening", "--seeds", "0,1,2"]) == 0
    printed = capsys.readouterr().out
    assert "study prosody screening: 11 arms" in printed
    # Stages 1 (3,000 steps of 1.4 s), 2 and 3, 15 minutes each; retrieval and predictions.
    assert "| 1+2+3 | 2 | 100 | none | 5.0 |" in printed and "| symbols | 0 | none | none | 3.0 |" in printed
    assert cli.main([*line, "--only", "screning"]) == 1
    assert 'unknown part "screning"' in capsys.readouterr().err
    line[1] = "ditto"
    assert cli.main([*line, "--only", "screening"]) == 1
    assert "has no parts" in capsys.readouterr().err


def test_claims_are_judged_by_the_mean_over_the_targets(spoken: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def results(level: float) -> dict:
        def target(scale: float) -> dict:
            total = scale * rng.uniform(1, 2, 30)
            return {"parts": [[t * (level + 0.01 * rng.normal()), t] for t in total]}

        by_target = {t: target(s) for t, s in zip(predict.TARGETS, (1, 10, 100, 1000), strict=True)}
        return {"ids": [f"u{i}" for i in range(30)], "ridge": {"10": by_target}}

    levels = {"1": 0.6, "random": 0.3}
    predicted = {
        (arm, seed): results(level + 0.01 * seed) for arm, level in levels.items() for seed in range(3)
    }
    plan = screening.declare(data=spoken, size="toy")
    read = page.ScreeningResults(predicted=predicted, space=page.prosody_page.read(plan, tmp_path))
    value = read.value("1", 0, "all")
    assert value is not None and value["estimate"] == pytest.approx(0.6, abs=0.02)
    claim = next(c for c in screening.CLAIMS if (c.arm, c.other) == ("1", "random"))
    assert decide(claim, read.test(claim, (0, 1, 2))) == "holds"
    assert decide(screening.CLAIMS[1], read.test(screening.CLAIMS[1], (0, 1, 2))) == "not measured"


@pytest.mark.slow
def test_the_toy_screening_runs_and_reports(
    spoken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = tmp_path / "more.txt"
    texts.write_text("Мороз и солнце, день чудесный.\nЕщё ты дремлешь, друг прелестный.\n", encoding="utf-8")
    line = ["study", "prosody", "--only", "screening", "--data", str(spoken), "--output", str(tmp_path / "o")]
    line += ["--size", "toy", "--workers", "1", "--texts", str(texts)]
    line += ["--arms", "symbols,random,1,1+2,1+3,1+combined"]
    assert cli.main(line) == 0
    assert "jobs done" in capsys.readouterr().out
    text = (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    assert (
        "What stage 1 knows of text" in text
        and "no arm failed" in text
        and "Ridge regression" in text
        and "stages 2 and 3 in one help more than stage 2" in text
        and "open: 1 seed, 3 needed" in text
    )
