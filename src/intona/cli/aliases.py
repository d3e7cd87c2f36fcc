"""Flags under their earlier names, which are accepted for one version."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

OUTPUT = {"--out": "--output"}


def renamed(arguments: Sequence[str], names: Mapping[str, str] = OUTPUT) -> list[str]:
    """The arguments of a command line with old flags replaced; warns once per old flag.

    Call it before the parser, so that help and error messages show the new names only.

    Args:
        names: old flag -> new flag, such as {"--out": "--output"}. As in the parser, underscores count as
            hyphens. Nothing after a lone "--" is a flag.
    """
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    result, old_flags = [], {}
    for argument in arguments[:end]:
        flag, equals, value = argument.partition("=")
        old = flag.replace("_", "-")
        if new := names.get(old):
            old_flags[old] = new
            argument = new + equals + value
        result.append(argument)
    for old, new in old_flags.items():
        message = f"{old} is now {new}; the old name will be removed in the next version"
        warnings.warn(message, FutureWarning, stacklevel=2)
    return [*result, *arguments[end:]]
