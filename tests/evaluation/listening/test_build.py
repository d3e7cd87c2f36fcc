"""The test that is built: blind, reproducible, whole, and refused where it cannot be."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from intona import cli
from intona.audio import read_audio
from intona.errors import UserError
from intona.evaluation.finished import recall_wavs
from intona.evaluation.listen import KINDS, Listening, build_test
from intona.evaluation.listen.build import ANCHOR, HIDDEN
from intona.evaluation.listen.kinds import wording
from intona.evaluation.listen.order import Shuffler, fnv1a, order
from intona.evaluation.listen.sound import loudness

Make = Callable[..., Path]


def public(out: Path) -> dict[str, Any]:
    """What the page of a test knows."""
    source = (out / "test" / "index.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="test">(.*?)</script>', source, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_test_is_blind_and_reproducible(make_report: Make, tmp_path: Path, kind: Any):
    report = make_report()
    key = build_test([report], Listening(kind=kind, checks=2, seed=3), tmp_path / "a")
    build_test([report], Listening(kind=kind, checks=2, seed=3), tmp_path / "b")
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")
    other = build_test([report], Listening(kind=kind, checks=2, seed=4), tmp_path / "c")
    assert not set(other["clips"]) & set(key["clips"])
    # What raters get names no system, no utterance and no answer.
    source = (tmp_path / "a/test/index.html").read_text(encoding="utf-8")
    names = [p.name for p in (tmp_path / "a/test/audio").iterdir()]
    for secret in ("recording", "ours", "theirs", "u0", "u1", "word 0"):
        assert not re.search(rf"\b{secret}\b", json.dumps(public(tmp_path / "a")))
    assert "theirs" not in source and "word 0" not in source
    assert all(re.fullmatch(r"[0-9a-f]{16}\.flac", n) for n in names)
    # Every clip of the page is there and nothing else; levels and rates do not tell systems apart.
    page = public(tmp_path / "a")
    used = {c for t in page["trials"] + page["checks"] for c in [*t["clips"], t.get("reference")] if c}
    assert used == set(names)
    clips = [read_audio(tmp_path / "a/test/audio" / n) for n in names]
    assert {c.sample_rate for c in clips} == {22050}
    levels = [loudness(c) for c in clips]
    assert max(levels) - min(levels) < 0.1
    per_item = {"mos": 3, "intmos": 3, "cmos": 2, "mushra": 1}[kind]
    assert len(page["trials"]) == 3 * per_item and len(page["checks"]) == 2
    assert set(key["trials"]) == {t["id"] for t in page["trials"]}
    # An attention item looks like any other.
    assert {tuple(sorted(t)) for t in page["checks"]} == {tuple(sorted(t)) for t in page["trials"]}
    assert {len(t["clips"]) for t in page["checks"]} == {len(t["clips"]) for t in page["trials"]}


def test_mushra_has_a_hidden_reference_and_an_anchor(make_report: Make, tmp_path: Path):
    key = build_test([make_report()], Listening(kind="mushra", checks=0), tmp_path / "m")
    assert key["systems"] == [HIDDEN, "ours", "<b>theirs</b>", ANCHOR] and key["reference"] == "recording"
    page = public(tmp_path / "m")
    for trial in page["trials"]:
        systems = Counter(key["clips"][c]["system"] for c in trial["clips"])
        assert systems == Counter(key["systems"])
        hidden = next(c for c in trial["clips"] if key["clips"][c]["system"] == HIDDEN)
        assert hidden != trial["reference"]
        audio = tmp_path / "m/test/audio"
        assert (audio / hidden).read_bytes() == (audio / trial["reference"]).read_bytes()


def test_order_belongs_to_the_rater(make_report: Make, tmp_path: Path):
    build_test([make_report(items=8)], Listening(kind="mos", items=8, checks=2, per_rater=4), tmp_path / "o")
    page = public(tmp_path / "o")
    first, again, second = order(page, "p01"), order(page, "p01"), order(page, "p02")
    assert first == again and [t["id"] for t in first] != [t["id"] for t in second]
    checks = {t["id"] for t in page["checks"]}
    heard: Counter[str] = Counter()
    for n in range(200):
        mine = order(page, f"r{n}")
        assert len({t["id"] for t in mine}) == len(mine) == 4 * 3 + 2
        assert sum(t["id"] in checks for t in mine) == 2
        heard.update({t["group"] for t in mine if t["id"] not in checks})
        spoken = [t["group"] for t in mine if t["id"] not in checks]
        assert not any(a == b for a, b in itertools.pairwise(spoken))
    # Each item is drawn for half of the raters: 100 ± 7 (one sd) of 200.
    assert all(65 < count < 135 for count in heard.values()) and len(heard) == 8


def test_the_generator_is_the_published_one():
    """FNV-1a's own test vectors; mulberry32 from state 0 as its author's code gives it."""
    assert [fnv1a(s) for s in ("", "a", "foobar")] == [0x811C9DC5, 0xE40C292C, 0xBF9CF968]
    draw = Shuffler(0)
    drawn = [draw.below(1 << 32) / 2**32 for _ in range(3)]
    assert drawn == [0.26642920868471265, 0.0003297457005828619, 0.2232720274478197]
    assert sorted(Shuffler(5).shuffled(range(50))) == list(range(50))


def test_every_word_is_there_in_both_languages():
    for kind in KINDS:
        english, russian = wording(kind, "en"), wording(kind, "ru")  # type: ignore[arg-type]
        assert set(english) == set(russian) and len(english["labels"]) == len(russian["labels"])  # type: ignore
        assert english["question"] != russian["question"]
    assert "intonation only" in str(wording("intmos", "en")["question"])


def test_systems_of_two_reports(make_report: Make, tmp_path: Path):
    one, two = make_report("one", systems=("recording", "a")), make_report("two", systems=("b",))
    key = build_test([one, two], Listening(kind="mos", checks=0), tmp_path / "t")
    assert key["systems"] == ["recording", "a", "b"] and key["manifests"] == ["one", "two"]
    three = make_report("three", systems=("a",))
    with pytest.raises(UserError, match='two reports have a system "a" with different audio'):
        build_test([one, three], Listening(kind="mos"), tmp_path / "u")


def test_an_utterance_without_audio_is_left_out_and_said(make_report: Make, tmp_path: Path):
    report = make_report()
    (recall_wavs(report)["ours"] / "u1.wav").write_bytes(b"no sound")
    key = build_test([report], Listening(kind="mos", checks=0), tmp_path / "t")
    assert key["left_out"] == [{"id": "u1", "why": "no usable audio of ours"}]
    assert sorted(i["id"] for i in key["items"]) == ["u0", "u2"]


def run(*arguments: object) -> int:
    return cli.main(["listen", *map(str, arguments)])


def test_refusals(make_report: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    report = make_report()
    out = tmp_path / "t"
    partial = make_report("partial")
    (partial / "table.json").unlink()
    silent = make_report("silent")
    (silent / "wavs.json").unlink()
    gone = make_report("gone")
    (gone / "wavs.json").write_text('{"version": 1, "systems": {"recording": "nowhere"}}')
    for arguments, message in (
        ([report], "--kind: no kind of test"),
        ([report, "--kind", "mos"], "--output: no folder"),
        (["--kind", "mos", "-o", out], "no report"),
        ([partial, "--kind", "mos", "-o", out], "not a finished report (no table.json)"),
        ([silent, "--kind", "mos", "-o", out], "does not state where its audio is"),
        ([gone, "--kind", "mos", "-o", out], "no such folder"),
        ([report, "--kind", "mos", "-o", out, "--systems", "our"], 'did you mean "ours"?'),
        ([report, "--kind", "cmos", "-o", out, "--systems", "ours"], "at least two systems"),
        ([report, "--kind", "mos", "-o", out, "--items", "0"], "--items: 0 is less than 1"),
        ([report, "--kind", "mos", "-o", out, "--per-rater", "21"], "--per-rater: 21 is not between"),
        ([report, "--kind", "mos", "-o", out, "--wavs", "ours"], '--wavs: "ours" is not NAME=DIR'),
        ([report, "--kind", "mushra", "-o", out, "--reference", "x"], 'unknown system "x"'),
        ([report, "--kind", "mos", "-o", report], "already exists"),
    ):
        assert run(*arguments) == 1
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
        assert not out.exists()
    assert run(silent, "--kind", "mos", "-o", out, "--wavs", f"ours={tmp_path / 'silent-wavs1'}") == 0
    shown = capsys.readouterr()
    assert shown.out.strip() == str(out / "test" / "index.html")
    assert "3 items x 1 systems" in shown.err and "at least 20" in shown.err
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []
