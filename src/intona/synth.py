"""The whole chain from text to `Audio`: used by the CLI, the evaluation and anything that serves."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from intona import checkpoint, models
from intona import config as configs
from intona.acoustic.gradtts import GradTTS, GradTTSConfig
from intona.audio import Audio, MelSpec
from intona.data.pieces import Pieces, Text, collate_pieces, collate_tokens, text_of
from intona.encoders.dual_stream import DualStreamConfig
from intona.encoders.frozen import FrozenTextConfig
from intona.errors import UserError, unknown
from intona.nn.precision import autocast, set_fast_matmul
from intona.nn.random import ItemRandom
from intona.text import BpeTokenizer, Frontend, PhonemeTokenizer, Utterance, load_tokenizer, split_sentences

DEFAULT_STEPS = 8
DEFAULT_TEMPERATURE = 0.25  # chosen on dev sentences: docs/results.md
PAUSE_SECONDS = 0.18  # between sentences, beside the pause that the model itself makes at the full stop
MAX_CHARACTERS = 100_000


# What voices.json calls a voice of another kind -> the module that opens it.
OTHER_KINDS = {"speech_lm": "intona.synth_lm", "ditto": "intona.synth_ditto"}


def load(name_or_dir: str | os.PathLike[str] = "ru") -> Any:
    """Open a voice of any kind: a shipped one by name, or a run or checkpoint directory of `intona train`.

    Returns:
        `Voice` (Grad-TTS), `synth_lm.LanguageVoice` (meld) or `synth_ditto.DittoVoice`: all have
        `say(text) -> Audio`.

    Raises:
        UserError: no such voice, a damaged or unfinished checkpoint, a config this version does not know.
    """
    path = checkpoint.resolve(models.find(name_or_dir, kind="voice"))
    file = path / "voices.json"
    voices = configs.read_json(file) if file.is_file() else {}
    kind = voices.get("kind") if isinstance(voices, dict) else None
    if kind in OTHER_KINDS:
        return importlib.import_module(OTHER_KINDS[kind]).load(path)
    return _load_gradtts(path)


def _load_gradtts(path: Path) -> Voice:
    checkpoint.verify(path, state=False)
    raw = configs.read_json(path / "config.json")
    if not isinstance(raw, dict) or "model" not in raw:
        raise UserError("not the config of a voice", where=path / "config.json")
    config = configs.from_dict(GradTTSConfig, raw["model"], where=f"{path / 'config.json'}: model")
    model = GradTTS(config)
    checkpoint.load_weights(model, checkpoint.weights(path, "model."), where=path)
    tokenizer, bpe = read_tokenizers(path, config.encoder)
    voices = configs.read_json(path / "voices.json")
    return Voice(
        model,
        tokenizer,
        configs.load(MelSpec, path / "features.json"),
        speakers=tuple(voices["speakers"]),
        language=(voices["languages"] or ["ru"])[0],
        card=models.card_fields(path),
        path=path,
        bpe=bpe,
    )


def read_tokenizers(path: Path, encoder: object) -> tuple[PhonemeTokenizer, BpeTokenizer | None]:
    """Phonemes of a voice, and the pieces where the encoder of this config reads them too.

    Raises:
        UserError: one is missing, or of another kind.
    """
    phonemes = load_tokenizer(path / "tokenizer.json")
    if not isinstance(phonemes, PhonemeTokenizer):
        raise UserError("a voice needs a phoneme tokenizer", where=path / "tokenizer.json")
    if not isinstance(encoder, DualStreamConfig | FrozenTextConfig):
        return phonemes, None
    pieces = load_tokenizer(path / "bpe.json")
    if not isinstance(pieces, BpeTokenizer):
        raise UserError("not a BPE tokenizer", where=path / "bpe.json")
    return phonemes, pieces


class Voice:
    """A text-to-speech model with its front end and vocoder.

    Args:
        model: acoustic model. tokenizer: symbols to ids. spec: its mels.
        speakers: names, in the order of the model's ids.
        language: of the text.
        card: the model card; may set "steps", "temperature", "length_scale", "solver".
        path: where it was loaded from.
        bpe: of an encoder that reads the letters beside the phonemes.
    """

    def __init__(
        self,
        model: GradTTS,
        tokenizer: PhonemeTokenizer,
        spec: MelSpec,
        *,
        speakers: Sequence[str] = ("",),
        language: str = "ru",
        card: dict[str, Any] | None = None,
        path: Path | None = None,
        bpe: BpeTokenizer | None = None,
    ) -> None:
        self.bpe = bpe
        self.model, self.tokenizer, self.spec = model, tokenizer, spec
        self.speakers, self.language, self.path = tuple(speakers), language, path
        self.card = card or {}
        self._frontend: Frontend | None = None
        self._vocoder: Any = None

    @property
    def info(self) -> dict[str, Any]:
        """The model card and what the voice is made of."""
        return {
            **self.card,
            "speakers": list(self.speakers),
            "language": self.language,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "sample_rate": self.spec.sample_rate,
        }

    @property
    def frontend(self) -> Frontend:
        """The text front end the voice was trained with; another version of it warns once."""
        if self._frontend is None:
            self._frontend = _frontend_for(self.tokenizer, self.language)
        return self._frontend

    @property
    def vocoder(self) -> Any:
        if self._vocoder is None:
            from intona.vocoder import load_vocoder

            self._vocoder = load_vocoder("hifigan")
            self._vocoder.spec.require_same(self.spec, where="voice and vocoder")
        return self._vocoder

    def say(
        self,
        text: str,
        *,
        speaker: str | None = None,
        rate: float = 1.0,
        steps: int | None = None,
        seed: int = 0,
        phonemes: bool = False,
        temperature: float | None = None,
    ) -> Audio:
        """Speak a text of any length: split into sentences, joined with pauses.

        Args:
            text: words; or with `phonemes` symbols separated by spaces, words by "|".
            speaker: a name of `speakers`; the first if None.
            rate: 1.1 is a tenth faster.
            steps, temperature: of the diffusion; the voice's own if None.
            seed: the same seed, text and voice give the same audio.

        Raises:
            UserError: nothing to say, an unknown speaker, a text over the cap.
        """
        sentences = self._sentences(text, phonemes)
        return self.speak(
            sentences, speaker=speaker, rate=rate, steps=steps, seed=seed, temperature=temperature, join=True
        )[0]

    def stream(self, text: str, *, seed: int = 0, phonemes: bool = False, **how: Any) -> Iterator[Audio]:
        """What `say` gives, sentence by sentence, as each is done; arguments as there."""
        for i, sentence in enumerate(self._sentences(text, phonemes)):
            if i:
                yield Audio(self._pause(), self.spec.sample_rate)
            yield self.speak([sentence], seed=seed, first=i, **how)[0]

    def _sentences(self, text: str, phonemes: bool) -> list[Utterance]:
        if len(text) > MAX_CHARACTERS:
            raise UserError(f"{len(text)} characters, more than {MAX_CHARACTERS}", mend="split the text")
        if phonemes and self.bpe is not None:
            raise UserError(
                "this voice reads the letters beside the phonemes", mend="give the text without --phonemes"
            )
        front = self.frontend
        sentences = [front.from_phonemes(text)] if phonemes else front(split_sentences(text))
        if not sentences:
            raise UserError("nothing to say")
        return sentences

    def _pause(self) -> np.ndarray:
        return np.zeros(round(PAUSE_SECONDS * self.spec.sample_rate), dtype=np.float32)

    def speak(
        self,
        sentences: Sequence[Utterance],
        *,
        speaker: str | None = None,
        rate: float = 1.0,
        steps: int | None = None,
        seed: int = 0,
        temperature: float | None = None,
        join: bool = False,
        first: int = 0,
    ) -> list[Audio]:
        """What the front end made of sentences -> one `Audio` each, or with `join` one for all.

        Args:
            first: place of the first of them in the text; with `seed` it decides the noise.
        """
        if not sentences:
            raise UserError("nothing to say")
        voice = self._speaker_id(speaker)
        mels = [
            self._mel(s, voice, rate=rate, steps=steps, temperature=temperature, seed=seed, place=i)
            for i, s in enumerate(sentences, start=first)
        ]
        waves = [self.vocoder.decode(m)[0].float().numpy() for m in mels]
        if join:
            pieces = [waves[0]] + [x for w in waves[1:] for x in (self._pause(), w)]
            waves = [np.concatenate(pieces)]
        return [Audio(np.clip(w, -1, 1), self.spec.sample_rate) for w in waves]

    def numbers(self, sentences: Sequence[Utterance]) -> tuple[torch.Tensor, torch.Tensor, Pieces | None]:
        """(B, N) ids, (B,) lengths, and the BPE pieces if the encoder reads them; unknown symbols warn."""
        texts: list[Text] = []
        for sentence in sentences:
            encoded = self.tokenizer.encode(sentence.phonemes)
            if encoded.unknown:
                shown = " ".join(sorted(set(encoded.unknown))[:10])
                warnings.warn(f"the voice has never heard these symbols: {shown}", stacklevel=3)
            if self.bpe is None:
                ids = tuple(encoded.ids)
                texts.append(Text(tokens=ids, pieces=(), piece_words=(), token_words=(), spans=()))
                continue
            texts.append(text_of(sentence, encoded.ids, self.bpe))
        return *collate_tokens(texts), None if self.bpe is None else collate_pieces(texts)

    def _mel(
        self,
        sentence: Utterance,
        voice: int,
        *,
        rate: float,
        steps: int | None,
        temperature: float | None,
        seed: int,
        place: int,
    ) -> torch.Tensor:
        tokens, lengths, pieces = self.numbers([sentence])
        training = self.model.training
        self.model.eval()
        scale = float(self.card.get("length_scale", 1.0)) / rate
        set_fast_matmul()
        with autocast():
            speech = self.model.synthesize(
                tokens,
                lengths,
                pieces=pieces,
                speakers=torch.tensor([voice]),
                steps=steps or int(self.card.get("steps", DEFAULT_STEPS)),
                solver=str(self.card.get("solver", "dpm2m")),
                temperature=float(self.card.get("temperature", DEFAULT_TEMPERATURE))
                if temperature is None
                else temperature,
                length_scale=scale,
                random=ItemRandom(seed, 0, [str(place)]),
            )
        self.model.train(training)
        return speech.mel.float()

    def _speaker_id(self, name: str | None) -> int:
        if name is None:
            return 0
        if name not in self.speakers:
            unknown("speaker", name, self.speakers)
        return self.speakers.index(name)


def _frontend_for(tokenizer: Any, language: str) -> Frontend:
    from intona.text import FrontendConfig, compatible

    trained_with = tokenizer.frontend or {}
    frontend = Frontend(FrontendConfig(language=trained_with.get("language", language)))
    differences = compatible(trained_with, frontend.describe()) if trained_with else []
    if differences:
        warnings.warn(
            f"the text front end is not the one of the training: {'; '.join(differences)}", stacklevel=2
        )
    return frontend
