"""The studies by name."""

from __future__ import annotations

from intona import registry
from intona.studies.engine.entry import StudyEntry


def names() -> tuple[str, ...]:
    """Every registered study."""
    return registry.names("studies")


def get(name: str) -> StudyEntry:
    """A study.

    Raises:
        UserError: no such study (the nearest name is offered).
    """
    return registry.get("studies", name)
