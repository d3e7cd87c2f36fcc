"""Voices of the speech language model: say, stream, continue a reference voice, transcribe."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from intona import checkpoint, models
from intona import config as configs
from intona.audio import Audio, MelSpec, log_mel
from intona.errors import UserError
from intona.nn.precision import autocast, set_fast_matmul
from intona.nn.random import ItemRandom
from intona.nn.sampling import SamplingConfig
from intona.synth.reference import levelled
from intona.synth.voice import check_size
from intona.systems.meld import (
    Generated,
    SpeechLM,
    SpeechLMConfig,
    stream,
    surprise,
    whole,
)
from intona.systems.meld.letters import LetterVoice
from intona.systems.meld.transcription import Window, windows_heard
from intona.text import BpeTokenizer, load_tokenizer
from intona.text.frontend import shown
from intona.text.languages import fitting
from intona.vocoder.chunked import decode_chunks

CHUNK_FRAMES = 43  # half a second of 22.05 kHz speech
MOST_TRIES = 100
CAP_RATE, CAP_FRAMES = 2.0, 86  # the cap: twice what the text is expected to take, and a second more


def is_language_voice(path: Path) -> bool:
    """Whether a checkpoint directory holds a model of this kind."""
    file = path / "voices.json"
    value = configs.read_json(file) if file.is_file() else {}
    return isinstance(value, dict) and value.get("kind") == "speech_lm"


def load(name_or_dir: str | os.PathLike[str]) -> LanguageVoice:
    """Open a shipped model by name, or a run or checkpoint directory of meld.tts, meld.stt or meld.joint.

    Raises:
        UserError: no such model, another kind of model, a damaged or unfinished checkpoint.
    """
    path = checkpoint.resolve(models.find(name_or_dir, kind="voice"))
    if not is_language_voice(path):
        raise UserError("not a speech language model", where=path, hint="train one: intona train meld.joint")
    checkpoint.verify(path, state=False)
    raw = configs.read_json(path / "config.json")
    if not isinstance(raw, dict) or not {"model", "sampling", "listen"} <= raw.keys():
        raise UserError("not the config of a speech language model", where=path / "config.json")
    voices = configs.read_json(path / "voices.json")
    if not isinstance(voices.get("listens"), bool):
        raise UserError("made by an earlier version", where=path, hint="train it again")
    where = f"{path / 'config.json'}: "
    model = SpeechLM(configs.from_dict(SpeechLMConfig, raw["model"], where=where + "model"))
    checkpoint.load_weights(model, checkpoint.weights(path, "model."), where=path)
    tokenizer = load_tokenizer(path / "tokenizer.json")
    if not isinstance(tokenizer, BpeTokenizer):
        raise UserError("a speech language model needs a BPE tokenizer", where=path / "tokenizer.json")
    return LanguageVoice.of(
        model,
        tokenizer,
        configs.load(MelSpec, path / "features.json"),
        voices,
        configs.from_dict(SamplingConfig, raw["sampling"], where=where + "sampling"),
        tasks=(raw["listen"] < 1, voices["listens"]),
        card=models.card_fields(path),
        path=path,
    )


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A voice to continue: natural-log mel frames (T, n_mels) and the pieces spoken in them."""

    mel: torch.Tensor
    pieces: list[int]


