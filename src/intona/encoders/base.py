"""The one interface between a text encoder and whatever it feeds.

Grad-TTS, the latent diffusion model and any outsider's model take anything that satisfies `TextEncoder`;
`encoders.conformance.check` says whether something does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int
from torch import Tensor

from intona import config as configs
from intona.data.pieces import Pieces


@runtime_checkable
class TextEncoder(Protocol):
    """Phonemes, an optional speaker vector and optional BPE pieces in; states and a mask out.

    `dim` is the width of the states. `forward(tokens, lengths, speaker, pieces)` takes int64 ids of phonemes,
    the number of them in each row, a speaker vector or None, and the same texts as BPE `Pieces` or None. It
    returns the states and a boolean mask, True = valid. The states of an item must not depend on its padding
    nor on the rest of the batch. An encoder that reads only phonemes ignores the pieces.
    """

    dim: int

    def __call__(
        self,
        tokens: Int[Tensor, "batch tokens"],
        lengths: Int[Tensor, " batch"],
        speaker: Float[Tensor, "batch speaker_width"] | None = None,
        pieces: Pieces | None = None,
    ) -> tuple[Float[Tensor, "batch tokens width"], Bool[Tensor, "batch tokens"]]: ...


class TextEncoderConfig(configs.PartConfig):
    """The config of a text encoder; frozen dataclasses with `kind: Literal["name"]` derive from it.

    Attributes:
        reads_pieces: whether `forward` needs the BPE pieces of the text.
        reads_blanks: whether ids that belong to no word may stand between the phonemes (Grad-TTS's blanks).
        pretrained: whether its weights come from a run (`--encoder`), not from the model that it is part of.
    """

    group = "encoders"
    default_kind = "plain"
    reads_pieces: ClassVar[bool] = False
    reads_blanks: ClassVar[bool] = False
    pretrained: ClassVar[bool] = False

    @property
    def condition_dim(self) -> int:
        """Width of the pretrained speaker vector that the encoder is conditioned on; 0 for none."""
        return 0

    def sized(self, *, n_tokens: int, n_pieces: int) -> TextEncoderConfig:
        """This config for vocabularies of these sizes; itself, unless it keeps them.

        Args:
            n_tokens: phoneme symbols. n_pieces: BPE pieces, 0 unless `reads_pieces`.
        """
        return self

    def rows(self, symbols: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Tensor of the encoder -> what each of its rows stands for, for tensors with one row per symbol.

        A voice that starts from another one, with other phonemes, takes such rows by name.

        Args:
            symbols: the phoneme vocabulary.
        """
        return {}

    def build(self, *, n_tokens: int, speaker_dim: int = 0) -> TextEncoder:
        """An encoder with random weights.

        Args:
            n_tokens: size of the phoneme vocabulary, 0 is padding.
            speaker_dim: width of the model's speaker embedding, which an encoder may use; 0 for one voice.

        Raises:
            ValueError: sizes that do not fit one another.
        """
        raise NotImplementedError
