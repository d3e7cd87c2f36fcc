"""Exact resume after SIGKILL, ranks equal to one process, guards, learning rate, EMA."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from intona import checkpoint
from intona.config import override
from intona.errors import UserError
from intona.systems.gradtts import stage as gradtts
from intona.training.ema import EMA
from intona.training.optim import OptimConfig, lr_at
from intona.training.stopping import StopSignals

pytestmark = pytest.mark.trains

HERE = Path(__file__).parent


def _run(*args: object, ok: bool = True) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    env["PYTHONPATH"] = os.pathsep.join([str(HERE.parents[1] / "src"), env.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(HERE / "runs.py"), *map(str, args)],
        capture_output=True,
        text=True,
        env=env,
        timeout=600,
        # What runs in the background ignores SIGINT, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    if ok:
        assert done.returncode == 0, done.stderr[-2000:]
    return done


def _hashes(run: Path, step: int) -> dict[str, str]:
    index = json.loads((run / f"step-{step:08d}" / "files.json").read_text())
    return {k: v["sha256"] for k, v in index.items() if k != "provenance.json"}


def test_killed_and_resumed_is_bit_equal_to_straight(corpus: Path, tmp_path: Path) -> None:
    _run(corpus, tmp_path / "straight")
    killed = _run(corpus, tmp_path / "killed", "--kill-at", 6, ok=False)
    assert killed.returncode == -9
    assert checkpoint.steps(tmp_path / "killed") == [0, 4]
    _run(corpus, tmp_path / "killed")
    # Weights, averages, optimizer moments, sampler place and counters, all of it.
    assert _hashes(tmp_path / "straight", 8) == _hashes(tmp_path / "killed", 8)
    lines = [json.loads(x) for x in (tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()]
    trained = [x["step"] for x in lines if x["kind"] == "train"]
    assert trained == list(range(1, 9))  # what the killed run logged after its last save is not told twice
    straight = [json.loads(x) for x in (tmp_path / "straight" / "metrics.jsonl").read_text().splitlines()]
    assert [x["diffusion"] for x in straight if x["kind"] == "train"] == [
        x["diffusion"] for x in lines if x["kind"] == "train"
    ]


@pytest.mark.parametrize(("name", "code"), [("SIGINT", -2), ("SIGTERM", -15)])
def test_ctrl_c_and_sigterm_save_the_step_they_come_in(
    corpus: Path, tmp_path: Path, name: str, code: int
) -> None:
    stopped = _run(corpus, tmp_path / "run", "--kill-at", 5, "--signal", name, ok=False)
    assert stopped.returncode == code  # what it would have been without us
    assert checkpoint.steps(tmp_path / "run")[-1] == 6
    assert "stopping after this step, with a checkpoint; again: at once" in stopped.stderr
    assert "at step 6; the same command goes on" in stopped.stderr
    _run(corpus, tmp_path / "straight")
    _run(corpus, tmp_path / "run")
    assert _hashes(tmp_path / "straight", 8) == _hashes(tmp_path / "run", 8)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT as in the foreground, wherever the tests run."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_signal_that_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with StopSignals() as signals:
        signal.raise_signal(signal.SIGINT)
        assert not signals.requested and signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.usefixtures("interruptible")
def test_a_second_signal_ends_at_once_and_another_thread_notes_none() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), StopSignals() as signals:
        signal.raise_signal(signal.SIGINT)
        assert signals.requested
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    worker = threading.Thread(target=lambda: StopSignals().__enter__())
    worker.start()
    worker.join()
    assert signal.getsignal(signal.SIGINT) is before


def test_two_gloo_processes_equal_one_with_the_same_global_batch(corpus: Path, tmp_path: Path) -> None:
    still = [
        x
        for o in ("model.encoder.dropout=0", "model.encoder.prenet=false", "model.duration.dropout=0")
        for x in ("--override", o)
    ]
    # Two ranks x 1 utterance against one process x 2, in the same order: lengths decide the batches.
    _run(corpus, tmp_path / "two", "--ranks", 2, "--steps", 1, "--override", "max_items=1", *still)
    two = checkpoint.read_tensors(tmp_path / "two" / "step-00000001" / "state" / "optimizer.safetensors")

    from intona.data.batch import Loader, collate
    from intona.data.prepared import Prepared
    from intona.nn.losses import Losses

    prepared = Prepared.open(corpus)
    overrides = dict(o.split("=") for o in still[1::2]) | {"max_frames": "1100", "max_items": "1"}
    config = gradtts.fitted(override(gradtts.toy(), overrides), prepared)
    torch.manual_seed(config.loop.seed)
    task = gradtts.GradTTSTask(config, prepared)
    ids = []
    for rank in range(2):
        loader = Loader(prepared, "train", max_frames=1100, max_items=1, seed=0, rank=rank, world_size=2)
        ids += next(loader).ids
    losses: Losses = task(collate(prepared, [prepared[i] for i in ids]), 0)
    losses.total.backward()
    norm = torch.nn.utils.clip_grad_norm_(task.parameters(), config.optim.clip)
    assert norm > 0
    beta1 = config.optim.betas[0]
    for name, p in task.named_parameters():
        if p.grad is not None:
            want = (1 - beta1) * p.grad  # Adam's first moment after one update is the gradient itself
            torch.testing.assert_close(two[f"{name}:exp_avg"], want, atol=2e-6, rtol=2e-4)


def test_non_finite_stops_before_the_update(corpus: Path, tmp_path: Path) -> None:
    done = _run(corpus, tmp_path / "run", "--nan-at", 2, ok=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "not finite" in last
    assert "Traceback" not in done.stderr
    dump = json.loads((tmp_path / "run" / "nonfinite-00000002-rank0.json").read_text())
    assert dump["ids"]
    assert checkpoint.steps(tmp_path / "run") == [0]


def test_another_config_is_refused(corpus: Path, tmp_path: Path) -> None:
    _run(corpus, tmp_path / "run", "--steps", 1)
    done = _run(corpus, tmp_path / "run", "--steps", 2, "--override", "model.encoder.layers=1", ok=False)
    assert done.returncode == 1
    assert "encoder.layers: 2 -> 1" in done.stderr
    done = _run(corpus, tmp_path / "run", "--override", "optim.lrr=1", ok=False)
    assert 'did you mean "lr"' in done.stderr


def test_presets_fit_the_corpus(corpus: Path) -> None:
    from intona.data.prepared import Prepared

    prepared = Prepared.open(corpus)
    for preset in gradtts.SIZES.values():
        config = gradtts.fitted(preset(), prepared)
        assert config.model.n_tokens == len(prepared.tokenizer)
        assert config.corpus == prepared.fingerprint


@pytest.mark.parametrize(("schedule", "end"), [("constant", 1e-3), ("cosine", 1e-4), ("linear", 1e-4)])
def test_learning_rate_is_a_function_of_the_step(schedule, end) -> None:
    c = OptimConfig(lr=1e-3, warmup=10, schedule=schedule, final=0.1)
    assert lr_at(c, 0, 100) == pytest.approx(1e-4)
    assert lr_at(c, 9, 100) == pytest.approx(1e-3)
    assert lr_at(c, 100, 100) == pytest.approx(end)
    if schedule == "cosine":
        assert lr_at(c, 55, 100) == pytest.approx(1e-3 * (0.1 + 0.9 * 0.5))


def test_ema_is_the_recurrence() -> None:
    module = torch.nn.Linear(1, 1, bias=False)
    module.weight.data.fill_(0.0)
    ema = EMA(module, 0.9)
    want = 0.0
    for step in range(1, 6):
        module.weight.data.fill_(float(step))
        ema.update(module, step)
        d = min(0.9, (1 + step) / (10 + step))
        want = d * want + (1 - d) * step
    assert float(ema.shadow["weight"]) == pytest.approx(want, rel=1e-5)
    with ema.swapped_in(module):
        assert float(module.weight) == pytest.approx(want, rel=1e-5)
    assert float(module.weight) == 5.0


def test_unknown_stage_and_size(corpus: Path, tmp_path: Path) -> None:
    from intona import systems

    with pytest.raises(UserError, match=r'did you mean "prosody.gradtts"'):
        systems.train("prosody.gradtss", size="toy", data=corpus, out=tmp_path)
    with pytest.raises(UserError, match='did you mean "small"'):
        systems.train("prosody.gradtts", size="smal", data=corpus, out=tmp_path)


def test_a_resumed_run_keeps_the_arithmetic_it_began_in(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ "auto" is a measurement; one that falls out otherwise later must not change the run."""
    from intona import systems
    from intona.nn import precision

    def go(steps: int) -> bool:
        few = {"loop.steps": str(steps), "loop.save_every": "1", "max_frames": "1100"}
        systems.train("prosody.gradtts", size="toy", data=corpus, out=tmp_path, overrides=few)
        path = checkpoint.resolve(tmp_path) / "state" / "loop.json"
        return json.loads(path.read_text(encoding="utf-8"))["bf16"]

    monkeypatch.setattr(precision, "bf16_wins", lambda device="cpu": True)
    assert go(1) is True
    monkeypatch.setattr(precision, "bf16_wins", lambda device="cpu": False)
    assert go(2) is True


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ({"loop.accumulate": "0"}, "accumulate is 0: at least 1"),
        ({"loop.save_every": "0"}, "save_every is 0: at least 1"),
        ({"loop.seed": "-1"}, "seed is -1: at least 0"),
        ({"loop.ema": "1"}, "nothing is learnt"),
        ({"optim.lr": "-1"}, "lr is -1"),
        ({"optim.clip": "0"}, "clip is 0"),
        ({"max_items": "0"}, "max_items is 0: at least 1"),
    ],
)
def test_numbers_that_make_no_run_are_refused(flag: dict[str, str], message: str) -> None:
    from intona.config import override
    from intona.systems.gradtts.stage import small

    with pytest.raises(UserError, match=message):
        override(small(), flag)


def test_numbers_are_read_as_people_write_them() -> None:
    from intona.config import override
    from intona.systems.gradtts.stage import small

    assert override(small(), {"optim.clip": ".5"}).optim.clip == 0.5
    assert override(small(), {"optim.clip": "2."}).optim.clip == 2
    with pytest.raises(UserError, match="expected float"):
        override(small(), {"optim.clip": ".5x"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"lr": 1e999}', "too large for a number"),
        ('{"lr": 1' + "0" * 400 + "}", "finite"),
        ('{"lr": NaN}', "not a number"),
    ],
)
def test_numbers_that_no_float_holds_are_refused(text: str, message: str, tmp_path: Path) -> None:
    from intona.config import load
    from intona.training.optim import OptimConfig

    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=message):
        load(OptimConfig, tmp_path / "config.json")


def test_a_config_that_divides_by_zero_is_refused() -> None:
    from intona.config import from_dict
    from intona.systems.meld import SpeechLMConfig

    with pytest.raises(UserError, match="zero"):
        from_dict(SpeechLMConfig, {"heads": 0}, where="config")
