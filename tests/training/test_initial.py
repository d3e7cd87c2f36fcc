"""A run that starts from another: the weights move by name, the config says where they came from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from intona import checkpoint, config, registry, systems
from intona.checkpoint import identity_of
from intona.errors import UserError
from intona.systems.encoder import mlm
from intona.systems.gradtts import stage as gradtts
from intona.training.initial import Rows, built_as, start_from
from intona.training.stage import stage_of

pytestmark = pytest.mark.trains


class Net(nn.Module):
    def __init__(self, rows: int, width: int = 3) -> None:
        super().__init__()
        self.embedding = nn.Embedding(rows, width)
        self.out = nn.Linear(width, 2)


def saved(run: Path, net: Net, step: int = 5) -> Path:
    tensors = {k: v + 1 for k, v in net.state_dict().items()}
    return checkpoint.save(run, step, tensors={"model": net.state_dict(), "ema": tensors}, files={})


def test_rows_move_by_name_and_the_averaged_weights_are_taken(tmp_path: Path):
    old, new = Net(3), Net(4)
    fresh = new.embedding.weight.detach()[2].clone()
    saved(tmp_path, old)
    rows = {"embedding.weight": Rows(before=["pad", "a", "b"], now=["pad", "b", "ж", "a"])}
    assert start_from(new, tmp_path, rows=rows) == ["ж"]
    before = old.embedding.weight.detach() + 1
    assert torch.equal(new.embedding.weight.detach(), torch.stack([before[0], before[2], fresh, before[1]]))
    assert torch.equal(new.out.weight, old.out.weight + 1)


def test_other_sizes_are_refused_by_name(tmp_path: Path):
    saved(tmp_path, Net(3))
    with pytest.raises(UserError, match=r"weights do not fit.*of another shape"):
        start_from(Net(3, width=4), tmp_path)


def test_a_part_that_was_added_starts_anew(tmp_path: Path):
    old, new = Net(3), Net(3)
    saved(tmp_path, old)
    new.extra = nn.Linear(2, 2)
    names = ("extra.weight", "extra.bias", "out.bias")
    drawn = new.extra.weight.detach().clone()
    start_from(new, tmp_path, added=names)
    assert torch.equal(new.extra.weight, drawn) and torch.equal(new.out.bias, old.out.bias + 1)
    with pytest.raises(UserError, match=r"extra\.bias is missing"):
        start_from(new, tmp_path)


def test_the_identity_follows_the_weights(tmp_path: Path):
    a = saved(tmp_path / "a", Net(3))
    b = saved(tmp_path / "b", Net(3))
    assert identity_of(a) == identity_of(tmp_path / "a") != identity_of(b)
    assert identity_of(a).startswith("step-00000005:")


def test_a_run_is_built_as_the_one_that_it_starts_from(tmp_path: Path):
    base = gradtts.toy()
    changed = config.override(base, {"model.encoder.hidden": "48", "max_frames": "7"})
    config.save(changed, tmp_path / "config.json")
    built = built_as(base, tmp_path)
    assert config.diff(base, built) == ["model.encoder.hidden: 128 -> 48"]  # and nothing but the model
    assert built_as(base, None) == base
    assert built_as(mlm.toy(), tmp_path) == mlm.toy()  # another stage's is not its own
    (tmp_path / "config.json").write_text('{"stage": ["prosody.gradtts"]}')
    assert built_as(base, tmp_path) == base
    (tmp_path / "config.json").write_text('{"stage": "prosody.gradtts", "model": {"encoder": {"hiden": 4}}}')
    with pytest.raises(UserError, match=r'unknown key "hiden"'):
        built_as(base, tmp_path)
    (tmp_path / "config.json").write_text(
        '{"stage": "prosody.gradtts", "model": {"encoder": {"layers": 1001}}}'
    )
    with pytest.raises(UserError, match=r"model: encoder: 1001 is more than 1000 layers"):
        built_as(base, tmp_path)
    with pytest.raises(UserError, match="no such model"):
        built_as(base, tmp_path / "nothing")


@pytest.mark.parametrize("stage", registry.names("stages"))
def test_a_stage_that_is_built_as_another_has_a_model(stage: str, tmp_path: Path):
    toy = stage_of(stage).sizes["toy"]()
    config.save(toy, tmp_path / "config.json")
    assert built_as(toy, tmp_path) == toy


def test_a_voice_starts_from_another(corpus: Path, tmp_path: Path):
    """At step 0 the new run's dev loss is the old run's last: the same averaged weights, the same noise."""
    few = {
        "loop.steps": "6",
        "loop.save_every": "6",
        "loop.validate_every": "6",
        "loop.precision": "fp32",
        "max_frames": "1100",
        "model.decoder.dim": "24",  # the second run takes it from the first
    }
    first, second = tmp_path / "first", tmp_path / "second"
    systems.train("prosody.gradtts", size="toy", data=corpus, out=first, overrides=few)
    systems.train(
        "prosody.gradtts",
        size="toy",
        data=corpus,
        out=second,
        overrides={k: v for k, v in few.items() if k != "model.decoder.dim"} | {"loop.steps": "2"},
        init=first,
    )
    said = config.read_json(checkpoint.resolve(second) / "config.json")
    assert said["init"] == identity_of(first) and said["model"]["decoder"]["dim"] == 24
    assert dev(second, 0) == pytest.approx(dev(first, 6), rel=1e-5)
    assert dev(second, 0) != pytest.approx(dev(first, 0), rel=1e-3)


def dev(run: Path, step: int) -> dict[str, float]:
    for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if entry["step"] == step and "dev_ema" in json.dumps(entry):
            return {k: v for k, v in entry.items() if isinstance(v, float) and k not in ("time", "seconds")}
    raise AssertionError(f"no averaged dev losses at step {step}")
