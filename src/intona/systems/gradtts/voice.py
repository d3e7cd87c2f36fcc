"""Grad-TTS voices: a sentence or a batch of them to mels, mels to sound."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from intona import checkpoint, models
from intona import config as configs
from intona.audio import Audio, MelSpec
from intona.errors import UserError, unknown
from intona.nn.precision import autocast, set_fast_matmul
from intona.nn.random import ItemRandom
from intona.synth.voice import PhonemeVoice, given, read_tokenizers
from intona.systems.gradtts import GradTTS, GradTTSConfig
from intona.text import Utterance

DEFAULT_STEPS = 8
DEFAULT_TEMPERATURE = 0.25  # chosen on dev sentences: docs/notebook/voice-ru.md
DEFAULT_SOLVER = "dpm2m"


def load(name_or_dir: str | os.PathLike[str]) -> GradTTSVoice:
    """Open a shipped voice by name, or a run or checkpoint directory of prosody.gradtts.

    Raises:
        UserError: no such voice, a damaged or unfinished checkpoint.
    """
    path = checkpoint.resolve(models.find(name_or_dir, kind="voice"))
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
        model,
        tokenizer,
        configs.load(MelSpec, path / "features.json"),
        speakers=speakers,
        languages=languages or ("ru",),
        card=models.card_fields(path),
        path=path,
        bpe=bpe,
    )


class GradTTSVoice(PhonemeVoice[GradTTS]):
    """Its card may set "steps", "temperature", "length_scale" and "solver"."""

    def settled(
        self,
        *,
        steps: int | None = None,
        temperature: float | None = None,
        guidance: float | None = None,
        solver: str | None = None,
    ) -> dict[str, Any]:
        """What these come to: the card's, else the defaults, where None. It has no guidance."""
        own = self.manner
        return {
            "steps": given(steps, own.steps, DEFAULT_STEPS),
            "temperature": given(temperature, own.temperature, DEFAULT_TEMPERATURE),
            "solver": given(solver, own.solver, DEFAULT_SOLVER),
        }

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
        solver: str | None = None,
        language: str | None = None,
    ) -> Audio:
        """Speak a text of any length: split into sentences, joined with pauses.

        Args:
            text: words; or with `phonemes` symbols separated by spaces, words by "|".
            speaker: a name of `speakers`; the first if None.
            rate: 1.1 is a tenth faster.
            steps, temperature: of the diffusion; the voice's own if None.
            seed: the same seed, text and voice give the same audio.
            language: of the text, for a voice of several; told by its script if None.

        Raises:
            UserError: nothing to say, an unknown speaker or language, a text over the cap.
        """
        sentences = self.sentences(text, phonemes=phonemes, language=language)
        return self.speak(
            sentences,
            speaker=speaker,
            rate=rate,
            steps=steps,
            seed=seed,
            temperature=temperature,
            solver=solver,
            join=True,
        )[0]

    def stream(
        self, text: str, *, seed: int = 0, phonemes: bool = False, language: str | None = None, **how: Any
    ) -> Iterator[Audio]:
        """What `say` gives, sentence by sentence, as each is done; arguments as there."""
        for i, sentence in enumerate(self.sentences(text, phonemes=phonemes, language=language)):
            if i:
                yield self.audio(self.pause())
            yield self.speak([sentence], seed=seed, first=i, **how)[0]

    def speak(
        self,
        sentences: Sequence[Utterance],
        *,
        speaker: str | None = None,
        rate: float = 1.0,
        steps: int | None = None,
        seed: int = 0,
        temperature: float | None = None,
        solver: str | None = None,
        join: bool = False,
        first: int = 0,
    ) -> list[Audio]:
        """What the front end made of sentences -> one `Audio` each, or with `join` one for all.

        Args:
            first: place of the first of them in the text; with `seed` it decides the noise.
        """
        if not sentences:
            raise UserError("nothing to say")
        how: dict[str, Any] = {"rate": rate, "steps": steps, "temperature": temperature, "solver": solver}
        waves = []
        for i, sentence in enumerate(sentences, start=first):
            random = ItemRandom(seed, 0, [str(i)])
            (mel,) = self.mels([sentence], [self.speaker_id(speaker)], random=random, **how)
            waves.append(self.wave(mel))
        return [self.audio(w) for w in ([self.joined(waves)] if join else waves)]

    def mels(
        self,
        sentences: Sequence[Utterance],
        speakers: Sequence[int],
        *,
        random: ItemRandom,
        rate: float = 1.0,
        steps: int | None = None,
        temperature: float | None = None,
        solver: str | None = None,
    ) -> list[torch.Tensor]:
        """Mels (T_i, n_mels) of sentences in one batch, each with the noise of its item of `random`."""
        tokens, lengths, pieces = self.numbers(sentences)
        training = self.model.training
        self.model.eval()
        set_fast_matmul()
        try:
            with autocast():
                speech = self.model.synthesize(
                    tokens,
                    lengths,
                    pieces=pieces,
                    speakers=torch.tensor(speakers),
                    length_scale=self.manner.length_scale / rate,
                    random=random,
                    **self.settled(steps=steps, temperature=temperature, solver=solver),
                )
        finally:
            self.model.train(training)
        return [mel[:n].float() for mel, n in zip(speech.mel, speech.lengths.tolist(), strict=True)]

    def wave(self, mel: torch.Tensor) -> Any:
        """(T, n_mels) -> samples; one mel at a time, for the vocoder would hear the padding."""
        return self.vocoder.decode(mel[None])[0].float().cpu().numpy()

    def speaker_id(self, name: str | None) -> int:
        """The model's number of a speaker; the first's if None.

        Raises:
            UserError: nobody has that name.
        """
        if name is None:
            return 0
        if name not in self.speakers:
            unknown("speaker", name, self.speakers)
        return self.speakers.index(name)
