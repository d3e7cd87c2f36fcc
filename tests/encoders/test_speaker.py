"""Speaker vectors: never from the utterance itself, kept beside the corpus, made again when it changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from intona.audio import Audio
from intona.data.prepare import PrepareConfig, prepare
from intona.data.prepared import Item, Prepared
from intona.encoders.speaker import SpeakerVectors, speaker_vectors

SMALL = Path(__file__).parents[1] / "assets" / "festvox-ru-small"


class Counting:
    """Counts its calls; tells recordings apart by their length."""

    name, dim = "counting", 3

    def __init__(self, rule: str = "1") -> None:
        self.calls, self.rule = 0, rule

    def describe(self) -> dict[str, str]:
        return {"rule": self.rule}

    def embed(self, audio: Audio) -> np.ndarray:
        self.calls += 1
        v = np.array([1.0, len(audio) % 97, len(audio) % 89], np.float32)
        return v / np.linalg.norm(v)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("speaker") / "ru"
    config = PrepareConfig(language="ru", phonemes="corpus", workers=0, dev=2, test=1)
    prepare("festvox", SMALL, out, config)
    return out


def test_computed_once_and_again_for_another_corpus(data: Path) -> None:
    first, second = Counting(), Counting()
    prepared = Prepared.open(data)
    made = speaker_vectors(prepared, encoder=first)
    kept = speaker_vectors(prepared, encoder=second)
    assert (first.calls, second.calls) == (len(prepared), 0)
    for id, v in made.vectors.items():
        np.testing.assert_array_equal(v, kept.vectors[id])
    prepared.fingerprint = "another"
    speaker_vectors(prepared, encoder=second)
    assert second.calls == len(prepared)
    (data / "speaker-counting.safetensors").write_bytes(b"torn")
    third = Counting()
    speaker_vectors(prepared, encoder=third)
    assert third.calls == len(prepared)
    other = Counting("2")  # vectors made by another rule are not these
    speaker_vectors(prepared, encoder=other)
    assert other.calls == len(prepared)


def test_another_utterance_of_the_same_split(data: Path) -> None:
    prepared = Prepared.open(data)
    names = [item.id for item in prepared]
    vectors = {id: np.eye(len(names), dtype=np.float32)[i] for i, id in enumerate(names)}
    of = SpeakerVectors(prepared, vectors)
    for split in ("train", "dev"):
        ids = {item.id for item in prepared.items(split)}
        for item in prepared.items(split):
            drawn = {names[int(of.other(item, np.random.default_rng(s)).argmax())] for s in range(40)}
            assert item.id not in drawn
            assert drawn <= ids
            assert split == "dev" or len(drawn) > 5
    alone = prepared.items("test")[0]  # the only one of its split: train stands in
    drawn = names[int(of.other(alone, np.random.default_rng(0)).argmax())]
    assert drawn in {item.id for item in prepared.items("train")}


def test_a_speaker_with_one_utterance_has_nobodys_vector() -> None:
    def item(id: str, speaker: int) -> Item:
        return Item(
            id=id,
            text="Да.",
            normalized="да",
            phonemes=("d", "a"),
            words=(),
            speaker=speaker,
            language="ru",
            n_frames=1,
            offset=0,
            seconds=0.1,
            file=f"{id}.wav",
        )

    items = [item("a", 0), item("b", 1)]

    class Two(Prepared):
        def __init__(self) -> None:
            pass

        def items(self, split: str = "train") -> Any:
            return items if split == "train" else []

        def __iter__(self) -> Iterator[Item]:
            return iter(items)

    of = SpeakerVectors(Two(), {"a": np.ones(2, np.float32), "b": np.ones(2, np.float32)})
    assert (of.other(items[0], np.random.default_rng(0)) == 0).all()
    np.testing.assert_allclose(of.mean(0), np.ones(2) / np.sqrt(2), rtol=1e-6)
    assert (of.mean(0, without="a") == 0).all()
