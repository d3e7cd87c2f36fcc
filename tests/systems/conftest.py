"""A small corpus of real speech with words, phonemes by rule, and spans from its labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from intona.data.prepare import PrepareConfig, prepare

SMALL = Path(__file__).parents[1] / "assets" / "festvox-ru-small"


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from intona.data.transfer import transfer

    out = tmp_path_factory.mktemp("spoken") / "ru"
    prepare("festvox", SMALL, out, PrepareConfig(language="ru", stress="none", dev=2, test=3, workers=0))
    transfer(out)
    return out
