"""Samplers of phonemes: what a batch may hold, ranks, state, and statistics against loops."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from intona.data.pairs import collate_pairs
from intona.data.phoneme_batches import (
    MixedPhonemeSampler,
    PhonemePlaces,
    SamePhonemeSampler,
    collisions,
    phoneme_places,
)
from intona.data.pieces import text_of, utterance_of
from intona.data.prepared import Item, Prepared
from intona.errors import UserError
from intona.text import BpeTokenizer


def _places(kinds: list[list[int]]) -> PhonemePlaces:
    """Utterance u holds these kinds, one frame each; speakers take turns."""
    items = tuple(
        Item(
            id=f"u{u}",
            text="",
            normalized="",
            phonemes=("a",) * len(row),
            words=(),
            speaker=u % 3,
            language="ru",
            n_frames=max(len(row), 1),
            offset=0,
            seconds=1.0,
            file="x",
        )
        for u, row in enumerate(kinds)
    )
    flat = [(u, p, k) for u, row in enumerate(kinds) for p, k in enumerate(row)]
    table = np.array(flat, dtype=np.int64).reshape(-1, 3).T
    return PhonemePlaces(
        items=items,
        utterance=table[0],
        position=table[1],
        kind=table[2],
        start=table[1],
        frames=np.ones(table.shape[1], np.int64),
    )


corpora = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=8), min_size=4, max_size=16)


@given(corpora, st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(0, 50))
def test_mixed_batches(kinds, per, texts, world, seed) -> None:
    places = _places(kinds)
    usable = sum(len(row) >= per for row in kinds)
    batch = per * texts
    if usable < texts * world:
        with pytest.raises(UserError, match="utterances"):
            MixedPhonemeSampler(places, batch=batch, per_utterance=per, world_size=world)
        return
    kw = {"per_utterance": per, "seed": seed}
    ranks = [MixedPhonemeSampler(places, batch=batch, rank=r, world_size=world, **kw) for r in range(world)]
    whole = MixedPhonemeSampler(places, batch=batch * world, **kw)
    seen: Counter[int] = Counter()
    for _ in range(whole.steps_in_epoch()):
        parts = [next(r) for r in ranks]
        together = [i for part in parts for i in part]
        assert together == next(whole)  # ranks of b draw what one process of R · b draws
        assert len(set(together)) == len(together) == batch * world
        count = Counter(places.utterance[together].tolist())
        assert set(count.values()) == {per}  # each utterance once, with `per` places
        seen.update(count.keys())
    assert max(seen.values()) == 1  # no utterance twice in an epoch


@given(corpora, st.integers(1, 4), st.integers(1, 2), st.integers(0, 50))
def test_same_batches_are_of_one_phoneme_over_all_ranks(kinds, batch, world, seed) -> None:
    places = _places(kinds)
    holders = Counter(k for row in kinds for k in set(row))
    if max(holders.values()) < batch * world:
        with pytest.raises(UserError, match="no phoneme"):
            SamePhonemeSampler(places, batch=batch, world_size=world)
        return
    ranks = [
        SamePhonemeSampler(places, batch=batch, seed=seed, rank=r, world_size=world) for r in range(world)
    ]
    whole = SamePhonemeSampler(places, batch=batch * world, seed=seed)
    assert set(whole.rare) == {k for k, n in holders.items() if n < batch * world}
    for _ in range(5):
        together = [i for r in ranks for i in next(r)]
        assert together == next(whole)
        assert len(set(places.kind[together].tolist())) == 1
        assert len(set(places.utterance[together].tolist())) == len(together)


@given(corpora, st.integers(0, 9), st.sampled_from(["mixed", "same"]))
def test_state_goes_on_where_it_was_taken(kinds, steps, which) -> None:
    places = _places(kinds)
    assume(max(Counter(k for row in kinds for k in set(row)).values()) >= 2)
    make = MixedPhonemeSampler if which == "mixed" else SamePhonemeSampler
    first = make(places, batch=2, seed=3)
    list(islice(first, steps))
    second = make(places, batch=2, seed=3)
    second.load_state_dict(first.state_dict())
    assert list(islice(first, 7)) == list(islice(second, 7))
    with pytest.raises(UserError, match="seed changed"):
        make(places, batch=2, seed=4).load_state_dict(first.state_dict())
    state = first.state_dict()
    state["identity"]["world_size"] = 2  # of a run on another number of ranks
    second.load_state_dict(state)
    assert second.step == first.step


@given(corpora, st.data())
def test_collisions_are_the_loops(kinds, data) -> None:
    places = _places(kinds)
    batch = data.draw(
        st.lists(st.integers(0, len(places) - 1), min_size=2, max_size=10, unique=True), label="batch"
    )
    got = collisions(places, [batch])
    pairs = [(i, j) for i in batch for j in batch if i != j]
    assert got.pairs == len(pairs)
    u, k = places.utterance, places.kind
    voice = [places.items[x].speaker for x in u]
    assert got.same_phoneme == pytest.approx(np.mean([k[i] == k[j] for i, j in pairs]))
    assert got.same_utterance == pytest.approx(np.mean([u[i] == u[j] for i, j in pairs]))
    assert got.same_speaker == pytest.approx(np.mean([voice[i] == voice[j] for i, j in pairs]))


def test_balance_by_phoneme_draws_the_rare_ones_more() -> None:
    places = _places([[0] * 9 + [1]] * 40)
    share = {}
    for balance in ("places", "phonemes"):
        sampler = MixedPhonemeSampler(places, batch=20, balance=balance)
        drawn = places.kind[[i for b in islice(sampler, 200) for i in b]]
        share[balance] = float((drawn == 1).mean())
    assert share["places"] == pytest.approx(0.1, abs=0.02)
    assert share["phonemes"] == pytest.approx(0.5, abs=0.03)  # 9 x 1/360 against 1 x 1/40


def test_same_batches_have_every_collision_of_phoneme_and_none_of_utterance() -> None:
    sampler = SamePhonemeSampler(_places([[0, 1, 2]] * 12), batch=6)
    met = sampler.collisions(10)
    assert (met.same_phoneme, met.same_utterance) == (1.0, 0.0)
    assert sampler.step == 0


@pytest.fixture(scope="module")
def aligned(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Prepared:
    from intona.data.prepare import PrepareConfig, prepare
    from intona.data.transfer import transfer

    out = tmp_path_factory.mktemp("places") / "ru"
    prepare("festvox", corpus, out, PrepareConfig(language="ru", stress="none", workers=0))
    with pytest.raises(UserError, match="intona align"):
        phoneme_places(Prepared.open(out))
    transfer(out)
    return Prepared.open(out)


def test_places_of_real_speech(aligned: Prepared) -> None:
    places = phoneme_places(aligned, "train", min_frames=3)
    assert len(places) > 300
    for u, p, k, start, n in zip(
        places.utterance, places.position, places.kind, places.start, places.frames, strict=True
    ):
        item = places.items[u]
        durations = aligned.durations(item)
        assert durations is not None
        assert item.phonemes[p] not in (" ", ",", ".")
        assert (k, n) == (aligned.tokens(item)[p], durations[p])
        assert start == durations[:p].sum() and n >= 3


def test_a_batch_of_pairs_holds_the_spans(aligned: Prepared) -> None:
    places = phoneme_places(aligned, "train")
    items = aligned.items("train")
    bpe = BpeTokenizer.train([utterance_of(i).plain for i in items], size=200)
    texts = {i.id: text_of(utterance_of(i), aligned.tokens(i), bpe) for i in items}
    indices = next(MixedPhonemeSampler(places, batch=8, per_utterance=2))
    batch = collate_pairs(aligned, places, indices, texts, max_frames=5, speaker=lambda i: np.ones(4))
    assert len(batch) == 8 and len(batch.ids) == 4
    assert batch.speaker is not None and batch.speaker.shape == (4, 4)
    for row, i in enumerate(indices):
        item = places.items[places.utterance[i]]
        text = int(batch.rows[row])
        assert batch.ids[text] == item.id
        assert int(batch.tokens[text, batch.positions[row]]) == places.kind[i] == int(batch.kinds[row])
        n = int(batch.mel_lengths[row])
        assert n == min(places.frames[i], 5)
        want = aligned.mel(item)[places.start[i] : places.start[i] + n]
        np.testing.assert_array_equal(batch.mels[row, :n].numpy(), want)
        assert (batch.mels[row, n:] == 0).all()
        # The pieces of a word spell it, and its phonemes carry its number.
        spelt = texts[item.id]
        for k, word in enumerate(item.words):
            own = [q for q, w in zip(spelt.pieces, spelt.piece_words, strict=True) if w == k]
            assert "".join(bpe.decode(own)).rstrip(",.!?:;—…") == word.text.lower()
            assert set(spelt.token_words[word.start : word.end]) == {k}
