"""The dev set by speakers who are trained on and speakers who are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from intona.data.dev_groups import NEW, SEEN, grouped_batches, speaker_groups
from intona.data.prepare import PrepareConfig, prepare
from intona.data.prepared import Prepared
from intona.data.samplers import DurationBatchSampler
from intona.data.selection import HoldOut
from intona.training.mel_feed import MelFeed
from intona.training.task import Batches


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Callable[[HoldOut], Prepared]:
    from .conftest import write_tone

    root = tmp_path_factory.mktemp("speakers")
    lines = []
    for k in range(18):
        write_tone(root / "src" / "wavs" / f"u{k:02d}.wav", 1.0 + 0.05 * k)
        lines.append(f"wavs/u{k:02d}.wav|добрый день|s{k % 3}\n")
    (root / "src" / "metadata.csv").write_text("".join(lines), encoding="utf-8")

    def prepared(hold_out: HoldOut) -> Prepared:
        config = PrepareConfig(
            language="ru", stress="none", workers=0, dev=1, test=1, hold_out=hold_out, max_dropped=0.0
        )
        if not (out := root / hold_out).exists():
            prepare("csv", root / "src", out, config)
        return Prepared.open(out)

    return prepared


def test_a_dev_set_with_both_kinds_of_speakers_has_two_groups(spoken: Callable[[HoldOut], Prepared]) -> None:
    prepared = spoken("both")
    trained = {i.speaker for i in prepared.items("train")}
    feed = MelFeed(prepared, seed=0, max_frames=400)
    batches = feed.validation()
    assert isinstance(batches, Batches)
    groups = {id: g for batch, g in zip(batches, batches.groups, strict=True) for id in batch.ids}
    assert groups == {i.id: SEEN if i.speaker in trained else NEW for i in prepared.items("dev")}
    assert len(batches) > 2 and {SEEN, NEW} == set(groups.values())


@pytest.mark.parametrize("hold_out", ["utterances", "speakers"])
def test_one_kind_of_speakers_is_no_group(spoken: Callable[[HoldOut], Prepared], hold_out: HoldOut) -> None:
    prepared = spoken(hold_out)
    batches = MelFeed(prepared, seed=0, max_frames=400).validation()
    assert isinstance(batches, Batches)
    assert set(batches.groups) == {""} and sum(map(len, batches)) == len(prepared.items("dev"))
    assert set(speaker_groups(prepared, prepared.index.speakers[prepared.rows("dev")])) == {""}


def test_batches_without_groups_are_those_of_the_sampler() -> None:
    lengths = np.random.default_rng(0).integers(20, 90, 100)
    sampler = DurationBatchSampler(lengths, max_frames=300, max_items=4, shuffle=False)
    plan, names = grouped_batches(lengths, [""] * 100, max_frames=300, max_items=4)
    assert plan == sampler.one_epoch() and set(names) == {""}
    plan, names = grouped_batches(lengths, ["a", "b"] * 50, max_frames=300, max_items=4)
    assert sorted(i for b in plan for i in b) == list(range(100))
    assert all({"ab"[i % 2] for i in b} == {n} for b, n in zip(plan, names, strict=True))
