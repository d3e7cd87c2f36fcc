"""A text encoder out of the run directory of a pretraining stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from intona import checkpoint, models
from intona import config as configs
from intona.encoders.dual_stream import DualStreamConfig, DualStreamEncoder
from intona.errors import UserError
from intona.text import BpeTokenizer, PhonemeTokenizer, load_tokenizer

CONFIG, PHONEMES, PIECES = "encoder.json", "tokenizer.json", "bpe.json"
PREFIX = "model.encoder."
EMBEDDING = "phonemes.embedding.weight"


def load(run: Path | str, *, symbols: Sequence[str] | None = None) -> DualStreamEncoder:
    """The encoder of a run, checkpoint or shipped model (averaged weights), in evaluation mode.

    Args:
        run: a directory, or the name of a shipped encoder.
        symbols: the phoneme symbols that token ids will mean, where that is not the run's own vocabulary.
            Rows move by name; symbols that the run never saw keep random rows (`phonemes(run)` tells which).

    Raises:
        UserError: no such run, a damaged one, or one without a text encoder.
    """
    path = _resolve(run)
    config = configs.load(DualStreamConfig, path / CONFIG)
    state = checkpoint.weights(path, PREFIX)
    if symbols is not None:
        before = {s: i for i, s in enumerate(phonemes(path).symbols)}
        config = configs.from_dict(
            DualStreamConfig, configs.to_dict(config) | {"n_tokens": len(symbols)}, where=str(path / CONFIG)
        )
    encoder = DualStreamEncoder(config)
    if symbols is not None and EMBEDDING in state:
        rows = encoder.phonemes.embedding.weight.detach().clone()
        known = [(i, before[s]) for i, s in enumerate(symbols) if s in before]
        known.append((len(symbols), len(before)))  # the mask symbol
        if len(before) + 1 != len(state[EMBEDDING]):
            raise UserError("the encoder does not fit its vocabulary", where=path)
        for i, j in known:
            rows[i] = state[EMBEDDING][j]
        state[EMBEDDING] = rows
    checkpoint.load_weights(encoder, state, where=path)
    return encoder.eval()


def config(run: Path | str) -> DualStreamConfig:
    """The sizes of a run's text encoder."""
    return configs.load(DualStreamConfig, _resolve(run) / CONFIG)


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
            hint="give a run of prosody.mlm, prosody.contrastive or prosody.refine",
        )
    checkpoint.verify(path, state=False)
    return path
