"""A small audio-text style model: what was measured on a recording, said in words, and the recording itself.

Trained here by `restyle.style` with SigLIP's sigmoid loss on captions made from measurements. It stands in
where no CLAP weights are to be had and is called "style embedding"; it knows what can be measured and
nothing that listeners say of voices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor, nn
from torch.nn.functional import normalize

from intona import checkpoint
from intona import config as configs
from intona.audio import Audio, MelSpec, log_mel
from intona.audio.io import faults
from intona.encoders.contrastive import sigmoid_loss
from intona.encoders.ecapa import Ecapa, EcapaConfig
from intona.encoders.style import ProsodyStyle
from intona.errors import UserError
from intona.nn.losses import Part

FACTS = "style.json"
WINDOW_SECONDS = 10.0
NAME = "style embedding"


@dataclass(frozen=True, kw_only=True)
class StyleNetConfig:
    """Sizes. `text_dim` is the tower's, `dim` that of the joint space.

    `scale` and `bias` are SigLIP's t and b at the start; a bias of None is -log(B - 1) of a batch of 16.
    """

    audio: EcapaConfig = field(
        default_factory=lambda: EcapaConfig(channels=128, hidden=384, bottleneck=64, dim=128)
    )
    text_dim: int = 12
    dim: int = 64
    scale: float = 10.0
    bias: float | None = None


class StyleNet(nn.Module):
    """Log mels and sentence vectors into one space of norm 1."""

    mel_mean: Float[Tensor, " mels"]
    mel_std: Float[Tensor, " mels"]

    def __init__(self, config: StyleNetConfig) -> None:
        super().__init__()
        self.config = config
        self.audio = Ecapa(config.audio)
        self.audio_head = nn.Linear(config.audio.dim, config.dim)
        self.text_head = nn.Sequential(
            nn.Linear(config.text_dim, 2 * config.dim), nn.GELU(), nn.Linear(2 * config.dim, config.dim)
        )
        self.log_scale = nn.Parameter(torch.tensor(math.log(config.scale)))
        bias = -math.log(15) if config.bias is None else config.bias
        self.bias = nn.Parameter(torch.tensor(float(bias)))
        self.register_buffer("mel_mean", torch.zeros(config.audio.n_mels))
        self.register_buffer("mel_std", torch.ones(config.audio.n_mels))

    def embed_audio(
        self, mels: Float[Tensor, "batch frames mels"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch width"]:
        """Log mels to vectors of norm 1."""
        return normalize(self.audio_head(self.audio((mels - self.mel_mean) / self.mel_std, lengths)), dim=-1)

    def embed_text(self, vectors: Float[Tensor, "batch text_width"]) -> Float[Tensor, "batch width"]:
        """Vectors of the tower to vectors of norm 1."""
        return normalize(self.text_head(vectors), dim=-1)

    def parts(
        self, text: Float[Tensor, "pairs width"], audio: Float[Tensor, "pairs width"]
    ) -> dict[str, Part]:
        """The loss of a batch of pairs, and with weight 0 the share of texts whose sound is the nearest.

        Two recordings with the same caption count as strangers, as in every such loss.
        """
        count = torch.tensor(float(len(text)), device=text.device)
        with torch.autocast(text.device.type, enabled=False):
            scale, bias = self.log_scale.float().exp(), self.bias.float()
            total = sigmoid_loss(text.float(), audio.float(), scale, bias, over_ranks=self.training)
        best = (text @ audio.T).argmax(dim=1).cpu() == torch.arange(len(text))
        accuracy = Part(total=best.sum().to(count).detach(), count=count, weight=0.0)
        return {"contrastive": Part(total=total, count=count), "r1": accuracy}


@runtime_checkable
class Tower(Protocol):
    """A frozen text model that turns a description into a vector."""

    dim: int

    def describe(self) -> dict[str, Any]: ...

    def of_texts(self, texts: list[str]) -> Float[np.ndarray, "texts width"]: ...


class WordTower:
    """The words that `encoders.style` knows, as its twelve numbers: needs no weights."""

    dim = ProsodyStyle.dim

    def describe(self) -> dict[str, Any]:
        return {"sentences": "words", "version": 1}

    def of_texts(self, texts: list[str]) -> Float[np.ndarray, "texts width"]:
        words = ProsodyStyle()
        return np.stack([words.of_text(t) for t in texts])


def tower(name: str, *, ask: bool = True) -> Tower:
    """ "words", "minilm" (the installed wheel), or a directory or hub id of a BERT (`ask`: see `hub.fetch`).

    Raises:
        UserError: not to be had.
    """
    if name == "words":
        return WordTower()
    from intona.encoders.sentence import SentenceEncoder

    return SentenceEncoder(name, ask=ask)  # type: ignore[return-value]


class StyleEmbedding:
    """A `encoders.style.StyleEncoder`: a trained run of restyle.style.

    Raises:
        UserError: no such run, another kind of model, its text tower is gone or another one.
    """

    name = NAME

    def __init__(self, run: str) -> None:
        path, state = checkpoint.weights_of(Path(run))
        facts = configs.read_json(path / FACTS) if (path / FACTS).is_file() else None
        if not isinstance(facts, dict) or not {"net", "tower", "tower_is"} <= facts.keys():
            raise UserError("not a run of restyle.style", where=path, hint="train one: restyle.style")
        self.net = StyleNet(configs.from_dict(StyleNetConfig, facts["net"], where=str(path / FACTS)))
        weights = {k.removeprefix("net."): v for k, v in state.items()}
        checkpoint.load_weights(self.net, weights, where=path)
        self.net.eval().requires_grad_(False)
        self.spec = configs.load(MelSpec, path / "features.json")
        self.identity, self.dim = checkpoint.identity_of(path), self.net.config.dim
        self._tower_name, self._tower_is, self._path = str(facts["tower"]), facts["tower_is"], path
        self._tower: Tower | None = None

    def describe(self) -> dict[str, Any]:
        return {"style": NAME, "weights": self.identity, "tower": self._tower_is, "version": 1}

    @torch.inference_mode()
    def of_audio(self, audio: Audio) -> Float32[np.ndarray, " width"]:
        """A vector of norm 1: the mean over windows of ten seconds. Raises UserError for silence."""
        from intona.encoders.clap import windows

        if bad := [f for f in faults(audio) if not f.startswith("clipped")]:
            raise UserError(f"no style in it: {bad[0]}", where="style")
        audio = audio.resample(self.spec.sample_rate)
        vectors = []
        for piece in windows(audio.samples, round(WINDOW_SECONDS * audio.sample_rate)):
            mel = torch.from_numpy(log_mel(Audio(piece, audio.sample_rate), self.spec))[None]
            vectors.append(self.net.embed_audio(mel, torch.tensor([mel.shape[1]]))[0])
        return normalize(torch.stack(vectors).mean(0), dim=0).numpy().astype(np.float32)

    @torch.inference_mode()
    def of_text(self, text: str) -> Float32[np.ndarray, " width"]:
        """A vector of norm 1. Raises UserError for what its text tower cannot read."""
        if not text.strip():
            raise UserError("an empty style", where="style", hint='such as "calm, low, slow"')
        if self._tower is None:
            text_tower = tower(self._tower_name, ask=False)
            if text_tower.describe() != self._tower_is:
                raise UserError(f"its text tower {self._tower_name} has other weights now", where=self._path)
            self._tower = text_tower
        vector = torch.from_numpy(self._tower.of_texts([text]).astype(np.float32))
        return self.net.embed_text(vector)[0].numpy()

    def rate(self, style: np.ndarray) -> float | None:
        """What it knows of the rate cannot be read from a vector."""
        return None
