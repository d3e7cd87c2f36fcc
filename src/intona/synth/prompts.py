"""What a row of a set is spoken with besides its text: a prompt and its words, a length, a language.

A prompt comes from the manifest's column `prompt` (or `reference`): a path in the manifest's folder, or the
name of a recording in the folder of prompts. Where there is none, another utterance of the row's speaker is
chosen from that folder: never the row's recording itself, nor one of the same words.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from intona.data.corpora.record import Refused, Source
from intona.data.prepared import MARK, Prepared
from intona.errors import UserError
from intona.evaluation.judges.speaker import Prompts
from intona.evaluation.manifest import Manifest, Row, read_manifest
from intona.evaluation.records import digest
from intona.evaluation.wavs import ENDINGS, file_digest, index_folder
from intona.files import whole
from intona.jsonl import read_jsonl, write_jsonl
from intona.seeds import derive_seed

LISTS = ("manifest.jsonl", "manifest.csv", "metadata.csv")
KEPT = "prompts.jsonl"
USUAL_SECONDS = (3.0, 10.0)  # prompts so long are preferred


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A recording and the words in it, "" where they are not known. `name` is that of the original file."""

    path: Path
    text: str = ""
    name: str = ""


def read_columns(path: Path) -> dict[str, dict[str, str]]:
    """Utterance id -> the optional columns that its row of the manifest fills; only rows that fill any.

    Raises:
        UserError: as `read_manifest`.
    """
    return {row.id: dict(row.more) for row in read_manifest(path).rows if row.more}


def choose(
    manifest: Manifest,
    folder: Path | None,
    *,
    columns: Mapping[str, Mapping[str, str]] | None = None,
    beside: Path | None = None,
) -> dict[str, Prompt]:
    """A prompt for every row, or none at all where neither a folder nor a column names any.

    Args:
        folder: a prepared corpus; or recordings with a list of them (manifest.jsonl, manifest.csv or
            metadata.csv: id|text|speaker); or without one, `ID.wav`, else `SPEAKER.wav`.
        columns: of `read_columns`. beside: where paths in them start.

    Raises:
        UserError: no such folder or file; rows without a prompt, counted.
    """
    columns = columns or {}
    named = {i: c.get("prompt") or c.get("reference") or "" for i, c in columns.items()}
    if folder is None and not any(named.values()):
        return {}
    pool = None if folder is None else _PromptPool(folder)
    prompts: dict[str, Prompt] = {}
    lacking: list[str] = []
    for row in manifest.rows:
        words = columns.get(row.id, {}).get("prompt_text", "")
        if name := named.get(row.id):
            prompt = _named(name, pool, beside)
        else:
            prompt = None if pool is None else pool.other(row)
        if prompt is None:
            lacking.append(row.id)
        else:
            prompts[row.id] = Prompt(path=prompt.path, text=words or prompt.text, name=prompt.name)
    if lacking:
        raise UserError(
            f"no prompt for {len(lacking)} of {len(manifest)} rows ({', '.join(lacking[:3])})",
            where=folder or "the manifest's column prompt",
            hint="give each row a prompt, or a folder with other recordings of its speaker",
        )
    return prompts


def _named(name: str, pool: _PromptPool | None, beside: Path | None) -> Prompt:
    if Path(name).suffix.lower() in ENDINGS:
        try:
            path = Source(root=beside or Path()).inside(name)
        except Refused:
            hint = "put the recording beside the manifest, or give --prompts DIR"
            what = f'the prompt "{name}" is outside the manifest\'s folder'
            raise UserError(what, where="column prompt", hint=hint) from None
        if path.is_file():
            return Prompt(path=path, name=path.name)
    if pool is not None and name in pool.by_name:
        return pool.by_name[name]
    hint = "a path seen from the manifest, or the name of a recording in the folder of prompts"
    raise UserError(f'no prompt "{name}"', where="column prompt", hint=hint)


