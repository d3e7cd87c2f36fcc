"""The shipped voices through `synth.load`: from several threads, with any vocoder, on a named device."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from intona import cli, models, registry, synth
from intona.audio import Audio
from intona.errors import UserError
from intona.nn import precision
from intona.nn.causal import single_rows
from intona.synth.capabilities import Capabilities, capabilities_of
from intona.synth.voice import Voice

SHIPPED = [n for n in ("ru", "ditto") if any(c.name == n for c in models.shipped("voice"))]
PHONEMES = "d ˈo b r ɨ j | dʲ ˈe nʲ ."


def noise(seconds: float) -> Audio:
    rng = np.random.default_rng(0)
    return Audio(rng.normal(0, 0.1, round(22050 * seconds)).astype(np.float32), 22050)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_four_threads_speak_what_four_calls_do(name: str, at_once: Callable[..., list[Any]]) -> None:
    """Of a voice that was never used: what is loaded at the first call is loaded once."""
    more: list[dict[str, Any]] = [{"phonemes": True}, {"rate": 1.5}, {"phonemes": True}, {"temperature": 1.0}]
    if name == "ditto":
        more[2] |= {"reference": noise(1.5), "guidance": 1.0}
    texts = [PHONEMES if m.get("phonemes") else "Да. Нет." for m in more]
    kwargs = [{"steps": 1, "seed": seed, **m} for seed, m in enumerate(more)]
    reference = synth.load(name, vocoder="griffin-lim")
    serial = [reference.say(text, **how) for text, how in zip(texts, kwargs, strict=True)]
    fresh = synth.load(name, vocoder="griffin-lim")
    parallel = at_once([partial(fresh.say, text, **how) for text, how in zip(texts, kwargs, strict=True)])
    for a, b in zip(serial, parallel, strict=True):
        np.testing.assert_array_equal(a.samples, b.samples)


def test_kernels_are_not_switched_under_another_thread(
    monkeypatch: pytest.MonkeyPatch, at_once: Callable[..., list[Any]]
) -> None:
    """Where fast kernels are on, a thread that computes with them sees no other setting."""
    before = torch.get_float32_matmul_precision()
    monkeypatch.setattr(precision, "set_fast_matmul", lambda: True)
    try:
        torch.set_float32_matmul_precision("medium")

        def rows() -> set[str]:
            seen = set()
            for _ in range(200):
                with precision.one_at_a_time(), single_rows():
                    seen.add(torch.get_float32_matmul_precision())
            return seen

        def batches() -> set[str]:
            seen = set()
            for _ in range(200):
                with precision.one_at_a_time():
                    seen.add(torch.get_float32_matmul_precision())
            return seen

        assert at_once([rows, batches, rows, batches]) == [{"highest"}, {"medium"}] * 2
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_every_registered_kind_declares_what_it_can_do() -> None:
    declared = {kind: capabilities_of(kind) for kind in registry.names("voices")}
    assert {"gradtts", "ditto", "speech_lm", "restyle"} <= declared.keys()
    ours = [c for k, c in declared.items() if registry.distribution("voices", k) == registry.HOME]
    assert len(ours) >= 4 and all(isinstance(c, Capabilities) for c in ours)


@pytest.mark.slow
@pytest.mark.skipif("ru" not in SHIPPED, reason="the voice `ru` is not shipped in this checkout")
@pytest.mark.parametrize("vocoder", ["griffin-lim", "vocoder-draft"])
def test_a_voice_speaks_through_another_vocoder(vocoder: str, tmp_path: Path) -> None:
    voice = synth.load("ru", vocoder=vocoder)
    assert isinstance(voice, Voice) and voice.identity()["vocoder"] == vocoder
    whole = voice.say(PHONEMES, phonemes=True, steps=1)
    assert whole.duration > 0.5 and np.isfinite(whole.samples).all() and 0.01 < whole.peak <= 1
    line = ["say", PHONEMES, "--phonemes", "--steps", "1", "--vocoder", vocoder, "--device", "cpu", "-o"]
    assert cli.main([*line, str(tmp_path / "a.wav")]) == 0 and (tmp_path / "a.wav").is_file()


@pytest.mark.skipif("ru" not in SHIPPED, reason="the voice `ru` is not shipped in this checkout")
def test_what_cannot_be_loaded_is_named() -> None:
    with pytest.raises(UserError, match='--device: "tape" is no device'):
        synth.load("ru", device="tape")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match='--device: "cuda:3" cannot be used'):
            synth.load("ru", device="cuda:3")
    with pytest.raises(UserError, match="hifgan"):
        synth.load("ru", vocoder="hifgan").preload()
