"""Where work is done: by processes of this machine, or by workers on a Ray cluster.

    with open_engine("local", workers=4) as engine:
        for result in engine.map(function, items, state=state):
            ...

Results come in the order of the items and do not depend on the engine or on how the work was split.
"""

from __future__ import annotations

from intona.cluster.base import CommandProcess, Engine
from intona.cluster.local import LocalEngine
from intona.cluster.opening import open_engine

__all__ = ["CommandProcess", "Engine", "LocalEngine", "open_engine"]
