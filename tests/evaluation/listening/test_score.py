"""Scores of listening tests: intervals against a closed form, files against the key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intona import cli
from intona.errors import UserError
from intona.evaluation.listen import Listening, build_test, read_key, read_ratings, score
from intona.evaluation.listen.order import order
from intona.evaluation.listen.score import crossed_mean

HEAD = "test,kind,wording,rater,position,trial,clip,versus,score,plays,seconds"


def panel(rng: np.random.Generator, raters: int, items: int, sd: tuple[float, float, float]) -> list[Any]:
    """y = rater + item + residual, mean 0."""
    a, b = rng.normal(0, sd[0], raters), rng.normal(0, sd[1], items)
    e = rng.normal(0, sd[2], (raters, items))
    return [(f"r{i}", f"i{j}", a[i] + b[j] + e[i, j]) for i in range(raters) for j in range(items)]


def test_the_interval_has_the_variance_of_the_closed_form():
    """Owen 2007: with R raters and I items the drawn variance is, on average, s²(rater means) / R +
    s²(item means) / I + (the residual's share twice more); s² the usual, times (R - 1) / R, (I - 1) / I."""
    rng = np.random.default_rng(0)
    ratings = panel(rng, 40, 30, (0.6, 0.4, 0.8))
    y = np.array([v for _, _, v in ratings]).reshape(40, 30)
    by_rater, by_item = y.mean(1).var() / 40, y.mean(0).var() / 30
    rest = (y - y.mean(1)[:, None] - y.mean(0) + y.mean()).var() / (40 * 30)
    sd = np.sqrt(by_rater + by_item + rest)
    found = crossed_mean(ratings, resamples=20_000)
    assert found.low is not None and found.high is not None
    assert found.estimate == pytest.approx(y.mean())
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(sd, rel=0.03)
    assert (found.n, found.raters, found.items) == (1200, 40, 30)
    # What treating ratings as independent would claim is far too narrow.
    assert (found.high - found.low) / 2 > 2.5 * 1.96 * y.std() / np.sqrt(y.size)


def test_the_interval_covers():
    """Simulated tests with a known mean: 95 % intervals hold it nearly as often as they say."""
    rng = np.random.default_rng(1)
    hits, significant, trials = 0, 0, 200
    for _ in range(trials):
        found = crossed_mean(panel(rng, 20, 20, (0.5, 0.4, 0.7)), resamples=400)
        assert found.low is not None and found.high is not None and found.p is not None
        hits += found.low <= 0 <= found.high
        significant += found.p < 0.05
    # 200 trials at 0.95: ± 3 sd = ± 0.046. The percentile interval of 20 and 20 falls a little short.
    assert 0.90 <= hits / trials <= 1.0
    assert significant / trials <= 0.10


def test_few_raters_and_items():
    one = crossed_mean([("r", "i", 4.0)])
    assert (one.estimate, one.low, one.high, one.p) == (4.0, None, None, None)
    lone = crossed_mean([("r", f"i{j}", float(j % 2)) for j in range(10)], resamples=2000)
    assert lone.low is not None and lone.low < 0.5 < lone.high  # type: ignore[operator]
    assert lone.raters == 1
    # A sparse design: every rater hears one item of his own.
    sparse = crossed_mean([(f"r{j}", f"i{j}", float(j)) for j in range(4)], resamples=2000)
    assert sparse.estimate == 1.5 and sparse.low is not None and np.isfinite(sparse.low)


class Panel:
    """Raters of a built test who answer by rule, and their CSV files."""

    def __init__(self, out: Path) -> None:
        self.out, self.key = out, read_key(out)
        source = (out / "test/index.html").read_text(encoding="utf-8")
        self.test = json.loads(source.partition('id="test">')[2].partition("</script>")[0])

    def rate(
        self,
        rater: str,
        liking: Callable[[str, str], int],
        *,
        careless: bool = False,
        stop: int | None = None,
    ) -> Path:
        """`liking(system, item)` gives the score; CMOS subtracts the first from the second."""
        lines, kind = [HEAD], self.key["kind"]
        for position, trial in enumerate(order(self.test, rater)[:stop], start=1):
            check = self.key["checks"].get(trial["id"])
            worth = check["beeps"] if check else None
            if worth is None:
                found = {c: self.key["clips"][c] for c in trial["clips"]}
                worth = {c: liking(f["system"], f["item"]) for c, f in found.items()}
            clips = trial["clips"]
            if kind == "cmos":
                difference = worth[clips[1]] - worth[clips[0]]
                if check:
                    difference = (3 if difference > 0 else -3) * (-1 if careless else 1)
                rows = [(clips[1], clips[0], difference)]
            else:
                scale = 10 if check and kind == "mushra" else 1
                slip = (1 if worth[clips[0]] < 5 else -1) * scale if check and careless else 0
                rows = [(c, "", worth[c] * scale + slip) for c in clips]
            start = f"{self.test['id']},{kind},{self.test['version']},{rater},{position},{trial['id']}"
            lines += [f"{start},{clip},{versus},{value},1,2.0" for clip, versus, value in rows]
        path = self.out.parent / f"{rater}.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path


@pytest.fixture
def panel_of(make_report: Callable[..., Path], tmp_path: Path) -> Callable[..., Panel]:
    def make(kind: Any, *, items: int = 3, name: str = "t", **more: Any) -> Panel:
        report = tmp_path / "report"
        report = report if report.exists() else make_report(items=items)
        build_test([report], Listening(kind=kind, **more), tmp_path / name)
        return Panel(tmp_path / name)

    return make


def test_means_differences_and_who_is_left_out(panel_of: Callable[..., Panel]):
    panel = panel_of("mos", checks=2)
    liking = {"recording": 5, "ours": 4, "<b>theirs</b>": 2}
    files = [panel.rate(f"r{i}", lambda s, _, i=i: liking[s] - i % 2) for i in range(6)]
    files.append(panel.rate("bad", lambda *_: 1, careless=True))
    files.append(panel.rate("half", lambda s, _: liking[s], stop=4))
    found = read_ratings(files, panel.key)
    assert found.failed_checks["bad"] == 2 and found.incomplete == ("half",)
    scores = score(found, panel.key, resamples=1000)
    assert scores.excluded == {"failed an attention item": ("bad",)}
    assert scores.raters == 7 and scores.items == 3 and scores.incomplete == 1
    means = dict(scores.systems)
    half = [r for r in found.ratings if r.rater == "half" and r.system == "ours"]
    assert means["ours"].estimate == pytest.approx((6 * 3 * 3.5 + 4 * len(half)) / (18 + len(half)))
    # The same rater and item on both sides: liking's own differences, without any spread.
    contrasts = {(c.system, c.against): c.mean for c in scores.contrasts}
    assert len(contrasts) == 3
    mean = contrasts["<b>theirs</b>", "recording"]
    assert (mean.estimate, mean.low, mean.high) == (-3.0, -3.0, -3.0) and mean.p is not None and mean.p < 0.01
    forgiven = score(found, panel.key, allowed=2, resamples=100)
    assert forgiven.excluded == {} and forgiven.raters == 8


def test_cmos_is_turned_to_one_side(panel_of: Callable[..., Panel]):
    panel = panel_of("cmos", checks=1)
    liking = {"recording": 4, "ours": 3, "<b>theirs</b>": 2}
    files = [panel.rate(f"r{i}", lambda s, _: liking[s]) for i in range(4)]
    found = read_ratings(files, panel.key)
    assert len({r.rater for r in found.ratings}) == 4 and not any(found.failed_checks.values())
    scores = score(found, panel.key, resamples=100)
    assert scores.systems == ()
    assert {(c.system, c.against, c.mean.estimate) for c in scores.contrasts} == {
        ("ours", "recording", -1.0),
        ("<b>theirs</b>", "recording", -2.0),
    }
    careless = panel.rate("bad", lambda s, _: liking[s], careless=True)
    assert read_ratings([careless], panel.key).failed_checks == {"bad": 1}


def test_mushra_screens_those_who_miss_the_hidden_reference(panel_of: Callable[..., Panel]):
    panel = panel_of("mushra", checks=1)
    liking = {"hidden reference": 98, "ours": 60, "<b>theirs</b>": 40, "anchor (3.5 kHz)": 20}
    files = [panel.rate(f"r{i}", lambda s, _: liking[s]) for i in range(3)]
    files.append(panel.rate("deaf", lambda s, _: 50))
    scores = score(read_ratings(files, panel.key), panel.key, resamples=100)
    assert scores.excluded == {"rated the hidden reference below 90 too often": ("deaf",)}
    assert {name: m.estimate for name, m in scores.systems} == liking and scores.raters == 3


def test_the_command(panel_of: Callable[..., Panel], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    panel = panel_of("intmos", checks=1)
    files = [panel.rate(f"r{i}", lambda s, item, i=i: 3 + (len(s) + i + int(item[1])) % 3) for i in range(5)]
    json_file = tmp_path / "scores.json"
    arguments = ["listen", "--score", *map(str, files), "--key", str(panel.out), "--json", str(json_file)]
    assert cli.main(arguments) == 0
    shown = capsys.readouterr().out
    assert 'IntMOS (intonation): "How natural is the intonation' in shown
    assert (
        "5 raters, 3 items, 45 ratings" in shown and "Excluded: none (1 attention items per rater)." in shown
    )
    assert "| ours | recording |" in shown
    assert json.loads(json_file.read_text())["ratings"] == 45


def test_a_key_that_was_changed_is_refused(panel_of: Callable[..., Panel]):
    panel = panel_of("mos", checks=1)
    for changes in ({"kind": []}, {"kind": "x"}, {"trials": []}, {"items": []}, {"checks": {"a": 1}}):
        (panel.out / "key.json").write_text(json.dumps(panel.key | changes))
        with pytest.raises(UserError, match=r"key\.json"):
            read_key(panel.out)


def test_files_that_are_refused(
    panel_of: Callable[..., Panel], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    panel = panel_of("mos", checks=1)
    good = panel.rate("r0", lambda *_: 3)
    text = good.read_text(encoding="utf-8")
    lines = text.splitlines()
    cells = lines[1].split(",")
    other = panel_of("mos", checks=1, seed=9, name="other").rate("r1", lambda *_: 3)

    def changed(**new: str) -> str:
        row = dict(zip(HEAD.split(","), cells, strict=True)) | new
        return f"{HEAD}\n{','.join(row.values())}\n"

    bad = tmp_path / "bad.csv"
    for content, message in (
        ("", "no column test, kind"),
        (text.replace(",score,", ",mark,"), "no column score"),
        (text + lines[1] + "\n", 'line 12: rater "r0" already judged this clip, at'),
        (changed(trial="0" * 16), 'line 2: unknown trial "0000000000000000"'),
        (changed(clip="x.flac"), 'clip "x.flac" is not part of this trial'),
        (changed(score="6"), 'score "6" is not an integer from 1 to 5'),
        (changed(score="nan"), 'score "nan" is not an integer'),
        (changed(score="3.5"), 'score "3.5" is not an integer'),
        (changed(rater=""), "no rater code"),
        (changed(kind="intmos"), 'kind is "intmos", in the key "mos"'),
        (HEAD + "\n", "no rating in these files"),
        (f"{HEAD}\na,b\n", "line 2: the number of fields"),
        (f'{HEAD}\n"a', "not CSV"),
        ("\x00" * 10, "no column"),
    ):
        bad.write_text(content, encoding="utf-8")
        assert cli.main(["listen", "--score", str(bad), "--key", str(panel.out)]) == 1
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    bad.write_bytes(b"\xff\xfe\x00")
    for files, key, message in (
        ([bad], panel.out, "not UTF-8"),
        ([tmp_path / "none.csv"], panel.out, "cannot be read"),
        ([good, other], panel.out, "score each test with its own key"),
        ([good, good], panel.out, "already judged this clip"),
        ([good], tmp_path, "no key.json"),
        ([good], None, "--key: no key"),
    ):
        where = [] if key is None else ["--key", str(key)]
        assert cli.main(["listen", "--score", *map(str, files), *where]) == 1
        assert message in capsys.readouterr().err
    careless = panel.rate("r9", lambda *_: 3, careless=True)
    with pytest.raises(UserError, match="all 1 raters are excluded"):
        score(read_ratings([careless], panel.key), panel.key)
