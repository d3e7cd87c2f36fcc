"""What a preset's docstring says of its size, which `intona train STAGE --help` prints, is what it has."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from intona.audio import MelSpec
from intona.encoders.dual_stream import DualStreamEncoder
from intona.encoders.ecapa import Ecapa
from intona.encoders.style_net import StyleNet
from intona.latents.mel import MelLatents, MelLatentsConfig
from intona.latents.mel_vae import MelVAE
from intona.systems.ditto import Ditto, melvae
from intona.systems.ditto import presets as ditto_presets
from intona.systems.encoder import contrastive, mlm
from intona.systems.gradtts import GradTTS
from intona.systems.gradtts import stage as gradtts
from intona.systems.meld import SpeechLM
from intona.systems.meld import presets as meld
from intona.systems.restyle import Restyle, bridge, palette, posterior, style
from intona.systems.restyle.vits.posterior import PosteriorNet

SYMBOLS = 60  # of a language; every further one is a row of the embedding


def _ditto(model: Any) -> list[nn.Module]:
    whole = Ditto(
        dataclasses.replace(model, n_tokens=SYMBOLS, latents=MelLatentsConfig()), MelLatents(MelSpec())
    )
    if model.dim >= 384:  # the published sizes are given without the text encoder
        whole.encoder = nn.Identity()  # type: ignore[assignment]
    return [whole]


# stage -> its presets, and the modules that the numbers of a docstring are about, in order
PARTS: dict[str, tuple[dict[str, Callable[[], Any]], Callable[[Any], list[nn.Module]]]] = {
    "prosody.mlm": (
        mlm.SIZES,
        lambda c: [
            DualStreamEncoder(dataclasses.replace(c.model, n_tokens=SYMBOLS, n_pieces=c.pieces)),
        ],
    ),
    "prosody.contrastive": (
        contrastive.SIZES,
        lambda c: [
            DualStreamEncoder(dataclasses.replace(c.model.text, n_tokens=SYMBOLS, n_pieces=c.pieces)),
            Ecapa(c.model.audio),
        ],
    ),
    "prosody.gradtts": (
        gradtts.SIZES,
        lambda c: [GradTTS(dataclasses.replace(c.model, n_tokens=SYMBOLS))],
    ),
    "prosody.melvae": (melvae.SIZES, lambda c: [MelVAE(c.model, MelSpec())]),
    "prosody.ditto": (ditto_presets.SIZES, lambda c: _ditto(c.model)),
    "meld.tts": (meld.SIZES, lambda c: [SpeechLM(dataclasses.replace(c.model, n_text=c.bpe))]),
    "restyle.posterior": (posterior.SIZES, lambda c: [PosteriorNet(c.model)]),
    "restyle.style": (style.SIZES, lambda c: [StyleNet(c.model)]),
    "restyle.palette": (palette.SIZES, lambda c: [Restyle(c.model)]),
    "restyle.bridge": (bridge.SIZES, lambda c: [Restyle(c.model)]),
}


def _doc(preset: Any) -> str:
    return getattr(preset, "func", preset).__doc__ or ""  # some presets are partial


STATED = [
    (stage, size)
    for stage, (sizes, _) in PARTS.items()
    for size, preset in sizes.items()
    if re.search(r"\d M parameters|\d M here", _doc(preset))
]


def test_most_presets_state_their_size() -> None:
    assert len(STATED) >= 20


@pytest.mark.parametrize(("stage", "size"), STATED)
def test_a_preset_has_the_parameters_that_it_states(stage: str, size: str) -> None:
    sizes, build = PARTS[stage]
    stated = re.findall(r"(\d+(?:\.\d+)?) M\b(?! in the paper)", _doc(sizes[size]))
    with torch.device("meta"):
        parts = build(sizes[size]())
    assert len(stated) >= len(parts)
    for number, part in zip(stated, parts, strict=False):
        millions = sum(p.numel() for p in part.parameters()) / 1e6
        step = 10.0 ** -len(number.partition(".")[2])
        assert abs(millions - float(number)) <= 0.51 * step, f"{millions:.3f} M, stated {number} M"
