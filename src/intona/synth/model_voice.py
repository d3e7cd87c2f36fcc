"""Voices that are a model of mels, decoded by a vocoder.

The methods that compute with torch import it when they are called: the runtime without torch overrides them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from intona import config as configs
from intona import models
from intona.audio import Audio, MelSpec
from intona.errors import Unspeakable, UserError, unknown
from intona.synth.options import SpeakOptions
from intona.synth.speakers import Speakers
from intona.synth.voice import PAUSE_SECONDS, BaseVoice
from intona.text import Frontend, Lexicon, inline, lexicon

if TYPE_CHECKING:
    import torch

    from intona.vocoder import Vocoder

T = TypeVar("T")
Model = TypeVar("Model")


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a voice speaks by default. Its card may set each; None: the default of its kind."""

    steps: int | None = None
    temperature: float | None = None
    guidance: float | None = None
    length_scale: float = 1.0
    solver: str | None = None
    range: float | None = None
    question_contour: bool | None = None

    def __post_init__(self) -> None:
        configs.within(
            self,
            steps=(1, 1000),
            temperature=(0, 10),
            guidance=(0, 100),
            length_scale=(0.1, 10),
            range=(0, 3),
        )

    @classmethod
    def of(cls, card: Mapping[str, Any], *, where: str) -> Manner:
        """The fields of a card that are about it; front matter has text where JSON has numbers.

        Raises:
            UserError: a value of another type or outside its limits.
        """
        known = {f.name for f in dataclasses.fields(cls)}
        values = {k: v if isinstance(v, str) else json.dumps(v) for k, v in card.items() if k in known}
        return configs.override(cls(), values, where=where)


def first_not_none(*values: T | None) -> T:
    """The first value that is not None; the last one is a default."""
    return next(v for v in values if v is not None)


