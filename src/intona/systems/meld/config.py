"""Sizes and switches of the speech language model, and its one vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Text pieces, then latent codes, then <EOS>, <TTS>, <STT> (MELD, section 2.3): one softmax over all."""

    text: int
    codes: int

    @property
    def first_code(self) -> int:
        return self.text

    @property
    def eos(self) -> int:
        return self.text + self.codes

    @property
    def tts(self) -> int:
        return self.eos + 1

    @property
    def stt(self) -> int:
        return self.eos + 2

    def __len__(self) -> int:
        return self.eos + 3


@dataclass(frozen=True, kw_only=True)
class SpeechLMConfig:
    """The model. Fields marked (ours) are choices where the paper is silent or that it does not have.

    Args:
        n_text, n_mels: filled from the tokenizer and the corpus.
        codes: K. One code and `code_embedding` "zero" is Mel-LM, a model without a latent.
        group: (ours) mel frames predicted a step; the paper's is 1.
        dim, layers, heads, hidden, dropout: the transformer.
        prenet: width of the mel prenet. prenet_dropout: stays on when speaking.
        train_prenet: False freezes it where it started (`--init`, else random): no joint learning.
        see: the past is read from the "frames" themselves, or only from their nearest "codes", as by a codec.
        code_embedding: (ours) "centroid" = a learnt linear map of the frozen centroid, "table" = free
            vectors, "zero" = none (the paper's ablation).
        positions: (ours) "sequence" counts the stream; "time" puts each piece of text where it is expected to
            sound, so that attention starts near the diagonal.
        reconstruction_hidden, reconstruction_blocks: residual MLP. postnet_*: Tacotron 2's convolutions;
            no layer = no PostNet.
        slowness: weight of the penalty on too slow change (0.2 in the paper, 0 = off).
        reconstruction_weight: (ours) of the Gaussian term, and of slowness with it, beside the KL; 1 = the
            bound. Unweighted its gradient in the transformer is a hundred times that of the KL.
        centroid_inputs: (ours) share of steps that training reads as the centroid of the code drawn there:
            coarse, as its own frames will be when it speaks.
        dropped_inputs: (ours) share of steps, in runs, that training reads as the mean frame: what comes next
            must then be read off the text.
        heard_masks: (ours) so many stretches of time, and of frequency, are hidden when training listens
            (SpecAugment, Park et al. 2019).
        ctc: (ours) weight, when training listens, of a second reading of the text off the states at the
            frames (Kim et al. 2017): little speech does not teach attention where to look. 0 = none.
        context: most positions of a stream.
    """

    n_text: int = 0
    n_mels: int = 80
    codes: int = 8192
    group: int = 1
    dim: int = 1024
    layers: int = 12
    heads: int = 16
    hidden: int = 4096
    dropout: float = 0.1
    prenet: int = 1024
    prenet_dropout: float = 0.5
    train_prenet: bool = True
    see: Literal["frames", "codes"] = "frames"
    code_embedding: Literal["centroid", "table", "zero"] = "centroid"
    positions: Literal["sequence", "time"] = "sequence"
    reconstruction_hidden: int = 1024
    reconstruction_blocks: int = 2
    postnet_channels: int = 512
    postnet_layers: int = 5
    postnet_kernel: int = 5
    slowness: float = 0.2
    reconstruction_weight: float = 1.0
    centroid_inputs: float = 0.0
    dropped_inputs: float = 0.0
    heard_masks: int = 0
    ctc: float = 0.0
    context: int = 4096

    def __post_init__(self) -> None:
        if self.heard_masks < 0:
            raise ValueError("heard_masks must not be below 0")
        if min(self.codes, self.group, self.layers, self.context) < 1:
            raise ValueError("codes, group, layers and context must be at least 1")
        if self.dim % self.heads or (self.dim // self.heads) % 2:
            raise ValueError("dim must be an even multiple of heads")
        if not 0 <= self.prenet_dropout < 1 or not 0 <= self.dropout < 1:
            raise ValueError("dropout must lie in [0, 1)")
        if not 0 <= self.centroid_inputs < 1 or not 0 <= self.dropped_inputs < 1:
            raise ValueError("centroid_inputs and dropped_inputs must lie in [0, 1)")
        if min(self.slowness, self.reconstruction_weight, self.ctc) < 0:
            raise ValueError("slowness, reconstruction_weight and ctc must not be below 0")

    @property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(text=self.n_text, codes=self.codes)

    @property
    def step_dim(self) -> int:
        """Numbers in one step: group x n_mels."""
        return self.group * self.n_mels
