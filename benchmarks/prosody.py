"""Speed of one update (forward, backward, optimizer) of each pretraining stage, at size small."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from parts import Result
from timing import measure

TOKENS, PIECES, SYMBOLS, VOCABULARY = 100, 40, 60, 1000
FRAMES = 8  # of a phoneme, on average, at 86 frames a second


def pretraining(budget: float) -> list[Result]:
    """All three stages on made-up texts of 100 phonemes and spans of 8 frames."""
    from intona.systems.encoder import contrastive, mlm, refine

    results = []
    call, texts = _masked(mlm.small())
    results.append(_row(f"mlm, {texts} texts", measure(call, budget=budget), texts, "texts"))
    for name, stage in (("contrastive", contrastive), ("refine", refine)):
        config = stage.small()
        call, texts = _paired(config)
        what = f"{name}, {config.batch} pairs of {texts} texts"
        results.append(_row(what, measure(call, budget=budget), config.batch, "pairs"))
    return results


def _row(what: str, found: Any, count: int, unit: str) -> Result:
    rate = f"{count / found.median:,.0f} {unit}/s, {3600 / found.median:,.0f} steps/h"
    return Result(part="pretraining", what=what, time=found, rate=rate)


def _text(rng: np.random.Generator) -> Any:
    from intona.data.pieces import Text

    words = tuple(i // 7 for i in range(TOKENS))
    return Text(
        tokens=tuple(rng.integers(2, SYMBOLS, TOKENS).tolist()),
        pieces=tuple(rng.integers(2, VOCABULARY, PIECES).tolist()),
        piece_words=tuple(min(i // 3, words[-1]) for i in range(PIECES)),
        token_words=words,
        spans=tuple((i, min(i + 6, TOKENS)) for i in range(0, TOKENS, 7)),
    )


def _update(task: torch.nn.Module, batch: Any) -> Callable[[], None]:
    from intona.nn.precision import set_fast_matmul
    from intona.training.optim import OptimConfig, build_optimizer

    set_fast_matmul()
    optimizer = build_optimizer(OptimConfig(), task)

    def call() -> None:
        optimizer.zero_grad(set_to_none=True)
        task(batch, 0).total.backward()
        optimizer.step()

    return call


def _masked(config: Any) -> tuple[Callable[[], None], int]:
    from dataclasses import replace

    from intona.systems.encoder.mlm import MlmTask, TextBatch

    config = replace(config, model=replace(config.model, n_tokens=SYMBOLS, n_pieces=VOCABULARY))
    rng = np.random.default_rng(0)
    count = min(config.max_tokens // TOKENS, config.max_items or 1 << 30)
    batch = TextBatch(texts=[_text(rng) for _ in range(count)], ids=[str(i) for i in range(count)])
    # Vocabularies and corpus are needed only when a checkpoint is written.
    return _update(MlmTask(config, None, None, None), batch), count  # type: ignore[arg-type]


def _paired(config: Any) -> tuple[Callable[[], None], int]:
    from dataclasses import replace

    from intona.data.pairs import PairBatch
    from intona.data.pieces import collate_pieces, collate_tokens
    from intona.encoders.contrastive import ContrastiveModel
    from intona.nn.losses import Losses

    model_config = replace(
        config.model, text=replace(config.model.text, n_tokens=SYMBOLS, n_pieces=VOCABULARY)
    )
    rng, g = np.random.default_rng(0), torch.Generator().manual_seed(0)
    per = config.per_utterance if config.batches == "mixed" else 1
    count = config.batch // per
    texts = [_text(rng) for _ in range(count)]
    tokens, lengths = collate_tokens(texts)
    spans = torch.randint(2, 2 * FRAMES - 1, (config.batch,), generator=g)
    batch = PairBatch(
        tokens=tokens,
        lengths=lengths,
        pieces=collate_pieces(texts),
        speaker=torch.nn.functional.normalize(torch.rand(count, 256, generator=g), dim=-1),
        rows=torch.arange(count).repeat_interleave(per),
        positions=torch.randint(0, TOKENS, (config.batch,), generator=g),
        kinds=torch.zeros(config.batch, dtype=torch.long),
        mels=torch.randn(config.batch, int(spans.max()), 80, generator=g),
        mel_lengths=spans,
        ids=[str(i) for i in range(count)],
    )

    class Step(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = ContrastiveModel(model_config, pairs=config.batch)

        def forward(self, b: PairBatch, step: int) -> Losses:
            text = self.model.embed_text(b.tokens, b.lengths, b.pieces, b.speaker, b.rows, b.positions)
            return Losses(parts=self.model.parts(text, self.model.embed_audio(b.mels, b.mel_lengths)))

    return _update(Step(), batch), count
