"""Load any kind of VITS voice by name: a hub id, a directory, a Piper voice."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from intona import hub
from intona.errors import UserError
from intona.systems.restyle.vits import piper, published
from intona.systems.restyle.vits.space import VitsSpace, VoiceFacts
from intona.systems.restyle.vits.text import Symbols

_CODES = {"eng": "en", "rus": "ru", "deu": "de", "fra": "fr", "spa": "es", "en-us": "en", "en-gb": "en"}


def load(name: str, *, ask: bool = True) -> VitsSpace:
    """A frozen voice.

    Args:
        name: "piper" (the voice of the installed wheel), a .onnx file or a directory with one, a directory
            in the format of `transformers`, or a hub id such as "facebook/mms-tts-eng".
        ask: see `hub.fetch`.

    Raises:
        UserError: not installed, not available, files missing or damaged, another kind of model.
    """
    if not name.strip():
        raise UserError("no VITS voice named", hint="piper, a directory, or a hub id (OWNER/NAME)")
    hub.require_transformers("a VITS voice")
    onnx_file = piper.find(name)
    return _piper(onnx_file) if onnx_file is not None else _hub(name, ask=ask)


def language_of(name: str, *, ask: bool = True) -> str:
    """The language of a voice, such as "en"; "" if its files do not name it. Does not read the weights.

    Raises:
        UserError: as `load`, for what can be checked without the weights.
    """
    hub.require_transformers("a VITS voice")
    onnx_file = piper.find(name)
    if onnx_file is not None:
        return language_code(piper.read_config(onnx_file)["voice"])
    return language_code(_language(published.read_json(hub.fetch(name, ask=ask) / "tokenizer_config.json")))


def language_code(code: str) -> str:
    """ "en-us", "eng", "en_US" -> "en"."""
    low = code.lower().replace("_", "-")
    return _CODES.get(low, low.split("-")[0])


def _piper(path: Path) -> VitsSpace:
    model, voice = piper.build(path)
    scales = voice["scales"]
    _check_ids((i for ids in voice["table"].values() for i in ids), model.config.vocab_size, where=path)
    facts = VoiceFacts(
        name=path.stem,
        sample_rate=voice["rate"],
        symbols=Symbols(
            table={k: tuple(v) for k, v in voice["table"].items()},
            voice=voice["voice"],
            piper=True,
            language=language_code(voice["voice"]),
        ),
        speakers=voice["speakers"],
        has_posterior=False,
        noise_scale=scales.get("noise_scale", 0.667),
        noise_scale_duration=scales.get("noise_w", 0.8),
    )
    return VitsSpace(model, facts)


def _phonemes(tokenizer: dict[str, Any]) -> bool:
    return bool(tokenizer.get("phonemize", True))


def _language(tokenizer: dict[str, Any]) -> str:
    return str(tokenizer.get("language") or ("eng" if _phonemes(tokenizer) else ""))


def _check_ids(ids: Iterable[int], size: int, *, where: Path) -> None:
    bad = [i for i in ids if not 0 <= i < size]
    if bad:
        raise UserError(f"id {bad[0]} is beyond the {size} symbols", where=where)


def _hub(name: str, *, ask: bool) -> VitsSpace:
    directory = hub.fetch_kind(name, "vits", ask=ask)
    vocabulary = published.read_json(directory / "vocab.json")
    if not vocabulary:
        raise UserError("is missing", where=directory / "vocab.json")
    tokenizer = published.read_json(directory / "tokenizer_config.json")
    phonemes = _phonemes(tokenizer)
    language = _language(tokenizer)
    try:
        table = {str(k): (int(v),) for k, v in vocabulary.items()}
    except (TypeError, ValueError, OverflowError):
        raise UserError("not a table of symbols and ids", where=directory / "vocab.json") from None
    if (
        language == "ron" and "ţ" in table
    ):  # these voices were trained with the cedilla; transformers does the same
        table["ț"] = table["ţ"]
    model, has_posterior = published.build(directory)
    config: Any = model.config
    _check_ids((i for (i,) in table.values()), config.vocab_size, where=directory / "vocab.json")
    facts = VoiceFacts(
        name=Path(name).name,
        sample_rate=int(config.sampling_rate),
        symbols=Symbols(
            table=table,
            voice="en-us" if phonemes else "",
            blank=0 if tokenizer.get("add_blank", True) else None,
            lower=bool(tokenizer.get("normalize", True)),
            language=language_code(language),
        ),
        speakers={},
        has_posterior=has_posterior,
        noise_scale=float(config.noise_scale),
        noise_scale_duration=float(config.noise_scale_duration),
    )
    return VitsSpace(model, facts)
