"""Stage `meld.codebook`: k-means over the training frames, frozen from then on."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from intona import checkpoint, provenance
from intona import config as configs
from intona.data.prepared import Prepared
from intona.errors import UserError, unknown
from intona.nn.quantize import Codebook, KMeans, KMeansConfig, entropy, require_frames, temperature_for
from intona.training.stage import Request, Setup, Stage
from intona.training.state import files_of

log = logging.getLogger(__name__)

SAVE_EVERY = 50  # iterations
SAMPLE = 20_000  # steps that the temperature and the report are measured on


@dataclass(frozen=True, kw_only=True)
class CodebookConfig:
    """A codebook.

    `perplexity` of q, on average, decides its temperature; 1 = the nearest code only. `without`: speakers
    whose frames are left out, as names or patterns (`talk*`) separated by commas.
    """

    stage: str = "meld.codebook"
    size: str = "small"
    corpus: str = ""
    codes: int = 1024
    group: int = 4
    perplexity: float = 5.0
    without: str = ""
    kmeans: KMeansConfig = field(default_factory=KMeansConfig)

    def __post_init__(self) -> None:
        if self.codes < 1 or self.group < 1 or self.perplexity < 1:
            raise ValueError("codes, group and perplexity must be at least 1")


def paper() -> CodebookConfig:
    """8192 codes of single frames (the paper's K).

    Command: `intona train meld.codebook --size paper --data DATA --output CB`. Needs 409,600 frames
    (1.3 hours).
    """
    return CodebookConfig(size="paper", codes=8192, group=1)


def small() -> CodebookConfig:
    """1024 codes of four frames: two minutes on one core.

    Command: `intona train meld.codebook --data DATA --output CB`. At least 204,800 frames (40 minutes).
    """
    return CodebookConfig(size="small")


def toy() -> CodebookConfig:
    """32 codes: for tests."""
    return CodebookConfig(size="toy", codes=32, group=2, kmeans=KMeansConfig(batch=1024, iterations=60))


SIZES = {"paper": paper, "small": small, "toy": toy}


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A finished codebook, and the mel statistics it lives in."""

    codebook: Codebook
    mean: Tensor
    std: Tensor
    config: CodebookConfig
    identity: str


class Steps:
    """Random training steps (n, group x n_mels) of a corpus, normalized, straight from the memory map.

    Args:
        without: indices of speakers left out.
    """

    def __init__(
        self, prepared: Prepared, group: int, mean: Tensor, std: Tensor, *, without: Collection[int] = ()
    ) -> None:
        self.prepared, self.group, self.mean, self.std = prepared, group, mean, std
        index, rows = prepared.index, prepared.rows("train")
        rows = rows[~np.isin(index.speakers[rows], list(without))]
        if not len(rows):
            whose = "of the speakers who are left" if without else "at all"
            raise UserError(f'the split "train" has no utterance {whose}', where=prepared.root)
        spans = zip(index.offsets[rows].tolist(), index.n_frames[rows].tolist(), strict=True)
        starts = [offset + group * np.arange(frames // group) for offset, frames in spans]
        self.starts = torch.from_numpy(np.concatenate(starts))

    def __len__(self) -> int:
        return len(self.starts)

    def __call__(self, n: int, generator: torch.Generator) -> Tensor:
        at = self.starts[torch.randint(len(self.starts), (n,), generator=generator)].sort().values
        rows = at[:, None] + torch.arange(self.group)
        x = torch.from_numpy(self.prepared.mels.gather(rows.numpy()).astype(np.float32))
        return ((x - self.mean) / self.std).reshape(n, -1)


def make(
    config: CodebookConfig, prepared: Prepared, out: Path, *, limit_minutes: float | None = None
) -> Path:
    """Run or resume k-means in `out`; returns the newest checkpoint.

    Raises:
        UserError: fewer than 50 frames a centroid; another config than the one `out` was started with.
    """
    started = time.monotonic()
    mean, std = statistics(prepared)
    without = speakers_named(config.without, prepared, where="--without")
    steps = Steps(prepared, config.group, mean, std, without=without)
    require_frames(len(steps), config.codes, where=prepared.root)
    kmeans = KMeans(config.codes, config.kmeans, steps)
    earlier = checkpoint.steps(out)
    if earlier:
        path = out / f"step-{earlier[-1]:08d}"
        checkpoint.verify(path)
        changed = configs.diff(configs.load(CodebookConfig, path / "config.json"), config)
        if changed:
            raise UserError(
                f"the codebook was started with another config: {'; '.join(changed[:5])}",
                where=out,
                hint="use another --output, or the config it was started with",
            )
        kmeans.load_state_dict(checkpoint.read_tensors(path / "state" / "kmeans.safetensors"))
    while kmeans.iteration < config.kmeans.iterations:
        kmeans.run(min(kmeans.iteration + SAVE_EVERY, config.kmeans.iterations))
        last = kmeans.iteration == config.kmeans.iterations
        report = _save(config, prepared, out, kmeans, steps, mean, std, final=last)
        log.info(f"k-means {kmeans.iteration}/{config.kmeans.iterations}: {report}")
        if limit_minutes is not None and time.monotonic() - started > 60 * limit_minutes:
            break
    return checkpoint.resolve(out)


def _save(
    config: CodebookConfig,
    prepared: Prepared,
    out: Path,
    kmeans: KMeans,
    steps: Steps,
    mean: Tensor,
    std: Tensor,
    *,
    final: bool,
) -> str:
    codebook = Codebook(config.codes, len(kmeans.centroids[0]))
    codebook.centroids.copy_(kmeans.centroids)
    report: dict[str, Any] = {"error_of_the_last_batch": kmeans.error, "steps": len(steps), "finished": final}
    if final:
        x = sample(steps, config.kmeans.seed)
        soften(codebook, x, config.perplexity)
        log_q = codebook.posterior(x)
        use = torch.bincount(codebook.nearest(x), minlength=config.codes).double()
        share = use / use.sum()
        report |= {
            "tau": float(codebook.tau),
            "perplexity_of_q": float(entropy(log_q).exp().mean()),
            "perplexity_of_use": float(entropy(share.log().clamp(min=-1e9)).exp()),
            "codes_used": int((use > 0).sum()),
            "variance_explained": 1
            - float(codebook.distances(x).min(-1).values.mean() / x.square().sum(-1).mean()),
            "measured_on": len(x),
        }
    checkpoint.save(
        out,
        kmeans.iteration,
        tensors={
            "model": {**codebook.state_dict(), "mean": mean, "std": std},
            "state/kmeans": kmeans.state_dict(),
        },
        files={
            **files_of(config, {"features.json": configs.to_dict(prepared.spec)}),
            "report.json": report,
        },
    )
    checkpoint.prune(out, keep=1)
    return ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in report.items())


def speakers_named(names: str, prepared: Prepared, *, where: str) -> set[int]:
    """Indices of the speakers that a list names: names or shell patterns (`talk*`), separated by commas.

    Raises:
        UserError: no speaker matches one of them.
    """
    speakers: set[int] = set()
    for name in (n.strip() for n in names.split(",") if n.strip()):
        matches = {i for i, s in enumerate(prepared.speakers) if s == name or fnmatchcase(s, name)}
        if not matches:
            unknown("speaker", name, prepared.speakers, where=where)
        speakers |= matches
    return speakers


def sample(steps: Steps, seed: int) -> Tensor:
    """The steps (n, D) that a temperature is fitted to."""
    return steps(min(SAMPLE, len(steps)), torch.Generator().manual_seed(seed))


def soften(codebook: Codebook, x: Tensor, perplexity: float) -> None:
    """Set the temperature at which q has this mean perplexity over `x`; 1 = the nearest code only.

    Raises:
        UserError: fewer codes than that.
    """
    try:
        codebook.tau.fill_(temperature_for(codebook, x, perplexity))
    except ValueError as e:
        raise UserError(str(e), where="--perplexity") from None


def load(directory: Path) -> Trained:
    """A finished codebook.

    Raises:
        UserError: no codebook, an unfinished or damaged one.
    """
    path = checkpoint.resolve(Path(directory))
    checkpoint.verify(path, state=False)
    raw = configs.read_json(path / "config.json")
    if not isinstance(raw, dict) or raw.get("stage") != "meld.codebook":
        raise UserError("not a codebook", where=path, hint="make one with `intona train meld.codebook`")
    config = configs.from_dict(CodebookConfig, raw, where=str(path / "config.json"))
    if not configs.read_json(path / "report.json").get("finished"):
        raise UserError("the codebook is not finished", where=directory, hint="run the same command again")
    tensors = checkpoint.read_tensors(path / "model.safetensors")
    codebook = Codebook(*tensors["centroids"].shape)
    checkpoint.load_weights(codebook, {k: tensors[k] for k in ("centroids", "tau")}, where=path)
    return Trained(
        codebook=codebook,
        mean=tensors["mean"],
        std=tensors["std"],
        config=config,
        identity=provenance.sha256(path / "model.safetensors")[:16],
    )


def statistics(prepared: Prepared) -> tuple[Tensor, Tensor]:
    """Mean and deviation per bin, from stats.json."""
    stats = prepared.stats
    try:
        mean, std = (torch.tensor(stats[k], dtype=torch.float32) for k in ("mean", "std"))
    except (KeyError, TypeError, ValueError):
        raise UserError(
            "no mel statistics", where=prepared.root / "stats.json", hint="prepare the corpus again"
        ) from None
    return mean, std.clamp(min=1e-3)


def setup(config: CodebookConfig, request: Request) -> Setup:
    """See `training.stage.Stage`."""
    prepared = Prepared.open(request.data)
    config = dataclasses.replace(config, corpus=prepared.fingerprint)
    return Setup(
        config=config,
        facts={"codes": config.codes, "utterances": len(prepared.items("train"))},
        run=lambda: make(config, prepared, request.out, limit_minutes=request.limit_minutes),
    )


STAGE = Stage(name="meld.codebook", makes="part", sizes=SIZES, setup=setup, init="refused")
