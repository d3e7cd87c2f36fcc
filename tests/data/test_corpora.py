"""Readers of published layouts, each on a small tree laid out the same way."""

from __future__ import annotations

import contextlib
import gzip
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intona import registry
from intona.data.corpora import BadLine, Record, read_corpus
from intona.errors import UserError


def put(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def read(layout: str, root: Path, **kw: object) -> tuple[list[Record], list[BadLine]]:
    entries = list(read_corpus(layout, root, **kw))  # type: ignore[arg-type]
    return [e for e in entries if isinstance(e, Record)], [e for e in entries if isinstance(e, BadLine)]


def show(r: Record, root: Path) -> tuple[str, str, str, str, str | None]:
    return r.id, r.audio.relative_to(root).as_posix(), r.text, r.speaker, r.language


def test_ljspeech(tmp_path: Path) -> None:
    root = put(
        tmp_path,
        {
            "metadata.csv": "LJ001-0001|In 1455|In fourteen fifty-five\nLJ001-0002|Plain|\nbroken\n",
            "wavs/LJ001-0001.wav": b"",
            "wavs/LJ001-0002.wav": b"",
        },
    )
    good, bad = read("ljspeech", root)
    assert [show(r, root) for r in good] == [
        ("LJ001-0001", "wavs/LJ001-0001.wav", "In fourteen fifty-five", "LJ", "en"),
        ("LJ001-0002", "wavs/LJ001-0002.wav", "Plain", "LJ", "en"),
    ]
    assert [(b.id, b.reason) for b in bad] == [("metadata.csv:3", "bad line")]


def test_ruslan_with_a_byte_order_mark(tmp_path: Path) -> None:
    root = put(
        tmp_path,
        {
            "metadata_RUSLAN_22200.csv": "\ufeff000000_RUSLAN|С тр+евожным\r\n",
            "RUSLAN/000000_RUSLAN.wav": b"",
        },
    )
    good, bad = read("ruslan", root)
    assert [show(r, root) for r in good] == [
        ("000000_RUSLAN", "RUSLAN/000000_RUSLAN.wav", "С тр+евожным", "RUSLAN", "ru")
    ]
    assert not bad


def test_libritts(tmp_path: Path) -> None:
    base = "train-clean-100/103/1240/103_1240_000000_000001"
    root = put(
        tmp_path,
        {
            f"{base}.wav": b"",
            f"{base}.normalized.txt": "One thousand.",
            f"{base}.original.txt": "1000.",
            f"{base[:-1]}2.wav": b"",
        },
    )
    good, bad = read("libritts", root)
    assert [show(r, root) for r in good] == [
        ("103_1240_000000_000001", f"{base}.wav", "One thousand.", "103", "en")
    ]
    assert [(b.id, b.reason) for b in bad] == [("103_1240_000000_000002", "no text")]


@pytest.mark.parametrize(
    "audio", ["wav48_silence_trimmed/p225/p225_001_mic1.flac", "wav48/p225/p225_001.wav"]
)
def test_vctk_old_and_new(tmp_path: Path, audio: str) -> None:
    root = put(tmp_path, {"txt/p225/p225_001.txt": "Please call Stella.\n", audio: b""})
    good, bad = read("vctk", root)
    assert [show(r, root) for r in good] == [("p225_001", audio, "Please call Stella.", "p225", "en")]
    assert not bad


def test_esd_in_its_encodings(tmp_path: Path) -> None:
    root = put(
        tmp_path,
        {
            "0001/0001.txt": "0001_000001\t打远一看\t中立\n".encode("gb18030"),
            "0001/中立/0001_000001.wav": b"",
            "0011/0011.txt": "0011_000001\tThe nine\tNeutral\n\n0011_000002\n".encode("utf-16"),
            "0011/Neutral/train/0011_000001.wav": b"",
        },
    )
    good, bad = read("esd", root)
    assert [show(r, root) for r in good] == [
        ("0001_000001", "0001/中立/0001_000001.wav", "打远一看", "0001", "zh"),
        ("0011_000001", "0011/Neutral/train/0011_000001.wav", "The nine", "0011", "en"),
    ]
    assert [b.reason for b in bad] == ["bad line"]


def test_commonvoice(tmp_path: Path) -> None:
    head = "client_id\tpath\tsentence\tup_votes\tlocale\n"
    rows = "ab12\tcv_ru_1.mp3\tПривет\t2\tru\nab12\tcv_ru_2.mp3\tбез\n"
    root = put(tmp_path, {"validated.tsv": head + rows, "clips/cv_ru_1.mp3": b""})
    good, bad = read("commonvoice", root)
    assert [show(r, root) for r in good] == [("cv_ru_1", "clips/cv_ru_1.mp3", "Привет", "ab12", "ru")]
    assert [b.reason for b in bad] == ["bad line"]
    put(root, {"validated.tsv": "a\tb\n1\t2\n"})
    with pytest.raises(UserError, match="lacks the columns"):
        read("commonvoice", root)


def test_festvox_and_arctic(tmp_path: Path, corpus: Path) -> None:
    good, bad = read("festvox", corpus)
    assert len(good) == 14 and not bad
    assert all(r.labels and r.labels.is_file() and r.audio.is_file() for r in good)
    arctic = '( arctic_a0001 "He said \\"no\\", etc." )\n( arctic_a0002 oops )\n'
    root = put(tmp_path / "bdl", {"etc/txt.done.data": arctic, "wav/arctic_a0001.wav": b""})
    good, bad = read("festvox", root)
    assert [show(r, root) for r in good] == [
        ("arctic_a0001", "wav/arctic_a0001.wav", 'He said "no", etc.', "bdl", None)
    ]
    assert good[0].labels is None and [b.reason for b in bad] == ["bad line"]


def test_asterisk_with_a_gzipped_transcript_elsewhere(tmp_path: Path) -> None:
    text = "; comment\n\nactivated: Activated.\ndigits/1: one\nbeep: [a tone]\nodd line\ngone: Gone.\n"
    root = put(tmp_path / "en_US_f_Allison", {"activated.g722": b"", "digits/1.gsm": b""})
    table = put(tmp_path, {"core-sounds-en.txt.gz": gzip.compress(text.encode())}) / "core-sounds-en.txt.gz"
    good, bad = read("asterisk", root, transcript=table)
    assert [show(r, root) for r in good] == [
        ("activated", "activated.g722", "Activated.", "en_US_f_Allison", "en"),
        ("digits/1", "digits/1.gsm", "one", "en_US_f_Allison", "en"),
        ("gone", "gone.wav", "Gone.", "en_US_f_Allison", "en"),
    ]
    assert [(b.id, b.reason) for b in bad] == [("beep", "no text"), (f"{table.name}:6", "bad line")]
    raw = bytearray(table.read_bytes())
    raw[10] ^= 0xFF  # the first byte of the deflated stream
    table.write_bytes(raw)
    with pytest.raises(UserError, match=r"core-sounds-en\.txt\.gz: cannot be read \(Error -3"):
        read("asterisk", root, transcript=table)


def test_csv_with_and_without_a_header(tmp_path: Path) -> None:
    files = {"metadata.csv": "a|Hello|ann\nsub/b.ogg|World\nc\n", "wavs/a.flac": b"", "sub/b.ogg": b""}
    root = put(tmp_path / "mine", files)
    expected = [("a", "wavs/a.flac", "Hello", "ann", None), ("sub/b", "sub/b.ogg", "World", "mine", None)]
    good, bad = read("csv", root)
    assert [show(r, root) for r in good] == expected
    assert [b.reason for b in bad] == ["bad line"]
    assert [show(r, root) for r in read("csv", root / "metadata.csv")[0]] == expected
    put(root, {"metadata.csv": "text|id|language\nHello|a|en\n"})
    assert [show(r, root) for r in read("csv", root)[0]] == [("a", "wavs/a.flac", "Hello", "mine", "en")]


@pytest.mark.parametrize(
    ("layout", "table", "expected"),
    [
        ("ljspeech", "a|One|One\nb|Two|Two\nc|Say|this|now\n", "4 fields, expected id|text|normalized"),
        ("ljspeech", "a|One two\nb|Three four\nc|Say this|or that\n", "3 fields where most lines have 2"),
        ("ljspeech", "a|One|One\nb|Two|Two\nc|All of these words|or not\n", "much shorter than the text"),
        ("ljspeech", "a|One|One\nb|Two|Two\nc|Say this now|and that later\n", "lacks the words of the text"),
        ("ljspeech", "a|One|One\nb|Two|Two\nc|He said yes | he did\n", "lacks the words of the text"),
        ("ljspeech", "a|One|One\nb|Two|Two\nc|A longer text|ann\n", "much shorter than the text"),
        ("ljspeech", "a|One|One\nb|Two|Two\nc|wavs/c.wav|c\n", "is the name of a file"),
        ("ljspeech", "a|One|One\nb|Two|Two\nc\n", "1 fields, expected id|text|normalized"),
        ("ruslan", "a|Раз\nb|Два\nc|Скажи|это\n", "3 fields, expected id|text"),
        ("ruslan", "a|Раз\nb|Два\nc\n", "1 fields, expected id|text"),
        ("ruslan", "a|Раз\nb|Два\nВот это да|a\n", "is the name of a file and the id is not"),
        ("csv", "a|One\nb|Two\nc|Say|this\n", "3 fields where most lines have 2"),
        ("csv", "a|One|ann\nb|Two|ann\nc|Say|this|ann\n", "4 fields, expected id|text|speaker"),
        ("csv", "a|One|ann\nb|Two|ann\nc|Say|this to me.\n", 'speaker "this to me." is a sentence'),
        ("csv", "a|One|ann\nb|Two|ann\nc|Left | right\n", 'a blank before "right", the speaker'),
        ("csv", "id,text,speaker\na,One,ann\nb,Two,ann\nc,Left, right\n", 'a blank before "right"'),
        ("csv", "a|One|ann\nb|Two|ann\nc|ann|What is it?\n", '"ann" is a speaker of other lines'),
        ("csv", "a|One|ann\nb|Two|ann\nc What is it?|ann\n", '"ann" is a speaker of other lines'),
        ("csv", "a|One|ann\nb|Two|ann\nc|wavs\\c.wav|ann\n", "is the name of a file"),
        ("csv", "id|text|speaker\na|One|ann\nb|Two|ann\nc|Say\n", "2 fields, expected 3: id|text|speaker"),
        ("csv", "id,text\na,One\nb,Two\nc,Say this, please\n", "3 fields, expected 2: id,text"),
        ("csv", 'id,text\na,One\nb,Two\nc,"Say" this\n', "does not enclose a field"),
        ("csv", "id\ttext\na\tOne\nb\tTwo\nc\tSay\tthis\n", "3 fields, expected 2: id\ttext"),
    ],
)
def test_a_line_that_does_not_fit_is_refused_with_its_number(
    tmp_path: Path, layout: str, table: str, expected: str
) -> None:
    """No text is ever cut at a separator, and no speaker or file name read as one."""
    name = "metadata_RUSLAN_1.csv" if layout == "ruslan" else "metadata.csv"
    root = put(tmp_path, {name: table, "wavs/a.wav": b"", "wavs/b.wav": b""})
    good, bad = read(layout, root)
    assert [r.id for r in good] == ["a", "b"]
    number = len(table.splitlines())
    assert [b.id for b in bad] == [f"{name}:{number}"] and bad[0].reason == "bad line"
    assert expected in bad[0].detail


@pytest.mark.parametrize(
    ("layout", "table", "expected"),
    [
        ("csv", "a|ann|What is it?\nb|ann|I do not know.\nc|eve|Nor do I.\n", "are the columns swapped"),
        ("csv", "id|text|speaker\na|ann|What is it?\nb|eve|I do not know.\n", "are the columns swapped"),
        ("csv", "a|0|come here\nb|0|go there\nc|1|stay put\nd|1|go now\n", "are the columns swapped"),
        ("csv", "a,One,ann\n", "has no fields: expected id|text|speaker"),
        ("csv", "text,speaker\nOne,ann\n", "names no column for the id"),
        ("csv", "id,speaker\na,ann\n", "names no column for the text"),
        ("csv", "id,text,sentence\na,One,Two\n", "two columns for the text"),
        ("csv", "id,text,spaeker\na,One,ann\n", 'did you mean "speaker"'),
        ("ljspeech", "a|What is it?|ann\nb|Nothing.|ann\nc|Why?|eve\n", "third column repeats"),
        ("ljspeech", "a|ann|What is it?\nb|ann|Nothing.\nc|ann|Why?\n", "second column repeats"),
    ],
)
def test_a_table_whose_columns_are_wrong_is_refused(
    tmp_path: Path, layout: str, table: str, expected: str
) -> None:
    root = put(tmp_path, {"metadata.csv": table})
    with pytest.raises(UserError, match=r"metadata\.csv, line \d+: ") as error:
        read(layout, root)
    assert expected in str(error.value)


@pytest.mark.parametrize(
    "table",
    [
        'id,text,speaker,seconds\na,"Well, ""yes"", of course",ann,1.2\nb,"Two\nlines | here",eve,2\n',
        '\ufeffid\ttext\tspeaker\r\na\tWell, "yes", of course\tann\r\nb\tTwo lines | here\teve\r\n',
        'Path;Speaker_ID;Sentence\nwavs/a.wav;ann;Well, "yes", of course\nwavs\\b.wav;eve;Two lines | here\n',
        'speaker,file_name,text\nann,a.wav,"Well, ""yes"", of course"\neve,b,Two lines | here\n',
    ],
)
def test_tables_with_a_header(tmp_path: Path, table: str) -> None:
    root = put(tmp_path, {"metadata.csv": table, "wavs/a.wav": b"", "wavs/b.wav": b""})
    good, bad = read("csv", root)
    assert not bad
    assert [(r.audio.name, r.text, r.speaker) for r in good] == [
        ("a.wav", 'Well, "yes", of course', "ann"),
        ("b.wav", "Two lines | here", "eve"),
    ]


def test_a_stray_quote_costs_its_own_line_only(tmp_path: Path) -> None:
    table = 'id,text\na,"One\nb,Two\nc,Three\n' + "".join(f"d{i},Four\n" for i in range(40))
    good, bad = read("csv", put(tmp_path, {"metadata.csv": table}))
    assert [b.id for b in bad] == ["metadata.csv:2"] and len(good) == 42


@pytest.mark.parametrize("layout", ["csv", "ljspeech", "commonvoice"])
@pytest.mark.parametrize(("written", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_either_unicode_form_finds_the_other(tmp_path: Path, layout: str, written: str, stored: str) -> None:
    name = "ёжик_й_1"
    in_table, on_disk = unicodedata.normalize(written, name), unicodedata.normalize(stored, name)
    files = {
        "csv": {"metadata.csv": f"{in_table}|Привет\n", f"wavs/{on_disk}.WAV": b""},
        "ljspeech": {"metadata.csv": f"{in_table}.wav|Привет\n", f"wavs/{on_disk}.wav": b""},
        "commonvoice": {
            "validated.tsv": f"client_id\tpath\tsentence\ns\t{in_table}.mp3\tПривет\n",
            f"clips/{on_disk}.mp3": b"",
        },
    }[layout]
    root = put(tmp_path / "c", files)  # type: ignore[arg-type]
    labels = put(tmp_path / "l", {f"{on_disk}.TextGrid": ""})
    good, bad = read(layout, root, labels=labels)
    assert not bad and good[0].audio.is_file() and good[0].id == name
    assert good[0].labels is not None and good[0].labels.is_file()


def test_paths_from_windows(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"speech/Ann/a.wav": b"", "speech/b.flac": b"", "wavs/lit\\eral.wav": b""}
    rows = ["speech\\Ann\\a.wav|One", ".\\speech\\b.wav|Two", "lit\\eral|Three", "..\\up.wav|Four"]
    rows += ["C:\\corpus\\c.wav|Five", "\\\\server\\share\\d.wav|Six"]
    root = put(tmp_path / "c", {**files, "metadata.csv": "\r\n".join(rows)})
    put(tmp_path, {"up.wav": b""})
    good, bad = read("csv", root)
    assert [r.audio.relative_to(root).as_posix() for r in good] == [
        "speech/Ann/a.wav",
        "speech/b.flac",
        "wavs/lit\\eral.wav",
    ]
    assert [b.reason for b in bad] == ["refused path"] * 3
    assert [b.detail.split(":")[0] for b in bad] == ["line 4", "line 5", "line 6"]


@pytest.mark.parametrize(
    ("layout", "files", "audio"),
    [
        ("ljspeech", {"metadata.csv": "wavs\\a.wav|One|One\n", "wavs/a.wav": b""}, "wavs/a.wav"),
        ("ruslan", {"metadata_RUSLAN_1.csv": "RUSLAN\\a.wav|Раз\n", "RUSLAN/a.wav": b""}, "RUSLAN/a.wav"),
        (
            "commonvoice",
            {"train.tsv": "client_id\tpath\tsentence\r\ns\tclips\\a.mp3\tOne\r\n", "clips/a.mp3": b""},
            "clips/a.mp3",
        ),
        ("festvox", {"etc/txt.done.data": '( sub\\a "One" )\n', "wav/sub/a.wav": b""}, "wav/sub/a.wav"),
        ("asterisk", {"core-sounds-en.txt": "digits\\1: one\n", "digits/1.gsm": b""}, "digits/1.gsm"),
    ],
)
def test_backslashes_in_every_layout(
    tmp_path: Path, layout: str, files: dict[str, str | bytes], audio: str
) -> None:
    root = put(tmp_path, files)
    good, bad = read(layout, root)
    assert not bad and [r.audio.relative_to(root).as_posix() for r in good] == [audio]
    assert good[0].audio.is_file() and "\\" not in good[0].id


@pytest.mark.parametrize(
    "table",
    [
        "a|Yes|John Smith Jr.\nb|No|Ann Lee\nc|Up|Ann Lee\n",
        "a|One|ann\nb|Two\nc|Three|eve\n",
        "a|Call ann|ann\nb|eve|eve\n",
        "a | One | ann\nb|Two|ann\nc|Three| ann\n",
        "a|Mr. & Mrs. St. John|ann\nb|and/or|ann\nc|One, text, path|ann\n",
    ],
)
def test_unusual_tables_that_are_right_are_read(tmp_path: Path, table: str) -> None:
    good, bad = read("csv", put(tmp_path, {"metadata.csv": table}))
    assert not bad and len(good) == len(table.splitlines())


def test_normalized_texts_that_are_right_are_read(tmp_path: Path) -> None:
    """Lines in the manner of LJSpeech: the last field is what is spoken."""
    rows = [
        "a|In 1455|In fourteen fifty-five",
        "b|Mr. & Mrs. St. John, etc.|Mister and Missus Saint John, et cetera",
        "c|the 42-line Bible, circa|the forty-two-line Bible, circa",
        "d|CHAPTER IV.|CHAPTER four.",
        "e|café, £20|cafe, twenty pounds",
        "f|за́мок и замо́к|з+амок и зам+ок",
    ]
    good, bad = read("ljspeech", put(tmp_path, {"metadata.csv": "\n".join(rows)}))
    assert not bad and [r.text for r in good] == [row.split("|")[2] for row in rows]


def test_esd_lines_with_another_order(tmp_path: Path) -> None:
    table = "0011_1\tThe nine\tHappy\n0011_2\tHappy\tThe ten\n0011_3\tThe\televen\tHappy\n"
    files: dict[str, str | bytes] = {"0011/0011.txt": table}
    good, bad = read("esd", put(tmp_path, {**files, "0011/Happy/0011_1.wav": b""}))
    assert [r.text for r in good] == ["The nine"]
    assert [(b.id, b.detail.split(",")[0]) for b in bad] == [
        ("0011.txt:2", "the text is an emotion"),
        ("0011.txt:3", "4 fields"),
    ]


def test_labels_folder_is_found_by_id_and_speaker(tmp_path: Path) -> None:
    root = put(tmp_path / "c", {"metadata.csv": "a|Hello|ann\nb|Hello|ann\nd|Hello|ann\n"})
    labels = put(tmp_path / "l", {"a.TextGrid": "", "ann/b.TextGrid": ""})
    good, _ = read("csv", root, labels=labels)
    assert [r.labels and r.labels.relative_to(labels).as_posix() for r in good] == [
        "a.TextGrid",
        "ann/b.TextGrid",
        None,
    ]


ESCAPES = [
    "../outside",
    "/etc/passwd",
    "file:///etc/passwd",
    "http://example.org/a.wav",
    "https://example.org/a",
    "sox in.wav -t wav - |",
    "| touch canary",
    "wavs/../../outside",
    "link/secret",
    "a\0b",
]


LISTED = ("ljspeech", "ruslan", "commonvoice", "festvox", "asterisk", "csv", "audio")


def can_say(layout: str, name: str) -> bool:
    """Whether the grammar of the layout's transcript has such a name at all."""
    if layout in ("festvox", "asterisk"):
        return " " not in name and ":" not in name
    return layout == "commonvoice" or "|" not in name


@pytest.mark.parametrize(("layout", "name"), [(x, n) for x in LISTED for n in ESCAPES if can_say(x, n)])
def test_paths_that_leave_the_corpus_are_refused(tmp_path: Path, layout: str, name: str) -> None:
    root = tmp_path / "corpus"
    put(tmp_path, {"outside.wav": b"", "elsewhere/secret.wav": b"", "elsewhere/secret.mp3": b""})
    table = {
        "ljspeech": ("metadata.csv", f"{name}|x\n"),
        "ruslan": ("metadata_RUSLAN_1.csv", f"{name}|x\n"),
        "commonvoice": ("validated.tsv", f"client_id\tpath\tsentence\ns\t{name}\tx\n"),
        "festvox": ("etc/txt.done.data", f'( {name} "x" )\n'),
        "asterisk": ("core-sounds-en.txt", f"{name}: x\n"),
        "csv": ("metadata.csv", f"{name}|x\n"),
        "audio": ("metadata.csv", f"id|text|audio\na|x|{name}\n"),
    }[layout]
    put(root, {table[0]: table[1]})
    for folder in ("wavs", "clips", "wav", "RUSLAN", "."):
        (root / folder).mkdir(exist_ok=True)
        os.symlink(tmp_path / "elsewhere", root / folder / "link")
    good, bad = read("csv" if layout == "audio" else layout, root)
    assert not good and [b.reason for b in bad] == ["refused path"]


def test_a_link_beside_good_recordings_is_refused(tmp_path: Path) -> None:
    names = ("a", "b", "deep/link/secret", "c", "wavs/..", "d", "b")
    put(tmp_path / "c", {f"wavs/{x}.wav": b"" for x in ("a", "c", "d")})
    put(
        tmp_path,
        {"secret.wav": b"", "c/wavs/deep/e.wav": b"", "c/metadata.csv": "".join(f"{n}|x\n" for n in names)},
    )
    os.symlink(tmp_path / "secret.wav", tmp_path / "c" / "wavs" / "b.wav")
    os.symlink(tmp_path, tmp_path / "c" / "wavs" / "deep" / "link")
    os.symlink(tmp_path / "c" / "wavs" / "a.wav", tmp_path / "c" / "wavs" / "within.wav")
    good, bad = read("csv", tmp_path / "c")
    assert {g.id for g in good} <= {"a", "c", "d", "wavs/.."} and {"a", "c", "d"} <= {g.id for g in good}
    assert [b.reason for b in bad] == ["refused path"] * 3
    (tmp_path / "c" / "metadata.csv").write_text("within|x\n")
    assert [g.id for g in read("csv", tmp_path / "c")[0]] == ["within"]


def test_links_out_of_the_corpus_can_be_allowed(tmp_path: Path) -> None:
    put(tmp_path, {"store/a.wav": b"", "c/metadata.csv": "a|x\n"})
    os.symlink(tmp_path / "store", tmp_path / "c" / "wavs")
    assert [b.reason for b in read("csv", tmp_path / "c")[1]] == ["refused path"]
    assert len(read("csv", tmp_path / "c", allow_outside=True)[0]) == 1


def test_unknown_layout_and_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='did you mean "ljspeech"'):
        read("ljspech", tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        read("ljspeech", tmp_path / "none")
    for layout in registry.names("layouts"):
        with pytest.raises(UserError, match="holds no"):
            read(layout, tmp_path)


@given(st.binary(max_size=300))
def test_no_transcript_bytes_crash_a_reader(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    root = tmp_path_factory.mktemp("fuzz")
    put(root, {"metadata.csv": raw, "validated.tsv": b"client_id\tpath\tsentence\n" + raw})
    put(root, {"etc/txt.done.data": raw, "core-sounds-en.txt": raw})
    for layout in ("ljspeech", "csv", "commonvoice", "festvox", "asterisk"):
        with contextlib.suppress(UserError):  # a table as a whole may be refused
            for entry in read_corpus(layout, root):
                assert entry.id
