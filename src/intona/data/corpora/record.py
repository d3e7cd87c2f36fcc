"""What a reader yields, and how names in a transcript safely become files under the corpus root."""

from __future__ import annotations

import gzip
import os
import re
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from intona.data.excerpt import Excerpt
from intona.errors import UserError

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".opus", ".g722", ".gsm", ".aiff", ".au")
MAX_TRANSCRIPT_BYTES = 1 << 30
_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")
_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One utterance of a published corpus. No file has been opened yet.

    `labels` is the file of its phone alignment, if there is one. `excerpt` is the place of the recording
    inside `audio`, where that is an archive, a table or a longer recording.
    """

    id: str
    audio: Path
    text: str
    speaker: str
    language: str | None = None
    labels: Path | None = None
    excerpt: Excerpt | None = None


@dataclass(frozen=True, kw_only=True)
class BadLine:
    """A line of a transcript that cannot be used; it is listed in `rejected.jsonl`."""

    id: str
    reason: str
    detail: str = ""


class Refused(ValueError):
    """A path in a transcript that must not be opened; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A corpus folder, and the rules for files that may be opened.

    A name is searched as written, then with `/` for `\\`, in the other Unicode normal form (composed or
    decomposed) and with a suffix in upper or lower case: table and folder often come from different systems.
    """

    root: Path
    transcript: Path | None = None
    labels: Path | None = None
    allow_outside: bool = False
    # A folder as written -> as the disk spells it, and spelling -> name of what lies in it.
    _folders: dict[Path, tuple[Path, dict[str, str]]] = field(default_factory=dict, repr=False, compare=False)
    _inside: dict[Path, bool] = field(default_factory=dict, repr=False, compare=False)  # of folders

    def inside(self, name: str | Path, *, base: Path | None = None) -> Path:
        """The path `name` means, from `base` (the root).

        Raises:
            Refused: an address (`http://`, `file://`), a Kaldi pipe (`cmd |`), a NUL, or a path that leaves
                the root by `..`, as absolute or through a link.
        """
        text = os.fspath(name)
        if not text or "\0" in text or "\n" in text:
            raise Refused("empty path, or a NUL or newline in it")
        if text.strip().endswith("|") or text.strip().startswith("|"):
            raise Refused("a command pipe is not a path")
        if _DRIVE.match(text):
            raise Refused("a path of another machine: expected one inside the corpus folder")
        if _URL.match(text):
            raise Refused("an address is not a path")
        path = self._as_written(text, base or self.root)
        self._check_place(path)
        if (spelled := self._on_disk(path)) != path:
            self._check_place(spelled)
        return spelled

    @staticmethod
    def _as_written(name: str, base: Path) -> Path:
        """With `/` for `\\`, unless there is a file with exactly this name."""
        path = base / name
        return path if "\\" not in name or os.path.lexists(path) else base / name.replace("\\", "/")

    def _check_place(self, path: Path) -> None:
        if self.allow_outside:
            return
        folder = path.parent
        try:
            if folder not in self._inside:
                self._inside[folder] = self._is_inside(folder)
            # What lies in a folder inside is inside, unless it is a link. Following all links takes longer.
            plain = path.name != ".." and not os.path.islink(path)
            ok = (plain and self._inside[folder]) or self._is_inside(path)
        except (OSError, ValueError) as e:
            raise Refused(str(e)) from None
        if not ok:
            raise Refused("outside the corpus folder (--allow-outside accepts it)")

    def _is_inside(self, path: Path) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(_real_folder(self.root))

    def _on_disk(self, path: Path) -> Path:
        """The path in the spelling of the disk; parts that do not exist stay unchanged."""
        if os.path.lexists(path) or path.parent == path:
            return path
        if path.parent not in self._folders:
            folder = self._on_disk(path.parent)
            try:
                names = {_spelling(entry): entry for entry in sorted(os.listdir(folder))}
            except (OSError, ValueError):
                names = {}
            self._folders[path.parent] = folder, names
        folder, names = self._folders[path.parent]
        return folder / names.get(_spelling(path.name), path.name)

    def labels_for(self, stem: str, *groups: str) -> Path | None:
        """The phone alignment named after an utterance, in the labels folder or one folder deeper."""
        if self.labels is None or "/" in stem or stem in ("", ".", ".."):
            return None
        for folder in (self.labels, *(self.labels / g for g in groups if g and "/" not in g and g != "..")):
            for suffix in (".TextGrid", ".lab"):
                if (path := self._on_disk(folder / f"{stem}{suffix}")).is_file():
                    return path
        return None

    def find_audio(self, name: str, *folders: str) -> Path:
        """The first `folder/name`, then `folder/stem.SUFFIX`, that exists; else the first candidate.

        Raises:
            Refused: see `inside`.
        """
        # Checked as written, before a folder in front of it hides an address or `..`.
        path = self.inside(name)
        stem = audio_stem(name)
        endings = (*((name[len(stem) :],) if stem != name else ()), *AUDIO_SUFFIXES)
        candidates = [
            f"{folder}/{stem}{suffix}" if folder else f"{stem}{suffix}"
            for folder in folders or ("",)
            for suffix in dict.fromkeys(endings)
        ]
        there = (c for c in candidates if os.path.lexists(self._on_disk(self._as_written(c, self.root))))
        chosen = next(there, candidates[0])
        return path if chosen == name else self.inside(chosen)


@lru_cache(maxsize=16)
def _real_folder(root: Path) -> str:
    return os.path.realpath(root if root.is_dir() else root.parent)


def lines(path: Path, *, encodings: tuple[str, ...] = ("utf-8-sig",)) -> Iterator[tuple[int, str]]:
    """Numbered non-empty lines of a (gzipped) text file; only `\\n` ends a line.

    Bytes that fit no encoding become U+FFFD, so that one bad byte affects only its line.

    Raises:
        UserError: not a plain readable file, or larger than `MAX_TRANSCRIPT_BYTES`.
    """
    if not path.is_file():
        raise UserError("no such transcript file", where=path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as f:
            raw = f.read(MAX_TRANSCRIPT_BYTES + 1)
    except (OSError, EOFError, zlib.error) as e:
        raise UserError(f"cannot be read ({e})", where=path) from None
    if len(raw) > MAX_TRANSCRIPT_BYTES:
        raise UserError(f"more than {MAX_TRANSCRIPT_BYTES} bytes", where=path)
    text = None
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encodings = ("utf-16", *encodings)
    for encoding in encodings:
        try:
            text = raw.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    if text is None:
        text = raw.decode("utf-8-sig", errors="replace")
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def first_existing(root: Path, *names: str) -> Path:
    """The first existing file of several possible names of a transcript.

    Raises:
        UserError: none of them exists.
    """
    for name in names:
        matches = sorted(root.glob(name)) if "*" in name else [root / name] * (root / name).is_file()
        if matches:
            return matches[0]
    raise UserError(f"holds no {' or '.join(names)}", where=root, hint="is this the right layout and folder?")


def clean_id(name: str) -> str:
    """A name as valid, composed Unicode: bytes of a file name that are not UTF-8 are written `\\xNN`."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", errors="backslashreplace"))


def audio_stem(name: str) -> str:
    """A path without its suffix, if that is a suffix of audio files."""
    return name[: -len(Path(name).suffix)] if Path(name).suffix.lower() in AUDIO_SUFFIXES else name


def _spelling(name: str) -> str:
    """A key that is equal for all spellings of a file name."""
    stem, dot, suffix = unicodedata.normalize("NFC", name).rpartition(".")
    return f"{stem}.{suffix.lower()}" if dot else suffix
