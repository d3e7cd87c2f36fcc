"""Voices of the speech language model: say, stream, continue a reference, transcribe."""

from __future__ import annotations

import dataclasses
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
from intona.nn.precision import autocast
from intona.nn.random import ItemRandom
from intona.nn.sampling import SamplingConfig
from intona.synth import kind_of
from intona.synth.capabilities import Capabilities, voice_loader
from intona.synth.markup import check_size
from intona.synth.model_voice import first_not_none
from intona.synth.options import SpeakOptions
from intona.synth.reference import levelled
from intona.systems.meld import (
    Generated,
    SpeechLM,
    SpeechLMConfig,
    stream,
    surprise,
    whole,
)
from intona.systems.meld.letters import LetterVoice
from intona.systems.meld.transcription import Window, transcribed_windows
from intona.text import BpeTokenizer, load_tokenizer
from intona.text.frontend import shown
from intona.text.languages import fitting

CHUNK_FRAMES = 43  # half a second of 22.05 kHz speech
CAP_RATE, CAP_FRAMES = 2.0, 86  # the cap: twice what the text is expected to take, and a second more
CAPABILITIES = Capabilities(
    system="meld",
    options=frozenset({"speaker", "language", "rate", "temperature", "reference", "reference_text", "tries"}),
    streams=True,
    needs_reference_text=True,
    lexicon=True,
    vocoder=True,
)


