"""A pretrained text encoder as part of another model: its weights, its vocabulary, what must agree."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from intona import checkpoint
from intona import config as configs
from intona.encoders import pretrained
from intona.encoders.base import TextEncoderConfig
from intona.encoders.dual_stream import DualStreamEncoder
from intona.errors import UserError
from intona.text import BpeTokenizer, PhonemeTokenizer
from intona.training.initial import Rows


def start_encoder(encoder: DualStreamEncoder, init: Path, tokenizer: PhonemeTokenizer) -> None:
    """Weights of an earlier stage's encoder, in place; phonemes are matched by name.

    Raises:
        UserError: another size.
    """
    source = pretrained.load(init, symbols=tokenizer.symbols)
    checkpoint.load_weights(encoder, source.state_dict(), where=init)
    tell_new_symbols(init, tokenizer)


def require_encoder(config: TextEncoderConfig, encoder: Path | None, init: Path | None) -> None:
    """Refuse to start from a voice on a pretrained encoder, of `config`, where none is named.

    Raises:
        UserError: as said.
    """
    if init is not None and encoder is None and config.pretrained:
        raise UserError(
            "the voice stands on a pretrained text encoder", where=init, hint="name it too: --encoder RUN"
        )


def symbol_rows(before: Sequence[str], now: Sequence[str], *, blank: bool = False) -> dict[str, Rows]:
    """The rows of a voice's text encoder, for `start_from`: a plain one's, and a dual-stream one's."""
    last = ("<blank>",) if blank else ()
    return {
        "model.encoder.embedding.weight": Rows(before=(*before, *last), now=(*now, *last)),
        "model.encoder.phonemes.embedding.weight": Rows(before=(*before, "<mask>"), now=(*now, "<mask>")),
    }


def require_pieces(voice: Path, bpe: BpeTokenizer | None) -> None:
    """Refuse to start from a voice whose text encoder reads other pieces.

    Raises:
        UserError: as said.
    """
    pieces = voice / "bpe.json"
    if bpe is not None and pieces.is_file() and configs.read_json(pieces) != bpe.to_json():
        hint = "take the encoder that the voice was trained with"
        raise UserError("the voice was trained with other text pieces", where=voice, hint=hint)


def tell_new_symbols(init: Path, tokenizer: PhonemeTokenizer) -> None:
    before = pretrained.phonemes(init)
    if new := [s for s in tokenizer.symbols if s not in before]:
        print(f"{len(new)} phonemes start anew: {' '.join(new[:20])}", file=sys.stderr)
