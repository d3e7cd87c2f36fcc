"""A small prepared corpus of real speech and a toy codebook, made once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from intona.data.prepare import PrepareConfig, prepare

SMALL = Path(__file__).parents[2] / "assets" / "festvox-ru-small"
FAST = {
    "max_positions": "700",
    "loop.log_every": "1",
    "loop.precision": "fp32",
    "model.layers": "1",
    "model.dropout": "0.1",
}


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen utterances of festvox-ru: twelve to train on, one dev, one test."""
    out = tmp_path_factory.mktemp("meld") / "ru"
    prepare("festvox", SMALL, out, PrepareConfig(language="ru", phonemes="corpus", dev=1, test=1, workers=0))
    return out


@pytest.fixture(scope="session")
def codebook(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from intona import systems

    out = tmp_path_factory.mktemp("meld") / "codebook"
    systems.train("meld.codebook", size="toy", data=corpus, out=out)
    return out


@pytest.fixture(scope="session")
def joint(corpus: Path, codebook: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three updates of a joint toy model: it says and hears nonsense, through the whole chain."""
    from intona import systems

    out = tmp_path_factory.mktemp("meld") / "joint"
    how = {**FAST, "loop.steps": "3", "listen_from": "0", "codebook": str(codebook)}
    systems.train("meld.joint", size="toy", data=corpus, out=out, overrides=how)
    return out
