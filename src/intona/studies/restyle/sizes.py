"""The sizes of the study: budgets of its stages, and minutes of its other jobs."""

from __future__ import annotations

from dataclasses import dataclass, field

from intona.studies.restyle.arms import DECIDING, GUIDANCES


@dataclass(frozen=True, kw_only=True)
class RestyleBudget:
    """Steps and warm-up of a stage, seconds of one core per step, minutes before the first step."""

    steps: int
    warmup: int
    seconds: float
    before: float = 0.0
    overrides: tuple[tuple[str, str], ...] = ()

    @property
    def minutes(self) -> float:
        return self.before + self.steps * self.seconds / 60


@dataclass(frozen=True, kw_only=True)
class RestyleSize:
    """A study's size.

    Args:
        image: the budget of an arm with a 2-D network, whose steps cost more: fewer in the same minutes.
        sentences: of the test split, 0 = all.
        synthetic: sentences that the voice speaks as training data.
        probed: recordings of train and of test.
        minutes: of the other jobs. "say": one arm at one scale; "drawn": one with a 2-D network; "same": a
            row whose two styles are the same audio; "judge", "judge same": per row.
        guidances: all scales that a model may speak at.
    """

    posterior: RestyleBudget
    style: RestyleBudget
    decoder: RestyleBudget
    model: RestyleBudget
    image: RestyleBudget
    sentences: int
    synthetic: int
    probed: tuple[int, int]
    minutes: dict[str, float]
    guidances: tuple[float, ...] = field(default=GUIDANCES)


SIZES = {
    "small": RestyleSize(
        posterior=RestyleBudget(
            steps=1500, warmup=50, seconds=1.2, before=10, overrides=(("pairs", "1008"),)
        ),
        # Before the first step the prosody of the corpus is measured.
        style=RestyleBudget(steps=600, warmup=30, seconds=1.0, before=6),
        decoder=RestyleBudget(steps=500, warmup=20, seconds=1.3),
        # Half the width of the preset, for three times as many steps in the same minutes.
        model=RestyleBudget(
            steps=1600,
            warmup=100,
            seconds=0.4,
            before=1,
            overrides=(("model.network.dim", "128"), ("optim.lr", "8e-4")),
        ),
        # Also 11 minutes. A step with width 16 over 384 frames would take 16 s: 40 steps would show nothing.
        image=RestyleBudget(
            steps=128,
            warmup=15,
            seconds=5.0,
            before=1,
            overrides=(("model.network.dim", "8"), ("model.segment", "64")),
        ),
        sentences=24,
        synthetic=450,
        probed=(150, 60),
        minutes={
            "people": 1,
            "test": 2,
            "gate": 5,
            "own": 6,
            "say": 1.5,
            "drawn": 6,
            "same": 0.7,
            "probes": 5,
            "swap": 2,
            "judge": 1.6,
            "judge same": 0.9,
        },
    ),
    "toy": RestyleSize(
        posterior=RestyleBudget(steps=40, warmup=4, seconds=0.3, overrides=(("pairs", "12"),)),
        style=RestyleBudget(steps=30, warmup=4, seconds=0.3),
        decoder=RestyleBudget(steps=4, warmup=1, seconds=2.0),
        model=RestyleBudget(steps=40, warmup=4, seconds=0.2),
        image=RestyleBudget(
            steps=10,
            warmup=2,
            seconds=0.8,
            # Frequent validation would cost more than so few steps.
            overrides=(("model.network.dim", "8"), ("model.segment", "32"), ("loop.validate_every", "10")),
        ),
        sentences=2,
        synthetic=12,
        probed=(24, 8),
        minutes={
            "people": 0.5,
            "test": 0.5,
            "gate": 0.5,
            "own": 0.4,
            "say": 0.2,
            "drawn": 0.5,
            "same": 0.2,
            "probes": 0.5,
            "swap": 0.2,
            "judge": 0.2,
            "judge same": 0.1,
        },
        guidances=DECIDING,
    ),
}
