"""What the stages of the text encoder share: vocabularies, texts as numbers, where a stage starts from."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from intona import config as configs
from intona.data.pieces import Text, text_of, utterance_of
from intona.data.prepared import Item, Prepared
from intona.encoders import pretrained
from intona.encoders.dual_stream import DualStreamConfig
from intona.errors import UserError
from intona.progress import track
from intona.text import (
    BpeTokenizer,
    Frontend,
    FrontendConfig,
    PhonemeTokenizer,
    Utterance,
    inventory_differences,
)
from intona.training.stage import Request
from intona.training.text_encoder import train_pieces

log = logging.getLogger(__name__)

CHUNK = 64
MAX_TEXT_BYTES = 1 << 30


def bpe_of(request: Request, prepared: Prepared, size: int, more: Sequence[Utterance] = ()) -> BpeTokenizer:
    """The pieces of the run that is resumed, those of --init, or new ones trained on the training texts."""
    if request.resumes:
        return pretrained.pieces(request.out)
    if request.init is not None:
        return pretrained.pieces(request.init)
    return train_pieces(prepared, size, [u.plain for u in more])


def texts_of(
    prepared: Prepared, items: Iterable[Item], tokenizer: PhonemeTokenizer, bpe: BpeTokenizer
) -> dict[str, Text]:
    """Utterance id -> its numbers.

    Raises:
        UserError: an utterance without words: its phonemes came from the corpus.
    """
    out = {}
    for item in items:
        if not item.words:
            raise UserError(
                f'"{item.id}" has phonemes but no words, and the text encoder needs both',
                where=prepared.root,
                hint="prepare the corpus with --phonemes frontend",
            )
        out[item.id] = text_of(utterance_of(item), tokenizer.encode(item.phonemes).ids, bpe)
    return out


def encoder_files(
    config: DualStreamConfig, tokenizer: PhonemeTokenizer, bpe: BpeTokenizer, prepared: Prepared
) -> dict[str, Any]:
    """The JSON files that `encoders.load` and `intona retrieve` read."""
    return {
        pretrained.CONFIG: configs.to_dict(config),
        pretrained.PHONEMES: tokenizer.to_json(),
        pretrained.PIECES: bpe.to_json(),
        "features.json": configs.to_dict(prepared.spec),
        "stats.json": prepared.stats,
    }


def read_texts(paths: Sequence[Path], prepared: Prepared, language: str) -> tuple[list[Utterance], str]:
    """Sentences of text files (UTF-8) through the front end that made the corpus.

    Sentences that cannot be spoken, and those of the corpus's dev and test sets, are left out and counted.

    Returns:
        utterances, and a fingerprint of the files.

    Raises:
        UserError: an unreadable file, no language, or another front end than the corpus's.
    """
    if not paths:
        return [], ""
    language = language or (prepared.languages[0] if len(prepared.languages) == 1 else "")
    if not language:
        raise UserError(
            f"the corpus speaks {', '.join(prepared.languages)}",
            hint=f"name the language of the texts, such as --language={prepared.languages[0]}",
        )
    frontend = _frontend_of(prepared, language)
    digest, sentences = hashlib.sha256(), []
    for path in paths:
        raw = _read(path)
        digest.update(hashlib.sha256(raw.encode()).digest())
        sentences += frontend.sentences(raw)
    held = {_key(i.normalized) for split in ("dev", "test") for i in prepared.items(split)}
    usable: list[Utterance] = []
    bad = kept_out = 0
    for utterance in _speak(frontend, list(dict.fromkeys(sentences))):
        if utterance is None:
            bad += 1
        elif _key(utterance.normalized) in held:
            kept_out += 1
        else:
            usable.append(utterance)
    log.info(f"texts: {len(usable)} sentences; {bad} cannot be spoken, {kept_out} belong to dev or test")
    return usable, digest.hexdigest()[:16]


def _frontend_of(prepared: Prepared, language: str) -> Frontend:
    """The front end that makes the corpus's phonemes of a language, with the stress marks it was set to."""
    described = prepared.frontends.get(language) or {}
    differences = [f'the corpus has no front end for "{language}"']
    for stress in ("auto", "marks", "none") if described else ():
        frontend = Frontend(FrontendConfig(language=language, stress=stress), inline=False)
        now = inventory_differences(described, frontend.describe())
        if not now:
            return frontend
        differences = min(differences, now, key=len) if stress != "auto" else now
    raise UserError(
        f"texts cannot be read with the corpus's phonemes: {'; '.join(differences)}",
        where=prepared.root,
        hint="prepare the corpus with this version, or train without --texts",
    )


def _speak(frontend: Frontend, sentences: list[str]) -> Iterable[Utterance | None]:
    chunks = [sentences[i : i + CHUNK] for i in range(0, len(sentences), CHUNK)]
    for chunk in track(chunks, "phonemes of the texts"):
        try:
            yield from frontend(chunk)
        except UserError:
            for sentence in chunk:  # one unreadable sentence must not cost its neighbours
                try:
                    yield frontend([sentence])[0]
                except UserError:
                    yield None


def _key(text: str) -> str:
    """A sentence for comparison: letters alone."""
    return "".join(c for c in text.lower() if c.isalnum())


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise UserError("more than 1 GiB", where=path, hint="split it")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError("not UTF-8 text", where=path) from None
    except OSError as e:
        raise UserError(f"cannot be read ({e.strerror})", where=path) from None


def text_paths(texts: str | tuple[str, ...]) -> list[Path]:
    """Files named by a flag: one, several, or all *.txt under a directory."""
    out: list[Path] = []
    for name in (texts,) if isinstance(texts, str) else texts:
        if not name:
            continue
        path = Path(name)
        files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
        if not files:
            raise UserError("no *.txt in it", where=path)
        out += files
    return out
