"""The bodies of requests. Numbers, lengths and names are limited here; voices check the rest."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from intona.serve.errors import ApiError
from intona.serve.formats import Format
from intona.synth.options import OPTIONS, SpeakOptions


def _valid_unicode(text: str) -> str:
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise ValueError("half of a surrogate pair is no character")
    return text


Text = Annotated[str, AfterValidator(_valid_unicode)]
Name = Annotated[Text, Field(min_length=1, max_length=200)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[a-z0-9]{1,8}){0,2}$")]
Number = Annotated[float, Field(allow_inf_nan=False)]
DESCRIPTION = 4096  # characters of a style
_SUFFIX = re.compile(r"\.\w{1,5}\s*")  # of a file name


class VoiceId(BaseModel):
    """A voice as {"id": …}."""

    model_config = ConfigDict(strict=True)
    id: Name


class OpenAISpeech(BaseModel):
    """The body of OpenAI's `POST /v1/audio/speech`; fields that it may gain are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")
    model: Name
    input: Text
    voice: Name | VoiceId | None = None
    instructions: Annotated[Text, Field(max_length=DESCRIPTION)] | None = None
    response_format: Format | None = None
    speed: Annotated[Number, Field(ge=0.25, le=4)] = 1.0
    stream_format: Literal["audio", "sse"] = "audio"

    @property
    def voice_name(self) -> str | None:
        return self.voice.id if isinstance(self.voice, VoiceId) else self.voice


class IntonaSpeech(BaseModel):
    """The body of `POST /v1/intona/speech`: a text and the options of `SpeakOptions`.

    Steps, tries and length have lower limits than on the command line, for they cost the server time.
    """

    model_config = ConfigDict(strict=True, extra="forbid")
    text: Text
    model: Name | None = None
    response_format: Format = "wav"
    speaker: Name | None = None
    language: Language | None = None
    rate: Annotated[Number, Field(ge=0.25, le=4)] | None = None
    steps: Annotated[int, Field(ge=1, le=200)] | None = None
    temperature: Annotated[Number, Field(ge=0, le=10)] | None = None
    guidance: Annotated[Number, Field(ge=0, le=100)] | None = None
    solver: Name | None = None
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    phonemes: bool = False
    style: Annotated[Text, Field(max_length=DESCRIPTION)] | None = None
    length: Annotated[Number, Field(ge=0.01, le=120)] | None = None
    tries: Annotated[int, Field(ge=1, le=10)] | None = None
    strict: bool = False

    def options(self) -> SpeakOptions:
        """The options of speech but for the speaker, which is checked against the voice.

        Raises:
            ApiError: a style that could be the name of a file.
        """
        names = self.model_fields_set & OPTIONS.keys() - {"speaker"}
        if self.style is not None:
            require_description(self.style, param="style")
        return SpeakOptions(**{name: getattr(self, name) for name in names})


class ReadRequest(BaseModel):
    """The body of `POST /v1/intona/read`."""

    model_config = ConfigDict(strict=True, extra="forbid")
    text: Text
    language: Language | None = None
    phonemes: bool = True


def require_description(style: str, *, param: str) -> None:
    """Refuse a style that a voice could take for a recording on the server's disk.

    Raises:
        ApiError: 400.
    """
    if _SUFFIX.fullmatch(PurePath(style).suffix):
        raise ApiError(400, f"{param}: describe the style in words; a file name is not accepted", param=param)


def require_length(text: str, most: int, *, param: str) -> None:
    """Refuse a text that is too long.

    Raises:
        ApiError: 400.
    """
    if len(text) > most:
        message = f"{param}: {len(text)} characters; at most {most} are accepted"
        raise ApiError(400, message, param=param, code="string_above_max_length")
