"""How each stage is trained for two steps, and which figures are read from its run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from intona import systems
from intona.nn.losses import Losses

LOOP = {
    "loop.steps": "2",
    "loop.log_every": "1",
    "loop.validate_every": "2",
    "loop.save_every": "2",
    "loop.precision": "fp32",
    "optim.warmup": "0",  # so that the first update affects the second loss,
    "optim.lr": "3e-4",  # and small enough not to amplify rounding errors
}
SPEED = {"step", "kind", "time", "steps_per_hour", "audio_per_second", "minutes_left"}
BAND = {**LOOP, "band_hz": "7000"}  # the default of version 0.1.0
PAIRS = {"speaker": "none", "batch": "6", "per_utterance": "1"}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Two steps of one stage at the toy size.

    Attributes:
        data: fixture of the prepared corpus.
        overrides: fields of the run's config.
        runs: fields of the config that name an earlier run -> its recipe.
        fixtures: fields of the config that name a directory -> its fixture.
        init, encoder: recipes whose runs are passed as these arguments.
        slack: factor that multiplies the tolerances.
        slow: a second variant of a stage; runs in `make check` only.
    """

    stage: str
    data: str = "spoken"
    overrides: Mapping[str, str] = field(default_factory=lambda: LOOP)
    runs: Mapping[str, str] = field(default_factory=dict)
    fixtures: Mapping[str, str] = field(default_factory=dict)
    init: str = ""
    encoder: str = ""
    slack: float = 1.0
    slow: bool = False


def _meld(stage: str, **more: str) -> Recipe:
    overrides = {**LOOP, "max_positions": "700", **more}
    return Recipe(stage=stage, data="corpus", overrides=overrides, runs={"codebook": "meld.codebook"})


# Named after the stage; a suffix says what the run builds on, if not the default.
RECIPES = {
    "prosody.mlm": Recipe(stage="prosody.mlm", overrides={**LOOP, "max_tokens": "400"}),
    "prosody.contrastive": Recipe(
        stage="prosody.contrastive", overrides={**LOOP, **PAIRS}, init="prosody.mlm"
    ),
    "prosody.refine": Recipe(stage="prosody.refine", overrides={**LOOP, **PAIRS}, init="prosody.contrastive"),
    "prosody.combined": Recipe(stage="prosody.combined", overrides={**LOOP, **PAIRS}, init="prosody.mlm"),
    "prosody.gradtts": Recipe(stage="prosody.gradtts"),
    "prosody.gradtts-variance": Recipe(
        stage="prosody.gradtts", overrides={**LOOP, "model.variance.hidden": "64", "expressive": "2"}
    ),
    "prosody.gradtts-encoder": Recipe(stage="prosody.gradtts", encoder="prosody.contrastive", slow=True),
    "prosody.melvae": Recipe(stage="prosody.melvae"),
    "prosody.ditto": Recipe(stage="prosody.ditto", runs={"latents": "prosody.melvae"}),
    "prosody.ditto-encoder": Recipe(
        stage="prosody.ditto",
        overrides={**LOOP, "latents": "mel4"},
        encoder="prosody.contrastive",
        slow=True,
    ),
    "meld.codebook": Recipe(stage="meld.codebook", data="corpus", overrides={"kmeans.iterations": "2"}),
    "meld.tts": _meld("meld.tts"),
    "meld.stt": _meld("meld.stt"),
    "meld.joint": _meld("meld.joint", listen_from="1"),
    "restyle.style": Recipe(stage="restyle.style"),
    "restyle.posterior": Recipe(stage="restyle.posterior", fixtures={"vits": "mute"}),
    "restyle.palette": Recipe(
        stage="restyle.palette",
        fixtures={"vits": "mute"},
        runs={"posterior": "restyle.posterior"},
        slack=10,  # aligns random latents: rounding decides between paths of equal score
    ),
    "restyle.bridge": Recipe(stage="restyle.bridge", fixtures={"vits": "voice"}),
    "restyle.decoder": Recipe(stage="restyle.decoder", fixtures={"vits": "voice"}),
    # Logarithms of small amplitudes and wrapped phases amplify rounding: 1e-3 was measured, gradients 2e-2.
    "vocoder.vocos": Recipe(stage="vocoder.vocos", data="targets", overrides=BAND, slack=100),
    "vocoder.source_filter": Recipe(stage="vocoder.source_filter", data="targets", overrides=BAND, slack=10),
}


