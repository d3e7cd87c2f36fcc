"""OpenAI's route that transcribes: formats, uploads and their limits."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import soundfile
from fastapi.testclient import TestClient

from intona.audio import Audio
from intona.audio.io import encode_audio
from intona.serve import transcribers, transcripts
from intona.serve.errors import ApiError
from intona.serve.transcribers import Transcribers, TranscriptionModel, TranscriptionOptions
from intona.serve.transcripts import Segment, TranscribedWord, Transcription
from intona.serve.uploads import blocks_of

from .test_requests import error

PATH = "/v1/audio/transcriptions"
RATE = 16_000


class Listener(TranscriptionModel):
    """One segment per second, named by its number."""

    options = frozenset({"prompt", "words"})

    def __init__(self) -> None:
        self.calls: list[TranscriptionOptions] = []
        self.peak = 0.0

    def transcribe(
        self, blocks: Iterator[Audio], options: TranscriptionOptions
    ) -> Iterator[Segment | Transcription]:
        self.calls.append(options)
        samples = np.concatenate([b.resample(RATE).samples for b in blocks])
        self.peak = float(np.abs(samples).max())
        segments = []
        for i in range(round(len(samples) / RATE)):
            words = (TranscribedWord(word=f"number{i}", start=i, end=i + 0.5),) if options.words else ()
            segments.append(Segment(start=i, end=i + 1, text=f" number{i}", words=words))
            yield segments[-1]
        yield Transcription(
            segments=segments, duration=len(samples) / RATE, language=options.language or "en"
        )


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Listener:
    listener = Listener()
    monkeypatch.setattr(Transcribers, "load", lambda self, name: listener)
    return listener


@pytest.fixture
def client(connect: Callable[..., TestClient], listener: Listener) -> TestClient:
    return connect(transcribers=("whisper-base",), max_upload_bytes=400_000, max_audio_seconds=8)


def sound(seconds: float = 2.0, format: str = "WAV", subtype: str | None = None) -> bytes:
    buffer, t = io.BytesIO(), np.arange(round(seconds * RATE)) / RATE
    samples = (0.5 * np.sin(2 * np.pi * 220 * t)).astype(np.float32)
    soundfile.write(buffer, samples, RATE, format=format, subtype=subtype)
    return buffer.getvalue()


def by_ffmpeg(format: str, codec: str, seconds: float = 2.0) -> bytes:
    av = pytest.importorskip("av")
    buffer, rate = io.BytesIO(), 48_000
    t = np.arange(round(seconds * rate)) / rate
    samples = (16_000 * np.sin(2 * np.pi * 220 * t)).astype(np.int16)
    with av.open(buffer, "w", format=format) as file:
        stream = file.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = rate
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return buffer.getvalue()


def post(client: TestClient, content: bytes | None = None, **fields: Any) -> Any:
    content = sound() if content is None else content
    data = {"model": "whisper-1", **fields}
    return client.post(PATH, data=data, files={"file": ("speech.wav", content, "audio/wav")})


def test_json(client: TestClient, listener: Listener):
    response = post(client)
    assert response.status_code == 200, response.text
    assert response.json() == {
        "text": "number0 number1",
        "usage": {"type": "duration", "seconds": 2},
    }
    assert listener.peak == pytest.approx(0.5, abs=0.01)
    assert client.get("/metrics").text.splitlines()[-1]  # the text ends with a line
    assert "intona_transcribed_seconds_total 2.0" in client.get("/metrics").text


def test_text_and_subtitles(client: TestClient):
    response = post(client, response_format="text")
    assert response.text == "number0 number1\n" and response.headers["content-type"].startswith("text/plain")
    assert post(client, response_format="srt").text == (
        "1\n00:00:00,000 --> 00:00:01,000\nnumber0\n\n2\n00:00:01,000 --> 00:00:02,000\nnumber1\n"
    )
    assert post(client, response_format="vtt").text == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nnumber0\n\n00:00:01.000 --> 00:00:02.000\nnumber1\n"
    )


def test_verbose_json(client: TestClient, listener: Listener):
    granularities = {"timestamp_granularities[]": ["word", "segment"]}
    response = post(client, response_format="verbose_json", language="en", **granularities)
    body = response.json()
    assert (body["task"], body["language"], body["duration"]) == ("transcribe", "en", 2.0)
    assert [(s["id"], s["start"], s["end"]) for s in body["segments"]] == [(0, 0, 1), (1, 1, 2)]
    assert body["words"][1] == {"word": "number1", "start": 1, "end": 1.5}
    assert listener.calls[-1] == TranscriptionOptions(language="en", words=True)
    assert "words" not in post(client, response_format="verbose_json").json()


def test_fields_that_a_model_does_not_obey(client: TestClient, listener: Listener):
    response = post(client, prompt="Names: Ann.", temperature="0.5", stream="true", unknown="1")
    assert response.status_code == 200
    assert response.headers["X-Intona-Ignored"] == "stream, temperature"
    assert listener.calls[-1].prompt == "Names: Ann."
    listener.options = frozenset()
    words = {"timestamp_granularities[]": ["word"], "response_format": "verbose_json"}
    assert error(post(client, **words), 400)["param"] == "timestamp_granularities[]"


@pytest.mark.parametrize(
    ("format", "subtype"),
    [("WAV", None), ("FLAC", None), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)],
    ids=lambda x: str(x),
)
def test_what_libsndfile_reads(client: TestClient, format: str, subtype: str | None):
    assert post(client, sound(2, format, subtype)).json()["text"] == "number0 number1"


@pytest.mark.parametrize(("format", "codec"), [("webm", "libopus"), ("mp4", "aac"), ("adts", "aac")])
def test_what_pyav_reads(client: TestClient, listener: Listener, format: str, codec: str):
    response = post(client, by_ffmpeg(format, codec))
    assert response.status_code == 200, response.text
    assert response.json()["text"] == "number0 number1"
    assert listener.peak == pytest.approx(16_000 / 32_768, abs=0.15)


PLAYLIST = b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
CONCAT = b"ffconcat version 1.0\nfile '/etc/passwd'\n"


@pytest.mark.parametrize(
    "content",
    [
        b"RIFF",
        b"no audio at all" * 100,
        sound()[:30],
        sound(0),
        b"\x1aE\xdf\xa3" + b"\0" * 1000,
        b"\0\0\0\x18ftypmp42" + b"\xff" * 1000,
        b"\xff\xf1" + b"\0" * 100,
        PLAYLIST,
        CONCAT,
        b"ID3\x04\0\0" + b"\x7f" * 500,
    ],
    ids=lambda c: repr(c[:8]),
)
def test_what_is_not_audio(client: TestClient, content: bytes):
    refusal = error(post(client, content), 400)
    assert refusal["param"] == "file" and "passwd" not in refusal["message"]


def test_a_recording_of_noise_values(client: TestClient):
    buffer = io.BytesIO()
    for value in (np.nan, np.inf, 1e29):
        samples = np.zeros(RATE, np.float32)
        samples[5] = value
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, RATE, format="WAV", subtype="FLOAT")
        assert error(post(client, buffer.getvalue()), 400)["param"] == "file"


def test_too_long_and_too_large(client: TestClient):
    # 60 s of silence are a few hundred bytes of flac: the length is counted while it is decoded.
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(60 * RATE, np.int16), RATE, format="FLAC")
    assert error(post(client, buffer.getvalue()), 400)["code"] == "audio_too_long"
    assert error(post(client, sound(13)), 413)["code"] == "file_too_large"
    error(post(client, b"\0" * 600_000), 413)  # by its declared length


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "docx"}, "response_format"),
        ({"temperature": "2"}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"language": "../ru"}, "language"),
        ({"timestamp_granularities[]": ["syllable"]}, "timestamp_granularities[]"),
        ({"timestamp_granularities[]": ["word"]}, "timestamp_granularities[]"),
        ({"prompt": "x" * 4097}, "prompt"),
        ({"model": ""}, "model"),
    ],
    ids=repr,
)
def test_wrong_fields(client: TestClient, fields: dict[str, Any], param: str):
    assert error(post(client, **fields), 400)["param"].split(".")[0] == param


def test_models_that_do_not_transcribe(client: TestClient, connect: Callable[..., TestClient]):
    for name in ("one", "whisper-large", "/etc/passwd"):
        assert error(post(client, model=name), 404)["param"] == "model"
    none = connect(models=("three",), transcribers=())
    assert error(post(none), 404)["code"] == "model_not_found"


def test_forms_that_are_wrong(client: TestClient):
    error(client.post(PATH, json={"model": "whisper-1"}), 400)
    assert error(client.post(PATH, data={"model": "a"}, files={"other": b"x"}), 400)["param"] == "file"
    assert error(client.post(PATH, data={"model": "a", "file": "x"}, files={"o": b"x"}), 400)
    two = [("file", ("a", b"x")), ("file", ("b", b"x"))]
    error(client.post(PATH, data={"model": "a"}, files=two), 400)
    multipart = {"Content-Type": "multipart/form-data"}
    error(client.post(PATH, content=b"x", headers=multipart), 400)
    boundary = {"Content-Type": "multipart/form-data; boundary=x"}
    for content in (b"--x", b"--x\r\n\r\n", b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--\r\n"):
        error(client.post(PATH, content=content, headers=boundary), 400)


def test_every_place_is_free_again(connect: Callable[..., TestClient], listener: Listener):
    client = connect(transcribers=("whisper-base",), queue=1)

    def status(send: Callable[[], Any]) -> int:
        """A place is free a moment after its answer has arrived."""
        for _ in range(200):
            if (code := send().status_code) != 429:
                return code
            time.sleep(0.01)
        return 429

    for content in (sound(), b"x", b"", sound()):
        assert status(lambda content=content: post(client, content)) in (200, 400)
        assert status(lambda: client.post(PATH, json={})) == 400


def test_text_of_subtitles_ends_no_cue():
    segments = [Segment(start=3599.9996, end=3601, text="a --> b\n\n<c>")]
    transcript = Transcription(segments=segments, duration=1, language="en")
    assert transcripts.as_srt(transcript) == "1\n01:00:00,000 --> 01:00:01,000\na → b <c>\n"
    assert "a → b &lt;c&gt;" in transcripts.as_vtt(transcript)


def test_names_of_transcribers(connect: Callable[..., TestClient]):
    with pytest.raises(Exception, match="unknown transcriber"):
        connect(transcribers=("one",))
    client = connect(transcribers=("whisper-base", "whisper-small"))
    names = [m["id"] for m in client.get("/v1/models").json()["data"]]
    assert names == ["one", "two", "whisper-base", "whisper-small"]


def test_blocks_are_not_decoded_beyond_the_limit():
    """A recording is refused when the limit is passed, not after it was decoded."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(3600 * RATE, np.int16), RATE, format="FLAC")
    decoded = []
    with pytest.raises(ApiError, match="longer"):
        for block in blocks_of(buffer, param="file", max_seconds=20):
            decoded.append(block.duration)
    assert sum(decoded) <= 20


@pytest.fixture(scope="module")
def russian() -> bytes:
    """Speech of a shipped voice as wav: of the module, and so made before the quick voices take its place."""
    from intona import synth

    return encode_audio(synth.load("ru").say("Добрый день! Сегодня хорошая погода."))


@pytest.mark.slow
@pytest.mark.skipif(not transcribers._offline_whisper(), reason="the wheels of Whisper are not installed")
def test_whisper_reads_russian(russian: bytes, connect: Callable[..., TestClient]):
    client = connect(transcribers=("whisper-base",))
    words = {"timestamp_granularities[]": ["word"], "response_format": "verbose_json"}
    body = post(client, russian, language="ru", **words).json()
    assert re.findall(r"\w+", body["text"].lower()) == ["добрый", "день", "сегодня", "хорошая", "погода"]
    assert len(body["words"]) == 5 and body["language"] == "ru"
    starts = [w["start"] for w in body["words"]]
    assert starts == sorted(starts) and body["words"][-1]["end"] <= body["duration"] + 0.1
