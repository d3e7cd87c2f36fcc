"""Voices of the latent diffusion model: say a text, with the voice of a few seconds of reference."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from intona import checkpoint, models
from intona import config as configs
from intona.audio import Audio, MelSpec, log_mel
from intona.data import clauses
from intona.diffusion import solvers
from intona.encoders.speaker import SpeakerEncoder
from intona.encoders.speakers import NOBODY, require_same, speaker_encoder
from intona.errors import Unspeakable, UserError
from intona.nn.precision import autocast
from intona.nn.random import ItemRandom
from intona.synth import kind_of
from intona.synth.capabilities import Capabilities, voice_loader
from intona.synth.model_voice import first_not_none
from intona.synth.options import SpeakOptions
from intona.synth.phonemes import PhonemeVoice, read_tokenizers
from intona.synth.reference import reference_of
from intona.synth.voice import PAUSE_SECONDS
from intona.systems.ditto import Ditto, DittoConfig
from intona.text import BpeTokenizer, PhonemeTokenizer, Utterance
from intona.text.frontend import shown

DEFAULT_STEPS = 25
DEFAULT_SOLVER = "ddim"
# Of the noise: CER of dev clauses .16, at 1 .36 (docs/notebook/ditto.md); at 0 all seeds speak alike.
DEFAULT_TEMPERATURE = 0.2
DEFAULT_GUIDANCE = 3.0  # CER of dev sentences .32 and .44 for two voices, at 2 .40 and .49 (the same page)
FORMAT = 2  # of a run: 2 since clauses and the filled last latent
BEYOND = 1.25  # times the longest text of the training that is still tried
CAPABILITIES = Capabilities(
    system="ditto",
    options=frozenset(
        {
            "speaker",
            "language",
            "rate",
            "steps",
            "temperature",
            "guidance",
            "solver",
            "phonemes",
            "reference",
            "length",
        }
    ),
    lexicon=True,
    vocoder=True,
)


def is_ditto_voice(path: Path) -> bool:
    """Whether a checkpoint directory holds a model of this kind."""
    return kind_of(path) == "ditto"


@voice_loader(CAPABILITIES)
def load(
    path: str | os.PathLike[str], *, device: str | torch.device = "cpu", vocoder: str | None = None
) -> DittoVoice:
    """Open a shipped model by name, or a run or checkpoint directory of prosody.ditto.

    Raises:
        UserError: no such model, another kind of model, a damaged or unfinished checkpoint, latents that are
            not those of the training.
    """
    path = checkpoint.resolve(models.find(path, kind="voice"))
    if not is_ditto_voice(path):
        raise UserError(
            "not a latent diffusion voice", where=path, hint="train one: intona train prosody.ditto"
        )
    checkpoint.verify(path, state=False)
    raw = configs.read_json(path / "config.json")
    if not isinstance(raw, dict) or "model" not in raw:
        raise UserError("not the config of a voice", where=path / "config.json")
    require_format(raw, path)
    config = configs.from_dict(DittoConfig, raw["model"], where=f"{path / 'config.json'}: model")
    spec = MelSpec.load(path / "features.json")
    model = Ditto(config, config.latents.build(spec))
    checkpoint.load_weights(model, checkpoint.weights(path, "model."), where=path)
    voices = configs.read_json(path / "voices.json")
    model.space.require(str(voices.get("latents")), where=path)
    tokenizer, bpe = read_tokenizers(path, config.encoder, config.n_tokens)
    return DittoVoice(
        model.to(device),
        tokenizer,
        spec,
        voices=voices,
        card=models.card_fields(path),
        path=path,
        bpe=bpe,
        vocoder=vocoder,
    )


def require_format(config: dict[str, Any], path: Path) -> None:
    """Refuse a run of an earlier version, whose latents and network were others."""
    if config.get("format") != FORMAT:
        raise UserError(
            "trained by an earlier version, whose latents and network were others",
            where=path,
            hint="train it anew: intona train prosody.ditto",
        )


class DittoVoice(PhonemeVoice[Ditto]):
    """A voice that is selected by a reference recording; without one it is of no one in particular.

    Args:
        voices: the content of `voices.json`: speakers, languages, the longest text and reference of the
            training, and the speaker encoder of references, if the text encoder is conditioned on one.
        card: may set "steps", "guidance", "temperature", "solver", "length_scale".
    """

    def __init__(
        self,
        model: Ditto,
        tokenizer: PhonemeTokenizer,
        spec: MelSpec,
        *,
        voices: dict[str, Any],
        card: dict[str, Any] | None = None,
        path: Path | None = None,
        bpe: BpeTokenizer | None = None,
        vocoder: str | None = None,
    ) -> None:
        try:
            speakers = tuple(map(str, voices["speakers"]))
            languages = tuple(map(str, voices["languages"])) or ("ru",)
            self.longest_symbols = int(voices["longest_symbols"])
            self.longest_reference = float(voices["reference_seconds"][1])
            self.seconds = float(voices["shortest_seconds"]), float(voices["longest_seconds"])
            sizes = [int(n) for n in voices["clause_symbols"]]
            self.clause_symbols = (sizes[0], sizes[1]) if sizes else None
            self.embedder = str(voices.get("speaker", NOBODY))
            self.pauses = {str(mark): float(n) for mark, n in voices["pauses"].items()}
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as e:
            raise UserError(f"damaged ({e!r})", where="voices.json") from None
        super().__init__(
            model,
            tokenizer,
            spec,
            speakers=speakers,
            languages=languages,
            card=card,
            path=path,
            bpe=bpe,
            vocoder=vocoder,
        )
        self._speaker_encoder: SpeakerEncoder | None = None

    capabilities = CAPABILITIES

    @property
    def info(self) -> dict[str, Any]:
        names = list(solvers.names_for(self.model.process))
        return super().info | {"latents_per_second": self.model.space.rate, "solvers": names}

    def settled(self, options: SpeakOptions | None = None, **changes: Any) -> SpeakOptions:
        options, manner = self.accepted(options, changes), self.manner
        return dataclasses.replace(
            options,
            rate=first_not_none(options.rate, 1.0),
            steps=first_not_none(options.steps, manner.steps, DEFAULT_STEPS),
            guidance=first_not_none(options.guidance, manner.guidance, DEFAULT_GUIDANCE),
            temperature=first_not_none(options.temperature, manner.temperature, DEFAULT_TEMPERATURE),
            solver=first_not_none(options.solver, manner.solver, DEFAULT_SOLVER),
        )

    def speak_text(self, text: str, options: SpeakOptions) -> Audio:
        return self.speak(self.sentences_of(text, options), options, join=True)[0]

    @torch.inference_mode()
    def speak(
        self,
        sentences: Sequence[Utterance],
        options: SpeakOptions | None = None,
        *,
        join: bool = False,
        **changes: Any,
    ) -> list[Audio]:
        """Sentences of the front end to one `Audio` each, or with `join` one for all.

        A long sentence is spoken in clauses. The length is that of all sentences together. With `join` and
        without a reference, all sentences have the voice of the first.

        Raises:
            UserError: no sentence, one far longer than any of the training, a reference that is silent, too
                short or too long, a length that cannot be reached.
        """
        if not sentences:
            raise UserError("nothing to say")
        settled: Any = self.settled(options, **changes)  # no option of the sampler is None in it
        self.require_only_speaker(settled, hint="give a recording of the speaker as --reference")
        recording = settled.recording()
        reference = None if recording is None else self.reference(recording)
        vector = None if recording is None else self.speaker_vector(recording)
        parts = [self.clauses(s) for s in sentences]
        self._check_lengths([p for clause in parts for p in clause])
        scale = self.manner.length_scale / settled.rate
        with autocast(device=self.device.type):
            if settled.length is not None:
                silence = PAUSE_SECONDS * (len(sentences) - 1) if join else 0.0
                silence += sum(self.pause_after(p) for clause in parts for p in clause[:-1])
                every = [p for clause in parts for p in clause]
                scale = self._scale_for(every, reference, vector, settled.length - silence, settled.length)
            waves: list[np.ndarray] = []
            seconds: list[float] = []
            for i, sentence in enumerate(parts):
                context, clause_waves = reference, []
                for k, clause in enumerate(sentence):
                    tokens, lengths, pieces = self.numbers([clause])
                    speech = self.model.synthesize(
                        tokens,
                        lengths,
                        pieces=pieces,
                        speaker=vector,
                        references=None if context is None else context[None],
                        reference_lengths=None if context is None else lengths.new_tensor([len(context)]),
                        length_scale=scale,
                        steps=settled.steps,
                        guidance=settled.guidance,
                        temperature=settled.temperature,
                        solver=settled.solver,
                        random=ItemRandom(settled.seed, 0, [f"{i}.{k}" if k else str(i)]),
                    )
                    seconds.append(int(speech.latent_lengths) / self.model.space.rate)
                    clause_waves.append(self.wave(speech.mel[0]))
                    if context is None and len(self.speakers) > 1:
                        context = speech.latents[0, -round(self.longest_reference * self.model.space.rate) :]
                waves.append(self.joined(clause_waves, [self.pause_after(p) for p in sentence[:-1]]))
                if join:
                    reference = context
        self._warn_of_lengths(seconds)
        if join:
            waves = [self.joined(waves)]
        return [self.audio(w) for w in waves]

    def at_one_pace(self, text: str, *, language: str | None = None) -> float:
        """Seconds of a text if every symbol lasted as long as the mean of the training's."""
        symbols = sum(len(s.phonemes) for s in self.sentences(text, language=language))
        return symbols * float(self.model.length.pace) / self.model.space.rate

    def clauses(self, sentence: Utterance) -> list[Utterance]:
        """The parts that a sentence is spoken in: itself, unless most of the training was shorter."""
        if self.clause_symbols is None:
            return [sentence]
        least, most = self.clause_symbols
        return clauses.split(sentence, least=least, most=most)

    def pause_after(self, clause: Utterance) -> float:
        """Seconds of silence after a clause."""
        return self.pauses.get(clause.phonemes[-1], PAUSE_SECONDS)

    def reference(self, recording: Audio) -> torch.Tensor:
        """A recording as latents (R, dim), not longer than the references of the training.

        Raises:
            UserError: as `reference_of`.
        """
        clean = reference_of(recording, self.spec.sample_rate, longest=self.longest_reference)
        mel = torch.from_numpy(log_mel(clean, self.spec))[None].to(self.device)
        return self.model.space.encode(mel, torch.tensor([mel.shape[1]], device=self.device))[0][0]

    def speaker_vector(self, recording: Audio) -> torch.Tensor | None:
        """The vector (1, S) of a recording that the text encoder is conditioned on; None if there is none.

        Raises:
            UserError: the speaker encoder is not installed, or is not the one of the training.
        """
        if not self.model.speaker_dim or self.embedder == NOBODY:
            return None
        vector = torch.from_numpy(self.speaker_encoder.embed(recording)).float()[None]
        return vector.to(self.device)

    @property
    def speaker_encoder(self) -> SpeakerEncoder:
        """Loaded at the first use."""
        with self._lock:
            if self._speaker_encoder is None:
                encoder = speaker_encoder(self.embedder)
                if self.path is not None:
                    require_same(self.path, self.embedder, encoder.describe())
                self._speaker_encoder = encoder
            return self._speaker_encoder

    def _check_lengths(self, sentences: Sequence[Utterance]) -> None:
        """Refuse a sentence far beyond the training, warn of one a little beyond."""
        for sentence in sentences:
            n = len(sentence.phonemes)
            if n > BEYOND * self.longest_symbols:
                raise Unspeakable(
                    f"{n} phonemes, the longest sentence of the training had {self.longest_symbols}",
                    where=shown(sentence.text),
                    hint="end it earlier with a full stop",
                )
            if n > self.longest_symbols:
                warnings.warn(
                    f"a sentence of {n} phonemes, the longest of the training had {self.longest_symbols}",
                    stacklevel=3,
                )

    def _warn_of_lengths(self, seconds: Sequence[float]) -> None:
        """Warn of clauses that are shorter or longer than any of the training."""
        shortest, longest = self.seconds
        for bad, known, name in ((min(seconds), shortest, "shortest"), (max(seconds), longest, "longest")):
            if (bad - known) * (1 if name == "longest" else -1) > 0:
                warnings.warn(
                    f"{bad:.2f} s at a stretch, the {name} of the training had {known:.2f} s", stacklevel=3
                )

    def _scale_for(
        self,
        sentences: Sequence[Utterance],
        reference: torch.Tensor | None,
        vector: torch.Tensor | None,
        seconds: float,
        requested: float,
    ) -> float:
        """The factor by which the predicted lengths last `seconds`; `requested` includes the pauses."""
        total = 0
        space = self.model.space
        latents = torch.zeros(1, 0, space.dim, device=self.device) if reference is None else reference[None]
        mask = torch.ones(latents.shape[:2], dtype=torch.bool, device=self.device)
        for sentence in sentences:
            text = self.model.read(*self.numbers([sentence]), vector)
            total += int(self.model.predict_lengths(text, latents, mask))
        scale = seconds * space.rate / total
        if not 0.2 <= scale <= 5:
            raise UserError(
                f"{requested:g} s for what would take {total / space.rate:.1f} s",
                where="--length",
                hint="0.2 to 5 times are possible",
            )
        return scale
