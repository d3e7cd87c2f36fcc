"""Shipped voices with a variance adaptor: F0 of their speech follows what is requested."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import intona
from intona import models
from intona.audio.pitch import f0_contour

TEXTS = {
    "ru": ("Река медленно текла между холмами.", "Завтра утром мы поедем на вокзал."),
    "en": ("The river flowed slowly between the hills.", "Tomorrow morning we will go to the station."),
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=sorted(TEXTS))
def steerable(request: pytest.FixtureRequest) -> Iterator[tuple[Any, tuple[str, ...]]]:
    if request.param not in {card.name for card in models.shipped()}:
        pytest.skip("not in this checkout")
    voice = intona.load(request.param)
    if not voice.capabilities.takes("pitch"):
        pytest.skip("its model has no variance adaptor")
    yield voice, TEXTS[request.param]


def semitones(voice: Any, texts: tuple[str, ...], **options: Any) -> tuple[float, float]:
    """Median, and the distance of the quartiles from one another, of the voiced frames of all texts."""
    rows = [f0_contour(voice.say(text, **options)).f0 for text in texts]
    f0 = np.concatenate(rows)
    low, middle, high = np.quantile(12 * np.log2(f0[f0 > 0] / 100), (0.25, 0.5, 0.75))
    return float(middle), float(high - low)


def test_pitch_shifts_by_what_is_requested(steerable: tuple[Any, tuple[str, ...]]) -> None:
    voice, texts = steerable
    plain = semitones(voice, texts)[0]
    shifts = [semitones(voice, texts, pitch=p)[0] - plain for p in (-3.0, -1.5, 1.5, 3.0)]
    assert shifts == sorted(shifts)
    np.testing.assert_allclose(shifts, (-3, -1.5, 1.5, 3), atol=1.2)


def test_range_widens_and_narrows(steerable: tuple[Any, tuple[str, ...]]) -> None:
    voice, texts = steerable
    widths = [semitones(voice, texts, range=r)[1] for r in (0.0, 0.5, 1.0, 1.5)]
    assert widths == sorted(widths) and widths[0] < 0.7 * widths[-1]
