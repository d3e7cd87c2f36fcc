"""Voices of the latent diffusion model: say a text, with the voice of a few seconds of reference."""

from __future__ import annotations

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
from intona.diffusion.guidance import check_scale
from intona.encoders.speaker import SpeakerEncoder
from intona.encoders.speakers import NOBODY, require_same, speaker_encoder
from intona.errors import Unspeakable, UserError
from intona.nn.precision import autocast, set_fast_matmul
from intona.nn.random import ItemRandom
from intona.synth.reference import reference_of
from intona.synth.voice import PAUSE_SECONDS, PhonemeVoice, given, read_tokenizers
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


def is_ditto_voice(path: Path) -> bool:
    """Whether a checkpoint directory holds a model of this kind."""
    file = path / "voices.json"
    value = configs.read_json(file) if file.is_file() else {}
    return isinstance(value, dict) and value.get("kind") == "ditto"


def load(name_or_dir: str | os.PathLike[str]) -> DittoVoice:
    """Open a shipped model by name, or a run or checkpoint directory of prosody.ditto.

    Raises:
        UserError: no such model, another kind of model, a damaged or unfinished checkpoint, latents that are
            not those of the training.
    """
    path = checkpoint.resolve(models.find(name_or_dir, kind="voice"))
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
        model, tokenizer, spec, voices=voices, card=models.card_fields(path), path=path, bpe=bpe
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
    """A voice that takes a reference recording in place of a speaker's name.

    Args:
        voices: what `voices.json` says: speakers, languages, the longest text and reference of the training,
            and what makes the speaker vectors of references, if the text encoder is conditioned on them.
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
            model, tokenizer, spec, speakers=speakers, languages=languages, card=card, path=path, bpe=bpe
        )
        self._speaker_encoder: SpeakerEncoder | None = None

    @property
    def info(self) -> dict[str, Any]:
        """The model card and what the voice is made of."""
        return super().info | {"latents_per_second": self.model.space.rate}

    def settled(
        self,
        *,
        steps: int | None = None,
        guidance: float | None = None,
        temperature: float | None = None,
        solver: str | None = None,
    ) -> dict[str, Any]:
        """What these come to: the card's, else the defaults, where None.

        Raises:
            UserError: a guidance or temperature that is none.
        """
        guidance = given(guidance, self.manner.guidance, DEFAULT_GUIDANCE)
        temperature = given(temperature, self.manner.temperature, DEFAULT_TEMPERATURE)
        check_scale(guidance, where="--guidance")
        check_scale(temperature, where="--temperature")
        return {
            "steps": given(steps, self.manner.steps, DEFAULT_STEPS),
            "guidance": guidance,
            "temperature": temperature,
            "solver": given(solver, self.manner.solver, DEFAULT_SOLVER),
        }

    def say(
        self,
        text: str,
        *,
        voice: Audio | None = None,
        speaker: str | None = None,
        rate: float = 1.0,
        steps: int | None = None,
        guidance: float | None = None,
        length: float | None = None,
        seed: int = 0,
        phonemes: bool = False,
        temperature: float | None = None,
        solver: str | None = None,
        language: str | None = None,
    ) -> Audio:
        """Speak a text: split into sentences, joined with pauses; a long sentence into clauses before that.

        Args:
            text: words; or with `phonemes` symbols separated by spaces, words by "|".
            voice: a recording of the voice to take, 1 to 60 s; of no one in particular if None.
            rate: 1.1 is a tenth faster.
            steps, guidance, temperature, solver: of the diffusion; the voice's own if None.
            length: seconds of the whole, pauses included, instead of the predicted ones.
            seed: the same seed, text and voice give the same audio.
            language: of the text, for a voice of several; told by its script if None.
            speaker: the only one's name, if there is one.

        Raises:
            UserError: nothing to say, an unknown language, a sentence far longer than any of the training, a
                reference that is silent, too short, too long or not a recording, an option that this model
                does not have.
        """
        return self.speak(
            self.sentences(text, phonemes=phonemes, language=language),
            voice=voice,
            speaker=speaker,
            rate=rate,
            steps=steps,
            guidance=guidance,
            length=length,
            seed=seed,
            temperature=temperature,
            solver=solver,
            join=True,
        )[0]

    def speak(
        self,
        sentences: Sequence[Utterance],
        *,
        voice: Audio | None = None,
        speaker: str | None = None,
        rate: float = 1.0,
        steps: int | None = None,
        guidance: float | None = None,
        length: float | None = None,
        seed: int = 0,
        temperature: float | None = None,
        solver: str | None = None,
        join: bool = False,
    ) -> list[Audio]:
        """What the front end made of sentences -> one `Audio` each, or with `join` one for all.

        `length` is then that of all together. Without a reference, the first sentence's voice is kept.
        """
        if not sentences:
            raise UserError("nothing to say")
        self._check(speaker, rate)
        how = self.settled(steps=steps, guidance=guidance, temperature=temperature, solver=solver)
        reference = None if voice is None else self.reference(voice)
        vector = None if voice is None else self.speaker_vector(voice)
        parts = [self.clauses(s) for s in sentences]
        self._check_lengths([p for clause in parts for p in clause])
        training = self.model.training
        self.model.eval()
        set_fast_matmul()
        scale = self.manner.length_scale / rate
        with autocast(), torch.inference_mode():
            if length is not None:
                silence = PAUSE_SECONDS * (len(sentences) - 1) if join else 0.0
                silence += sum(self.pause_after(p) for clause in parts for p in clause[:-1])
                every = [p for clause in parts for p in clause]
                scale = self._scale_for(every, reference, vector, length - silence, length)
            waves: list[np.ndarray] = []
            taken: list[float] = []
            for i, sentence in enumerate(parts):
                heard, said = reference, []
                for k, clause in enumerate(sentence):
                    tokens, lengths, pieces = self.numbers([clause])
                    speech = self.model.synthesize(
                        tokens,
                        lengths,
                        pieces=pieces,
                        speaker=vector,
                        references=None if heard is None else heard[None],
                        reference_lengths=None if heard is None else torch.tensor([len(heard)]),
                        length_scale=scale,
                        steps=how["steps"],
                        guidance=how["guidance"],
                        temperature=how["temperature"],
                        solver=how["solver"],
                        random=ItemRandom(seed, 0, [f"{i}.{k}" if k else str(i)]),
                    )
                    taken.append(int(speech.latent_lengths) / self.model.space.rate)
                    said.append(self.vocoder.decode(speech.mel.float())[0].float().numpy())
                    if heard is None and len(self.speakers) > 1:
                        heard = speech.latents[0, -round(self.longest_reference * self.model.space.rate) :]
                waves.append(self.joined(said, [self.pause_after(p) for p in sentence[:-1]]))
                if join:
                    reference = heard
        self.model.train(training)
        self._warn_of(taken)
        if join:
            waves = [self.joined(waves)]
        return [self.audio(w) for w in waves]

    def at_one_pace(self, text: str, *, language: str | None = None) -> float:
        """Seconds of a text if every symbol took what the training's took in the mean."""
        symbols = sum(len(s.phonemes) for s in self.sentences(text, language=language))
        return symbols * float(self.model.length.pace) / self.model.space.rate

    def clauses(self, sentence: Utterance) -> list[Utterance]:
        """A sentence as the parts it is spoken in: itself, unless most of the training was shorter."""
        if self.clause_symbols is None:
            return [sentence]
        least, most = self.clause_symbols
        return clauses.split(sentence, least=least, most=most)

    def pause_after(self, clause: Utterance) -> float:
        """Seconds of silence after a clause."""
        return self.pauses.get(clause.phonemes[-1], PAUSE_SECONDS)

    def reference(self, voice: Audio) -> torch.Tensor:
        """A recording as latents (R, dim), not longer than the references of the training.

        Raises:
            UserError: as `reference_of`.
        """
        clean = reference_of(voice, self.spec.sample_rate, longest=self.longest_reference)
        mel = torch.from_numpy(log_mel(clean, self.spec))[None]
        return self.model.space.encode(mel, torch.tensor([mel.shape[1]]))[0][0]

    def speaker_vector(self, voice: Audio) -> torch.Tensor | None:
        """The vector (1, S) of a recording that the text encoder is conditioned on; None if it takes none.

        Raises:
            UserError: what makes it is not installed, or makes other vectors than in the training.
        """
        if not self.model.speaker_dim or self.embedder == NOBODY:
            return None
        if self._speaker_encoder is None:
            encoder = speaker_encoder(self.embedder)
            if self.path is not None:
                require_same(self.path, self.embedder, encoder.describe())
            self._speaker_encoder = encoder
        return torch.from_numpy(self._speaker_encoder.embed(voice)).float()[None]

    def _check(self, speaker: str | None, rate: float) -> None:
        self.only_speaker(speaker, hint="give a recording of the speaker as --voice")
        if not 0.1 <= rate <= 10:
            raise UserError(f"{rate:g} is not between 0.1 and 10", where="--rate")

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

    def _warn_of(self, seconds: Sequence[float]) -> None:
        """Of lengths that the training did not have, whether predicted or asked for."""
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
        asked: float,
    ) -> float:
        """What the predicted lengths must be multiplied by to last `seconds`."""
        total = 0
        space = self.model.space
        heard = torch.zeros(1, 0, space.dim) if reference is None else reference[None]
        mask = torch.ones(heard.shape[:2], dtype=torch.bool)
        for sentence in sentences:
            text = self.model.read(*self.numbers([sentence]), vector)
            total += int(self.model.predict_lengths(text, heard, mask))
        scale = seconds * space.rate / total
        if not 0.2 <= scale <= 5:
            raise UserError(
                f"{asked:g} s for what would take {total / space.rate:.1f} s",
                where="--length",
                hint="0.2 to 5 times are possible",
            )
        return scale