class ModelVoice(BaseVoice, Generic[Model]):
    """A model with its speakers, its card and its vocoder.

    Args:
        model: a torch module, which is put in evaluation mode; a subclass may have another.
        spec: settings of the mels that the model makes.
        speakers: names, in the order of the model's ids. languages: codes; the first is the default.
        card: the model card. path: the checkpoint that the model was loaded from.
        vocoder: a name for `load_vocoder`, that of the card if None; it is loaded when it is first needed, on
            the model's device.

    Attributes:
        vocoder_name: the name or directory of the vocoder.
    """

    def __init__(
        self,
        model: Model,
        spec: MelSpec,
        *,
        speakers: Sequence[str],
        languages: Sequence[str],
        card: dict[str, Any] | None,
        path: Path | None,
        vocoder: str | None = None,
    ) -> None:
        self.model, self.spec, self.sample_rate = model, spec, spec.sample_rate
        self.speakers, self.languages = tuple(speakers), tuple(languages)
        self.card, self.path = dict(card or {}), path
        self.speaker_table = Speakers.of(self.card, where=f"{path or 'model'}: card")
        self.speaker_table.require_known(speakers, languages, where=f"{path or 'model'}: card")
        self._only_language: str | None = None
        self._lock = threading.RLock()
        self.prepare()
        self.vocoder_name = vocoder or models.default_vocoder(self.card, where=f"{path or 'model'}: card")
        self._vocoder: Vocoder | None = None
        self._frontends: dict[str, Frontend] = {}
        file = None if path is None else lexicon.in_directory(path)
        self.lexicon = None if file is None else Lexicon.read(file)

    @property
    def module(self) -> torch.nn.Module:
        """The model, for the methods that need torch."""
        return self.model  # type: ignore[return-value]

    def prepare(self) -> None:
        """Make the model ready to speak; called once, when the voice is opened."""
        from intona.nn.precision import set_fast_matmul

        self.module.eval()
        set_fast_matmul()

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    @property
    def parameters(self) -> int:
        """Number of the model's weights."""
        return sum(p.numel() for p in self.module.parameters())

    def weights_hash(self) -> str:
        """See `record.weights_hash`."""
        from intona.synth.record import weights_hash

        return weights_hash(self.module)

    @property
    def info(self) -> dict[str, Any]:
        speakers = self.speaker_table.as_json()
        return {**self.card, **super().info, **speakers, "parameters": self.parameters}

    def identity(self) -> dict[str, Any]:
        return {
            "voice": self.weights_hash(),
            "lexicon": None if self.lexicon is None else self.lexicon.fingerprint,
            "vocoder": None if self.vocoder_name == models.DEFAULT_VOCODER else self.vocoder_name,
            **({"default_speakers": defaults} if (defaults := dict(self.speaker_table.defaults)) else {}),
            **({"only_language": self._only_language} if self._only_language else {}),
        }

    def restrict_to(self, language: str) -> None:
        several = len(self.languages) > 1
        super().restrict_to(language)
        self._only_language = language if several else None

    def use_lexicon(self, entries: Lexicon | str | os.PathLike[str]) -> None:
        """Pronounce words as a lexicon (or its file) says; its entries go before those the voice has.

        Raises:
            UserError: a file that is no lexicon.
        """
        added = lexicon.of(entries)
        assert added is not None
        with self._lock:
            self.lexicon = added if self.lexicon is None else added.over(self.lexicon)
            self._frontends.clear()

    def preload(self) -> None:
        _ = self.vocoder

    @property
    def vocoder(self) -> Vocoder:
        """Loaded at the first use.

        Raises:
            UserError: no such vocoder, or one of other mels.
        """
        with self._lock:
            if self._vocoder is None:
                vocoder = self.open_vocoder(self.vocoder_name)
                vocoder.spec.require_same(self.spec, where="voice and vocoder")
                self._vocoder = vocoder
            return self._vocoder

    def open_vocoder(self, name: str) -> Vocoder:
        """A vocoder that decodes what `mels` gives.

        Raises:
            UserError: there is none of this name.
        """
        from intona.vocoder import load_vocoder

        return load_vocoder(name, device=self.device)

    def computing(self) -> contextlib.AbstractContextManager[Any]:
        from intona.nn.precision import one_at_a_time

        return one_at_a_time()

    def pause(self, seconds: float = PAUSE_SECONDS) -> np.ndarray:
        """Samples of silence."""
        return np.zeros(round(seconds * self.spec.sample_rate), dtype=np.float32)

    def audio(self, samples: np.ndarray) -> Audio:
        """Samples within full scale as audio."""
        return Audio(np.clip(samples, -1, 1), self.spec.sample_rate)

    def wave(self, mel: torch.Tensor) -> np.ndarray:
        """(T, n_mels) -> samples; one mel at a time, because a vocoder would decode a batch's padding."""
        return self.vocoder.decode(mel[None].float())[0].float().cpu().numpy()

    def joined(self, waves: Sequence[np.ndarray], pauses: Sequence[float] | None = None) -> np.ndarray:
        """Waves with silence between: `pauses` in seconds, one fewer than waves; the usual one if None."""
        seconds = [PAUSE_SECONDS] * (len(waves) - 1) if pauses is None else pauses
        between = [(self.pause(s), w) for s, w in zip(seconds, waves[1:], strict=True)]
        return np.concatenate([waves[0], *(x for pair in between for x in pair)])

    def require_only_speaker(self, options: SpeakOptions, *, hint: str) -> None:
        """Refuse a name, unless it is that of the one speaker: others are selected by a recording."""
        name = options.speaker
        if name is not None and len(self.speakers) != 1:
            raise UserError("this model has no named speakers", where="--speaker", hint=hint)
        if name is not None and name not in self.speakers:
            unknown("speaker", name, self.speakers)


def refuse_inline(text: str) -> None:
    """Refuse phonemes in a text for a voice that reads its letters."""
    if inline.present(text):
        raise Unspeakable(
            f"this voice reads letters, it cannot take {inline.EXAMPLE} inside a text",
            where="text",
            hint="write the word, and give its spelling in a lexicon (--lexicon FILE)",
        )
