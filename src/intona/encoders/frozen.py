"""A published text model (BERT), frozen, as a text encoder: an adapter learns, the model does not.

    pieces    the model's own word pieces -> frozen model -> mean over a word -> linear ─┐
    phonemes  embedding ────────────────────────────────────────────────────────────────┴─ sum -> 2 blocks

`--encoder DIR` of prosody.ditto, where DIR is a model in the format of `transformers`, or "minilm" (English;
the wheel that `encoders.sentence` names).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from intona import config as configs
from intona import hub
from intona.data.pieces import Pieces
from intona.encoders.base import TextEncoderConfig
from intona.encoders.dual_stream import words_to_phonemes
from intona.encoders.sentence import installed
from intona.errors import UserError
from intona.nn.masks import length_mask
from intona.nn.transformer import EncoderBlock
from intona.text import PublishedPieces

NAME, TOKENIZER, CONFIG = "minilm", "tokenizer.json", "config.json"
PATTERNS = ["*.json", "*.txt", "*.safetensors", "pytorch_model.bin"]
ALIKE = {"hidden_size": "hidden", "num_hidden_layers": "layers", "num_attention_heads": "heads"} | {
    "intermediate_size": "inner",
    "vocab_size": "n_pieces",
    "max_position_embeddings": "positions",
    "type_vocab_size": "types",
}


@dataclass(frozen=True, kw_only=True)
class FrozenTextConfig(TextEncoderConfig):
    """`hidden` to `types` are sizes of the frozen model, `first` and `last` its signs around a text; `dim`,
    `blocks` and `dropout` are the adapter's."""

    reads_pieces: ClassVar[bool] = True
    pretrained: ClassVar[bool] = True
    kind: Literal["frozen"] = "frozen"
    n_tokens: int = 0
    hidden: int = 384
    layers: int = 6
    heads: int = 12
    inner: int = 1536
    n_pieces: int = 30522
    positions: int = 512
    types: int = 2
    first: int = 101
    last: int = 102
    dim: int = 192
    blocks: int = 2
    dropout: float = 0.1

    def sized(self, *, n_tokens: int, n_pieces: int) -> FrozenTextConfig:
        return dataclasses.replace(self, n_tokens=n_tokens)  # the published model keeps its pieces

    def rows(self, symbols: Sequence[str]) -> dict[str, tuple[str, ...]]:
        return {"embedding.weight": tuple(symbols)}

    def build(self, *, n_tokens: int, speaker_dim: int = 0) -> FrozenTextEncoder:
        if self.n_tokens != n_tokens:
            raise ValueError(f"the encoder has {self.n_tokens} symbols, the voice has {n_tokens}")
        return FrozenTextEncoder(self)


