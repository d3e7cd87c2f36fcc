"""The repetition penalty neither ends an utterance early nor keeps it from ending."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch

from intona.nn.random import ItemRandom
from intona.nn.sampling import SamplingConfig
from intona.systems.meld import SpeechLM, SpeechLMConfig
from intona.systems.meld.generate import steps

K = 12


class Level(torch.nn.Module):
    """A trunk whose state never changes: the same distribution at every step, as in a held vowel."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor, positions: torch.Tensor, cache: object = None) -> torch.Tensor:
        return torch.ones(len(x), x.shape[1], self.dim)

    def new_cache(self, size: int) -> None:
        return None


@pytest.fixture(scope="module")
def steady() -> Iterator[SpeechLM]:
    config = SpeechLMConfig(
        n_text=4,
        n_mels=4,
        codes=K,
        dim=8,
        layers=1,
        heads=2,
        hidden=8,
        prenet=4,
        reconstruction_hidden=4,
        reconstruction_blocks=1,
        postnet_channels=4,
        postnet_layers=0,
    )
    torch.manual_seed(0)
    model = SpeechLM(config).eval()
    model.trunk = Level(config.dim)  # type: ignore[assignment]
    with torch.no_grad():
        model.head.weight.zero_()
        # p(<EOS>) = 1/9 beside equal codes.
        model.head.weight[model.vocabulary.eos] = math.log(K / 8) / config.dim
    yield model


def test_how_long_it_speaks_does_not_depend_on_the_penalty(steady: SpeechLM) -> None:
    """All entries are candidates of the step before: with the penalty on the codes alone p(<EOS>) would be
    .25 for .11, and speech less than half as long."""

    def mean(penalty: float, n: int = 120) -> float:
        sampling = SamplingConfig(top_p=1.0, top_k=0, penalty=penalty)
        text = torch.tensor([2, 3])
        lengths = [
            sum(
                s.frames is not None
                for s in steps(
                    steady,
                    text,
                    max_steps=200,
                    sampling=sampling,
                    random=ItemRandom(0, 0, [f"{i}"]),
                    cached=False,
                )
            )
            for i in range(n)
        ]
        return sum(lengths) / n

    # A geometric length of mean 8 and deviation 8.5: 120 of them have a mean within 2.4 of it (3 sigma).
    assert mean(0.0) == pytest.approx(8.0, abs=2.4)
    assert mean(1.0) == pytest.approx(8.0, abs=2.4)


def test_a_model_that_wants_to_end_ends(steady: SpeechLM) -> None:
    """An <EOS> that stays likely is penalised again and again: by 1, which does not hold it back for long."""
    with torch.no_grad():
        before = steady.head.weight[steady.vocabulary.eos].clone()
        steady.head.weight[steady.vocabulary.eos] = (math.log(K) + 3) / steady.config.dim  # p = .95
    try:
        sampling, text = SamplingConfig(), torch.tensor([2, 3])
        lengths = [
            len(list(steps(steady, text, max_steps=50, sampling=sampling, random=ItemRandom(0, 0, [f"{i}"]))))
            for i in range(20)
        ]
    finally:
        with torch.no_grad():
            steady.head.weight[steady.vocabulary.eos] = before
    assert max(lengths) <= 2
