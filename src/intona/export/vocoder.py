"""Vocoders as graphs: the networks; pulses, noise and Fourier transforms stay in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from intona.errors import UserError
from intona.export.graph import export_graph
from intona.runtime.folder import HifiGanGraphs, SourceFilterGraphs, VocosGraphs
from intona.vocoder.hifigan import Generator, HifiGan
from intona.vocoder.source_filter import SourceFilter, SourceFilterNetwork
from intona.vocoder.vocos import Vocos, VocosNetwork

FRAMES = 24
LENGTHS = {"mel": {1: "frames"}}


class TracedHifiGan(nn.Module):
    """mel (1, T, n_mels) -> samples (1, T * hop). The generator's names are those of its file."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        for name, child in generator.named_children():
            self.add_module(name, child)

    def forward(self, mel: Tensor) -> Tensor:
        return Generator.forward(self, mel.transpose(1, 2))  # type: ignore[arg-type]


class TracedVocos(nn.Module):
    """mel -> real, imag, amplitude (1, T, n_fft // 2 + 1)."""

    def __init__(self, network: VocosNetwork) -> None:
        super().__init__()
        self.model = network

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        spectrum = self.model.spectrum(mel)
        amplitude = spectrum.log_amplitude.exp()
        scale = amplitude * torch.rsqrt(spectrum.real.square() + spectrum.imag.square() + 1e-12)
        return scale * spectrum.real, scale * spectrum.imag, amplitude


class TracedPitch(nn.Module):
    """mel -> octaves (log2 of Hz), voicing (1, T)."""

    def __init__(self, network: SourceFilterNetwork) -> None:
        super().__init__()
        self.model = network

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.octaves(mel)


class TracedFilters(nn.Module):
    """mel -> real, imag of the harmonic filter, and the amplitude of the noise (1, T, n_fft // 2 + 1)."""

    def __init__(self, network: SourceFilterNetwork) -> None:
        super().__init__()
        self.model = network

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        filters = self.model.filters(mel)
        scale = filters.harmonic.exp() * torch.rsqrt(filters.real.square() + filters.imag.square() + 1e-12)
        return scale * filters.real, scale * filters.imag, filters.noise.exp()


def export_vocoder(vocoder: Any, path: Path) -> HifiGanGraphs | VocosGraphs | SourceFilterGraphs:
    """Write the graphs of a vocoder into a folder that has its weights.

    Raises:
        UserError: a kind of vocoder that cannot be exported.
    """
    inputs = {"mel": torch.full((1, FRAMES, vocoder.spec.n_mels), -5.0)}
    spectrum = ["real", "imag", "amplitude"]
    if isinstance(vocoder, HifiGan):
        graph = TracedHifiGan(vocoder.generator)
        export_graph(graph, path / "decoder.onnx", inputs=inputs, outputs=["samples"], lengths=LENGTHS)
        return HifiGanGraphs(reach=vocoder.reach)
    if isinstance(vocoder, Vocos):
        graph = TracedVocos(vocoder.network)
        export_graph(graph, path / "decoder.onnx", inputs=inputs, outputs=spectrum, lengths=LENGTHS)
        return VocosGraphs(reach=vocoder.reach, refinements=vocoder.config.refinements)
    if isinstance(vocoder, SourceFilter):
        network, config = vocoder.network, vocoder.config
        both = ["octaves", "voicing"]
        export_graph(TracedPitch(network), path / "pitch.onnx", inputs=inputs, outputs=both, lengths=LENGTHS)
        three = ["real", "imag", "noise"]
        export_graph(
            TracedFilters(network), path / "filters.onnx", inputs=inputs, outputs=three, lengths=LENGTHS
        )
        return SourceFilterGraphs(
            reach=vocoder.reach, pitch_reach=config.pitch.reach, refinements=config.refinements
        )
    raise UserError(f"a {type(vocoder).__name__} vocoder cannot be exported", where=path)
