"""The file onnx.json in the folder of a model: which graphs it has, and what they need besides their weights.

models/ru-en/   onnx.json encoder.onnx decoder.onnx model.safetensors …
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from intona import checkpoint
from intona import config as configs
from intona.diffusion.process import MeanReverting, OptimalTransport
from intona.diffusion.target import Target
from intona.errors import UserError, unknown

FILE = checkpoint.GRAPHS
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class VarianceGraphs:
    """A voice with a variance adaptor; see `GradTTSGraphs`.

    question_contour: whether the predicted pitch of questions is raised where it is low.
    """

    question_contour: bool = True


@dataclass(frozen=True, kw_only=True)
class GradTTSGraphs:
    """A Grad-TTS voice of one sentence at a time.

        encoder: tokens (1, N) int64[, speaker (1,) int64]
              -> states (1, N, D), prior (1, N, n_mels), log_frames (1, N): log(1 + frames)
        decoder: z, mu (1, T, n_mels), states (1, T, D), t (1,)[, speaker (1,)] -> prediction (1, T, n_mels)

    With a variance adaptor there are three:

        encoder: tokens, clause_types, places (1, N) int64[, speaker] -> states, log_frames, and what is
              predicted: pitch, voiced (a share), energy (1, N), standardised
        adaptor: states, pitch, voiced, energy -> states with these values, prior

    Attributes:
        n_tokens: size of the vocabulary. blank: id that stands between tokens, None for no blanks.
        target, process: of the prediction; see `diffusion`.
        mel_mean, mel_std: per bin, which turn z + mu into a log mel.
        variance: of a voice with a variance adaptor, else None.
    """

    graphs: ClassVar[tuple[str, ...]] = ("encoder", "decoder")
    kind: Literal["gradtts"] = "gradtts"
    format: int = FORMAT
    n_tokens: int
    n_mels: int
    blank: int | None = None
    target: Target = "noise"
    process: MeanReverting | OptimalTransport = field(default_factory=MeanReverting)
    mel_mean: tuple[float, ...] = ()
    mel_std: tuple[float, ...] = ()
    variance: VarianceGraphs | None = None

    def __post_init__(self) -> None:
        if not len(self.mel_mean) == len(self.mel_std) == self.n_mels:
            raise ValueError(f"mel_mean and mel_std must have {self.n_mels} values")
        if (self.target == "flow") != isinstance(self.process, OptimalTransport):
            raise ValueError(f"the target {self.target} does not fit the process")


@dataclass(frozen=True, kw_only=True)
class HifiGanGraphs:
    """decoder: mel (1, T, n_mels) -> samples (1, T * hop)."""

    graphs: ClassVar[tuple[str, ...]] = ("decoder",)
    kind: Literal["hifigan"] = "hifigan"
    format: int = FORMAT
    reach: int


@dataclass(frozen=True, kw_only=True)
class VocosGraphs:
    """decoder: mel (1, T, n_mels) -> real, imag, amplitude (1, T, n_fft // 2 + 1) of the spectrum."""

    graphs: ClassVar[tuple[str, ...]] = ("decoder",)
    kind: Literal["vocos"] = "vocos"
    format: int = FORMAT
    reach: int
    refinements: int = 0


@dataclass(frozen=True, kw_only=True)
class SourceFilterGraphs:
    """A source-filter vocoder.

        pitch: mel (1, T, n_mels) -> octaves, voicing (1, T): log2 of Hz, > 0 where voiced
        filters: mel -> real, imag (of the pulses), noise (1, T, n_fft // 2 + 1)

    Attributes:
        reach, pitch_reach: see `vocoder.running.waves`. refinements: rounds of fast Griffin-Lim.
    """

    graphs: ClassVar[tuple[str, ...]] = ("pitch", "filters")
    kind: Literal["source-filter"] = "source-filter"
    format: int = FORMAT
    reach: int
    pitch_reach: int
    refinements: int = 0


Graphs = GradTTSGraphs | HifiGanGraphs | VocosGraphs | SourceFilterGraphs
KINDS: dict[str, type[Graphs]] = {
    "gradtts": GradTTSGraphs,
    "hifigan": HifiGanGraphs,
    "vocos": VocosGraphs,
    "source-filter": SourceFilterGraphs,
}


def has_graphs(path: Path) -> bool:
    """Whether the folder of a model has graphs."""
    return (path / FILE).is_file()


def read(path: Path) -> Graphs:
    """What the onnx.json of a folder says.

    Raises:
        UserError: there is none, or one of another version; unknown kinds and fields.
    """
    file = path / FILE
    if not file.is_file():
        raise UserError("has no graphs", where=path, hint=f"intona export {path.name} -o DIR writes them")
    raw = configs.read_json(file)
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise UserError(f"graphs of another format than {FORMAT}", where=file, hint="export the model again")
    kind = str(raw.get("kind"))
    if kind not in KINDS:
        unknown("kind of graphs", kind, KINDS, where=file)
    return configs.from_dict(KINDS[kind], raw, where=str(file))


def write(graphs: Graphs, path: Path) -> None:
    """Write the onnx.json of a folder."""
    configs.write_json(path / FILE, dataclasses.asdict(graphs))
