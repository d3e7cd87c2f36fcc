"""`intona listen`: build a blind listening test from reports; `--score`: figures from the raters' answers."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from intona.cli.aliases import renamed
from intona.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Listen:
    """Build a static blind listening test, or score one.

    Publish DIR/test (index.html and audio) or give it to the raters. DIR/key.json states which clip is which:
    keep it private. Raters send back CSV files; --score turns them into means with intervals over raters and
    items.
    """

    reports: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="REPORT")] = ()
    """Report directories of `intona evaluate`."""
    kind: Literal["mos", "intmos", "cmos", "mushra"] | None = None
    """mos: naturalness 1-5; intmos: intonation 1-5; cmos: pairs, -3 to +3; mushra: 0-100."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = None
    """A new folder for the test and its key."""
    systems: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME")] = ()
    """Only these systems of the reports."""
    wavs: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=DIR")] = ()
    """The folder of a system's audio, if the report does not state it."""
    reference: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """The reference of MUSHRA, the other side of CMOS; by default the recording."""
    items: int = 20
    """Utterances, drawn at random from those of which every system has audio."""
    per_rater: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Items per rater, each with all systems; by default all."""
    checks: int = 3
    """Attention items, in which beeps are counted."""
    seed: int = 0
    """The same seed, reports and settings give the same test."""
    language: Literal["en", "ru"] = "en"
    """The language of the page."""
    score: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="CSV")] = ()
    """Score these result files."""
    key: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """The folder of --output, for --score."""
    allow: int = 0
    """How many attention items a rater may answer wrong and still be counted."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also write the scores here, as JSON."""


def main(arguments: list[str]) -> None:
    request = tyro.cli(Listen, prog="intona listen", args=renamed(arguments))
    if request.score or request.key is not None:
        _score(request)
    else:
        _build(request)


def _score(request: Listen) -> None:
    if request.reports or request.kind or request.output:
        raise UserError("goes with --key, --allow and --json only", where="--score")
    if request.key is None:
        raise UserError("no key", where="--key", hint="give the folder of --output")
    if request.allow < 0:
        raise UserError(f"{request.allow} is less than 0", where="--allow")
    from intona.evaluation.listen import read_key, read_ratings, score
    from intona.evaluation.listen.score import to_markdown

    key = read_key(request.key)
    scores = score(read_ratings(request.score, key), key, allowed=request.allow)
    if request.json is not None:
        from intona.config import write_json

        write_json(request.json, scores.to_json())
    print(to_markdown(scores), end="")


def _build(request: Listen) -> None:
    if request.kind is None:
        raise UserError("no kind of test", where="--kind", hint="mos, intmos, cmos or mushra")
    if request.output is None:
        hint = "intona listen REPORT --kind mos --output DIR"
        raise UserError("no folder for the test", where="--output", hint=hint)
    wavs = {}
    for pair in request.wavs:
        name, equals, folder = pair.partition("=")
        if not (name and equals and folder):
            raise UserError(f'"{pair}" is not NAME=DIR', where="--wavs")
        wavs[name] = Path(folder)
    from intona.evaluation.listen import Listening, build_test
    from intona.evaluation.listen.build import MIN_ITEMS
    from intona.progress import bar

    test = Listening(
        kind=request.kind,
        systems=request.systems or None,
        reference=request.reference,
        items=request.items,
        per_rater=request.per_rater,
        checks=request.checks,
        seed=request.seed,
        language=request.language,
    )
    with bar("listen") as progress:
        key = build_test(request.reports, test, request.output, wavs=wavs, progress=progress)
    count = len(key["items"])
    print(f"{request.output / 'test' / 'index.html'}")
    print(
        f"{request.kind}: {count} items x {len(key['systems'])} systems, {len(key['checks'])} attention "
        f"items, all clips at {key['loudness']}; key: {request.output / 'key.json'} (hide it from raters)",
        file=sys.stderr,
    )
    for left in key["left_out"]:
        print(f"left out {left['id']}: {left['why']}", file=sys.stderr)
    if count < MIN_ITEMS:
        print(f"only {count} items: use at least {MIN_ITEMS} for a test with real raters", file=sys.stderr)