@dataclass(frozen=True)
class Run:
    """A finished run: its newest checkpoint, and kind of figures -> name -> value."""

    checkpoint: Path
    figures: dict[str, dict[str, float]]


class Runs:
    """Recipe name -> its run, trained on first use.

    Args:
        folder: where the runs are written.
        fixture: name -> directory.
    """

    def __init__(self, folder: Path, fixture: Callable[[str], Path]) -> None:
        self._folder, self._fixture = folder, fixture
        self._done: dict[str, Run] = {}

    def __getitem__(self, name: str) -> Run:
        if name not in self._done:
            self._done[name] = self._train(name)
        return self._done[name]

    def _train(self, name: str) -> Run:
        recipe = RECIPES[name]
        if recipe.stage.startswith("restyle"):
            pytest.importorskip("transformers", reason="a VITS voice needs transformers")
        overrides = dict(recipe.overrides)
        overrides |= {k: str(self[v].checkpoint) for k, v in recipe.runs.items()}
        overrides |= {k: str(self._fixture(v)) for k, v in recipe.fixtures.items()}
        more = {"init": recipe.init, "encoder": recipe.encoder}
        # Before the totals are recorded: a run that this one builds on may have to be trained first.
        more = {k: self[v].checkpoint for k, v in more.items() if v}
        totals: list[float] = []
        with pytest.MonkeyPatch.context() as patch:
            _record_totals(patch, totals)
            checkpoint = systems.train(
                recipe.stage,
                size="toy",
                data=self._fixture(recipe.data),
                out=self._folder / name,
                overrides=overrides,
                **more,
            )
        return Run(checkpoint, _figures(checkpoint, totals))


def _record_totals(patch: pytest.MonkeyPatch, totals: list[float]) -> None:
    """Append every objective that is computed to `totals`."""
    formed: Any = Losses.total.fget  # type: ignore[attr-defined]

    def total(self: Losses) -> Any:
        value = formed(self)
        totals.append(float(value.detach()))
        return value

    patch.setattr(Losses, "total", property(total))


def _figures(checkpoint: Path, totals: list[float]) -> dict[str, dict[str, float]]:
    """The losses of each step and of the dev set, or what a codebook reports."""
    path = checkpoint.parent / "metrics.jsonl"
    if not path.is_file():
        report = json.loads((checkpoint / "report.json").read_text(encoding="utf-8"))
        return {"report": {k: float(v) for k, v in report.items()}}
    figures: dict[str, dict[str, float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        kind, step = row["kind"], row["step"]
        values = {k: float(v) for k, v in row.items() if k not in SPEED}
        if kind == "train":
            # The first objective is that of the rehearsal of the longest batch.
            values["total"] = totals[step]
        figures[f"{kind}, step {step}"] = values
    return figures | {"state, step 2": _state(checkpoint)}


def _state(checkpoint: Path) -> dict[str, float]:
    """Root mean squares of the optimizer's moments and of how far the weights and their averages moved."""
    moments = load_file(checkpoint / "state" / "optimizer.safetensors")
    before = load_file(checkpoint.parent / "step-00000000" / "model.safetensors")
    state = {
        kind: _rms(v for k, v in moments.items() if k.endswith(f":{kind}"))
        for kind in ("exp_avg", "exp_avg_sq")
    }
    for name in ("model", "ema"):
        now = load_file(checkpoint / f"{name}.safetensors")
        state[f"{name} moved"] = _rms(v - before[k] for k, v in now.items() if k in before)
    return state


def _rms(tensors: Iterable[np.ndarray]) -> float:
    values = np.concatenate([np.ravel(t).astype(np.float64) for t in tensors])
    return float(np.sqrt(np.mean(np.square(values))))
