"""Grad-TTS voices: a sentence or a batch of them to mels, mels to sound."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from intona import checkpoint, models
from intona import config as configs
from intona.audio import Audio, MelSpec
from intona.data.intonation import intonation_of
from intona.errors import UserError, unknown
from intona.nn.precision import autocast
from intona.nn.random import ItemRandom
from intona.synth.capabilities import Capabilities, voice_loader
from intona.synth.controls import Controls
from intona.synth.model_voice import first_not_none
from intona.synth.options import SpeakOptions
from intona.synth.phonemes import PhonemeVoice, read_tokenizers
from intona.synth.voice import Reading
from intona.systems.gradtts import GradTTS, GradTTSConfig
from intona.text import Utterance
from intona.text.languages import fitting
from intona.text.question import plan_of

DEFAULT_STEPS = 8
DEFAULT_TEMPERATURE = 0.25  # chosen on dev sentences: docs/notebook/voice-ru.md
DEFAULT_SOLVER = "dpm2m"
STEERING = frozenset({"pitch", "range", "energy"})
CAPABILITIES = Capabilities(
    system="gradtts",
    options=STEERING | {"speaker", "language", "rate", "steps", "temperature", "solver", "phonemes"},
    streams=True,
    batches=True,
    named_speakers=True,
    lexicon=True,
    vocoder=True,
)
NOT_STEERABLE = CAPABILITIES.without(
    STEERING, "this voice's model has no variance adaptor: its pitch and energy cannot be steered"
)


@voice_loader(CAPABILITIES)
def load(
    path: str | os.PathLike[str], *, device: str | torch.device = "cpu", vocoder: str | None = None
) -> GradTTSVoice:
    """Open a shipped voice by name, or a run or checkpoint directory of prosody.gradtts.

    Raises:
        UserError: no such voice, a damaged or unfinished checkpoint.
    """
    path = checkpoint.resolve(models.find(path, kind="voice"))
    checkpoint.verify(path, state=False)
    raw = configs.read_json(path / "config.json")
    if not isinstance(raw, dict) or "model" not in raw:
        raise UserError("not the config of a voice", where=path / "config.json")
    config = configs.from_dict(GradTTSConfig, raw["model"], where=f"{path / 'config.json'}: model")
    model = GradTTS(config)
    checkpoint.load_weights(model, checkpoint.weights(path, "model."), where=path)
    tokenizer, bpe = read_tokenizers(path, config.encoder, config.n_tokens)
    voices = configs.read_json(path / "voices.json")
    try:
        speakers, languages = (tuple(map(str, voices[k])) for k in ("speakers", "languages"))
    except (KeyError, TypeError, IndexError) as e:
        raise UserError(f"damaged ({e!r})", where=path / "voices.json") from None
    return GradTTSVoice(
        model.to(device),
        tokenizer,
        configs.load(MelSpec, path / "features.json"),
        speakers=speakers,
        languages=languages or ("ru",),
        card=models.card_fields(path),
        path=path,
        bpe=bpe,
        vocoder=vocoder,
    )


class GradTTSVoice(PhonemeVoice[GradTTS]):
    """A voice of named speakers.

    Its card may set "steps", "temperature", "length_scale", "solver", "range" and "question_contour".
    """

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES if self.steerable else NOT_STEERABLE

    @property
    def steerable(self) -> bool:
        """Whether the model has a variance adaptor, which steers pitch and energy."""
        return self.model.variance is not None

    def settled(self, options: SpeakOptions | None = None, **changes: Any) -> SpeakOptions:
        options, manner = self.accepted(options, changes), self.manner
        return dataclasses.replace(
            options,
            rate=first_not_none(options.rate, 1.0),
            steps=first_not_none(options.steps, manner.steps, DEFAULT_STEPS),
            temperature=first_not_none(options.temperature, manner.temperature, DEFAULT_TEMPERATURE),
            solver=first_not_none(options.solver, manner.solver, DEFAULT_SOLVER),
            range=manner.range if options.range is None and self.steerable else options.range,
        )

    def speak_text(self, text: str, options: SpeakOptions) -> Audio:
        return self.speak(self.sentences_of(text, options), options, join=True)[0]

    def stream_text(self, text: str, options: SpeakOptions) -> Iterator[Audio]:
        return self._stream(self.sentences_of(text, options), options)

    def _stream(self, sentences: Sequence[Utterance], options: SpeakOptions) -> Iterator[Audio]:
        for i, sentence in enumerate(sentences):
            if i:
                yield self.audio(self.pause())
            yield self.speak([sentence], options, first=i)[0]

    def speak(
        self,
        sentences: Sequence[Utterance],
        options: SpeakOptions | None = None,
        *,
        join: bool = False,
        first: int = 0,
        **changes: Any,
    ) -> list[Audio]:
        """Sentences of the front end to one `Audio` each, or with `join` one for all.

        Args:
            first: place of the first of them in the text; with the seed it decides the noise.
        """
        if not sentences:
            raise UserError("nothing to say")
        options = self.accepted(options, changes)
        speaker = self.speaker_id(options.speaker)
        waves = []
        for i, sentence in enumerate(sentences, start=first):
            random = ItemRandom(options.seed, 0, [str(i)])
            (mel,) = self.mels([sentence], [speaker], options, random=random)
            waves.append(self.wave(mel))
        return [self.audio(w) for w in ([self.joined(waves)] if join else waves)]

    def read(self, text: str, options: SpeakOptions | None = None, **changes: Any) -> Reading:
        options = self.accepted(options, changes)
        self.speaker_id(options.speaker)
        sentences = tuple(self.sentences_of(text, options))
        longest = max(len(s.phonemes) for s in sentences)
        return Reading(text=text, options=options, sentences=sentences, longest=longest)

    def speak_batch(self, readings: Sequence[Reading]) -> Iterator[Audio | UserError]:
        """One batch for all texts whose options differ in speaker, language and seed only."""
        batches: dict[SpeakOptions, list[int]] = {}
        for i, reading in enumerate(readings):
            alike = dataclasses.replace(reading.options, speaker=None, language=None, seed=0)
            batches.setdefault(alike, []).append(i)
        mels: dict[int, list[torch.Tensor]] = {}
        for indices in batches.values():
            with self.computing():
                mels |= zip(indices, self._mels_of([readings[i] for i in indices]), strict=True)
        for i in range(len(readings)):
            with self.computing():
                result = self._joined_audio(mels[i])
            yield result

    def _mels_of(self, readings: Sequence[Reading]) -> list[list[torch.Tensor]]:
        """The mels of each reading's sentences; the options differ in speaker, language and seed only."""
        rows = [(reading.options, i, s) for reading in readings for i, s in enumerate(reading.sentences)]
        mels = iter(
            self.mels(
                [sentence for _, _, sentence in rows],
                [self.speaker_id(options.speaker) for options, _, _ in rows],
                readings[0].options,
                random=_SentenceRandom((options.seed, i) for options, i, _ in rows),
            )
        )
        return [[next(mels) for _ in reading.sentences] for reading in readings]

    def _joined_audio(self, mels: Sequence[torch.Tensor]) -> Audio | UserError:
        try:
            samples = self.joined([self.wave(m) for m in mels])
        except UserError as e:
            return e
        if not np.isfinite(samples).all():
            return UserError("the vocoder's samples are not finite")
        return self.audio(samples)

    def mels(
        self,
        sentences: Sequence[Utterance],
        speakers: Sequence[int],
        options: SpeakOptions | None = None,
        *,
        random: ItemRandom,
        **changes: Any,
    ) -> list[torch.Tensor]:
        """Mels (T_i, n_mels) of sentences in one batch, each with the noise of its item of `random`."""
        settled: Any = self.settled(options, **changes)  # no option of the sampler is None in it
        tokens, lengths, pieces = self.numbers(sentences)
        more: dict[str, Any] = {}
        if self.steerable:
            more = self._melody(sentences, settled, tokens)
        with autocast(device=self.device.type):
            speech = self.model.synthesize(
                tokens,
                lengths,
                pieces=pieces,
                speakers=torch.tensor(speakers, device=self.device),
                length_scale=self.manner.length_scale / settled.rate,
                steps=settled.steps,
                temperature=settled.temperature,
                solver=settled.solver,
                random=random,
                **more,
            )
        return [mel[:n].float() for mel, n in zip(speech.mel, speech.lengths.tolist(), strict=True)]

    def _melody(
        self, sentences: Sequence[Utterance], options: SpeakOptions, tokens: torch.Tensor
    ) -> dict[str, Any]:
        """What the variance adaptor reads: intonation, the contours of questions, and controls."""
        codes = [fitting(s.text, self.languages)[0] for s in sentences]
        config = self.model.config.variance
        plans = None
        if first_not_none(self.manner.question_contour, config is not None and config.question_contour):
            plans = [plan_of(s, code) for s, code in zip(sentences, codes, strict=True)]
        return {
            "intonation": intonation_of(sentences, codes).to(self.device),
            "questions": plans,
            "controls": steered(None, options, tokens),
        }

    def speaker_id(self, name: str | None) -> int:
        """The model's number of a speaker; the first's if None.

        Raises:
            UserError: an unknown name.
        """
        if name is None:
            return 0
        if name not in self.speakers:
            unknown("speaker", name, self.speakers)
        return self.speakers.index(name)


def steered(controls: Controls | None, options: SpeakOptions, tokens: torch.Tensor) -> Controls | None:
    """Controls of symbols (B, N) and, on top of them, the options of the whole text."""
    if options.pitch is None and options.range is None and options.energy is None:
        return controls
    controls, like = controls or Controls(), torch.zeros_like(tokens, dtype=torch.float32)
    return dataclasses.replace(
        controls,
        pitch=_filled(controls.pitch, like, 0.0) + (options.pitch or 0.0),
        range=_filled(controls.range, like, 1.0) * (1.0 if options.range is None else options.range),
        energy=_filled(controls.energy, like, 0.0) + (options.energy or 0.0),
    )


def _filled(values: torch.Tensor | None, like: torch.Tensor, neutral: float) -> torch.Tensor:
    return torch.full_like(like, neutral) if values is None else values


class _SentenceRandom(ItemRandom):
    """Item i draws what `say` draws for a sentence, by (seed, place in the text)."""

    def __init__(self, sentences: Iterable[tuple[int, int]]) -> None:
        items = [ItemRandom(seed, 0, [str(place)]) for seed, place in sentences]
        self._generators = [generator for item in items for generator in item._generators]
