"""A toy model that knows two utterances by heart ends by itself, at the true length, near the recording."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from intona.data.prepared import Prepared
from intona.evaluation.judges.wer import character_edits
from intona.nn.random import ItemRandom
from intona.nn.sampling import SamplingConfig
from intona.systems.meld import codebook as codebooks
from intona.systems.meld import generate, listen, lm, presets, spelling
from intona.systems.meld.feed import Corpus
from intona.systems.meld.pace import Pace

pytestmark = pytest.mark.trains

STEPS = 700


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference of two mels (T, n_mels) along the cheapest path (dynamic time warping)."""
    cost = np.abs(a[:, None] - b[None]).mean(-1)
    n, m = cost.shape
    total = np.full((n + 1, m + 1), np.inf)
    steps = np.zeros((n + 1, m + 1))
    total[0, 0] = 0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            came = min(((i - 1, j - 1), (i - 1, j), (i, j - 1)), key=lambda p: total[p])
            total[i, j], steps[i, j] = total[came] + cost[i - 1, j - 1], steps[came] + 1
    return float(total[n, m] / steps[n, m])


def _half() -> presets.MeldRun:
    return dataclasses.replace(presets.SIZES["toy"](), listen=0.5)


@pytest.mark.slow
def test_two_utterances_by_heart(corpus: Path, codebook: Path) -> None:
    prepared = Prepared.open(corpus)
    config = presets.resolve(
        "meld.joint", dataclasses.replace(presets.SIZES["toy"](), listen=0.5), {"model.dropout": "0"}
    )
    tokenizer = lm._tokenizer(None, config, prepared)
    size = dataclasses.replace(config.model, n_text=len(tokenizer), dim=96, hidden=256, heads=3)
    config = dataclasses.replace(config, model=size)
    torch.manual_seed(0)
    pace = Pace.of(prepared, tokenizer, config.pace)
    task = lm.MeldTask(config, prepared, pace, codebooks.load(codebook))
    train = Corpus(prepared, "train", tokenizer, group=2, context=2048, pace=pace)
    two = sorted(range(len(train.items)), key=lambda i: train.items[i].n_frames)[:2]
    batch = train.batch(two)
    optimizer = torch.optim.AdamW(task.parameters(), lr=3e-3, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=STEPS, pct_start=0.1)
    for step in range(STEPS):
        losses = task(batch, step)
        optimizer.zero_grad()
        losses.total.backward()
        torch.nn.utils.clip_grad_norm_(task.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model = task.model.eval()
    mels = [prepared.mel(train.items[i]) for i in two]
    for k, i in enumerate(two):
        text = torch.tensor(train.pieces[i])
        spoken = generate(
            model,
            text,
            max_steps=3 * len(mels[k]) // 2,
            sampling=SamplingConfig(top_p=0.8),
            random=ItemRandom(0, 0, ["x"]),
        )
        # <EOS> is learnt: nothing stops it before three times the length.
        assert spoken.ended
        assert len(spoken.mel) == pytest.approx(len(mels[k]), rel=0.3)
        own, other = (_distance(spoken.mel.numpy(), m) for m in (mels[k], mels[1 - k]))
        assert own < 0.6 * other, (own, other)  # .29 to .39 of it measured
        heard = listen(model, torch.from_numpy(mels[k]), max_pieces=200, random=ItemRandom(0, 0, ["x"]))
        assert heard.ended
        texts = (spelling.read(tokenizer, pieces) for pieces in (train.pieces[i], heard.pieces))
        edits = character_edits(*texts)
        assert edits.errors < 0.3 * edits.reference
