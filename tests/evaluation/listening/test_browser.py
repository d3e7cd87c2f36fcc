"""The listening test in a real browser, by keyboard, from the first page to the CSV and its score."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from intona.evaluation.html import write_html
from intona.evaluation.listen import Listening, build_test, read_ratings, score
from intona.evaluation.listen.order import order

pytestmark = pytest.mark.slow
RATER = "rater-01"
HEARD = "b.textContent.endsWith('✓')"
BEST = {"recording": 5, "ours": 3, "<b>theirs</b>": 1}
SLIDES = {"hidden reference": 100, "ours": 60, "<b>theirs</b>": 30, "anchor (3.5 kHz)": 10}


def answer(browser: Any, key: dict[str, Any], trial: dict[str, Any]) -> None:
    """What an attentive rater with fixed likes would press."""
    check = key["checks"].get(trial["id"])
    worth = check["beeps"] if check else {c: key["clips"][c]["system"] for c in trial["clips"]}
    if key["kind"] == "mushra":
        for clip, found in worth.items():
            value = 10 * found if check else SLIDES[found]
            # One step short by script, the last by the arrow key.
            slider = f"document.querySelector('[data-clip=\"{clip}\"]')"
            browser.js(f"(e => {{ e.value = {value - 1}; e.focus() }})({slider})")
            browser.key("ArrowRight")
    elif key["kind"] == "cmos":
        first, second = (worth[c] if check else BEST[worth[c]] for c in trial["clips"])
        wanted = (3 if second > first else -3) if check else (second - first) // 2
        browser.key(str(wanted + 4))
    else:
        (found,) = worth.values()
        browser.key(str(found if check else BEST[found]))


def hear(browser: Any, trial: dict[str, Any]) -> None:
    names = ["r"] if "reference" in trial else []
    names += [chr(97 + i) for i in range(len(trial["clips"]))]
    if names == ["a"]:
        names = ["Space"]
    for done, name in enumerate(names, start=1):
        browser.key(name, types="и" if name == "b" else None)  # as a Russian keyboard has it
        browser.wait(f"[...document.querySelectorAll('.play')].filter(b => {HEARD}).length >= {done}")


@pytest.mark.parametrize("kind", ["intmos", "cmos", "mushra"])
def test_a_rater_goes_through(browser: Any, make_report: Callable[..., Path], tmp_path: Path, kind: Any):
    key = build_test([make_report(items=2)], Listening(kind=kind, checks=1), tmp_path / "t")
    page = tmp_path / "t/test/index.html"
    source = page.read_text(encoding="utf-8")
    data = re.search(r'id="test">(.*?)</script>', source, re.DOTALL)
    assert data is not None
    test = json.loads(data[1])
    browser.open(page)
    for code in ("p01", "x", "A-b_9"):  # both sides shuffle alike
        mine = [[t["id"], t["clips"]] for t in order(test, code)]
        assert browser.js(f"order({code!r}).map(t => [t.id, t.clips])") == mine

    browser.key("Enter")
    assert "Letters, digits" in browser.js("document.querySelector('[role=alert]').textContent")
    browser.type(RATER.upper())
    browser.key("Enter")
    trials = order(test, RATER)
    for number, trial in enumerate(trials, start=1):
        shown = f"Item {number} of {len(trials)}"
        browser.wait(f"document.querySelector('.count')?.textContent === {shown!r}")
        if number == 1:
            browser.key("Enter")
            browser.wait("document.querySelector('#status').textContent.startsWith('Hear every clip')")
        hear(browser, trial)
        if number == 1:
            browser.key("Enter")
            browser.wait("document.querySelector('#status').textContent.startsWith('Answer first')")
        answer(browser, key, trial)
        browser.key("Enter")
        if number == 2:  # a reload loses nothing
            browser.wait("document.querySelector('.count')?.textContent.startsWith('Item 3')")
            browser.open(page)
            assert browser.js("document.querySelector('#code').value") == RATER
            browser.key("Enter")
    browser.wait("document.querySelector('#csv')")
    browser.js("document.querySelector('#download').click()")
    saved = tmp_path / "downloads" / f"results-{test['id']}-{RATER}.csv"
    until = time.monotonic() + 300
    while not saved.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert saved.read_text(encoding="utf-8") == browser.js("document.querySelector('#csv').value")
    assert browser.complaints == []
    assert all(r.startswith(("file:", "blob:")) for r in browser.requests)
    assert "undefined" not in saved.read_text() and "null" not in browser.js("document.body.innerText")

    found = read_ratings([saved], key)
    assert found.raters == (RATER,) and found.incomplete == ()
    assert found.failed_checks == {RATER: 0} and found.seen_checks == {RATER: 1}
    scores = score(found, key, resamples=200)
    if kind == "cmos":
        assert {c.system: c.mean.estimate for c in scores.contrasts} == {"ours": -1.0, "<b>theirs</b>": -2.0}
    else:
        wanted = SLIDES if kind == "mushra" else BEST
        assert {name: mean.estimate for name, mean in scores.systems} == wanted


@pytest.mark.parametrize("dark", [False, True])
def test_the_report_page_opens(browser: Any, make_report: Callable[..., Path], dark: bool):
    """No request, no refusal by its own policy, sound that plays, no sideways scrolling on a phone."""
    page = write_html(make_report(items=2), utterances=1)
    browser.screen(width=390, dark=dark, touch=True)
    browser.open(page)
    assert browser.complaints == []
    assert all(r.startswith(("file:", "data:")) for r in browser.requests)
    assert sum(r.startswith("file:") for r in browser.requests) == 1
    width = browser.js("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert width[0] <= width[1]
    browser.wait("[...document.querySelectorAll('audio')].every(a => a.duration > 0.2)")
    assert browser.js("document.querySelectorAll('audio').length") == 3
    # Text against its ground: the contrast of WCAG AA in both schemes.
    ink, paper = browser.js(
        "['--ink', '--paper'].map(n => getComputedStyle(document.documentElement).getPropertyValue(n))"
    )
    light, low = sorted((luminance(ink), luminance(paper)), reverse=True)
    assert (luminance(paper) < 0.5) == dark and (light + 0.05) / (low + 0.05) > 7
    # By keyboard: the first stop skips to the content.
    browser.key("Tab")
    assert browser.js("document.activeElement.className") == "skip"
    browser.key("Enter")
    browser.wait("location.hash === '#content'")


def luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb" (WCAG 2)."""
    parts = [int(colour.strip()[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
