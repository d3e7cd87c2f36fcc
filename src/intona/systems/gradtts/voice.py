"""Grad-TTS voices: a sentence or a batch of them to mels, mels to sound."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intona import arrays, checkpoint, models
from intona import config as configs
from intona.audio import Audio, MelSpec
from intona.diffusion import solvers
from intona.diffusion.process import MeanReverting, OptimalTransport
from intona.errors import UserError, unknown
from intona.synth.capabilities import Capabilities, voice_loader
from intona.synth.controls import Controls, ignored, phrased, resolved, symbol_values
from intona.synth.model_voice import first_not_none
from intona.synth.options import SpeakOptions
from intona.synth.phonemes import PhonemeVoice, Turn, read_tokenizers
from intona.synth.shaping import in_sequence, shaped
from intona.synth.speech import Speech, gathered, timed_words, without_blanks
from intona.synth.voice import PAUSE_SECONDS, Reading
from intona.text import Utterance
from intona.text.question import QuestionPlan, plan_of

if TYPE_CHECKING:
    import torch

    from intona.nn.random import ItemRandom
    from intona.systems.gradtts.model import GradTTS  # noqa: F401 (in a string)

DEFAULT_STEPS = 8
DEFAULT_TEMPERATURE = 0.25  # chosen on dev sentences: docs/notebook/voice-ru.md
DEFAULT_SOLVER = "dpm2m"
DEFAULT_FLOW_SOLVER = "euler"  # of models of flow matching
STEERING = frozenset({"pitch", "range", "energy"})
CAPABILITIES = Capabilities(
    system="gradtts",
    options=STEERING | {"speaker", "language", "rate", "steps", "temperature", "solver", "phonemes"},
    streams=True,
    times=True,
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

    mel: Any
    durations: np.ndarray


class GradTTSVoice(PhonemeVoice["GradTTS"]):
    """A voice of named speakers.

    Its card may set "steps", "temperature", "length_scale", "solver", "range" and "question_contour".
    """

    reads_marks = True

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES if self.steerable else NOT_STEERABLE

    @property
    def steerable(self) -> bool:
        """Whether the model has a variance adaptor, which steers pitch and energy."""
        return self.model.config.variance is not None

    @property
    def info(self) -> dict[str, Any]:
        return {**super().info, "solvers": list(solvers.names_for(self.process))}

    @property
    def process(self) -> MeanReverting | OptimalTransport:
        """The model's way from data to noise."""
        return self.model.config.process

    @property
    def default_solver(self) -> str:
        """The solver, unless an option or the card names another."""
        return DEFAULT_FLOW_SOLVER if isinstance(self.process, OptimalTransport) else DEFAULT_SOLVER

    def settled(self, options: SpeakOptions | None = None, **changes: Any) -> SpeakOptions:
        options, manner = self.accepted(options, changes), self.manner
        return dataclasses.replace(
            options,
            rate=first_not_none(options.rate, 1.0),
            steps=first_not_none(options.steps, manner.steps, DEFAULT_STEPS),
            temperature=first_not_none(options.temperature, manner.temperature, DEFAULT_TEMPERATURE),
            solver=first_not_none(options.solver, manner.solver, self.default_solver),
            range=manner.range if options.range is None and self.steerable else options.range,
        )

    def speak_text(self, text: str, options: SpeakOptions) -> Audio:
        return gathered(self.stream_timed(text, options)).audio

    def stream_text(self, text: str, options: SpeakOptions) -> Iterator[Audio]:
        return (piece.audio for piece in self.stream_timed(text, options))

    def stream_timed(self, text: str, options: SpeakOptions) -> Iterator[Speech]:
        lines = self._lines(text, options)
        speakers = [self.speaker_id(line.speaker) for line in lines]
        return self._stream([line.sentence for line in lines], speakers, options)

    def _lines(self, text: str, options: SpeakOptions) -> list[Turn]:
        """`lines`, with a phrase that ends at each long pause."""
        lines = self.lines(text, options)
        if "," not in self.tokenizer:
            return lines
        return [dataclasses.replace(line, sentence=phrased(line.sentence)) for line in lines]

    def _stream(
        self, sentences: Sequence[Utterance], speakers: Sequence[int], options: SpeakOptions
    ) -> Iterator[Speech]:
        def speeches() -> Iterator[Speech]:
            for i, (sentence, speaker) in enumerate(zip(sentences, speakers, strict=True)):
                random = self.random([(options.seed, i)])
                (mel,) = self.spoken([sentence], [speaker], options, random=random)
                yield self.sentence_speech(sentence, mel, i)

        return in_sequence(sentences, speeches(), usual=PAUSE_SECONDS)

    def sentence_speech(self, sentence: Utterance, mel: SpokenMel, index: int = 0) -> Speech:
        """The audio of a sentence with its words, and with what its controls change on the audio."""
        words = timed_words(
            sentence,
            mel.durations,
            hop_length=self.spec.hop_length,
            sample_rate=self.sample_rate,
            sentence=index,
        )
        speech = Speech(audio=Audio(self.wave(mel.mel), self.sample_rate), words=words)
        if sentence.controls or sentence.marks:
            speech = shaped(speech, resolved(sentence), marks=sentence.marks)
        return Speech(audio=self.audio(speech.audio.samples), words=speech.words, marks=speech.marks)

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
        speakers = [self.speaker_id(self.speaker_of(s, options.speaker)) for s in sentences]
        if join:
            return [gathered(self._stream(sentences, speakers, options)).audio]
        out = []
        for i, (sentence, speaker) in enumerate(zip(sentences, speakers, strict=True), start=first):
            random = self.random([(options.seed, i)])
            (mel,) = self.spoken([sentence], [speaker], options, random=random)
            out.append(self.sentence_speech(sentence, mel).audio)
        return out

    def read(self, text: str, options: SpeakOptions | None = None, **changes: Any) -> Reading:
        options = self.accepted(options, changes)
        self.speaker_id(options.speaker)
        lines = tuple(self._lines(text, options))
        longest = max(len(line.sentence.phonemes) for line in lines)
        return Reading(text=text, options=options, sentences=lines, longest=longest)

    def speak_batch(self, readings: Sequence[Reading]) -> Iterator[Audio | UserError]:
        """One batch for all texts whose options differ in speaker, language and seed only."""
        batches: dict[SpeakOptions, list[int]] = {}
        for i, reading in enumerate(readings):
            alike = dataclasses.replace(reading.options, speaker=None, language=None, seed=0)
            batches.setdefault(alike, []).append(i)
        mels: dict[int, list[SpokenMel]] = {}
        for indices in batches.values():
            with self.computing():
                mels |= zip(indices, self._mels_of([readings[i] for i in indices]), strict=True)
        for i in range(len(readings)):
            with self.computing():
                result = self._joined_audio(readings[i].sentences, mels[i])
            yield result

    def _mels_of(self, readings: Sequence[Reading]) -> list[list[SpokenMel]]:
        """The mels of each reading's sentences; the options differ in speaker, language and seed only."""
        rows: list[tuple[int, int, Turn]] = [
            (reading.options.seed, i, line)
            for reading in readings
            for i, line in enumerate(reading.sentences)
        ]
        mels = iter(
            self.spoken(
                [line.sentence for _, _, line in rows],
                [self.speaker_id(line.speaker) for _, _, line in rows],
                readings[0].options,
                random=self.random([(seed, i) for seed, i, _ in rows]),
            )
        )
        return [[next(mels) for _ in reading.sentences] for reading in readings]

    def _joined_audio(self, lines: Sequence[Turn], mels: Sequence[SpokenMel]) -> Audio | UserError:
        sentences = [line.sentence for line in lines]
        try:
            speeches = [self.sentence_speech(s, m) for s, m in zip(sentences, mels, strict=True)]
        except UserError as e:
            return e
        audio = gathered(in_sequence(sentences, speeches, usual=PAUSE_SECONDS)).audio
        if not np.isfinite(audio.samples).all():
            return UserError("the vocoder's samples are not finite")
        return audio

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
        controls = self.controls(sentences)
        more: dict[str, Any] = {}
        if self.steerable:
            more = self._melody(sentences)
            controls = steered(controls, settled, tokens)
        with autocast(device=self.device.type):
            speech = self.model.synthesize(
                tokens,
                lengths,
                pieces=pieces,
                speakers=torch.tensor(speakers, device=self.device),
                random=random,
                controls=controls,
                **self.sampling(settled),
                **more,
            )
        blanks = self.model.config.add_blank
        out = []
        for i, (sentence, n) in enumerate(zip(sentences, speech.lengths.tolist(), strict=True)):
            size = len(sentence.phonemes)
            durations = speech.durations[i, : 2 * size + 1 if blanks else size].cpu().numpy()
            durations = without_blanks(durations) if blanks else durations
            out.append(SpokenMel(mel=speech.mel[i, :n].float(), durations=durations))
        return out

    def sampling(self, settled: Any) -> dict[str, Any]:
        """The tempo and the sampler of settled options, as `synthesize` takes them."""
        return {
            "length_scale": self.manner.length_scale / settled.rate,
            "steps": settled.steps,
            "temperature": settled.temperature,
            "solver": settled.solver,
        }

    def tensor(self, values: np.ndarray) -> Any:
        """Numbers as the model takes them, in float32."""
        import torch

        return torch.from_numpy(values).float().to(self.device)

    def controls(self, sentences: Sequence[Utterance]) -> Controls | None:
        """What the model obeys of the controls of words; it warns of what it does not.

        The volume of words is changed on the audio, exactly; a variance adaptor follows energy only in part.
        """
        names = ("rate", "pitch", "range") if self.steerable else ("rate",)
        if unheeded := ignored(sentences, ("energy", *names)):
            message = (
                f"this {self.capabilities.system} voice does not change the {' and '.join(unheeded)} of words"
            )
            warnings.warn(message, stacklevel=4)
        arrays = {name: symbol_values(sentences, name) for name in names}
        if all(a is None for a in arrays.values()):
            return None
        values = {name: None if a is None else self.tensor(a) for name, a in arrays.items()}
        rate = values.pop("rate")
        return Controls(duration=None if rate is None else 1 / rate, **values)

    def _melody(self, sentences: Sequence[Utterance]) -> dict[str, Any]:
        """What the variance adaptor reads beside the controls: intonation and the contours of questions."""
        from intona.data.intonation import intonation_of

        codes = [self.language_of(s) for s in sentences]
        return {
            "intonation": intonation_of(sentences, codes).to(self.device),
            "questions": [self.question_plan(s) for s in sentences],
        }

    def question_plan(self, sentence: Utterance) -> QuestionPlan | None:
        """The default contour of a sentence's questions, None where there are none or it is switched off."""
        if not first_not_none(self.manner.question_contour, self.question_contour):
            return None
        return plan_of(sentence, self.language_of(sentence))

    @property
    def question_contour(self) -> bool:
        """Whether the pitch of questions is raised where it is low, unless the card says otherwise."""
        config = self.model.config.variance
        return config is not None and config.question_contour

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


def steered(controls: Controls | None, options: SpeakOptions, tokens: Any) -> Controls | None:
    """Controls of symbols (B, N) and, on top of them, the options of the whole text."""
    if options.pitch is None and options.range is None and options.energy is None:
        return controls
    controls = controls or Controls()
    like = arrays.as_type(arrays.namespace(tokens).zeros_like(tokens), "float32")
    return dataclasses.replace(
        controls,
        pitch=_filled(controls.pitch, like, 0.0) + (options.pitch or 0.0),
        range=_filled(controls.range, like, 1.0) * (1.0 if options.range is None else options.range),
        energy=_filled(controls.energy, like, 0.0) + (options.energy or 0.0),
    )


def _filled(values: Any, like: Any, neutral: float) -> Any:
    return like + neutral if values is None else values
