"""What a package declares to be a study that `intona study NAME` can run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class StudyEntry:
    """One study, by the names of its modules, so that listing the studies imports none of them.

    Args:
        plan: module with `declare`, SIZES, ARMS, DEFAULT_ARMS and REPEATED.
        page: module with `write`.
        what: the question that it answers, for the help.
        options: options of the command line that not every study has. `declare` gets them as keywords, None
            where the user did not set them.
        parts: smaller studies of the same question that `--only NAME` runs instead.
    """

    plan: str
    page: str
    what: str
    options: tuple[str, ...] = ()
    parts: Mapping[str, StudyEntry] = field(default_factory=dict)
