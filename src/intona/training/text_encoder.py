"""A text encoder as part of a voice: pretrained or learnt with it, its vocabularies, and what must agree."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from torch import nn

from intona import checkpoint, hf, hub, models
from intona import config as configs
from intona.data.pieces import utterance_of
from intona.data.prepared import Prepared
from intona.encoders import frozen, pretrained
from intona.encoders.base import TextEncoderConfig
from intona.encoders.speaker import SpeakerVectors
from intona.errors import UserError
from intona.provenance import sha256
from intona.text import BpeTokenizer, PhonemeTokenizer, load_tokenizer
from intona.training.initial import Rows, config_of

log = logging.getLogger(__name__)

C = TypeVar("C")
PIECES = 1000  # BPE pieces that a voice learns where no pretrained encoder brings its own
PREFIX = "model.encoder."
BLANK = "<blank>"
PRETRAINED_RATE = 0.1  # of the learning rate, for pretrained weights in a voice (ours)


@dataclass(frozen=True)
class EncoderSource:
    """What --encoder names.

    Attributes:
        path: the run, checkpoint or model.
        published: directory of a published text model, which stays frozen in the voice; None for a run.
    """

    path: Path
    published: Path | None = None

    @classmethod
    def of(cls, name: Path | str, *, published: bool) -> EncoderSource:
        """A shipped encoder by its name, one of the hub by its address, or a directory.

        Args:
            published: whether a published text model will do.

        Raises:
            UserError: a published model of an unknown kind.
        """
        shipped = {card.name for card in models.shipped("encoder")}
        by_name = str(name) in shipped or hf.is_address(name)
        path = models.find(name) if by_name else Path(name)
        return cls(path=path, published=frozen.find(path) if published else None)

    def config(self) -> TextEncoderConfig:
        """The sizes of the encoder, for its own vocabularies."""
        if self.published is not None:
            return frozen.config_of(self.published, 0)
        return pretrained.config(self.path)

    def identity(self) -> str:
        """What the config of a voice records of it: a hash of the weights."""
        if self.published is not None:
            return sha256(hub.weights_file(self.published))[:16]
        return checkpoint.identity_of(self.path)

    def pieces(self) -> BpeTokenizer:
        """The vocabulary of the letters that it reads."""
        if self.published is not None:
            return frozen.pieces_of(self.published)
        return pretrained.pieces(self.path)

    def start(self, encoder: nn.Module, tokenizer: PhonemeTokenizer) -> None:
        """Copy its weights into the encoder of a voice, in place; phonemes are matched by name."""
        if self.published is not None:
            frozen.start(cast(frozen.FrozenTextEncoder, encoder), self.published)
        else:
            start_encoder(encoder, self.path, tokenizer)


def start_encoder(encoder: nn.Module, init: Path, tokenizer: PhonemeTokenizer) -> None:
    """Copy the weights of an earlier stage's encoder, in place; phonemes are matched by name.

    Raises:
        UserError: another size.
    """
    source = pretrained.load(init, symbols=tokenizer.symbols)
    checkpoint.load_weights(encoder, source.state_dict(), where=init)
    report_new_symbols(init, tokenizer)


def with_encoder(config: C, source: EncoderSource | None, init: Path | None, **model: Any) -> C:
    """The config of a voice on the encoder that --encoder names; itself where none is named.

    Args:
        config: has `encoder`, the identity, and `model.encoder`, the sizes.
        init: the voice that the run starts from.
        model: further fields of `config.model` that follow from it.

    Raises:
        UserError: `init` is built on a pretrained encoder, and none is named.
    """
    run = cast(Any, config)
    if source is None:
        if init is not None and run.model.encoder.pretrained and config_of(init).get("encoder"):
            raise UserError(
                "the voice is built on a pretrained text encoder",
                where=init,
                hint="name it too: --encoder RUN",
            )
        return config
    sizes = dataclasses.replace(run.model, encoder=source.config(), **model)
    return dataclasses.replace(run, encoder=source.identity(), model=sizes)


def with_rate(config: C, source: EncoderSource | None) -> C:
    """The config of a voice with the `encoder_rate` that suits its encoder, where none is set.

    Weights of a run learn at a tenth of the learning rate; random ones, and the part of a published model
    that learns, at the whole of it.
    """
    run = cast(Any, config)
    if source is None or run.encoder_rate is not None:
        return config
    learnt = source.published is None and run.encoder_weights == "pretrained"
    return dataclasses.replace(run, encoder_rate=PRETRAINED_RATE if learnt else 1.0)


def pieces_for(
    config: TextEncoderConfig,
    prepared: Prepared,
    *,
    source: EncoderSource | None,
    out: Path,
    init: Path | None,
) -> BpeTokenizer | None:
    """The BPE pieces that the text encoder of a voice reads; None if it reads none.

    Those of --encoder; else those of the run that is resumed, or of the voice that it starts from; else new
    ones, trained on the texts of the corpus.

    Args:
        out: the run directory. init: the voice that a new run starts from.
    """
    if not config.reads_pieces:
        return None
    if source is not None:
        return source.pieces()
    for run in (out if checkpoint.steps(out) else None, init):
        path = None if run is None else checkpoint.resolve(run) / pretrained.PIECES
        if path is not None and path.is_file():
            pieces = load_tokenizer(path)
            if not isinstance(pieces, BpeTokenizer):
                raise UserError("not a BPE tokenizer", where=path)
            return pieces
    return train_pieces(prepared, PIECES)


def train_pieces(prepared: Prepared, size: int, more: Iterable[str] = ()) -> BpeTokenizer:
    """BPE pieces of the training texts of a corpus, and of more texts."""
    texts = [utterance_of(item).plain for item in prepared.items("train")] + list(more)
    return BpeTokenizer.train(texts, size=size, frontend=dict(prepared.tokenizer.frontend))


def require_width(vectors: SpeakerVectors | None, config: TextEncoderConfig) -> None:
    """Refuse speaker vectors of another width than the encoder's `condition_dim`.

    Raises:
        UserError: names both widths.
    """
    if vectors is not None and config.condition_dim not in (0, vectors.dim):
        raise UserError(
            f"the encoder takes speaker vectors of {config.condition_dim} numbers, these have {vectors.dim}",
            where=f"--model.encoder ({config.kind})",
        )


def symbol_rows(
    config: TextEncoderConfig, before: Sequence[str], now: Sequence[str], *, blank: bool = False
) -> dict[str, Rows]:
    """The rows of a voice's text encoder that belong to symbols, for `start_from`.

    Args:
        blank: whether the voice has a blank between the symbols, as its last id.
    """
    last = (BLANK,) if blank else ()
    old, new = (config.rows((*symbols, *last)) for symbols in (before, now))
    return {f"{PREFIX}{name}": Rows(before=old[name], now=new[name]) for name in new}


def require_pieces(voice: Path, bpe: BpeTokenizer | None) -> None:
    """Refuse to start from a voice whose text encoder reads other pieces.

    Raises:
        UserError: the pieces differ.
    """
    pieces = voice / pretrained.PIECES
    if bpe is not None and pieces.is_file() and configs.read_json(pieces) != bpe.to_json():
        hint = "use the encoder that the voice was trained with"
        raise UserError("the voice was trained with other text pieces", where=voice, hint=hint)


def report_new_symbols(init: Path, tokenizer: PhonemeTokenizer) -> None:
    """Print the phonemes that a run starts without, because its pretrained encoder has none of them."""
    before = pretrained.phonemes(init)
    if new := [s for s in tokenizer.symbols if s not in before]:
        log.info(f"{len(new)} phonemes start anew: {' '.join(new[:20])}")


def symbols_of(voice: Path) -> tuple[str, ...]:
    """The phoneme vocabulary of a voice's checkpoint.

    Raises:
        UserError: its tokenizer is of another kind.
    """
    path = voice / pretrained.PHONEMES
    tokenizer = load_tokenizer(path)
    if not isinstance(tokenizer, PhonemeTokenizer):
        raise UserError("a voice needs a phoneme tokenizer", where=path)
    return tokenizer.symbols
