"""The clients that people use: OpenAI's for Python, and curl."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from intona.serve.settings import Settings

from .conftest import Singer
from .test_transcription import Listener, by_ffmpeg, sound
from .test_worker import LIMIT, running

openai = pytest.importorskip("openai")
TEXT = "three short words"
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")


@pytest.fixture
def port(voices: dict[str, Singer], monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    from intona.serve.transcribers import Transcribers

    listener = Listener()
    monkeypatch.setattr(Transcribers, "load", lambda self, name: listener)
    with running(Settings(models=("one", "two"), transcribers=("whisper-base",), api_key="secret")) as port:
        yield port


@pytest.fixture
def client(port: int) -> Iterator[Any]:
    with openai.OpenAI(
        base_url=f"http://127.0.0.1:{port}/v1", api_key="secret", max_retries=0, timeout=LIMIT
    ) as client:
        yield client


def decoded(content: bytes, format: str) -> tuple[np.ndarray, int]:
    """Samples and rate of a response in any format."""
    if format == "pcm":
        return np.frombuffer(content, "<i2").astype(np.float32) / 32_768, 24_000
    if format == "aac":
        av = pytest.importorskip("av")
        with av.open(io.BytesIO(content), format="aac") as file:
            frames = [f.to_ndarray()[0] for f in file.decode(audio=0)]
            return np.concatenate(frames), file.streams.audio[0].codec_context.sample_rate
    return soundfile.read(io.BytesIO(content), dtype="float32")


@pytest.mark.parametrize("format", FORMATS)
def test_openais_client_plays_every_format(client: Any, format: str, tmp_path: Path):
    fields = {"model": "tts-1", "voice": "alloy", "input": TEXT}
    response = client.audio.speech.create(**fields, response_format=format)
    samples, rate = decoded(response.content, format)
    assert len(samples) / rate == pytest.approx(1.5, abs=0.15)
    frequencies = np.fft.rfftfreq(len(samples), 1 / rate)
    assert frequencies[np.abs(np.fft.rfft(samples)).argmax()] == pytest.approx(220, abs=3)
    response.write_to_file(tmp_path / "speech")
    assert (tmp_path / "speech").read_bytes() == response.content


@pytest.mark.parametrize("format", ["wav", "pcm"])
def test_first_bytes_arrive_before_the_whole_is_spoken(client: Any, voices: dict[str, Singer], format: str):
    fields = {"model": "one", "voice": "one", "input": "first wait last"}
    with client.audio.speech.with_streaming_response.create(**fields, response_format=format) as response:
        pieces = response.iter_bytes()
        first = next(pieces)
        assert first and voices["one"].n_pieces == 1  # the second word waits for the gate
        voices["one"].gate.set()
        content = first + b"".join(pieces)
    samples, rate = decoded(content, format)
    assert len(samples) / rate == pytest.approx(1.5, abs=0.1)


def test_events_of_openais_client(client: Any):
    fields = {"model": "one", "voice": "one", "input": TEXT, "stream_format": "sse"}
    with client.audio.speech.with_streaming_response.create(**fields, response_format="pcm") as response:
        events = [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]
    assert {e["type"] for e in events[:-1]} == {"speech.audio.delta"}
    assert events[-1]["type"] == "speech.audio.done"


def test_models_of_openais_client(client: Any):
    assert [m.id for m in client.models.list()] == ["one", "two", "whisper-base"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"speed": 5.0}, "speed"),
        ({"response_format": "midi"}, "response_format"),
        ({"voice": "nobody"}, "voice"),
        ({"input": ""}, None),
        ({"input": "x" * 5000}, "input"),
        ({"stream_format": "sse", "response_format": "mp3"}, "response_format"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_errors_of_openais_client(client: Any, fields: dict[str, Any], param: str | None):
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.speech.create(**{"model": "one", "voice": "one", "input": TEXT, **fields})
    assert caught.value.param == param and caught.value.type == "invalid_request_error"


def test_other_errors_of_openais_client(client: Any, port: int, voices: dict[str, Singer]):
    with pytest.raises(openai.NotFoundError, match="no model"):
        client.audio.speech.create(model="gpt-9", voice="one", input=TEXT)
    with pytest.raises(openai.InternalServerError):
        client.audio.speech.create(model="one", voice="one", input="bug")
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").models.list()


@pytest.mark.parametrize("format", ["json", "text", "verbose_json", "srt", "vtt"])
def test_openais_client_transcribes(client: Any, format: str):
    file = ("speech.wav", sound(2))
    result = client.audio.transcriptions.create(file=file, model="whisper-1", response_format=format)
    text = result if isinstance(result, str) else result.text
    assert "number0" in text and "number1" in text
    if format == "verbose_json":
        assert result.duration == 2 and [s.end for s in result.segments] == [1, 2]


def test_openais_client_transcribes_words(client: Any):
    pytest.importorskip("av")
    result = client.audio.transcriptions.create(
        file=("speech.webm", by_ffmpeg("webm", "libopus")),
        model="whisper-1",
        response_format="verbose_json",
        timestamp_granularities=["word"],
        language="en",
        temperature=0.2,
    )
    assert [w.word for w in result.words] == ["number0", "number1"] and result.segments is None


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
JSON = ("-H", "Content-Type: application/json")


def curl(*arguments: str) -> str:
    key = "Authorization: Bearer secret"
    command = ["curl", "-sS", "-N", "--max-time", str(LIMIT), "-H", key, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@needs_curl
@pytest.mark.parametrize("format", FORMATS)
def test_curl_plays_every_format(port: int, format: str, tmp_path: Path):
    body = json.dumps({"model": "one", "voice": "one", "input": TEXT, "response_format": format})
    curl(*JSON, "-d", body, "-o", str(tmp_path / "speech"), f"http://127.0.0.1:{port}/v1/audio/speech")
    samples, rate = decoded((tmp_path / "speech").read_bytes(), format)
    assert len(samples) / rate == pytest.approx(1.5, abs=0.15)


@needs_curl
def test_curl(port: int, tmp_path: Path):
    address = f"http://127.0.0.1:{port}"
    body = json.dumps({"model": "one", "voice": "one", "input": TEXT})
    curl(*JSON, "-d", body, "-o", str(tmp_path / "a.mp3"), f"{address}/v1/audio/speech")
    assert soundfile.info(tmp_path / "a.mp3").duration == pytest.approx(1.5, abs=0.1)
    (tmp_path / "r.wav").write_bytes(sound(2))
    form = ("-F", f"reference=@{tmp_path / 'r.wav'}", "-F", f"text={TEXT}", "-F", "response_format=flac")
    curl(*form, "-o", str(tmp_path / "b.flac"), f"{address}/v1/intona/speech")
    assert soundfile.info(tmp_path / "b.flac").duration == pytest.approx(1.5, abs=0.1)
    form = ("-F", f"file=@{tmp_path / 'r.wav'}", "-F", "model=whisper-1", "-F", "response_format=srt")
    assert curl(*form, f"{address}/v1/audio/transcriptions").count("-->") == 2
    refusal = curl(*JSON, "-d", "{", "-w", "%{http_code}", f"{address}/v1/audio/speech")
    assert refusal.endswith("400") and '"invalid_request_error"' in refusal
    assert "intona_requests_total" in curl(f"{address}/metrics")


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_every_format_of_a_shipped_voice_is_understood(format: str, spoken: Callable[[str], bytes]):
    from intona.audio import Audio
    from intona.evaluation.judges.recognizer import AsrConfig, Transcriber
    from intona.evaluation.judges.recognizer_model import offline_installed

    if not offline_installed():
        pytest.skip("the wheels of Whisper are not installed")
    samples, rate = decoded(spoken(format), format)
    transcript = Transcriber(AsrConfig(language="ru"))(Audio(samples, rate))
    words = [w.strip(".,!?").lower() for w in transcript.text.split()]
    assert words == ["добрый", "день", "сегодня", "хорошая", "погода"]


@pytest.fixture(scope="module")
def spoken() -> Iterator[Callable[[str], bytes]]:
    """The response of a server with a shipped voice in a format."""
    with running(Settings(models=("ru",), transcribers=())) as port:
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", timeout=600)

        def speak(format: str) -> bytes:
            text = "Добрый день! Сегодня хорошая погода."
            response = client.audio.speech.create(model="ru", voice="ru", input=text, response_format=format)
            return response.content

        yield speak
        client.close()
