"""Targets of a small corpus, Griffin-Lim in place of HiFi-GAN: a hundredth of the time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from intona.audio import MelSpec
from intona.systems.vocoder import targets as T
from intona.vocoder import GriffinLim

CONFIG = T.TargetsConfig(recorded_minutes=0.2)


@pytest.fixture(scope="session")
def fill() -> Callable[..., Path]:
    def fill(data: Path, out: Path, minutes: float = 0.3, config: T.TargetsConfig = CONFIG) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("intona.vocoder.load_vocoder", lambda name: GriffinLim(MelSpec(), iterations=1))
            return T.make(data, out, minutes=minutes, config=config)

    return fill


@pytest.fixture(scope="session")
def targets(spoken: Path, fill: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(spoken, tmp_path_factory.mktemp("targets") / "t")
