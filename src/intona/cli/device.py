"""The option --device, which all verbs that run a model share."""

from __future__ import annotations

from typing import Annotated

import tyro

METAVAR = "auto|cpu|cuda[:N]"
Device = Annotated[
    str,
    tyro.conf.arg(
        metavar=METAVAR,
        help="Where the models run: cpu, cuda, cuda:1, or auto: a GPU where there is one.",
    ),
]