class FrozenTextEncoder(nn.Module):
    """Implements `encoders.base.TextEncoder`; needs the pieces of the model's own tokenizer.

    Raises:
        UserError: transformers is missing.
    """

    def __init__(self, config: FrozenTextConfig) -> None:
        super().__init__()
        hub.require_transformers("a published text encoder")
        from transformers import BertConfig, BertModel

        self.config, self.dim = config, config.dim
        sizes = {theirs: getattr(config, ours) for theirs, ours in ALIKE.items()}
        self.published = BertModel(BertConfig(**sizes), add_pooling_layer=False)
        self.published.eval().requires_grad_(False)
        self.embedding = nn.Embedding(config.n_tokens, config.dim, padding_idx=0)
        self.words = nn.Sequential(nn.LayerNorm(config.hidden), nn.Linear(config.hidden, config.dim))
        self.blocks = nn.ModuleList(
            EncoderBlock(config.dim, 2 * config.dim, 2, dropout=config.dropout) for _ in range(config.blocks)
        )

    def train(self, mode: bool = True) -> FrozenTextEncoder:
        super().train(mode)
        self.published.eval()  # no dropout in what does not learn
        return self

    def forward(
        self,
        tokens: Int[Tensor, "batch tokens"],
        lengths: Int[Tensor, " batch"],
        speaker: Float[Tensor, "batch speaker_width"] | None = None,
        pieces: Pieces | None = None,
    ) -> tuple[Float[Tensor, "batch tokens width"], Bool[Tensor, "batch tokens"]]:
        """States and their mask.

        Raises:
            UserError: more pieces than the model has positions.
        """
        if pieces is None:
            raise ValueError("a published text encoder needs the pieces of the text")
        mask = length_mask(lengths, tokens.shape[1])
        x = self.embedding(tokens) + self.words(words_to_phonemes(self.read(pieces), pieces))
        x = x * mask[..., None]
        for block in self.blocks:
            x = block(x, mask)
        return x * mask[..., None], mask

    @torch.no_grad()
    def read(self, pieces: Pieces) -> Float[Tensor, "batch pieces hidden"]:
        """The frozen model's states of the pieces alone."""
        b, p = pieces.ids.shape
        if p + 2 > self.config.positions:
            raise UserError(
                f"a text of {p} pieces, the model reads {self.config.positions - 2}", hint="split the text"
            )
        ids = torch.zeros(b, p + 2, dtype=torch.long, device=pieces.ids.device)
        ids[:, 0] = self.config.first
        ids[:, 1:-1] = pieces.ids
        ids[torch.arange(b), pieces.lengths + 1] = self.config.last
        mask = length_mask(pieces.lengths + 2, p + 2)
        return self.published(input_ids=ids, attention_mask=mask.long()).last_hidden_state[:, 1:-1]


def find(name: Path | str) -> Path | None:
    """Directory of a published model, or None where `name` is something else: a run of this project.

    Raises:
        UserError: a model of a kind that is not known.
    """
    if str(name) == NAME:
        return installed()
    path = Path(name) / CONFIG
    fields = configs.read_json(path) if path.is_file() else None
    if not isinstance(fields, dict) or "model_type" not in fields:
        return None
    return hub.fetch_kind(str(name), "bert", patterns=PATTERNS)


def config_of(directory: Path, n_tokens: int) -> FrozenTextConfig:
    """Raises: UserError: a config or tokenizer without the fields that are needed."""
    fields = configs.read_json(directory / CONFIG)
    try:
        sizes: dict[str, Any] = {ours: int(fields[theirs]) for theirs, ours in ALIKE.items()}
    except (KeyError, TypeError, ValueError) as e:
        raise UserError(f"does not say {e}", where=directory / CONFIG) from None
    first, last = (pieces_of(directory).id_of(sign) for sign in ("[CLS]", "[SEP]"))
    if first is None or last is None:
        raise UserError("without [CLS] and [SEP]", where=directory / TOKENIZER)
    return FrozenTextConfig(n_tokens=n_tokens, first=first, last=last, **sizes)


def pieces_of(directory: Path) -> PublishedPieces:
    """The model's tokenizer. Raises: UserError: none there, or none that `tokenizers` reads."""
    path = directory / TOKENIZER
    if not path.is_file():
        raise UserError("is missing", where=path)
    return PublishedPieces.from_json({"model": configs.read_json(path), "frontend": {}}, where=path)


def start(encoder: FrozenTextEncoder, directory: Path) -> None:
    """The published weights, in place.

    Raises:
        UserError: they cannot be read, or are not those of such a model.
    """
    from transformers import BertModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    loud = logging.get_verbosity()
    logging.set_verbosity_error()  # it tells at length of the pooling that is left out
    try:
        found: Any = BertModel.from_pretrained(
            directory, local_files_only=True, weights_only=True, add_pooling_layer=False
        )
        encoder.published.load_state_dict(found.state_dict())
    except Exception as e:  # transformers raises what its readers raise
        reason = " ".join(str(e).split())
        raise UserError(f"the model cannot be loaded ({reason[:200]})", where=directory) from None
    finally:
        logging.set_verbosity(loud)
