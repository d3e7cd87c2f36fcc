"""The answers of the raters, checked line by line against the key."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from intona import config
from intona.errors import UserError
from intona.evaluation.listen.kinds import KINDS

COLUMNS = ("test", "kind", "wording", "rater", "position", "trial", "clip", "versus", "score")
MAX_BYTES = 1 << 26


@dataclass(frozen=True, kw_only=True)
class Rating:
    """One judgement. In a CMOS rating `system` is compared with `against`."""

    rater: str
    item: str
    system: str
    against: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Ratings:
    """All answers.

    Args:
        ratings: of every rater, including those who will be excluded.
        failed_checks, seen_checks: rater -> attention items answered wrong, and answered.
        incomplete: raters who have not answered all of their trials.
    """

    ratings: tuple[Rating, ...]
    raters: tuple[str, ...]
    failed_checks: Mapping[str, int]
    seen_checks: Mapping[str, int]
    incomplete: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Trial:
    item: str
    systems: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Check:
    beeps: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class _Clip:
    item: str
    system: str


@dataclass(frozen=True, kw_only=True)
class _Item:
    id: str
    text: str


@dataclass(frozen=True, kw_only=True)
class _Key:
    """The parts of a key that are read, with their types."""

    test: str
    kind: str
    wording: str
    systems: tuple[str, ...]
    clips: dict[str, _Clip]
    trials: dict[str, _Trial]
    checks: dict[str, _Check]
    items: tuple[_Item, ...]
    per_rater: int | None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f'unknown kind "{self.kind}"')
        if not self.items or not all(t.systems for t in self.trials.values()):
            raise ValueError("it has no trials")


def read_key(directory: Path | str) -> dict[str, Any]:
    """The key of a test, from the folder of `intona listen --output`.

    Raises:
        UserError: no key there, or one of another version.
    """
    path = Path(directory)
    path = path / "key.json" if path.is_dir() else path
    if not path.exists():
        raise UserError("no key.json", where=directory, hint="--key takes the folder of --output")
    key = config.read_json(path, max_bytes=MAX_BYTES)
    names = [f.name for f in fields(_Key)]
    if not isinstance(key, dict) or key.get("version") != 1 or any(name not in key for name in names):
        raise UserError("not a key of this version", where=path)
    config.from_dict(_Key, {name: key[name] for name in names}, where=str(path))
    return key


def read_ratings(files: Sequence[Path | str], key: Mapping[str, Any]) -> Ratings:
    """Read the CSV files of the page; lines of another test and repeated lines are refused.

    Raises:
        UserError: an unreadable file, missing columns, a line of another test, an empty rater code, an
            unknown trial or clip, a score outside the scale, a repeated judgement.
    """
    if not files:
        raise UserError("no CSV file", hint="intona listen --score CSV... --key DIR")
    seen: dict[tuple[str, str, str], str] = {}
    answered: dict[str, set[str]] = {}
    failed: dict[str, set[str]] = {}
    ratings: list[Rating] = []
    for file in files:
        for number, line in _lines(Path(file)):
            where = f"{file}, line {number}"
            rater, trial, clip = line["rater"], line["trial"], line["clip"]
            _same_test(line, key, where)
            if not rater:
                raise UserError("no rater code", where=where)
            if trial not in key["trials"] and trial not in key["checks"]:
                raise UserError(f'unknown trial "{trial}"', where=where, hint="is it the CSV of this test?")
            score = _score(line["score"], key["kind"], where)
            # CMOS has one judgement per trial, whichever of the two clips came second.
            mark = (rater, trial, "" if key["kind"] == "cmos" else clip)
            if mark in seen:
                raise UserError(
                    f'rater "{rater}" already judged this clip, at {seen[mark]}',
                    where=where,
                    hint="keep one of them",
                )
            seen[mark] = where
            answered.setdefault(rater, set()).add(trial)
            if trial in key["checks"]:
                if not _attentive(key, trial, clip, line["versus"], score, where):
                    failed.setdefault(rater, set()).add(trial)
                continue
            ratings.append(_rating(key, rater, trial, clip, line["versus"], score, where))
    if not ratings:
        raise UserError("no rating in these files", where=files[0])
    raters = tuple(sorted(answered))
    systems_each = 1 if key["kind"] == "mushra" else len(key["trials"]) // len(key["items"])
    expected = (key["per_rater"] or len(key["items"])) * systems_each + len(key["checks"])
    return Ratings(
        ratings=tuple(ratings),
        raters=raters,
        failed_checks={r: len(failed.get(r, ())) for r in raters},
        seen_checks={r: len(answered[r] & set(key["checks"])) for r in raters},
        incomplete=tuple(r for r in raters if len(answered[r]) < expected),
    )


def _lines(path: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"larger than {MAX_BYTES >> 20} MiB", where=path)
        raw = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError("not UTF-8 text", where=path) from None
    except OSError as e:
        raise UserError(f"cannot be read ({e.strerror})", where=path) from None
    try:
        reader = csv.DictReader(raw.splitlines(), strict=True)
        heads = reader.fieldnames or []
        missing = [c for c in COLUMNS if c not in heads]
        if missing:
            raise UserError(f"no column {', '.join(missing)}", where=path, hint="send the file as downloaded")
        lines = []
        for line in reader:
            if None in line or any(line[c] is None for c in COLUMNS):
                raise UserError(
                    "the number of fields is not that of the columns", where=f"{path}, line {reader.line_num}"
                )
            lines.append((reader.line_num, {c: line[c].strip() for c in COLUMNS}))
    except csv.Error as e:
        raise UserError(f"not CSV ({e})", where=path) from None
    return lines


def _same_test(line: Mapping[str, str], key: Mapping[str, Any], where: str) -> None:
    for column in ("test", "kind", "wording"):
        if line[column] != str(key[column]):
            raise UserError(
                f'{column} is "{line[column]}", in the key "{key[column]}"',
                where=where,
                hint="score each test with its own key",
            )


def _score(text: str, kind: str, where: str) -> float:
    scale = KINDS[kind]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not scale.low <= value <= scale.high or value != round(value):
        raise UserError(f'score "{text}" is not an integer from {scale.low} to {scale.high}', where=where)
    return value


def _attentive(key: Mapping[str, Any], trial: str, clip: str, versus: str, score: float, where: str) -> bool:
    beeps = key["checks"][trial]["beeps"]
    if clip not in beeps or (key["kind"] == "cmos" and versus not in beeps):
        raise UserError(f'clip "{clip}" is not part of this trial', where=where)
    if key["kind"] == "cmos":
        return score == (3 if beeps[clip] > beeps[versus] else -3)
    if key["kind"] == "mushra":
        return abs(score - 10 * beeps[clip]) <= 5
    return score == beeps[clip]


def _rating(
    key: Mapping[str, Any], rater: str, trial: str, clip: str, versus: str, score: float, where: str
) -> Rating:
    expected = key["trials"][trial]
    for name in (clip, versus) if key["kind"] == "cmos" else (clip,):
        played = key["clips"].get(name)
        if (
            played is None
            or played["item"] != expected["item"]
            or played["system"] not in expected["systems"]
        ):
            raise UserError(f'clip "{name}" is not part of this trial', where=where)
    system, against = key["clips"][clip]["system"], ""
    if key["kind"] == "cmos":
        against = key["clips"][versus]["system"]
        if system == against:
            raise UserError("a clip compared with itself", where=where)
        if system == expected["systems"][0]:  # the fixed side came second: invert the comparison
            system, against, score = against, system, -score
    return Rating(rater=rater, item=expected["item"], system=system, against=against, score=score)
