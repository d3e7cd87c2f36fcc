"""Grad-TTS voices: a sentence or a batch of them to mels, mels to sound."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intona import checkpoint, models
from intona import config as configs
from intona.audio import Audio, MelSpec
from intona.data.intonation import intonation_of
from intona.errors import UserError, unknown
from intona.synth.capabilities import Capabilities, voice_loader
from intona.synth.model_voice import first_not_none
from intona.synth.options import SpeakOptions
from intona.synth.phonemes import PhonemeVoice, read_tokenizers
from intona.synth.speech import Speech, timed_words, without_blanks
from intona.synth.voice import Reading
from intona.text import Utterance
from intona.text.languages import fitting

if TYPE_CHECKING:
    import torch

    from intona.nn.random import ItemRandom

DEFAULT_STEPS = 8
DEFAULT_TEMPERATURE = 0.25  # chosen on dev sentences: docs/notebook/voice-ru.md
DEFAULT_SOLVER = "dpm2m"
CAPABILITIES = Capabilities(
    system="gradtts",
    options=frozenset({"speaker", "language", "rate", "steps", "temperature", "solver", "phonemes"}),
    streams=True,
    times=True,
    batches=True,
    named_speakers=True,
    lexicon=True,
    vocoder=True,
)


@voice_loader(CAPABILITIES)
def load(
    path: str | os.PathLike[str], *, device: str | torch.device = "cpu", vocoder: str | None = None
) -> GradTTSVoice:
    """Open a shipped voice by name, or a run or checkpoint directory of prosody.gradtts.

    Raises:
        UserError: no such voice, a damaged or unfinished checkpoint.
    """
    from intona.systems.gradtts.config import GradTTSConfig
    from intona.systems.gradtts.model import GradTTS

    path = checkpoint.resolve(models.find(path, kind="voice"))
    checkpoint.verify(path, state=False)
    raw = configs.read_json(path / "config.json")
    if not isinstance(raw, dict) or "model" not in raw:
        raise UserError("not the config of a voice", where=path / "config.json")
    config = configs.from_dict(GradTTSConfig, raw["model"], where=f"{path / 'config.json'}: model")
    model = GradTTS(config)
    checkpoint.load_weights(model, checkpoint.weights(path, "model."), where=path)
    tokenizer, bpe = read_tokenizers(path, config.encoder, config.n_tokens)
    speakers, languages = speakers_and_languages(path)
    return GradTTSVoice(
        model.to(device),
        tokenizer,
        configs.load(MelSpec, path / "features.json"),
        speakers=speakers,
        languages=languages,
        card=models.card_fields(path),
        path=path,
        bpe=bpe,
        vocoder=vocoder,
    )


def speakers_and_languages(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a checkpoint's voices.json names. Raises: UserError: it is damaged."""
    voices = configs.read_json(path / "voices.json")
    try:
        speakers, languages = (tuple(map(str, voices[k])) for k in ("speakers", "languages"))
    except (KeyError, TypeError, IndexError) as e:
        raise UserError(f"damaged ({e!r})", where=path / "voices.json") from None
    return speakers, languages or ("ru",)


@dataclass(frozen=True, kw_only=True)
class SpokenMel:
    """The mel (T, n_mels) of a sentence, and the frames of each of its symbols (N,)."""

    mel: torch.Tensor
    durations: np.ndarray


class GradTTSVoice(PhonemeVoice["GradTTS"]):
    """A voice of named speakers. Its card may set "steps", "temperature", "length_scale" and "solver"."""

    capabilities = CAPABILITIES

    def settled(self, options: SpeakOptions | None = None, **changes: Any) -> SpeakOptions:
        options, manner = self.accepted(options, changes), self.manner
        return dataclasses.replace(
            options,
            rate=first_not_none(options.rate, 1.0),
            steps=first_not_none(options.steps, manner.steps, DEFAULT_STEPS),
            temperature=first_not_none(options.temperature, manner.temperature, DEFAULT_TEMPERATURE),
            solver=first_not_none(options.solver, manner.solver, DEFAULT_SOLVER),
        )

    def speak_text(self, text: str, options: SpeakOptions) -> Audio:
        return self.speak(self.sentences_of(text, options), options, join=True)[0]

    def stream_text(self, text: str, options: SpeakOptions) -> Iterator[Audio]:
        return (piece.audio for piece in self.stream_timed(text, options))

    def stream_timed(self, text: str, options: SpeakOptions) -> Iterator[Speech]:
        sentences = self.sentences_of(text, options)
        return self._stream(sentences, self.speaker_id(options.speaker), options)

    def _stream(
        self, sentences: Sequence[Utterance], speaker: int, options: SpeakOptions
    ) -> Iterator[Speech]:
        hop, rate, start = self.spec.hop_length, self.sample_rate, 0
        for i, sentence in enumerate(sentences):
            if i:
                pause = self.audio(self.pause())
                start += len(pause)
                yield Speech(audio=pause)
            random = self.random([(options.seed, i)])
            (spoken,) = self.spoken([sentence], [speaker], options, random=random)
            audio = self.audio(self.wave(spoken.mel))
            words = timed_words(
                sentence, spoken.durations, hop_length=hop, sample_rate=rate, start=start, sentence=i
            )
            start += len(audio)
            yield Speech(audio=audio, words=words)

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
            random = self.random([(options.seed, i)])
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
                random=self.random([(options.seed, i) for options, i, _ in rows]),
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

    def random(self, sentences: Sequence[tuple[int, int]]) -> ItemRandom:
        """The noise of sentences, which their seeds and their places in their texts decide."""
        from intona.nn.random import ItemRandom

        return ItemRandom.together(ItemRandom(seed, 0, [str(place)]) for seed, place in sentences)

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
        return [s.mel for s in self.spoken(sentences, speakers, options, random=random, **changes)]

    def spoken(
        self,
        sentences: Sequence[Utterance],
        speakers: Sequence[int],
        options: SpeakOptions | None = None,
        *,
        random: ItemRandom,
        **changes: Any,
    ) -> list[SpokenMel]:
        """What `mels` gives, with the durations of the symbols."""
        import torch

        from intona.nn.precision import autocast

        settled: Any = self.settled(options, **changes)  # no option of the sampler is None in it
        tokens, lengths, pieces = self.numbers(sentences)
        intonation = None
        if self.model.variance is not None:
            codes = [fitting(s.text, self.languages)[0] for s in sentences]
            intonation = intonation_of(sentences, codes).to(self.device)
        with autocast(device=self.device.type):
            speech = self.model.synthesize(
                tokens,
                lengths,
                pieces=pieces,
                intonation=intonation,
                speakers=torch.tensor(speakers, device=self.device),
                length_scale=self.manner.length_scale / settled.rate,
                steps=settled.steps,
                temperature=settled.temperature,
                solver=settled.solver,
                random=random,
            )
        blanks = self.model.config.add_blank
        out = []
        for i, (sentence, n) in enumerate(zip(sentences, speech.lengths.tolist(), strict=True)):
            size = len(sentence.phonemes)
            durations = speech.durations[i, : 2 * size + 1 if blanks else size].cpu().numpy()
            durations = without_blanks(durations) if blanks else durations
            out.append(SpokenMel(mel=speech.mel[i, :n].float(), durations=durations))
        return out

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
