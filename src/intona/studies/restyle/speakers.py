"""Speaker vectors (GE2E) of the frozen voice and of the corpus, and similarity to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from intona import config as configs
from intona.audio import Audio, read_audio
from intona.data.prepared import Prepared
from intona.encoders import ge2e
from intona.errors import UserError
from intona.studies.engine.stages import require_corpus
from intona.studies.restyle.conditions import MIN_SECONDS
from intona.studies.restyle.metrics import cosine
from intona.systems.restyle import vits
from intona.systems.restyle.latents import z_text_of
from intona.systems.restyle.vits import VitsSpace

PEOPLE = "people.json"  # the results of `measure_speakers`; its name is that of earlier versions
PROMPTS = 12  # sentences or recordings per speaker, whose vectors are averaged


def measure_speakers(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    data: str,
    corpus: str,
    voice: str,
    readers: dict[str, dict[str, str]] | None = None,
) -> None:
    """GE2E vectors of the speakers of the voice (at most two, speaking train texts) and of the corpus.

    Args:
        readers: name -> arguments "data" and "corpus" of a corpus, whose mean vector is also computed.
    """
    require_corpus(data, corpus)
    prepared, space = Prepared.open(data), vits.load(voice)
    results: dict[str, Any] = {"speakers": voice_speakers(space)}
    if ge2e.weights_path() is None:
        configs.write_json(out / PEOPLE, {**results, "reason": f"no speaker encoder: {ge2e.MEND}"})
        return
    train = [i for i in prepared.items("train") if i.seconds >= MIN_SECONDS]

    def spoken(speaker: int | None) -> Iterable[Audio]:
        for item in train[:PROMPTS]:
            z = z_text_of(space, item.text, item.id, seed=1, speaker=speaker)
            yield space.sound(z, speaker=speaker)

    results["voice"] = [mean_vector(spoken(s)) for s in results["speakers"]]
    results["corpus"] = {
        name: mean_vector(
            read_audio(prepared.audio_path(i)) for i in [i for i in train if i.speaker == number][:PROMPTS]
        )
        for number, name in enumerate(prepared.speakers)
    }
    if readers:
        results["readers"] = {name: mean_vector(_recordings(**at)) for name, at in readers.items()}
    configs.write_json(out / PEOPLE, results)


def _recordings(*, data: str, corpus: str) -> Iterable[Audio]:
    require_corpus(data, corpus)
    prepared = Prepared.open(data)
    for item in [i for i in prepared.items("train") if i.seconds >= MIN_SECONDS][:PROMPTS]:
        yield read_audio(prepared.audio_path(item))


def voice_speakers(space: VitsSpace) -> list[int | None]:
    """[None] for a voice with one speaker; otherwise the first and the middle speaker."""
    count = int(space.model.config.num_speakers)
    return [None] if count < 2 else [0, count // 2]


def mean_vector(sounds: Iterable[Audio]) -> list[float] | None:
    """The normalized mean of their GE2E vectors; None if no audio has speech."""
    vectors = [v for v in map(vector_of, sounds) if v is not None]
    if not vectors:
        return None
    mean = np.mean(vectors, axis=0)
    return [round(float(x), 6) for x in mean / np.linalg.norm(mean)]


def vector_of(audio: Audio) -> np.ndarray | None:
    """The GE2E vector; None for audio without speech."""
    try:
        return _ge2e().embed(audio)
    except UserError:
        return None


@lru_cache(maxsize=1)
def _ge2e() -> ge2e.GE2E:
    return ge2e.GE2E()


def speakers_of(needs: Mapping[str, Path]) -> dict[str, Any]:
    """The results of `measure_speakers`, the job "people"."""
    path = needs["people"] / PEOPLE
    return configs.read_json(path, max_bytes=1 << 26)


def similarity(a: Any, b: Any) -> float | None:
    return None if a is None or b is None else cosine(a, b)
