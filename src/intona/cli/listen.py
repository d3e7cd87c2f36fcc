"""`intona listen`: a blind listening test from reports; `--score`: its figures from what raters sent back."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from intona.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Listen:
    """Make a static blind listening test, or score one.

    DIR/test is what raters open or what you publish (index.html and audio); DIR/key.json says which clip is
    which: keep it. Raters send back CSV files; --score turns them into means with intervals over raters and
    items.
    """

    reports: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="REPORT")] = ()
    """Directories made by `intona evaluate`."""
    kind: Literal["mos", "intmos", "cmos", "mushra"] | None = None
    """mos: naturalness 1-5; intmos: intonation 1-5; cmos: pairs, -3 to +3; mushra: 0-100."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="DIR")] = None
    """A new folder for the test and its key."""
    systems: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME")] = ()
    """Only these systems of the reports."""
    wavs: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=DIR")] = ()
    """Where a system's audio lies, if the report does not say."""
    reference: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """The reference of MUSHRA, the other side of CMOS; the recording if not given."""
    items: int = 20
    """Utterances, drawn at random from those that every system has spoken."""
    per_rater: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Items that one rater hears, all systems each; all if not given."""
    checks: int = 3
    """Attention items: beeps to be counted."""
    seed: int = 0
    """The same seed, reports and settings give the same test."""
    language: Literal["en", "ru"] = "en"
    """The language of the page."""
    score: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="CSV")] = ()
    """Score these result files."""
    key: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """The folder that --out made, for --score."""
    allow: int = 0
    """Attention items that a rater may answer wrong and still count."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the scores here too, as JSON."""


def main(arguments: list[str]) -> None:
    request = tyro.cli(Listen, prog="intona listen", args=arguments)
    if request.score or request.key is not None:
        _score(request)
    else:
        _build(request)


def _score(request: Listen) -> None:
    if request.reports or request.kind or request.out:
        raise UserError("goes with --key, --allow and --json only", where="--score")
    if request.key is None:
        raise UserError("no key", where="--key", hint="give the folder that --out made")
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
    if request.out is None:
        hint = "intona listen REPORT --kind mos --out DIR"
        raise UserError("no folder for the test", where="--out", hint=hint)
    wavs = {}
    for pair in request.wavs:
        name, found, folder = pair.partition("=")
        if not (name and found and folder):
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
        key = build_test(request.reports, test, request.out, wavs=wavs, progress=progress)
    count = len(key["items"])
    print(f"{request.out / 'test' / 'index.html'}")
    print(
        f"{request.kind}: {count} items x {len(key['systems'])} systems, {len(key['checks'])} attention "
        f"items, all clips at {key['loudness']}; key: {request.out / 'key.json'} (keep it from raters)",
        file=sys.stderr,
    )
    for left in key["left_out"]:
        print(f"left out {left['id']}: {left['why']}", file=sys.stderr)
    if count < MIN_ITEMS:
        print(f"only {count} items: at least {MIN_ITEMS} make a test worth its raters", file=sys.stderr)
