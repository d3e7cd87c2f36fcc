"""The corpora, runs and frozen voices of the tests of the systems."""

from __future__ import annotations

from ..systems.conftest import spoken  # noqa: F401
from ..systems.meld.conftest import codebook, corpus, joint  # noqa: F401
from ..systems.restyle.conftest import mute, two_voices, voice  # noqa: F401
