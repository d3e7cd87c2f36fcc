"""Where text stands in time: as aligned, as long as its utterance, as expected; and the error put on it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from intona.data.prepare import PrepareConfig, prepare
from intona.data.prepared import Prepared
from intona.data.transfer import transfer
from intona.errors import UserError
from intona.nn.random import ItemRandom
from intona.systems.meld import lm, presets, spelling
from intona.systems.meld.feed import Corpus
from intona.systems.meld.pace import KINDS, Pace, jittered

from .conftest import SMALL


def test_timed_parts_lose_no_frame() -> None:
    phonemes = ["s", "a", " ", "b", ",", " ", "c", " ", "."]
    words = [("Са+", 0, 2), ("б", 3, 4), ("ц", 6, 7)]
    parts = spelling.timed_parts(phonemes, words, [1, 2, 4, 8, 16, 32, 64, 128, 256])
    assert parts == [("▁са", 7.0), ("▁б", 8.0), (",", 48.0), ("▁ц", 192.0), (".", 256.0)]
    # What is heard before the first word is its own.
    assert spelling.timed_parts([" ", "s"], [("с", 1, 2)], [3, 4]) == [("▁с", 7.0)]


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Prepared, dict[str, Pace]]:
    """Fourteen utterances in the front-end's phonemes, with the times of the corpus's own labels."""
    out = tmp_path_factory.mktemp("pace") / "ru"
    prepare("festvox", SMALL, out, PrepareConfig(language="ru", stress="marks", dev=1, test=1, workers=0))
    transfer(out)
    prepared = Prepared.open(out)
    tokenizer = lm._tokenizer(None, presets.toy(), prepared)
    return prepared, {kind: Pace.of(prepared, tokenizer, kind) for kind in KINDS}


def test_words_stand_where_they_are_aligned(spoken) -> None:
    """Real speech with hand-made labels: the truth read off the durations, by each kind of pace."""
    prepared, paces = spoken
    errors: dict[str, list[float]] = {"length": [], "words": []}
    for item in prepared:
        pieces = spelling.encode(paces["words"].tokenizer, item.normalized).ids
        durations = prepared.durations(item)
        assert durations is not None
        starts = np.concatenate([[0], durations.cumsum()])
        for kind, found in errors.items():
            spans = paces[kind].frames(item, pieces)
            assert spans is not None and len(spans) == len(pieces)
            assert float(spans.sum()) == pytest.approx(item.n_frames, rel=1e-4)
            begins = np.concatenate([[0], spans.cumsum()])
            at = [i for i, p in enumerate(paces[kind].tokenizer.decode(pieces)) if p[0] == spelling.START]
            assert len(at) == len(item.words) > 0
            found += [begins[i] - starts[w.start] for i, w in zip(at, item.words, strict=True)][1:]
    assert np.abs(errors["words"]).max() < 1e-2
    assert np.sqrt(np.mean(np.square(errors["length"]))) > 5  # frames: the length alone does not do it


def test_what_is_expected_is_fitted_to_what_is_known(spoken) -> None:
    prepared, paces = spoken
    item = prepared.items("train")[0]
    pieces = spelling.encode(paces["none"].tokenizer, item.normalized).ids
    assert paces["none"].frames(item, pieces) is None
    for kind in KINDS:  # over the corpus the expected lengths add up to the speech
        total = [
            paces[kind].expected[spelling.encode(paces[kind].tokenizer, i.normalized).ids].sum()
            for i in prepared.items("train")
        ]
        assert sum(total) == pytest.approx(sum(i.n_frames for i in prepared.items("train")), rel=0.05)
    with pytest.raises(UserError, match='unknown pace "fast"'):
        Pace.of(prepared, paces["none"].tokenizer, "fast")  # type: ignore[arg-type]


def test_an_utterance_without_alignment_goes_by_its_length(spoken) -> None:
    prepared, paces = spoken
    bare = dataclasses.replace(paces["words"], aligned={})
    item = prepared.items("train")[1]
    pieces = spelling.encode(bare.tokenizer, item.normalized).ids
    spans = bare.frames(item, pieces)
    assert spans is not None
    np.testing.assert_allclose(
        spans, bare.expected[pieces] * item.n_frames / bare.expected[pieces].sum(), rtol=1e-4
    )


def test_the_error_on_places_does_not_add_up() -> None:
    spans = torch.full((2, 400), 3.0)
    lengths = torch.tensor([400, 300])
    moved = jittered(spans, lengths, 0.5, ItemRandom(0, 0, ["a", "b"]))
    assert (moved >= 0).all()
    error = (moved.cumsum(1) - spans.cumsum(1))[0]
    assert float(error.std()) == pytest.approx(0.5, rel=0.15)
    assert float(error[300:].abs().mean()) < 1
    assert jittered(spans, lengths, 0.0, ItemRandom(0, 0, ["a", "b"])) is spans
    alone = jittered(spans[1:, :300], lengths[1:], 0.5, ItemRandom(0, 0, ["b"]))
    torch.testing.assert_close(alone[0], moved[1, :300])


def test_training_reads_the_pace_and_the_model_hears_it(spoken) -> None:
    """The task hands the aligned spans to the model: with others the loss is another."""
    prepared, paces = spoken
    config = presets.resolve("meld.tts", presets.toy(), {"model.layers": "1", "pace_noise": "0"})
    model = dataclasses.replace(config.model, n_text=len(paces["words"].tokenizer))
    config = dataclasses.replace(config, model=model)
    torch.manual_seed(0)
    task = lm.MeldTask(config, prepared, paces["words"], None).eval()
    task.model.codebook.centroids.normal_()
    found = {}
    for kind in KINDS:
        batch = Corpus(
            prepared, "dev", paces["words"].tokenizer, group=2, context=2048, pace=paces[kind]
        ).batch([0])
        assert (batch.spans is None) == (kind == "none")
        found[kind] = float(task(batch, 0).parts["kl"].total.detach())
        rows = batch.rows(torch.tensor([True]))
        if batch.spans is not None:
            assert rows.spans is not None and torch.equal(rows.spans, batch.spans)
    assert len(set(found.values())) == 3