class LanguageVoice(LetterVoice[SpeechLM]):
    """A speech language model with its text side and vocoder.

    Args:
        languages: of its texts. longest_frames: of a training utterance.
        tasks: whether the model learnt to speak, and to listen.
    """

    def __init__(
        self,
        model: SpeechLM,
        tokenizer: BpeTokenizer,
        spec: MelSpec,
        *,
        languages: tuple[str, ...],
        longest_frames: int,
        speakers: tuple[str, ...] = (),
        sampling: SamplingConfig | None = None,
        tasks: tuple[bool, bool] = (True, True),
        card: dict[str, Any] | None = None,
        path: Path | None = None,
    ) -> None:
        super().__init__(
            model.eval(), tokenizer, spec, speakers=speakers, languages=languages, card=card, path=path
        )
        self.longest_frames = longest_frames
        self.sampling = sampling or SamplingConfig()
        self.speaks, self.listens = tasks
        self.strict = False  # whether a sentence that did not end by itself is an error, as in a judged set

    @staticmethod
    def of(
        model: SpeechLM,
        tokenizer: BpeTokenizer,
        spec: MelSpec,
        voices: dict[str, Any],
        sampling: SamplingConfig,
        **how: Any,
    ) -> LanguageVoice:
        """From what a checkpoint holds."""
        try:
            longest, speakers = int(voices["longest_frames"]), tuple(map(str, voices["speakers"]))
            languages = tuple(map(str, voices["languages"]))
            if not languages or longest < 1:
                raise ValueError("no language" if not languages else f"longest_frames {longest}")
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as e:
            raise UserError(f"damaged ({e})", where="voices.json") from None
        return LanguageVoice(
            model,
            tokenizer,
            spec,
            languages=languages,
            longest_frames=longest,
            speakers=speakers,
            sampling=sampling,
            **how,
        )

    @property
    def info(self) -> dict[str, Any]:
        """The model card and what the voice is made of."""
        return super().info | {"speaks": self.speaks, "listens": self.listens}

    @property
    def device(self) -> torch.device:
        return self.model.mean.device

    # --- speaking ------------------------------------------------------------------------------------

    def say(self, text: str, **how: Any) -> Audio:
        """Speak a text of any length; arguments as in `stream`."""
        return self.audio(np.concatenate([a.samples for a in self.stream(text, **how)]))

    def stream(
        self,
        text: str,
        *,
        voice: Audio | None = None,
        voice_text: str | None = None,
        speaker: str | None = None,
        rate: float = 1.0,
        steps: int | None = None,
        seed: int = 0,
        phonemes: bool = False,
        temperature: float | None = None,
        tries: int = 1,
        language: str | None = None,
    ) -> Iterator[Audio]:
        """The speech as it is made, in pieces of about half a second; together what `say` gives.

        Args:
            voice, voice_text: a recording and the words in it: the text is spoken as its continuation.
            rate: 1.1 asks for a tenth faster (models with `positions` "time" only).
            temperature: of the draw of the codes; 0 takes the likeliest.
            tries: each sentence is drawn so often, and kept as the model itself hears it best (ours); above 1
                a piece is a whole sentence. For models that listen too.
            seed: the same seed, text and voice give the same audio.
            language: of the text, and of `voice_text` where its script does not tell; for models of several.
            speaker, steps, phonemes: of other kinds of voices; refused here.

        Raises:
            UserError: nothing to say, a reference without its text or too long for the context, an option
                that this kind of model does not have.
        """
        self._refuse(speaker=speaker, steps=steps, phonemes=phonemes, rate=rate, tries=tries)
        check_size(text)
        sentences = self.sentences(text, language)
        reference = self.reference(voice, voice_text, language)
        return self._stream(
            sentences, reference, tries, {"rate": rate, "seed": seed, "temperature": temperature}
        )

    def _stream(
        self,
        sentences: list[tuple[str, list[int]]],
        reference: Reference | None,
        tries: int,
        how: dict[str, Any],
    ) -> Iterator[Audio]:
        pause = self.audio(self.pause())
        for i, (text, pieces) in enumerate(sentences):
            if i:
                yield pause
            if tries == 1:
                chunks = self.mels(pieces, reference=reference, place=str(i), **how)
            else:
                chunks = iter([self.best(pieces, tries, reference=reference, place=str(i), **how)])
            spoken = False
            heard: list[torch.Tensor] = []
            for wave in decode_chunks(self.vocoder, self._watched(chunks, text, heard)):
                spoken = True
                yield self.audio(wave)
            if not spoken:  # a failure, but the other sentences are worth hearing
                self._tell(f"{shown(text)}: nothing was spoken, the model ended at once")
                yield pause
            elif reference is None and len(self.speakers) > 1:
                # Drawn anew, each sentence would have another voice: the first is continued.
                mel = torch.cat(heard).cpu()
                fits = len(mel) // self.model.config.group <= self.model.config.context // 2 - len(pieces)
                reference = Reference(mel=mel, pieces=pieces) if fits else None

    def _watched(
        self, chunks: Iterable[Generated], text: str, heard: list[torch.Tensor]
    ) -> Iterator[torch.Tensor]:
        frames, ended = 0, True
        for chunk in chunks:
            frames, ended = frames + len(chunk.mel), chunk.ended
            heard.append(chunk.mel)
            yield chunk.mel
        if not ended:
            self._tell(f"{shown(text)} did not end by itself; cut after {self.spec.seconds(frames):.1f} s")

    def _tell(self, what: str) -> None:
        if self.strict:
            raise UserError(what)
        warnings.warn(what, stacklevel=3)

    def mels(
        self,
        pieces: list[int],
        *,
        reference: Reference | None = None,
        rate: float = 1.0,
        seed: int = 0,
        place: str = "0",
        temperature: float | None = None,
        chunk: int = CHUNK_FRAMES,
        cached: bool = True,
    ) -> Iterator[Generated]:
        """Mels of one sentence in chunks. The last one says whether the model ended by itself."""
        sampling = self.sampling
        if temperature is not None:
            sampling = configs.override(sampling, {"temperature": repr(float(temperature))})
        before = reference.pieces if reference is not None else []
        spans = self.spans(pieces, reference, rate)
        set_fast_matmul()
        chunks = stream(
            self.model,
            torch.tensor([*before, *pieces], device=self.device),
            prompt=None if reference is None else reference.mel.to(self.device),
            max_steps=self.cap(spans[len(before) :]),
            sampling=sampling,
            random=ItemRandom(seed, 0, [place]),
            spans=spans.to(self.device),
            chunk=chunk,
            cached=cached,
        )
        while True:
            # Entered anew for each chunk: held over a `yield` it would change the caller's arithmetic.
            with autocast(device=self.device.type):
                found = next(chunks, None)
            if found is None:
                return
            yield found

    def best(self, pieces: list[int], tries: int, *, place: str = "0", **how: Any) -> Generated:
        """The mel of one sentence, drawn `tries` times: of those that ended the one it hears best itself.

        The first is what a single draw gives. Arguments as in `mels`.
        """

        def draw(place: str) -> tuple[tuple[bool, float], Generated]:
            found = whole(self.mels(pieces, place=place, **how))
            with autocast(device=self.device.type):
                return (not found.ended, surprise(self.model, found.mel, pieces)), found

        draws = [draw(place if not i else f"{place}, try {i}") for i in range(tries)]
        return min(draws, key=lambda d: d[0])[1]

    def reference(
        self, voice: Audio | None, voice_text: str | None, language: str | None = None
    ) -> Reference | None:
        """A recording and its words, made ready to be continued.

        Raises:
            UserError: one without the other, silence, or more than the model's context holds.
        """
        if voice is None and not voice_text:
            return None
        if voice is None or not voice_text or not voice_text.strip():
            what = "a reference voice needs the words in it" if voice is not None else "words without a voice"
            raise UserError(
                what, where="reference", hint='give both: --voice REF.wav --voice-text "its words"'
            )
        mel = torch.from_numpy(log_mel(levelled(voice.resample(self.spec.sample_rate)), self.spec))
        own = language if language in fitting(voice_text, self.languages) else None
        _, pieces = self.pieces(voice_text, own)
        # At least half of the context stays for what is to be said.
        most = self.model.config.context // 2 - len(pieces)
        if len(mel) // self.model.config.group > most:
            seconds = self.spec.seconds(max(0, most) * self.model.config.group)
            raise UserError(
                f"{self.spec.seconds(len(mel)):.1f} s long, at most {seconds:.0f} s fit the model's context",
                where="reference",
                hint="cut it, and its text with it; 3 to 10 s are usual",
            )
        return Reference(mel=mel, pieces=pieces)

    def cap(self, spans: torch.Tensor) -> int:
        """Most steps that pieces of such spans (N,) may take; reaching it is a failure."""
        return math.ceil(CAP_RATE * float(spans.sum()) + CAP_FRAMES / self.model.config.group)

    def spans(self, pieces: list[int], reference: Reference | None = None, rate: float = 1.0) -> torch.Tensor:
        """Steps that each piece is to last, those of the reference first: it sets the pace."""
        expected = self.model.spans.cpu()
        out = expected[torch.tensor(pieces)] / rate
        if reference is None:
            return out
        before = expected[torch.tensor(reference.pieces)]
        own = len(reference.mel) // self.model.config.group / max(float(before.sum()), 1e-6)
        return torch.cat([before, out]) * own

    def _refuse(
        self, *, speaker: str | None, steps: int | None, phonemes: bool, rate: float, tries: int
    ) -> None:
        if not self.speaks:
            raise UserError(
                "the model learnt to listen only", where=self.path, hint="train meld.tts or meld.joint"
            )
        self.only_speaker(speaker, hint="give a recording of the speaker as --voice with its --voice-text")
        if steps is not None:
            raise UserError("this model takes one step a frame, no number of steps", where="--steps")
        if phonemes:
            raise UserError("this model reads letters, not phonemes", where="--phonemes")
        if rate != 1 and self.model.config.positions != "time":
            raise UserError("this model cannot change its rate", where="--rate")
        if not 1 <= tries <= MOST_TRIES:
            raise UserError(f"{tries} is not between 1 and {MOST_TRIES}", where="--tries")
        if tries > 1 and not self.listens:
            raise UserError(
                "the model learnt to speak only and cannot tell which try is best",
                where="--tries",
                hint="train meld.joint",
            )

    # --- listening -----------------------------------------------------------------------------------

    def transcribe(
        self,
        audio: Audio | Iterable[np.ndarray],
        *,
        beam: int = 1,
        seed: int = 0,
        dropout: bool = False,
    ) -> Iterator[Window]:
        """The words of a recording of any length, window by window.

        Args:
            audio: a whole recording, or blocks of samples at the model's own rate (`audio.blocks`), of
                which never more than two windows are held.
            beam: 1 = greedy.
            dropout: keep that of the prenet, as when speaking; drawn from `seed`.

        Raises:
            UserError: the model learnt to speak only.
        """
        if not self.listens:
            raise UserError(
                "the model learnt to speak only", where=self.path, hint="train meld.stt or meld.joint"
            )
        if isinstance(audio, Audio):
            audio = [audio.resample(self.spec.sample_rate).samples]
        return windows_heard(
            self.model,
            self.tokenizer,
            self.spec,
            audio,
            longest_frames=self.longest_frames,
            beam=beam,
            seed=seed,
            dropout=dropout,
        )
