"""What the card of a voice says about its speakers, and who speaks where none is requested."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from intona import config as configs
from intona.errors import UserError, unknown


@dataclass(frozen=True, kw_only=True)
class SpeakerInfo:
    """A speaker of a voice.

    Args:
        language: code of the language of the recordings. synthetic: whether they were made by a machine.
        source: where they come from. description: of the speaker, for people.
    """

    language: str = ""
    synthetic: bool = False
    source: str = ""
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Speakers:
    """The fields `speakers` and `default_speakers` of a card.

        "speakers": {"heart": {"language": "en", "synthetic": true, "source": "hibari-tts"}},
        "default_speakers": {"en": "heart"}

    Args:
        described: speaker -> what the card says. defaults: language -> the speaker of texts in it.
    """

    described: Mapping[str, SpeakerInfo] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_info(cls, info: Mapping[str, Any]) -> Speakers:
        """Those that `Voice.info` names (`as_json`)."""
        fields = {"speakers": info.get("speaker_info"), "default_speakers": info.get("default_speakers")}
        return cls.of(fields, where="info of the voice")

    @classmethod
    def of(cls, card: Mapping[str, Any], *, where: str) -> Speakers:
        """Those of a card; a card need not have them.

        Raises:
            UserError: a field of another type.
        """
        described, defaults = card.get("speakers"), card.get("default_speakers")
        # The card of an earlier version may list names.
        rows = described if isinstance(described, dict) else {}
        if defaults is not None and not isinstance(defaults, dict):
            raise UserError('write {"LANGUAGE": "SPEAKER"}', where=f"{where}: default_speakers")
        return cls(
            described={
                str(name): configs.from_dict(SpeakerInfo, row, where=f"{where}: speakers: {name}")
                for name, row in rows.items()
            },
            defaults={str(code): str(name) for code, name in (defaults or {}).items()},
        )

    def require_known(self, speakers: Sequence[str], languages: Sequence[str], *, where: str) -> None:
        """Refuse names that a voice does not have.

        Raises:
            UserError: names the field.
        """
        for code, name in self.defaults.items():
            if code not in languages:
                unknown("language", code, languages, where=f"{where}: default_speakers")
            if name not in speakers:
                unknown("speaker", name, speakers, where=f"{where}: default_speakers")
        for name in self.described:
            if name not in speakers:
                unknown("speaker", name, speakers, where=f"{where}: speakers")

    def default(self, language: str) -> str | None:
        """Who speaks a language: the default, else the first speaker of it; None: the voice's first."""
        if language in self.defaults:
            return self.defaults[language]
        return next((n for n, s in self.described.items() if language and s.language == language), None)

    def as_json(self) -> dict[str, Any]:
        """The fields for `Voice.info`; none for a card without them."""
        out: dict[str, Any] = {}
        if self.described:
            out["speaker_info"] = {n: dataclasses.asdict(s) for n, s in self.described.items()}
        if self.defaults:
            out["default_speakers"] = dict(self.defaults)
        return out


def labelled(names: Sequence[str], described: Mapping[str, Any]) -> dict[str, str]:
    """Speaker -> name with the note "(synthetic)", of those that need it.

    Args:
        described: `speaker_info` of `Voice.info`, or the `speakers` of a card.
    """
    rows = {n: row for n in names if isinstance(row := described.get(n), dict)}
    return {n: f"{n} (synthetic)" for n, row in rows.items() if row.get("synthetic") is True}
