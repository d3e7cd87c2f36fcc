"""Reading ahead changes neither the order nor the state."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest

from intona.data.batch import Loader
from intona.data.prefetch import Prefetcher
from intona.data.prepared import Prepared


class Counter:
    """Numbers, with an error at one of them."""

    def __init__(self, bad: int | None = None) -> None:
        self.n, self.bad = 0, bad

    def __next__(self) -> int:
        if self.n == self.bad:
            raise ValueError("no such batch")
        self.n += 1
        return self.n - 1

    def state_dict(self) -> dict[str, Any]:
        return {"n": self.n}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.n = state["n"]


def _threads() -> int:
    return sum(t.name == "prefetch" for t in threading.enumerate())


def test_the_state_is_that_of_the_last_batch_returned() -> None:
    ahead = Prefetcher(Counter(), depth=3, prepare=lambda n: 10 * n)
    assert ahead.state_dict() == {"n": 0} and _threads() == 0
    for n in range(5):
        assert next(ahead) == 10 * n and ahead.state_dict() == {"n": n + 1}
    ahead.load_state_dict({"n": 2})
    assert ahead.state_dict() == {"n": 2} and [next(ahead) for _ in range(3)] == [20, 30, 40]
    ahead.close()
    assert _threads() == 0 and ahead.state_dict() == {"n": 5}


def test_an_error_comes_where_its_batch_would() -> None:
    ahead = Prefetcher(Counter(bad=3), depth=2)
    assert [next(ahead) for _ in range(3)] == [0, 1, 2]
    for _ in range(2):
        with pytest.raises(ValueError, match="no such batch"):
            next(ahead)
    assert ahead.state_dict() == {"n": 3} and _threads() == 0


def test_a_dropped_prefetcher_ends_its_thread() -> None:
    ahead = Prefetcher(Counter())
    next(ahead)
    (thread,) = [t for t in threading.enumerate() if t.name == "prefetch"]
    del ahead
    gc.collect()
    thread.join(timeout=60)
    assert not thread.is_alive()


def test_a_loader_gives_the_same_batches_and_resumes(prepared: Prepared) -> None:
    def loader() -> Loader:
        return Loader(prepared, "train", max_frames=1500, seed=3)

    plain, ahead = loader(), Prefetcher(loader())
    for _ in range(7):
        a, b = next(plain), next(ahead)
        assert a.ids == b.ids and a.mels.equal(b.mels) and plain.state_dict() == ahead.state_dict()
    state = ahead.state_dict()
    following = [next(ahead).ids for _ in range(5)]
    again = Prefetcher(loader())
    again.load_state_dict(state)
    assert [next(again).ids for _ in range(5)] == following
    ahead.close()
    again.close()