class _PromptPool:
    """The recordings of a folder: by name, and by speaker in the order in which they are preferred."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.by_name: dict[str, Prompt] = {}
        self._texts: list[tuple[Row, Prompt, float]] = []  # with the preference, the smaller the better
        self._plain: Prompts | None = None
        if not folder.is_dir():
            raise UserError("no such folder", where=folder)
        if (folder / MARK).is_file():
            self._prepared(Prepared.open(folder))
        elif any((folder / name).is_file() for name in LISTS):
            self._listed(next(folder / name for name in LISTS if (folder / name).is_file()))
        else:
            self._plain = Prompts(folder)
            self.by_name = {n: Prompt(path=p, name=p.name) for n, p in self._plain.files.items()}

    def _prepared(self, prepared: Prepared) -> None:
        # Recordings that no voice was trained on come first.
        for rank, split in enumerate(("test", "dev", "train")):
            for item in prepared.items(split):
                row = Row(id=item.name, text=item.text, speaker=prepared.speakers[item.speaker])
                self._add(row, prepared.audio_path(item), item.seconds, 2 * rank)

    def _listed(self, path: Path) -> None:
        manifest = read_manifest(path)
        files, _ = index_folder(self.folder, manifest)
        for row in manifest.rows:
            if row.id in files:
                self._add(row, files[row.id], seconds_of(files[row.id]), 0)

    def _add(self, row: Row, path: Path, seconds: float, preference: float) -> None:
        prompt = Prompt(path=path, text=row.text, name=path.name)
        self.by_name[row.id] = prompt
        usual = USUAL_SECONDS[0] <= seconds <= USUAL_SECONDS[1]
        self._texts.append((row, prompt, preference + (0 if usual else 1)))

    def other(self, row: Row) -> Prompt | None:
        """Another utterance of the speaker with other words: always the same one for a row and a folder."""
        if self._plain is not None:
            has = row.id in self._plain.files or (row.speaker and row.speaker in self._plain.files)
            path = self._plain.find(row) if has else None
            return None if path is None else Prompt(path=path, name=path.name)
        # A list that names no speakers has one.
        unnamed = not any(r.speaker for r, _, _ in self._texts)
        fit = [
            (level, prompt)
            for other, prompt, level in self._texts
            if (unnamed or other.speaker == row.speaker) and other.id != row.id and other.text != row.text
        ]
        if not fit:
            return None
        best = min(level for level, _ in fit)
        some = [prompt for level, prompt in fit if level == best]
        return some[derive_seed("prompt", row.id) % len(some)]


def fingerprint(prompts: Mapping[str, Prompt]) -> str | None:
    """A hash of all recordings and their words; None if there are no prompts."""
    if not prompts:
        return None
    return digest({i: [file_digest(p.path), p.text] for i, p in sorted(prompts.items())})


def keep(prompts: Mapping[str, Prompt], out: Path) -> None:
    """Copy the prompts to `out/ID.wav`, as `intona evaluate --prompts` reads them, with a list of the words.

    Raises:
        UserError: a recording that cannot be read, a folder that cannot be written.
    """
    rows = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for i, prompt in prompts.items():
            target = out / f"{i}{prompt.path.suffix.lower()}"
            with whole(target) as half:
                shutil.copyfile(prompt.path, half)
            rows.append({"id": i, "file": target.name, "text": prompt.text, "name": prompt.name})
        write_jsonl(out / KEPT, rows)
    except OSError as e:
        raise UserError(f"the prompts cannot be kept ({e.strerror or e})", where=out) from None


def kept(folder: Path) -> dict[str, Prompt]:
    """The prompts that `keep` wrote.

    Raises:
        UserError: there is no such list.
    """
    path = folder / KEPT
    rows = read_jsonl(path)
    try:
        return {
            r["id"]: Prompt(path=folder / Path(r["file"]).name, text=r["text"], name=r["name"]) for r in rows
        }
    except (KeyError, TypeError):
        raise UserError("not a list of prompts", where=path) from None


def durations(folder: Path, manifest: Manifest) -> dict[str, float]:
    """Seconds of each row's recording in a folder.

    Raises:
        UserError: rows without one, counted; a file that is not audio.
    """
    files, _ = index_folder(folder, manifest)
    lacking = [r.id for r in manifest.rows if r.id not in files]
    if lacking:
        raise UserError(
            f"no recording for {len(lacking)} of {len(manifest)} rows ({', '.join(lacking[:3])})",
            where=folder,
        )
    return {row.id: seconds_of(files[row.id]) for row in manifest.rows}


def lengths_of(columns: Mapping[str, Mapping[str, str]]) -> dict[str, float]:
    """The column `length`, in seconds.

    Raises:
        UserError: no number of seconds.
    """
    lengths: dict[str, float] = {}
    for i, cells in columns.items():
        if "length" in cells:
            try:
                lengths[i] = float(cells["length"])
            except ValueError:
                lengths[i] = math.nan
            if not 0 < lengths[i] <= 3600:
                raise UserError(
                    f'"{cells["length"]}" of "{i}" is no number of seconds', where="column length"
                )
    return lengths


def languages_of(columns: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The column `language`."""
    return {i: cells["language"] for i, cells in columns.items() if "language" in cells}


def seconds_of(path: Path) -> float:
    """The length of a sound file; only its header is read.

    Raises:
        UserError: not an audio file.
    """
    import soundfile

    try:
        info = soundfile.info(str(path))
        return info.frames / info.samplerate
    except (RuntimeError, ZeroDivisionError):
        raise UserError("not an audio file", where=path) from None
