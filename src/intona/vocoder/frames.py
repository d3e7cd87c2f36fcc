"""What the vocoders at frame rate share: how one is built, loaded and given its features."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from torch import nn

from intona import checkpoint
from intona import config as configs
from intona.audio import MelSpec
from intona.nn.precision import bf16_wins
from intona.vocoder.base import BF16, Vocoder, require_directory
from intona.vocoder.trunk import NETWORK, require_fit

Network = TypeVar("Network", bound=nn.Module)


class FrameVocoder(Vocoder, Generic[Network]):
    """A trained network; the arguments are those of `HifiGan`.

    Attributes:
        config_type, network_type: of the kind; a network is built from its config and the features.
    """

    config_type: ClassVar[type]
    network_type: ClassVar[type]

    def __init__(
        self,
        network: Network,
        config: Any,
        spec: MelSpec,
        *,
        bf16: BF16 = "auto",
        chunk_frames: int = 1024,
    ) -> None:
        self.network, self.config, self.spec = network.eval().requires_grad_(False), config, spec
        self.chunk_frames = chunk_frames
        self.device = next(network.parameters()).device
        self.bf16 = bf16_wins(self.device.type) if bf16 == "auto" else bf16

    @property
    def reach(self) -> int:
        return self.config.reach

    @classmethod
    def load(
        cls,
        directory: Path | None,
        *,
        device: str | torch.device = "cpu",
        bf16: BF16 = "auto",
        chunk_frames: int = 1024,
    ) -> Self:
        """The averaged weights of a run, a checkpoint or a published model.

        Raises:
            UserError: missing or damaged files, tensors that do not fit, features of another kind.
        """
        path = checkpoint.resolve(require_directory(directory, cls.__name__))
        config: Any = configs.load(cls.config_type, path / NETWORK)
        spec = MelSpec.load(path / "features.json")
        require_fit(config.features, config.n_mels, spec, path)
        checkpoint.verify(path, state=False)
        network = cls.network_type(config, spec)
        checkpoint.load_weights(network, checkpoint.weights(path, "model."), where=path)
        return cls(network.to(device), config, spec, bf16=bf16, chunk_frames=chunk_frames)


Config = TypeVar("Config")


def for_features(config: Config, spec: MelSpec) -> Config:
    """The config of a network for these features, which it then names."""
    named: dict[str, Any] = {"n_mels": spec.n_mels, "features": spec.fingerprint()}
    return dataclasses.replace(config, **named)  # type: ignore[type-var]
