"""The page of a report: escaped, whole, small, and showing what the files say."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from intona.audio import Audio
from intona.errors import UserError
from intona.evaluation.finished import read_report, recall_wavs, remember_wavs
from intona.evaluation.html import Page, Section, figures, join, parts, tag, write_html
from intona.evaluation.html import cards as cards_module
from intona.evaluation.html.transcript import align_words, marked
from intona.evaluation.judges.wer import count_edits
from intona.evaluation.records import RecordFile, ScoreRecord, records_digest
from intona.evaluation.stats import Interval

EVIL = '<script>alert("x")</script>'
VOID = {"meta", "img", "br", "hr", "input", "source", "link", "path", "use"}


class Reader(HTMLParser):
    """Checks nesting; collects tags, attributes and text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def report_of(
    directory: Path, systems: list[str], texts: dict[str, str], *, failed: tuple[tuple[str, str], ...] = ()
) -> Path:
    """A small report directory as `evaluate` leaves it: one error a sentence, more for later systems."""
    directory.mkdir()
    measure = {"name": "wer", "title": "WER", "pooled": True, "failed": 1.0, "better": "lower", "digits": 3}
    other = {"name": "mos", "title": "Guess", "pooled": False, "failed": 1.0, "better": "higher", "digits": 2}
    interval = {"estimate": 0.25, "low": 0.125, "high": 0.375, "n": len(texts), "clusters": len(texts)}
    cell = {"counted": interval, "scored": interval, "macro": interval, "macro_scored": interval}
    rows, records = [], []
    for number, name in enumerate(systems):
        gone = [u for s, u in failed if s == name]
        rows.append(
            {
                "name": name,
                "n": len(texts),
                "scored": len(texts) - len(gone),
                "failures": {"missing": len(gone)} if gone else {},
                "extra_files": 0,
                "cells": {"wer": {**cell, "flagged": False}},
            }
        )
        for place, (utterance, text) in enumerate(texts.items()):
            bad = utterance in gone
            value = 1.0 if bad else 0.1 * number + 0.01 * place
            records.append(
                ScoreRecord(
                    system=name,
                    id=utterance,
                    speaker="",
                    text=text,
                    measure="wer",
                    status="missing" if bad else "ok",
                    value=value,
                    numerator=value,
                    denominator=1.0,
                    detail={"hypothesis": "" if bad else " ".join(text.split()[1:])},
                    judge="j",
                    key="k",
                )
            )
    paired = {"difference": 0.1, "low": 0.05, "high": 0.15, "p": 0.0004, "n": len(texts), "clusters": 1}
    table: dict[str, Any] = {
        "version": 1,
        "n": len(texts),
        "speakers": 1,
        "manifest_sha256": "a" * 64,
        "measures": [measure, other],
        "unavailable": {"mos": {"reason": "not installed", "hint": f"pip install {EVIL}"}},
        "rows": rows,
        "differences": [
            {"system": s, "against": systems[0], "measure": "wer", "paired": paired, "p_holm": 0.0008}
            for s in systems[1:]
        ],
        "judges": {"asr": {"model": EVIL, "language": "ru"}},
        "resamples": 10000,
        "seed": 0,
        "recording": "recording",
    }
    RecordFile(directory / "records.jsonl").replace(records)
    table["records_sha256"] = records_digest(records)
    (directory / "table.json").write_text(json.dumps(table), encoding="utf-8")
    lines = [json.dumps({"id": u, "text": t, "speaker": ""}, ensure_ascii=False) for u, t in texts.items()]
    (directory / "manifest.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return directory


@pytest.fixture
def report(tmp_path: Path) -> Path:
    texts = {f"u{i}": f"слово {i} и {EVIL}" for i in range(4)}
    return report_of(tmp_path / "report", ["recording", EVIL], texts, failed=((EVIL, "u3"),))


@pytest.fixture
def wavs(tmp_path: Path, voice: Callable[..., Audio]) -> dict[str, Path]:
    found = {}
    for number, name in enumerate(["recording", EVIL]):
        folder = tmp_path / f"wavs{number}"
        folder.mkdir()
        for i in range(4 - number):
            voice(0.4, f0=110 + 20 * number + i).write(folder / f"u{i}.wav")
        found[name] = folder
    return found


def test_the_page_holds_all_and_runs_nothing_of_others(report: Path, wavs: dict[str, Path]):
    page = write_html(report, wavs=wavs, utterances=["u0", "u3"])
    source = page.read_text(encoding="utf-8")
    read = Reader(source)
    assert [a for a in read.all("script")] == [{}]  # one script, ours
    assert EVIL not in source and "alert(&quot;x&quot;)" in source
    assert sum(EVIL in w for w in read.words) > 4  # seen as text, where it was given
    # Nothing is fetched: every reference is an anchor of the page or data inside it.
    for _, attributes in read.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href", "poster", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#"))
    assert not re.search(r"url\((?!#)|@import", source)
    policy = next(a for a in read.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in str(policy["content"]) and "unsafe-eval" not in str(policy["content"])
    ids = [a["id"] for _, a in read.tags if "id" in a]
    links = [str(a["href"])[1:] for a in read.all("a")]
    assert set(links) <= set(ids)
    # Failures: counted, listed, and said on the card; the audio of the others is what the file holds.
    assert "3/4 (1 missing)" in source and "1 of 8 outputs" in source
    clips = read.all("audio")
    assert len(clips) == 3 and all(a["aria-label"] for a in clips)
    raw = base64.b64decode(str(clips[0]["src"]).partition(",")[2])
    samples, rate = soundfile.read(io.BytesIO(raw))
    wanted, wanted_rate = soundfile.read(wavs["recording"] / "u0.wav")
    assert rate == wanted_rate and np.array_equal(samples, wanted)
    labels = [a.get("aria-label") for a in read.all("svg")]
    assert len(labels) == 1 + 3 and all(labels)


def test_figures_of_the_page_are_those_of_the_files(report: Path, wavs: dict[str, Path]):
    words = Reader(write_html(report, wavs={}, utterances=0).read_text(encoding="utf-8")).words
    for shown in ("0.250", "[0.125, 0.375]", "+0.100", "[+0.050, +0.150]", "< .001", "not installed"):
        assert shown in words


def test_distillmos_stands_in_the_headline_and_the_robust_figure_in_the_tables(report: Path):
    path = report / "table.json"
    table = json.loads(path.read_text(encoding="utf-8"))
    interval = {"low": None, "high": None, "n": 4, "clusters": 4}
    names = ["x0", "cer", "x1", "x2", "distillmos"]
    table["measures"][0]["capped"] = True
    table["measures"] += [
        {"name": n, "title": n.upper(), "pooled": False, "failed": 1.0, "better": "lower", "digits": 2}
        for n in names
    ]
    for row in table["rows"]:
        row["cells"]["wer"]["robust"] = row["cells"]["wer"]["robust_scored"] = {**interval, "estimate": 0.77}
        for n in names:
            figure = {**interval, "estimate": 4.25}
            row["cells"][n] = {"counted": figure, "scored": figure, "flagged": False}
    path.write_text(json.dumps(table), encoding="utf-8")
    source = write_html(report, wavs={}, utterances=0).read_text(encoding="utf-8")
    headline = source[source.index('id="headline"') : source.index('id="counted"')]
    titles = re.findall(r"<dt>(.*?) ↓</dt>", headline)
    assert titles == ["WER", "CER", "DISTILLMOS"] * 2
    assert source.count("WER robust ↓") == 2 and source.count(">0.770<") == 4


def test_names_of_systems_stay_on_one_line():
    style = (Path(figures.__file__).parent / "style.css").read_text(encoding="utf-8")
    rule = re.search(r"\ntbody th \{(.*?)\}", style)
    assert rule and "white-space: nowrap" in rule[1]
    assert not re.search(r"th[^{}]*\{[^}]*(overflow-wrap: anywhere|word-break|max-width)", style)


def test_utterances_are_chosen_by_rank(report: Path):
    finished = read_report(report)
    picked, rule = cards_module.choose(finished, 2)
    # u3 is worst: one of its outputs is missing. u0 is best. The rule is said.
    assert picked == ["u3", "u0"] and "chosen by rule" in rule
    assert cards_module.choose(finished, 99)[0] == ["u0", "u1", "u2", "u3"]
    assert cards_module.choose(finished, ["u2", "u1"])[0] == ["u2", "u1"]
    with pytest.raises(UserError, match='unknown utterance "u9"'):
        cards_module.choose(finished, ["u9"])


def test_a_page_too_big_is_compressed_and_then_cut(
    report: Path, wavs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    whole = write_html(report, wavs=wavs, utterances=4)
    assert "FLAC, lossless" in whole.read_text(encoding="utf-8")
    monkeypatch.setattr(cards_module, "LOSSLESS_BYTES", 1000)
    monkeypatch.setattr(cards_module, "MOST_BYTES", 80_000)
    source = write_html(report, wavs=wavs, utterances=4).read_text(encoding="utf-8")
    clips = Reader(source).all("audio")
    assert "Ogg Opus" in source and "did not fit" in source and 0 < len(clips) < 7
    raw = base64.b64decode(str(clips[0]["src"]).partition(",")[2])
    assert soundfile.info(io.BytesIO(raw)).subtype == "OPUS"


def test_reports_that_are_not_whole_are_refused(report: Path, wavs: dict[str, Path], tmp_path: Path):
    with pytest.raises(UserError, match="no such report"):
        write_html(tmp_path / "none", wavs={})
    with pytest.raises(UserError, match='unknown system "else"'):
        write_html(report, wavs={"else": tmp_path})
    with pytest.raises(UserError, match="no such folder"):
        write_html(report, wavs={"recording": tmp_path / "none"})
    partial = tmp_path / "partial"
    shutil.copytree(report, partial)
    (partial / "table.json").unlink()
    with pytest.raises(UserError, match=r"not a finished report \(no table.json\)"):
        write_html(partial, wavs=wavs)
    assert not (partial / "report.html").exists()
    (partial / "table.json").write_text('{"version": 1, "rows": [{"name": 3}]}')
    with pytest.raises(UserError, match="not a table of this version"):
        write_html(partial, wavs=wavs)
    shutil.copy(report / "table.json", partial)
    (partial / "records.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match=r"line 1: not a record"):
        write_html(partial, wavs=wavs)


def test_a_table_that_was_changed_is_refused(report: Path):
    path = report / "table.json"
    table = json.loads(path.read_text())
    measure, row, difference = table["measures"][0], table["rows"][0], table["differences"][0]
    for changes in (
        {"measures": [{k: v for k, v in measure.items() if k != "title"}]},
        {"measures": [measure | {"digits": 10**8}]},
        {"rows": [{k: v for k, v in row.items() if k != "failures"}]},
        {"rows": [row | {"cells": {}}]},
        {"differences": [difference | {"p_holm": "x"}]},
        {"differences": [difference | {"measure": "zz"}]},
        {"unavailable": ["mos"]},
    ):
        path.write_text(json.dumps(table | changes))
        with pytest.raises(UserError, match=r"table\.json"):
            write_html(report, wavs={})


def test_folders_are_remembered_beside_the_report(report: Path, wavs: dict[str, Path], tmp_path: Path):
    assert recall_wavs(report) == {}
    remember_wavs(report, wavs)
    assert {k: v.resolve() for k, v in recall_wavs(report).items()} == wavs
    assert str(tmp_path) not in (report / "wavs.json").read_text()
    (report / "wavs.json").write_text("[]")
    with pytest.raises(UserError, match=r"wavs\.json: expected"):
        recall_wavs(report)


@given(st.lists(st.sampled_from("абв"), min_size=1, max_size=8), st.lists(st.sampled_from("абв"), max_size=8))
def test_marks_are_a_best_alignment(reference: list[str], hypothesis: list[str]):
    steps = align_words(reference, hypothesis)
    assert [said for kind, said, _ in steps if kind != "added"] == reference
    assert [heard for kind, _, heard in steps if kind != "missing"] == hypothesis
    edits = count_edits(reference, hypothesis)
    kinds = [kind for kind, _, _ in steps]
    assert kinds.count("other") == edits.substitutions
    assert kinds.count("missing") == edits.deletions and kinds.count("added") == edits.insertions


def test_marked_words():
    assert marked("мама мыла раму", "мама раму и") == "мама <del>мыла</del> раму <ins>и</ins>"
    assert marked("дом", "том") == '<span class="swap"><del>дом</del> <ins>том</ins></span>'
    assert marked("дом", "") == "<em>nothing</em>"


@given(st.text(max_size=40))
def test_any_text_comes_back_from_the_page(text: str):
    source = tag("p", text, title=text)
    read = Reader(source)
    # HTML has no NUL and one kind of line break; the parser of the standard library leaves both alone.
    assert "".join(read.words) == text and read.all("p")[0]["title"] == text


def test_plots_take_their_colours_from_the_page():
    value = Interval(estimate=0.675, low=0.1, high=0.9, n=3, clusters=3)
    picture = figures.intervals("$x_<b>$ ↓", ["a & <i>", "b"], [value, None])
    assert "var(--c0)" in picture and "var(--ink)" in picture
    assert not re.search(r"#0[14]0[25]0[36]|#0a0b|<style|<b>|<i>", picture)
    assert 'aria-label="$x_&lt;b&gt;$ ↓: a &amp; &lt;i&gt; 0.68, 0.10 to 0.90; b no value"' in picture
    Reader(picture)


def test_parts_for_other_pages(tmp_path: Path):
    """What a study needs: its own sections, a table with intervals, written whole."""
    body = join(
        [
            parts.table(
                "one & two", ["arm", "MOS"], [["a", parts.interval({"estimate": 1.0, "n": 2}, expected=3)]]
            ),
            parts.Tile(title="t", lines=[("x", "1")], note="<n>").render(),
        ]
    )
    page = Page(title="A <study>", sections=[Section(id="s", title="S", body=body, lead=["one", "two"])])
    source = page.write(tmp_path / "deep" / "study.html").read_text(encoding="utf-8")
    read = Reader(source)
    assert "A <study>" in read.words and "n = 2" in read.words and "<n>" in read.words
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["study.html"]


def test_a_report_of_an_earlier_version_that_calls_a_hint_mend(report: Path):
    table = json.loads((report / "table.json").read_text(encoding="utf-8"))
    table["unavailable"] = {"mos": {"reason": "not installed", "mend": "get it"}}
    (report / "table.json").write_text(json.dumps(table), encoding="utf-8")
    assert read_report(report).table["unavailable"]["mos"]["hint"] == "get it"
