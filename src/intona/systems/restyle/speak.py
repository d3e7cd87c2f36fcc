"""A trained restyling model as a voice: text and style to audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from intona import checkpoint
from intona import config as configs
from intona.audio import Audio
from intona.encoders import styles
from intona.encoders.style import StyleEncoder
from intona.errors import UserError
from intona.nn.random import ItemRandom
from intona.synth.model_voice import refuse_inline
from intona.synth.options import SpeakOptions
from intona.synth.speech import TimedWord
from intona.systems.restyle import Restyle, vits
from intona.systems.restyle import decoder as decoders
from intona.systems.restyle.stage import FACTS, VERSION, RestyleRunConfig
from intona.systems.restyle.vits import VitsSpace

STAGES = ("restyle.palette", "restyle.bridge")


@dataclass(frozen=True, kw_only=True)
class RestyledSpeech:
    """The result of a call: the sound, its words, and the latents (T, C) before and after restyling."""

    audio: Audio
    words: tuple[TimedWord, ...]
    z_text: torch.Tensor
    z: torch.Tensor


class RestyleVoice:
    """A restyling model with its frozen VITS and its style encoder; see `load`.

    Attributes:
        speaker: row of the speaker that the model was trained on, used where a call names no other.
    """

    def __init__(
        self,
        model: Restyle,
        space: VitsSpace,
        style: StyleEncoder,
        speaker: int | None,
        decoder: nn.Module | None = None,
    ) -> None:
        self.model, self.space, self.style, self.speaker = model.eval(), space, style, speaker
        self.decoder = decoder

    @torch.inference_mode()
    def say(
        self,
        text: str,
        style: str | np.ndarray | None = None,
        *,
        guidance: float = 1.0,
        steps: int = 10,
        rate: float | None = None,
        seed: int = 0,
        speaker: int | None = None,
    ) -> RestyledSpeech:
        """Speak.

        Args:
            style: a description, an audio file, or a vector (S,) of the model's style encoder; None = no
                style, which is guidance 0.
            guidance: 0 leaves the style out, 1 is as trained, more exaggerates.
            rate: of speech. None: the style's, where it has one ("slow"); the model itself cannot change
                lengths.
            speaker: row of a speaker of the frozen VITS.

        Raises:
            UserError: nothing to say, phonemes in the text, an empty style, silence, numbers out of range.
        """
        refuse_inline(text)
        if rate is not None:
            SpeakOptions(rate=rate)  # refuses what is out of range
        speaker = self.speaker if speaker is None else speaker
        if style is None:
            vector, guidance = np.zeros(self.style.dim, np.float32), 0.0
        else:
            vector = styles.read(style, self.style) if isinstance(style, str) else style
            if rate is None and guidance:
                rate = self.style.rate(vector)
        rate = 1.0 if rate is None else rate
        symbols = self.space.facts.symbols.read(text)
        z_text, durations = self.latents(symbols.ids, seed=seed, speaker=speaker, rate=rate)
        frames = torch.tensor([len(z_text)], device=z_text.device)
        z = self.model.sample(
            z_text[None],
            frames,
            torch.from_numpy(np.asarray(vector, np.float32))[None].to(z_text.device),
            guidance=guidance,
            steps=steps,
            noise=ItemRandom(seed, 1, ["0"]),
        )
        # Restyling and the decoder keep the number of frames, so the durations of the prior are exact.
        words = symbols.timed_words(durations.tolist(), self.space.hop / self.space.sample_rate)
        audio = self.sound(z[0], speaker=speaker)
        return RestyledSpeech(audio=audio, words=words, z_text=z_text, z=z[0])

    def latents(
        self, ids: Sequence[int], *, seed: int, speaker: int | None, rate: float = 1.0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Z_text (T, C) of ids (N,) as `z_text_of` gives it, and the frames of each of them (N,)."""
        tokens = torch.tensor(ids, dtype=torch.long, device=self.space.device)
        random = ItemRandom(seed, 0, ["0"])
        rows = None if speaker is None else torch.tensor([speaker], device=tokens.device)
        prior = self.space.prior_of(tokens, random, speakers=rows, rate=rate)
        drawn = random.normal([int(prior.durations.sum())], self.space.channels).to(tokens.device)
        z, _ = self.space.latents(prior, drawn, speakers=rows)
        return z[0], prior.durations[0]

    def sound(self, z: torch.Tensor, *, speaker: int | None = None) -> Audio:
        """(T, C) latents as sound: of `say`'s z_text it is the control without any restyling."""
        speaker = self.speaker if speaker is None else speaker
        return self.space.sound(z, speaker=speaker, decoder=self.decoder)


def load(
    model: Path | str,
    *,
    voice: str | None = None,
    style: str | None = None,
    decoder: Path | str | None = None,
    device: str | torch.device = "cpu",
) -> RestyleVoice:
    """A run or checkpoint of restyle.palette or restyle.bridge.

    Args:
        voice, style: where the frozen VITS and the style encoder are, if they are not where they were in
            training.
        decoder: a run of restyle.decoder that replaces the decoder of the frozen VITS.
        device: of the model and the frozen VITS.

    Raises:
        UserError: no such run, another kind of model, another frozen voice or style encoder than it was
            trained with.
    """
    path, state = checkpoint.weights_of(Path(model))
    head = configs.read_json(path / "config.json")
    stage = head.get("stage") if isinstance(head, dict) else None
    if stage not in STAGES or not (path / FACTS).is_file():
        raise UserError(
            f'a model of "{stage}", which has no style', where=path, hint=f"give one of {', '.join(STAGES)}"
        )
    facts: dict[str, Any] = configs.read_json(path / FACTS)
    if not isinstance(facts, dict) or facts.get("version") != VERSION:
        version = facts.get("version", 1) if isinstance(facts, dict) else "?"
        raise UserError(
            f"a model of version {version}; this version of intona reads {VERSION}: styles are now in "
            "deviations of the recordings a model was trained on",
            where=path,
            hint=f"train it again: intona train {stage}",
        )
    config = configs.load(RestyleRunConfig, path / "config.json")
    space = vits.load(voice or config.vits, ask=voice is not None)
    if space.weights_hash() != facts.get("voice_hash"):
        raise UserError(
            f"trained on the voice {facts.get('voice')} with other weights than {space.facts.name}",
            where=path,
            hint="name its voice with --vits",
        )
    try:
        scale = (facts.get("style") or {}).get("scale")
        encoder = styles.load(style or config.style, scale, ask=style is not None)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise UserError("its style is not described", where=path / FACTS) from None
    description = encoder.describe()
    trained_with = (facts.get("style") or {}).items()
    # Another version of transformers is the same condition.
    if changed := [k for k, v in trained_with if k != "transformers" and description.get(k) != v]:
        raise UserError(f"the style encoder differs in {', '.join(changed)}", where=path)
    network = Restyle(config.model)
    weights = {k.removeprefix("model."): v for k, v in state.items()}
    checkpoint.load_weights(network, weights, where=path)
    space.to(device)
    tuned = None if decoder is None else decoders.load(Path(decoder), space)
    return RestyleVoice(network.to(device), space, encoder, space.speaker(config.speaker or None), tuned)
