"""A text encoder out of the run directory of a pretraining stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from intona import checkpoint, models
from intona import config as configs
from intona.encoders.base import TextEncoderConfig
from intona.errors import UserError
from intona.text import BpeTokenizer, PhonemeTokenizer, load_tokenizer

CONFIG, PHONEMES, PIECES = "encoder.json", "tokenizer.json", "bpe.json"
PREFIX = "model.encoder."
DEFAULT_KIND = "dual_stream"  # of an encoder.json that names none


def load(run: Path | str, *, symbols: Sequence[str] | None = None) -> nn.Module:
    """The encoder of a run, checkpoint or shipped model (averaged weights), in evaluation mode.

    Args:
        run: a directory, or the name of a shipped encoder.
        symbols: the phoneme symbols that token ids will mean, where that is not the run's own vocabulary.
            Rows move by name; symbols that the run never saw keep random rows (`phonemes(run)` tells which).

    Returns:
        a `TextEncoder`.

    Raises:
        UserError: no such run, a damaged one, or one without a text encoder.
    """
    path = _resolve(run)
    sizes, state = config(path), checkpoint.weights(path, PREFIX)
    known = phonemes(path).symbols
    if symbols is not None:
        n_pieces = len(pieces(path)) if sizes.reads_pieces else 0
        sizes = sizes.sized(n_tokens=len(symbols), n_pieces=n_pieces)
    try:
        encoder: Any = sizes.build(n_tokens=len(known if symbols is None else symbols))
    except ValueError as e:
        raise UserError(f"the encoder does not fit its vocabulary ({e})", where=path) from None
    if symbols is not None:
        fresh = encoder.state_dict()
        before, now = sizes.rows(known), sizes.rows(symbols)
        for name in now.keys() & state.keys() & fresh.keys():
            place = {symbol: i for i, symbol in enumerate(before[name])}
            if len(place) != len(state[name]):
                raise UserError("the encoder does not fit its vocabulary", where=path)
            rows = fresh[name].clone()
            for i, symbol in enumerate(now[name]):
                if symbol in place:
                    rows[i] = state[name][place[symbol]]
            state[name] = rows
    checkpoint.load_weights(encoder, state, where=path)
    return encoder.eval()


def config(run: Path | str) -> Any:
    """The sizes of a run's text encoder: a `TextEncoderConfig` of its kind."""
    path = _resolve(run) / CONFIG
    raw = configs.read_json(path)
    if isinstance(raw, dict):
        raw = {configs.KIND: DEFAULT_KIND, **raw}
    return configs.from_dict(TextEncoderConfig, raw, where=str(path))


def phonemes(run: Path | str) -> PhonemeTokenizer:
    """The phoneme vocabulary of a run."""
    path = _resolve(run) / PHONEMES
    tokenizer = load_tokenizer(path)
    if not isinstance(tokenizer, PhonemeTokenizer):
        raise UserError("not a phoneme tokenizer", where=path)
    return tokenizer


def pieces(run: Path | str) -> BpeTokenizer:
    """The BPE vocabulary of a run."""
    path = _resolve(run) / PIECES
    tokenizer = load_tokenizer(path)
    if not isinstance(tokenizer, BpeTokenizer):
        raise UserError("not a BPE tokenizer", where=path)
    return tokenizer


def _resolve(run: Path | str) -> Path:
    path = checkpoint.resolve(models.find(run))
    if not (path / CONFIG).is_file():
        raise UserError(
            "holds no pretrained text encoder",
            where=path,
            hint="give a run of prosody.mlm, prosody.contrastive, prosody.refine or prosody.combined",
        )
    checkpoint.verify(path, state=False)
    return path
