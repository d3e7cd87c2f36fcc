"""A small prepared corpus of real speech, made once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from intona.data.prepare import PrepareConfig, prepare

SMALL = Path(__file__).parents[1] / "assets" / "festvox-ru-small"


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen utterances of festvox-ru with the corpus's own phones: needs no espeak."""
    from intona.data.transfer import transfer

    out = tmp_path_factory.mktemp("corpus") / "ru"
    prepare("festvox", SMALL, out, PrepareConfig(language="ru", phonemes="corpus", dev=2, test=2, workers=0))
    transfer(out)
    return out
