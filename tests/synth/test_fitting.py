"""Batches that do not fit into memory: halved, remembered, and equal to what one at a time gives."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch

from intona import devices
from intona.audio import Audio
from intona.errors import UserError
from intona.synth.capabilities import Capabilities
from intona.synth.fitting import CPU_SENTENCES, MAX_SENTENCES, fitting_batch, speak_fitting
from intona.synth.options import SpeakOptions
from intona.synth.voice import BaseVoice, Reading

RATE = 8000


class Narrow(BaseVoice):
    """Speaks at most `fits` sentences at once; the length of its audio says which text it was."""

    capabilities = Capabilities(system="narrow", options=frozenset(), batches=True)
    sample_rate = RATE

    def __init__(self, fits: int, error: Exception | None = None) -> None:
        self.fits, self.error = fits, error or torch.OutOfMemoryError("CUDA out of memory.")
        self.sizes: list[int] = []

    def speak_text(self, text: str, options: SpeakOptions) -> Audio:
        return Audio(np.zeros(len(text), np.float32), RATE)

    def speak_batch(self, readings: Sequence[Reading]) -> Iterator[Audio | UserError]:
        self.sizes.append(len(readings))
        if len(readings) > self.fits:
            raise self.error
        for reading in readings:
            yield self.speak_text(reading.text, reading.options)


def readings(voice: Narrow, n: int) -> list[Reading]:
    return [voice.read("x" * (i + 1)) for i in range(n)]


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("x"), MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_a_batch_that_does_not_fit_is_spoken_by_halves(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    voice = Narrow(3, error)
    with caplog.at_level(logging.WARNING):
        results = list(speak_fitting(voice, readings(voice, 10)))
    assert [len(a) for a in results if isinstance(a, Audio)] == list(range(1, 11))
    assert voice.sizes == [10, 5, 2, 2, 2, 2, 2]
    assert [r.getMessage() for r in caplog.records] == [
        "out of memory with 10 sentences at once: 5 at once from here on",
        "out of memory with 5 sentences at once: 2 at once from here on",
    ]
    voice.sizes.clear()
    list(speak_fitting(voice, readings(voice, 5)))
    assert voice.sizes == [2, 2, 1]


def test_a_text_that_does_not_fit_alone_is_an_error_of_this_text() -> None:
    voice = Narrow(0)
    results = list(speak_fitting(voice, readings(voice, 3)))
    assert ["memory of this machine is too small" in str(r) for r in results] == [True] * 3


def test_another_error_passes() -> None:
    voice = Narrow(0, RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        list(speak_fitting(voice, readings(voice, 2)))


def test_what_was_spoken_before_the_memory_ran_out_is_kept() -> None:
    class Late(Narrow):
        def speak_batch(self, readings: Sequence[Reading]) -> Iterator[Audio | UserError]:
            self.sizes.append(len(readings))
            for i, reading in enumerate(readings):
                if i == 2:
                    raise self.error
                yield self.speak_text(reading.text, reading.options)

    voice = Late(9)
    results = list(speak_fitting(voice, readings(voice, 4)))
    assert [len(a) for a in results if isinstance(a, Audio)] == [1, 2, 3, 4]
    assert voice.sizes == [4, 2]


@pytest.mark.parametrize(
    ("device", "each", "free", "expected"),
    [
        ("cuda:0", 100, 10_000, 50),  # half of what is free
        ("cuda:0", 1, 10_000, MAX_SENTENCES),
        ("cuda:0", 10_000, 10_000, 1),
        ("cpu", 100, 10_000, CPU_SENTENCES),
        ("cpu", 100, 600, 3),
        ("cpu", 0, 600, CPU_SENTENCES),  # no growth was seen
        ("cpu", 100, None, CPU_SENTENCES),
    ],
)
def test_the_size_follows_from_the_memory_of_the_longest_sentence(
    monkeypatch: pytest.MonkeyPatch, device: str, each: int, free: int | None, expected: int
) -> None:
    voice = Narrow(1)
    voice.device = device  # type: ignore[attr-defined]

    class Peak(devices.PeakMemory):
        def _now(self, *, peak: bool) -> int:
            return each if peak else 0

        def __enter__(self) -> devices.PeakMemory:
            self._before = 0
            return self

    monkeypatch.setattr(devices, "PeakMemory", Peak)
    monkeypatch.setattr(devices, "free_bytes", lambda device: free)
    assert fitting_batch(voice, readings(voice, 4)) == expected
    assert voice.sizes == [1]
