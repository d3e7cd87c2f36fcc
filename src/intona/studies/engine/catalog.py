"""The studies by name."""

from __future__ import annotations

import importlib

from intona.errors import unknown
from intona.studies.engine.entry import StudyEntry

# name -> "module:attribute" of a StudyEntry
STUDIES = {
    "prosody": "intona.studies.prosody:STUDY",
    "ditto": "intona.studies.ditto:STUDY",
    "meld": "intona.studies.meld:STUDY",
    "restyle": "intona.studies.restyle:STUDY",
}


def names() -> tuple[str, ...]:
    """Every study that there is."""
    return tuple(STUDIES)


def get(name: str) -> StudyEntry:
    """Raises: UserError: no such study (the nearest name is offered)."""
    if name not in STUDIES:
        unknown("study", name, STUDIES)
    module, _, attribute = STUDIES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