@voice_loader(CAPABILITIES)
def load(
    path: str | os.PathLike[str], *, device: str | torch.device = "cpu", vocoder: str | None = None
) -> MeldVoice:
    """Open a shipped model by name, or a run or checkpoint directory of meld.tts, meld.stt or meld.joint.

    Raises:
        UserError: no such model, another kind of model, a damaged or unfinished checkpoint.
    """
    path = checkpoint.resolve(models.find(path, kind="voice"))
    if kind_of(path) != "speech_lm":
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
    return MeldVoice.of(
        model.to(device),
        tokenizer,
        configs.load(MelSpec, path / "features.json"),
        voices,
        configs.from_dict(SamplingConfig, raw["sampling"], where=where + "sampling"),
        tasks=(raw["listen"] < 1, voices["listens"]),
        card=models.card_fields(path),
        path=path,
        vocoder=vocoder,
    )


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Speech to continue: natural-log mel frames (T, n_mels) and the pieces spoken in them."""

    mel: torch.Tensor
    pieces: list[int]


class MeldVoice(LetterVoice[SpeechLM]):
    """A speech language model with its text side and vocoder.

    Args:
        languages: codes; the first is the default. longest_frames: of all training utterances.
        tasks: whether the model was trained to speak, and to listen.
    """

    capabilities = CAPABILITIES

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
        vocoder: str | None = None,
    ) -> None:
        super().__init__(
            model,
            tokenizer,
            spec,
            speakers=speakers,
            languages=languages,
            card=card,
            path=path,
            vocoder=vocoder,
        )
        self.longest_frames = longest_frames
        self.sampling = sampling or SamplingConfig()
        self.speaks, self.listens = tasks

    @staticmethod
    def of(
        model: SpeechLM,
        tokenizer: BpeTokenizer,
        spec: MelSpec,
        voices: dict[str, Any],
        sampling: SamplingConfig,
        **parts: Any,
    ) -> MeldVoice:
        """From the content of a checkpoint; `parts`: arguments of the class that are not in `voices`."""
        try:
            longest, speakers = int(voices["longest_frames"]), tuple(map(str, voices["speakers"]))
            languages = tuple(map(str, voices["languages"]))
            if not languages or longest < 1:
                raise ValueError("no language" if not languages else f"longest_frames {longest}")
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as e:
            raise UserError(f"damaged ({e})", where="voices.json") from None
        return MeldVoice(
            model,
            tokenizer,
            spec,
            languages=languages,
            longest_frames=longest,
            speakers=speakers,
            sampling=sampling,
            **parts,
        )

    @property
    def info(self) -> dict[str, Any]:
        return super().info | {"speaks": self.speaks, "listens": self.listens}

    # --- speaking ------------------------------------------------------------------------------------

    def settled(self, options: SpeakOptions | None = None, **changes: Any) -> SpeakOptions:
        """The temperature stays None where the sampling that the model was trained with decides."""
        options = self.accepted(options, changes)
        return dataclasses.replace(options, rate=first_not_none(options.rate, 1.0))

    def speak_text(self, text: str, options: SpeakOptions) -> Audio:
        return self.audio(np.concatenate([a.samples for a in self.stream_text(text, options)]))

    def stream_text(self, text: str, options: SpeakOptions) -> Iterator[Audio]:
        """Pieces of about half a second; with several tries, whole sentences.

        The text is spoken as the continuation of a reference. Each try draws a sentence anew, and the one
        that the model itself recognizes best is kept (ours).
        """
        self._require(options)
        check_size(text)
        sentences = self.sentences(text, options.language)
        reference = self.reference(options.recording(), options.reference_text, options.language)
        return self._pieces_of(sentences, reference, options)

    def _pieces_of(
        self, sentences: list[tuple[str, list[int]]], reference: Reference | None, options: SpeakOptions
    ) -> Iterator[Audio]:
        pause, tries = self.audio(self.pause()), first_not_none(options.tries, 1)
        how: dict[str, Any] = {
            "rate": first_not_none(options.rate, 1.0),
            "seed": options.seed,
            "temperature": options.temperature,
        }
        for i, (text, pieces) in enumerate(sentences):
            if i:
                yield pause
            how |= {"reference": reference, "place": str(i)}
            chunks = self.mels(pieces, **how) if tries == 1 else iter([self.best(pieces, tries, **how)])
            empty = True
            mels: list[torch.Tensor] = []
            for wave in self.vocoder.stream(self._checked(chunks, text, mels, strict=options.strict)):
                empty = False
                yield self.audio(wave)
            if empty:  # a failure, but the other sentences are worth speaking
                _warn(f"{shown(text)}: nothing was spoken, the model ended at once", strict=options.strict)
                yield pause
            elif reference is None and len(self.speakers) > 1:
                # Drawn anew, each sentence would have another voice: the first is continued.
                mel = torch.cat(mels).cpu()
                fits = len(mel) // self.model.config.group <= self.model.config.context // 2 - len(pieces)
                reference = Reference(mel=mel, pieces=pieces) if fits else None

    def _checked(
        self, chunks: Iterable[Generated], text: str, mels: list[torch.Tensor], *, strict: bool
    ) -> Iterator[torch.Tensor]:
        """The mels of a sentence's chunks, which are appended to `mels` too."""
        frames, ended = 0, True
        for chunk in chunks:
            frames, ended = frames + len(chunk.mel), chunk.ended
            mels.append(chunk.mel)
            yield chunk.mel
        if not ended:
            seconds = self.spec.seconds(frames)
            _warn(f"{shown(text)} did not end by itself; cut after {seconds:.1f} s", strict=strict)

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
                generated = next(chunks, None)
            if generated is None:
                return
            yield generated

    def best(self, pieces: list[int], tries: int, *, place: str = "0", **how: Any) -> Generated:
        """The mel of one sentence, drawn `tries` times: of those that ended the one it recognizes best.

        The first is what a single draw gives. Arguments as in `mels`.
        """

        def draw(place: str) -> tuple[tuple[bool, float], Generated]:
            generated = whole(self.mels(pieces, place=place, **how))
            with autocast(device=self.device.type):
                return (not generated.ended, surprise(self.model, generated.mel, pieces)), generated

        draws = [draw(place if not i else f"{place}, try {i}") for i in range(tries)]
        return min(draws, key=lambda d: d[0])[1]

    def reference(
        self, recording: Audio | None, text: str | None, language: str | None = None
    ) -> Reference | None:
        """A recording and its words, prepared to be continued.

        Args:
            language: of the text to speak, and of the reference's where its script fits.

        Raises:
            UserError: one without the other, silence, or more than the model's context holds.
        """
        if recording is None and not text:
            return None
        if recording is None or not text or not text.strip():
            what = "needs the words in it" if recording is not None else "words without a recording"
            raise UserError(
                what, where="reference", hint='give both: --reference REF.wav --reference-text "its words"'
            )
        mel = torch.from_numpy(log_mel(levelled(recording.resample(self.spec.sample_rate)), self.spec))
        _, pieces = self.pieces(text, language if language in fitting(text, self.languages) else None)
        # At least half of the context stays for the text to speak.
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
        """The largest number of steps that pieces of such spans (N,) may take; reaching it is a failure."""
        return math.ceil(CAP_RATE * float(spans.sum()) + CAP_FRAMES / self.model.config.group)

    def spans(self, pieces: list[int], reference: Reference | None = None, rate: float = 1.0) -> torch.Tensor:
        """Steps that each piece should last, those of the reference first: it sets the pace."""
        expected = self.model.spans.cpu()
        out = expected[torch.tensor(pieces)] / rate
        if reference is None:
            return out
        before = expected[torch.tensor(reference.pieces)]
        pace = len(reference.mel) // self.model.config.group / max(float(before.sum()), 1e-6)
        return torch.cat([before, out]) * pace

    def _require(self, options: SpeakOptions) -> None:
        """Refuse options that this model was not trained for."""
        if not self.speaks:
            raise UserError(
                "the model learnt to listen only", where=self.path, hint="train meld.tts or meld.joint"
            )
        hint = "give a recording of the speaker as --reference with its --reference-text"
        self.require_only_speaker(options, hint=hint)
        if options.rate not in (None, 1) and self.model.config.positions != "time":
            raise UserError("this model cannot change its rate", where="--rate")
        if first_not_none(options.tries, 1) > 1 and not self.listens:
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
        return transcribed_windows(
            self.model,
            self.tokenizer,
            self.spec,
            audio,
            longest_frames=self.longest_frames,
            beam=beam,
            seed=seed,
            dropout=dropout,
        )


def _warn(message: str, *, strict: bool) -> None:
    """Warn of a sentence that the model did not finish; an error if strict."""
    if strict:
        raise UserError(message)
    warnings.warn(message, stacklevel=3)
