"""Contours of symbols: by hand, and of tones whose pitch is known; the file of F0 and its identity."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from intona.data import contours
from intona.data.batch import Loader, collate
from intona.data.contours import CorpusContours, to_semitones, track_pitch
from intona.data.prepared import Prepared


def test_semitones_and_octave_errors() -> None:
    semitones, voiced = to_semitones(np.array([0, 100, 200, 400, 50.0]), median=200.0)
    assert semitones.tolist() == [0, 0, 12, 24, 0]
    assert voiced.tolist() == [False, True, True, True, False]  # 50 Hz is two octaves below


def test_means_of_symbols_by_hand() -> None:
    frames, durations = np.array([1.0, 3, 5, 7, 9]), np.array([2, 0, 3])
    np.testing.assert_allclose(contours._means(frames, durations), [2, 0, 7])
    voiced = np.array([1.0, 0, 0, 1, 1])
    np.testing.assert_allclose(contours._means(frames * voiced, durations, voiced), [1, 0, 8])


@pytest.fixture
def prepared(spoken: Path, tmp_path: Path) -> Prepared:
    """A copy that shares the recordings."""
    root = tmp_path / "data"
    root.mkdir()
    for path in spoken.iterdir():
        if not path.name.startswith("pitch"):
            (root / path.name).symlink_to(path)
    return Prepared.open(root)


def test_contours_of_recordings(prepared: Prepared) -> None:
    corpus = CorpusContours(prepared)
    item = prepared.items("train")[0]
    durations, c = prepared.durations(item), corpus.of(item)
    assert durations is not None
    f0 = track_pitch(prepared)[item.offset : item.offset + item.n_frames]
    n = int(np.flatnonzero(c.voiced == 1)[0])  # a symbol all of whose frames are voiced
    span = slice(int(durations[:n].sum()), int(durations[: n + 1].sum()))
    assert c.pitch[n] == pytest.approx(12 * np.log2(f0[span] / 100).mean(), abs=1e-4)
    level = 10 * np.log10(np.exp(2 * prepared.mel(item)[span]).mean(1))
    assert c.energy[n] == pytest.approx(level.mean(), abs=1e-3)
    statistics = corpus.statistics()
    rows = [corpus.of(i) for i in prepared.items("train")]
    pitch = np.concatenate([r.pitch[r.voiced > 0] for r in rows])
    assert statistics.pitch_mean[0] == pytest.approx(pitch.mean(), abs=1e-4)
    assert statistics.pitch_std[0] == pytest.approx(pitch.std(), abs=1e-4)
    assert 1 < statistics.pitch_std[0] < 8 and -20 < statistics.pitch_mean[0] < 20  # a human voice


def test_batches_have_contours_only_where_they_are_needed(prepared: Prepared) -> None:
    corpus, items = CorpusContours(prepared), prepared.items("train")[:3]
    bare, batch = collate(prepared, items), collate(prepared, items, contours=corpus)
    assert bare.contours is None and bare.intonation is None
    assert batch.contours is not None and batch.intonation is not None
    for name, values in (*vars(batch.contours).items(), *vars(batch.intonation).items()):
        assert values.shape == batch.tokens.shape, name
    n = len(items[0].phonemes)
    np.testing.assert_array_equal(batch.contours.pitch[0, :n], corpus.of(items[0]).pitch)
    assert not batch.contours.present[0, n:].any()


def test_questions_occur_more_often(prepared: Prepared) -> None:
    rare = {i.id for i in prepared.items("train") if {"?", "!"} & set(i.phonemes)}
    ids = [i for b in Loader(prepared, max_frames=4000, expressive=3).epoch() for i in b.ids]
    assert rare and all(ids.count(i.id) == (3 if i.id in rare else 1) for i in prepared.items("train"))


def test_tracking_continues_where_it_stopped(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path] = []
    real = contours.read_audio

    def read(path: Path) -> object:
        calls.append(path)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(contours, "read_audio", read)
    with pytest.raises(KeyboardInterrupt):
        track_pitch(prepared)
    with open(prepared.root / contours.PART, "ab") as f:
        f.write(b"\1\2\3\4")  # half of an utterance
    whole = track_pitch(prepared)[:]
    assert len(calls) == len(prepared) + 1  # each recording once, and the one that was interrupted
    assert not (prepared.root / contours.PART).exists()
    track_pitch(prepared)
    assert len(calls) == len(prepared) + 1
    os.remove(track_pitch(prepared).paths[0])
    np.testing.assert_array_equal(track_pitch(prepared)[:], whole)


def test_the_pitch_of_another_corpus_is_not_used(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    before = np.array(track_pitch(prepared)[:])
    track_pitch(prepared).paths[0].write_bytes(np.full(len(before), 99, np.float32).tobytes())
    assert track_pitch(prepared)[:1] == 99  # as it stands
    monkeypatch.setattr(prepared, "fingerprint", "other")
    np.testing.assert_array_equal(track_pitch(prepared)[:], before)
