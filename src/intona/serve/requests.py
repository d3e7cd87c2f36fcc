"""The bodies of requests. Numbers, lengths and names are limited here; voices check the rest."""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from pathlib import PurePath
from typing import Annotated, Any, Literal

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model

from intona.serve.errors import ApiError
from intona.serve.formats import Format
from intona.serve.transcripts import TranscriptFormat
from intona.synth.options import FLAG_TYPES, OPTIONS, SpeakOptions
from intona.text.ssml import looks_like_ssml


def _valid_unicode(text: str) -> str:
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise ValueError("half of a surrogate pair is no character")
    return text


Text = Annotated[str, AfterValidator(_valid_unicode)]
Name = Annotated[Text, Field(min_length=1, max_length=200)]
_CODE = "[a-z]{2,3}(-[a-z0-9]{1,8}){0,2}"
Language = Annotated[str, Field(pattern=f"^{_CODE}$")]
Number = Annotated[float, Field(allow_inf_nan=False)]
DESCRIPTION = 4096  # characters of a style, or of the words in a reference
Description = Annotated[Text, Field(max_length=DESCRIPTION)]
_SUFFIX = re.compile(r"\.\w{1,5}\s*")  # of a file name

REFERENCE = "reference"  # the option that is a recording
# Options that are limited more than on the command line, for they cost the server time.
LIMITS: dict[str, tuple[float, float]] = {"steps": (1, 200), "tries": (1, 10), "length": (0.01, 120)}
TEXTS: dict[str, Any] = {"language": Language, "style": Description, "reference_text": Description}


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
    instructions: Description | None = None
    response_format: Format | None = None
    speed: Annotated[Number, Field(ge=0.25, le=4)] = 1.0
    stream_format: Literal["audio", "sse"] = "audio"

    @property
    def voice_name(self) -> str | None:
        return self.voice.id if isinstance(self.voice, VoiceId) else self.voice


class _IntonaSpeech(BaseModel):
    """What `POST /v1/intona/speech` takes besides the options of speech.

    The reference is base64; in a multipart form it is a file. With `times` the answer has the words with
    their times, with `f0` the pitch contour: JSON with the audio in base64, or events.
    """

    model_config = ConfigDict(strict=True, extra="forbid")
    text: Text
    model: Name | None = None
    response_format: Format | None = None
    stream_format: Literal["audio", "sse"] = "audio"
    times: bool = False
    f0: bool = False
    reference: str | None = None

    def options(self) -> SpeakOptions:
        """The options of speech but for the speaker and the reference, which are checked separately.

        Raises:
            ApiError: a style that could be the name of a file.
        """
        values = {
            n: getattr(self, n) for n in self.model_fields_set & OPTIONS.keys() - {"speaker", REFERENCE}
        }
        if values.get("style") is not None:
            require_description(values["style"], param="style")
        if looks_like_ssml(self.text):
            values["ssml"] = True
        return SpeakOptions(**values)


def _option_fields() -> dict[str, Any]:
    """The fields of a request that are options of speech: type, limits and default of each."""
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(SpeakOptions):
        if field.name == REFERENCE:
            continue
        kinds = [t for t in _alternatives(FLAG_TYPES[field.name]) if t is not type(None)]
        kind: Any
        (kind,) = kinds
        limits = LIMITS.get(field.name, OPTIONS[field.name].limits)
        if kind is str:
            kind = TEXTS.get(field.name, Name)
        elif kind is float:
            kind = Number
        if limits is not None:
            kind = Annotated[kind, Field(ge=limits[0], le=limits[1])]
        fields[field.name] = (kind if field.default is not None else kind | None, field.default)
    return fields


def _alternatives(kind: Any) -> tuple[Any, ...]:
    is_union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    return typing.get_args(kind) if is_union else (kind,)


# The body of `POST /v1/intona/speech`: a text and every option of `SpeakOptions`.
IntonaSpeech = create_model("IntonaSpeech", __base__=_IntonaSpeech, **_option_fields())


class ReadRequest(BaseModel):
    """The body of `POST /v1/intona/read`."""

    model_config = ConfigDict(strict=True, extra="forbid")
    text: Text
    language: Annotated[str, Field(pattern=rf"^{_CODE}(,{_CODE}){{0,9}}$")] | None = None
    phonemes: bool = True

    @property
    def languages(self) -> str | list[str] | None:
        """One code, or several: each sentence is then read in the language of its script."""
        codes = (self.language or "").split(",")
        return codes if len(codes) > 1 else self.language


class TranscriptionRequest(BaseModel):
    """The fields of OpenAI's `POST /v1/audio/transcriptions` but for the file; others are ignored."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)
    model: Name
    language: Annotated[Language, Field(max_length=12)] | None = None
    prompt: Description | None = None
    response_format: TranscriptFormat = "json"
    temperature: Annotated[Number, Field(ge=0, le=1)] | None = None
    granularities: Annotated[
        list[Literal["word", "segment"]], Field(alias="timestamp_granularities[]", max_length=2)
    ] = ["segment"]
    stream: bool = False


def validated(model: type[BaseModel], fields: Any, *, strict: bool | None = None) -> Any:
    """Fields as a model.

    Args:
        strict: False accepts numbers as strings, as forms have them.

    Raises:
        RequestValidationError: as for a body that FastAPI validates.
    """
    try:
        return model.model_validate(fields, strict=strict)
    except ValidationError as e:
        raise RequestValidationError(e.errors(include_url=False)) from None


async def json_of(request: Request) -> Any:
    """The body of a request as JSON.

    Raises:
        ApiError: 400 for another type of content, or what is not JSON.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(400, "send JSON, as application/json", code="invalid_content_type")
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError):
        raise ApiError(400, "the body is not JSON", code="json_invalid") from None


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
