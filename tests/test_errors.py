"""Errors for people: what is suggested for a name that nobody knows."""

from __future__ import annotations

import pytest

from intona.errors import nearest


@pytest.mark.parametrize(
    ("name", "options", "suggested"),
    [
        ("ens", ("en", "ru"), "en"),
        ("sey", ("say", "train", "evaluate"), "say"),
        ("synth", ("say", "synthesize-set"), "synthesize-set"),
        ("ddmi", ("ddim", "ancestral"), "ddim"),
    ],
)
def test_a_misspelt_name_is_mended(name: str, options: tuple[str, ...], suggested: str) -> None:
    assert nearest(name, options) == f'did you mean "{suggested}"?'


@pytest.mark.parametrize(
    ("name", "options"),
    [("uk", ("ko", "ru")), ("angry", ("a", "and", "calm")), ("speak", ("say", "train")), ("x", ())],
)
def test_a_name_unlike_all_gets_the_list(name: str, options: tuple[str, ...]) -> None:
    assert nearest(name, options) == (f"known: {', '.join(sorted(options))}" if options else "none is known")
