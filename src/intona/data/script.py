"""The text side of `prepare`, in the parent process: ids, phonemes in batches, and names of files."""

from __future__ import annotations

import dataclasses
import hashlib
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from intona.data.corpora import BadLine, Record
from intona.data.jobs import PrepareConfig, PrepareJob
from intona.data.labels import Label, read_labels, symbols
from intona.errors import UserError

CHUNK = 256
LABELS_LEFT_OUT = "labels left out"
MAX_ID = 200
Reject = Callable[[str, str, str], None]


class Script:
    """Turns records into jobs, with one front end per language."""

    def __init__(self, config: PrepareConfig, layout: str) -> None:
        self.config, self.layout = config, layout
        self.warnings: list[str] = []
        self._frontends: dict[str, Any] = {}

    def jobs(
        self, entries: Iterable[Record | BadLine], out: Path, *, done: Collection[str], reject: Reject
    ) -> Iterator[PrepareJob]:
        """Jobs for the records that are not `done`, in order; unusable ones go to `reject` with a reason."""
        seen: set[str] = set()
        chunk: list[Record] = []
        for entry in entries:
            id = journal_id(entry.id)
            first, bad = id not in seen, id != entry.id or not id or not id.isprintable()
            seen.add(id)
            if not first:
                # A second key keeps the rows of the journal unique; the detail shows the id.
                id = self._again(id, seen)
            if id in done:
                continue
            if isinstance(entry, BadLine):
                reject(id, entry.reason, entry.detail)
            elif bad:
                reject(id, "bad id", "empty, unprintable or longer than 200 characters")
            elif not first:
                reject(id, "duplicate id", entry.id)
            elif problem := self._text_problem(entry.text):
                reject(id, *problem)
            else:
                chunk.append(entry)
            if len(chunk) >= CHUNK:
                yield from self._finish(chunk, out, reject)
                chunk = []
        yield from self._finish(chunk, out, reject)

    def describe(self, languages: Collection[str]) -> dict[str, Any]:
        """What produced the phonemes of each language; kept beside the tokenizer."""
        if self.config.phonemes == "corpus":
            return {name: {"backend": "corpus labels", "language": name} for name in sorted(languages)}
        return {name: self._frontend(name).describe() for name in sorted(languages)}

    @staticmethod
    def _again(id: str, seen: set[str]) -> str:
        n = 2
        while f"{id}#{n}" in seen:
            n += 1
        seen.add(f"{id}#{n}")
        return f"{id}#{n}"

    def _text_problem(self, text: str) -> tuple[str, str] | None:
        if len(text) > self.config.max_characters:
            return "text too long", f"{len(text)} characters"
        if any(unicodedata.category(c) == "Cs" or c in "\0\ufffd" for c in text):
            return "bad text", "bytes that are not UTF-8, or NUL"
        if not any(c.isalnum() for c in text):
            return "no text", ""
        return None

    def _finish(self, chunk: list[Record], out: Path, reject: Reject) -> Iterator[PrepareJob]:
        if self.config.phonemes == "corpus":
            for record in chunk:
                yield from self._from_labels(record, out, reject)
            return
        by_language: dict[str, list[Record]] = {}
        for record in chunk:
            by_language.setdefault(self._language(record), []).append(record)
        utterances: dict[str, Any] = {}
        for language, records in by_language.items():
            frontend = self._frontend(language)
            texts = [unicodedata.normalize("NFC", r.text) for r in records]
            utterances.update(zip((r.id for r in records), _each(frontend, texts), strict=True))
        for record in chunk:
            utterance = utterances[record.id]
            if isinstance(utterance, UserError):
                reject(record.id, "bad text", utterance.what)
                continue
            job = self._job(record, out, utterance.normalized, tuple(utterance.phonemes), reject)
            if job is None:
                continue
            job = dataclasses.replace(job, words=tuple((w.text, w.start, w.end) for w in utterance.words))
            if job.n_phones == 0:
                reject(record.id, "no text", "nothing that can be spoken")
            else:
                yield job

    def _from_labels(self, record: Record, out: Path, reject: Reject) -> Iterator[PrepareJob]:
        if record.labels is None:
            reject(record.id, "no labels", "no phone alignment for this recording")
            return
        job = self._job(record, out, record.text, (), reject)
        if job is None or not job.labels:
            return
        phones = tuple(x.label for x in symbols(job.labels))
        yield dataclasses.replace(job, phonemes=phones, corpus_symbols=True)

    def _job(
        self, record: Record, out: Path, normalized: str, phonemes: tuple[str, ...], reject: Reject
    ) -> PrepareJob | None:
        labels: list[Label] = []
        if record.labels is not None:
            try:
                labels = read_labels(record.labels)
            except UserError as e:
                if self.config.phonemes == "corpus":
                    reject(record.id, "bad labels", e.what)
                    return None
                self.warnings.append(f"{record.id}: {LABELS_LEFT_OUT}: {e.what}"[:200])
        return PrepareJob(
            id=record.id,
            audio=record.audio,
            excerpt=record.excerpt,
            target=out / "audio" / file_name(record.id),
            text=record.text,
            normalized=normalized,
            phonemes=phonemes,
            words=(),
            speaker=self.config.speaker or record.speaker,
            language=self._language(record),
            labels=tuple(labels),
            corpus_symbols=False,
        )

    def _language(self, record: Record) -> str:
        language = self.config.language or record.language
        if not language:
            raise UserError(
                f'the layout "{self.layout}" does not say its language', hint="add --language CODE"
            )
        return language

    def _frontend(self, language: str) -> Any:
        if language not in self._frontends:
            from intona.text import Frontend, FrontendConfig

            config = FrontendConfig(language=language, stress=self.config.stress)
            frontend = Frontend(config, inline=False)
            frontend.describe()  # a missing backend is one error here, not one per text later
            self._frontends[language] = frontend
        return self._frontends[language]


def journal_id(id: str) -> str:
    """The id in the journal: valid Unicode; a long one is cut and marked, so that it equals no other id."""
    safe = id.encode("utf-8", "backslashreplace").decode()
    return safe if len(safe) <= MAX_ID else f"{safe[:MAX_ID]}…"


def _each(frontend: Any, texts: list[str]) -> list[Any]:
    """The utterances of texts in one batch. If that fails, one by one, with errors in place of utterances."""
    try:
        return list(frontend(texts))
    except UserError as e:
        if len(texts) == 1:
            return [e]
    return [_each(frontend, [text])[0] for text in texts]


def file_name(id: str) -> str:
    """A plain file name for any id: percent-encoded, long ones shortened with a hash; never a path."""
    safe = quote(id, safe="")
    if safe.startswith("."):
        safe = "%2E" + safe[1:]
    if len(safe) > 120:
        safe = safe[:100] + "-" + hashlib.sha256(id.encode()).hexdigest()[:16]
    return f"{safe}.flac"
