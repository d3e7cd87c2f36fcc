"""`intona align`: the duration of each symbol, estimated by a small model that is trained on the corpus.

A convolutional net classifies the phone of each frame. It is trained with the forward-sum loss, from the
order of the phones alone (`intona.nn.align`), at first with a beta-binomial prior; the best monotonic path
gives the durations. Then the net is trained on that path frame by frame and the path is searched again
(Viterbi training), which sharpens the boundaries. Mels are normalised per speaker, so that all speakers share
one net. All pauses (word boundary, punctuation) are one class, may be skipped, and have a cost.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from intona.cluster import Engine, LocalEngine
from intona.data.align_inputs import prior_of, speaker_statistics
from intona.data.boundaries import BoundaryErrors, judge_of
from intona.data.correspondence import is_pause
from intona.data.prepared import Item, Prepared, write_durations
from intona.errors import UserError
from intona.nn.align import forward_sum_loss, monotonic_search
from intona.nn.masks import length_mask
from intona.pool import ReloadsInWorker

TRIAL = 10  # number of steps used to measure the time per step


@dataclass(frozen=True, kw_only=True)
class AlignerConfig:
    """Sizes and schedule.

    `*_cost` are the costs of a pause, in nats. In the search the posterior of a class is divided by its mean
    posterior to the power `prior_scale`.
    """

    channels: int = 160
    layers: int = 3
    kernel: int = 5
    max_frames: int = 6000
    learning_rate: float = 3e-3
    prior_share: float = 0.4
    refit_share: float = 0.22
    boundary_cost: float = 6.0
    punctuation_cost: float = 1.0
    prior_scale: float = 1.0


@dataclass(frozen=True, kw_only=True)
class AlignReport:
    """The result of `align`. `loss` is in nats per frame, the mean of the last forward-sum steps."""

    utterances: int
    skipped: tuple[str, ...]
    steps: int
    seconds: float
    loss: float
    source: str
    boundaries: BoundaryErrors | None = None
    stages: Mapping[str, BoundaryErrors] = field(default_factory=dict)

    def table(self) -> str:
        rows = [f"aligned {self.utterances} utterances in {self.seconds:.0f} s ({self.source})"]
        if self.skipped:
            rows.append(
                f"skipped {len(self.skipped)}, too short for their symbols: {', '.join(self.skipped[:5])}"
            )
        if self.boundaries:
            rows.append(self.boundaries.line())
        return "\n".join(rows)


class _FrameClassifier(nn.Module):
    """Mels (B,T,n_mels) to log-probabilities of the classes (B,T,C)."""

    def __init__(self, n_mels: int, classes: int, config: AlignerConfig) -> None:
        super().__init__()
        c, k = config.channels, config.kernel
        self.first = nn.Conv1d(n_mels, c, k, padding=k // 2)
        self.rest = nn.ModuleList(nn.Conv1d(c, c, 3, padding=1) for _ in range(config.layers - 1))
        self.norms = nn.ModuleList(nn.LayerNorm(c) for _ in range(config.layers))
        self.out = nn.Linear(c, classes)

    def forward(self, mels: Tensor, mask: Tensor) -> Tensor:
        x = torch.relu(self.first(mels.transpose(1, 2))).transpose(1, 2)
        x = self.norms[0](x) * mask[..., None]
        for conv, norm in zip(self.rest, list(self.norms)[1:], strict=True):
            x = norm(x + torch.relu(conv(x.transpose(1, 2))).transpose(1, 2)) * mask[..., None]
        return torch.log_softmax(self.out(x), -1)


@dataclass(frozen=True)
class _Script:
    """The tokens of an utterance: a run of pauses is one token, and there is a pause at each end.

    `classes` (M,), `optional` (M,), `enter` (M,), and `place` (M,), the symbol that the frames belong to.
    """

    classes: np.ndarray
    optional: np.ndarray
    enter: np.ndarray
    place: np.ndarray


def _script(symbols: Sequence[str], classes: Mapping[str, int], config: AlignerConfig) -> _Script:
    rows: list[tuple[int, bool, float, int]] = [(0, True, -config.punctuation_cost, -1)]
    for i, s in enumerate(symbols):
        if not is_pause(s):
            rows.append((classes[s], False, 0.0, i))
            continue
        cost = -config.boundary_cost if s.isspace() else -config.punctuation_cost
        if rows[-1][0] == 0:  # a run of pauses belongs to punctuation, the more likely pause
            old = rows.pop()
            better = old[3] < 0 or (symbols[old[3]].isspace() and not s.isspace())
            rows.append((0, True, max(old[2], cost), i if better else old[3]))
        else:
            rows.append((0, True, cost, i))
    if rows[-1][0]:
        rows.append((0, True, -config.punctuation_cost, len(symbols)))
    c, o, e, p = zip(*rows, strict=True)
    # Silence without a symbol at the ends belongs to the first or the last symbol.
    place = np.clip(np.array(p), 0, len(symbols) - 1)
    return _Script(np.array(c), np.array(o), np.array(e, dtype=np.float32), place)


class _Aligner:
    def __init__(
        self, prepared: Prepared, config: AlignerConfig, seed: int, device: torch.device | str = "cpu"
    ) -> None:
        self.prepared, self.config, self.seed = prepared, config, seed
        phones = sorted({s for i in prepared for s in i.phonemes if not is_pause(s)})
        self.classes = {s: k + 1 for k, s in enumerate(phones)}
        scripts = {i.id: _script(i.phonemes, self.classes, config) for i in prepared}
        self.items = [
            i
            for i in prepared
            if (~scripts[i.id].optional).sum() <= i.n_frames and len(scripts[i.id].classes) > 1
        ]
        kept = {i.id for i in self.items}
        self.skipped = tuple(i.id for i in prepared if i.id not in kept)
        if not self.items:
            raise UserError("no utterance has enough frames for its symbols", where=prepared.root)
        self.scripts = scripts
        self.norm = speaker_statistics(prepared, self.items)
        self.random = np.random.default_rng(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net = _FrameClassifier(prepared.spec.n_mels, len(self.classes) + 1, config)
        self.device = torch.device(device)
        self.net.to(self.device)  # its first weights are those of the CPU, whatever the device
        self.log_prior = torch.zeros(len(self.classes) + 1, device=self.device)
        self.optim = torch.optim.Adam(self.net.parameters(), lr=config.learning_rate, betas=(0.9, 0.99))

    def batches(self, *, shuffle: bool) -> Iterator[list[Item]]:
        """Batches of items of similar length, at most `max_frames` padded frames.

        Shuffled batches never end; otherwise each item comes once.
        """
        while True:
            jitter = self.random.uniform(0.9, 1.1, len(self.items)) if shuffle else np.ones(len(self.items))
            order = np.argsort(
                [-i.n_frames * j for i, j in zip(self.items, jitter, strict=True)], kind="stable"
            )
            groups: list[list[Item]] = []
            longest = 0
            for k in order:
                item = self.items[k]
                longest = max(longest, item.n_frames)
                if not groups or longest * (len(groups[-1]) + 1) > self.config.max_frames:
                    groups.append([])
                    longest = item.n_frames
                groups[-1].append(item)
            if shuffle:
                self.random.shuffle(groups)  # type: ignore[arg-type]
            yield from groups
            if not shuffle:
                return

    def batch(self, items: Sequence[Item]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """mels (B,T,n_mels), mel_lengths, classes (B,M), token_lengths, optional (B,M), enter (B,M)."""
        t, m = max(i.n_frames for i in items), max(len(self.scripts[i.id].classes) for i in items)
        mels = np.zeros((len(items), t, self.prepared.spec.n_mels), dtype=np.float32)
        classes = np.zeros((len(items), m), dtype=np.int64)
        optional = np.zeros((len(items), m), dtype=bool)
        enter = np.zeros((len(items), m), dtype=np.float32)
        for b, i in enumerate(items):
            mean, scale = self.norm[i.speaker]
            mels[b, : i.n_frames] = (self.prepared.mel(i) - mean) * scale
            s = self.scripts[i.id]
            n = len(s.classes)
            classes[b, :n], optional[b, :n], enter[b, :n] = s.classes, s.optional, s.enter
        lengths = torch.tensor([i.n_frames for i in items])
        tokens = torch.tensor([len(self.scripts[i.id].classes) for i in items])
        x, c, o, e = (torch.from_numpy(values).to(self.device) for values in (mels, classes, optional, enter))
        return x, lengths.to(self.device), c, tokens.to(self.device), o, e

    def scores(self, log_q: Tensor, classes: Tensor, scale: float) -> Tensor:
        """Log score of each token in each frame: (B,T,C) -> (B,M,T)."""
        log_q = log_q - scale * self.log_prior
        index = classes[:, None, :].expand(-1, log_q.shape[1], -1)
        return log_q.gather(2, index).transpose(1, 2)

    def step(self, loss: Tensor, rate: float) -> None:
        for group in self.optim.param_groups:
            group["lr"] = rate
        self.optim.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optim.step()

    def forward_sum_stage(self, steps: int, seconds: float) -> tuple[int, float]:
        """Train on the order of the phones, with fewer `steps` if they would take longer than `seconds`.

        Returns the number of steps, and the mean loss of the last 20.
        """
        losses: list[float] = []
        stream = self.batches(shuffle=True)
        started = time.monotonic()
        k = 0
        while k < steps:
            if k == TRIAL:
                # The schedule must be completed, not cut off: the prior alone gives no useful path.
                each = (time.monotonic() - started) / TRIAL
                steps = min(steps, max(TRIAL, int(seconds / each)))
            lead = self.config.prior_share * steps
            items = next(stream)
            x, lengths, classes, tokens, optional, enter = self.batch(items)
            mask = length_mask(lengths, x.shape[1])
            log_q = self.net(x, mask)
            # Divided by the mean posterior, the score is mutual information. Otherwise the best net would
            # predict one phone everywhere.
            self.log_prior = torch.logsumexp(log_q[mask], 0) - math.log(int(lengths.sum()))
            score = self.scores(log_q, classes, 1.0)
            weight = max(0.0, 1.0 - k / lead) if lead else 0.0
            if weight:
                prior = torch.zeros_like(score)
                for b, i in enumerate(items):
                    n = int(tokens[b])
                    prior[b, :n, : i.n_frames] = prior_of(n, i.n_frames).to(prior.device)
                score = score + weight * prior
            loss = forward_sum_loss(score, tokens, lengths, optional, enter)
            self.step(loss, self.rate(k, steps))
            losses.append(loss.item())
            k += 1
        self.log_prior = self.log_prior.detach()
        return len(losses), float(np.mean(losses[-20:])) if losses else math.nan

    def rate(self, k: int, steps: int) -> float:
        warm = min(1.0, (k + 1) / 20)
        return (
            self.config.learning_rate
            * warm
            * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * k / max(1, steps))))
        )

    def refit_stage(self, steps: int, paths: Mapping[str, np.ndarray], deadline: float) -> int:
        """Train on the frames of a path, with cross-entropy. Returns the number of steps."""
        stream = self.batches(shuffle=True)
        for k in range(steps):
            if time.monotonic() > deadline:
                return k
            items = next(stream)
            x, lengths, _, _, _, _ = self.batch(items)
            mask = length_mask(lengths, x.shape[1])
            target = torch.zeros(mask.shape, dtype=torch.long)  # filled on the CPU, row by row
            for b, i in enumerate(items):
                s = self.scripts[i.id]
                target[b, : i.n_frames] = torch.from_numpy(np.repeat(s.classes, paths[i.id]))
            log_q = self.net(x, mask)
            self.step(
                nn.functional.nll_loss(log_q[mask], target.to(self.device)[mask]), 0.17 * self.rate(k, steps)
            )
        return steps

    def search(self, engine: Engine | None = None) -> dict[str, np.ndarray]:
        """Id -> frames (M,) of each token. Recomputes the class prior first.

        After training, `log_prior` is that of the last batch only; here it is the log of the mean posterior
        of each class over all frames, (C,), which scores are relative to.
        """
        engine = engine or LocalEngine()
        batches = [[i.id for i in items] for items in self.batches(shuffle=False)]
        total, frames = torch.full_like(self.log_prior, -torch.inf, dtype=torch.float64), 0
        for sums, count in engine.map(_posteriors, batches, state=_Searcher(self)):
            total = torch.logaddexp(total, torch.from_numpy(sums).to(total.device))
            frames += count
        self.log_prior = (total - math.log(frames)).float()
        paths: dict[str, np.ndarray] = {}
        for some in engine.map(_paths, batches, state=_Searcher(self)):
            paths |= some
        return paths

    @torch.no_grad()
    def posteriors(self, items: Sequence[Item]) -> tuple[np.ndarray, int]:
        """Log of the summed posterior of each class, (C,) in float64, and the number of frames."""
        x, lengths, *_ = self.batch(items)
        mask = length_mask(lengths, x.shape[1])
        return torch.logsumexp(self.net(x, mask)[mask].double(), 0).cpu().numpy(), int(lengths.sum())

    @torch.no_grad()
    def paths(self, items: Sequence[Item]) -> dict[str, np.ndarray]:
        x, lengths, classes, tokens, optional, enter = self.batch(items)
        log_q = self.net(x, length_mask(lengths, x.shape[1]))
        score = self.scores(log_q, classes, self.config.prior_scale)
        frames = monotonic_search(score, tokens, lengths, optional, enter).cpu().numpy()
        return {i.id: frames[b, : int(tokens[b])] for b, i in enumerate(items)}

    def durations(self, paths: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Paths over tokens to frames per symbol of the item."""
        out = {}
        for i in self.items:
            d = np.zeros(len(i.phonemes), dtype=np.int64)
            np.add.at(d, self.scripts[i.id].place, paths[i.id])
            out[i.id] = d
        return out


class _Searcher(ReloadsInWorker):
    """A trained aligner; a worker opens the corpus anew, once."""

    def __init__(self, aligner: _Aligner) -> None:
        self.root, self.config, self.seed = aligner.prepared.root, aligner.config, aligner.seed
        self.weights = {name: w.cpu().numpy() for name, w in aligner.net.state_dict().items()}
        self.log_prior = aligner.log_prior.cpu().numpy()
        vars(self)["aligner"] = aligner

    @cached_property
    def aligner(self) -> _Aligner:
        aligner = _Aligner(Prepared.open(self.root), self.config, self.seed)
        aligner.net.load_state_dict({name: torch.tensor(w) for name, w in self.weights.items()})
        aligner.log_prior = torch.tensor(self.log_prior)
        return aligner

    @cached_property
    def items(self) -> dict[str, Item]:
        return {i.id: i for i in self.aligner.items}


def _posteriors(searcher: _Searcher, ids: Sequence[str]) -> tuple[np.ndarray, int]:
    return searcher.aligner.posteriors([searcher.items[i] for i in ids])


def _paths(searcher: _Searcher, ids: Sequence[str]) -> dict[str, np.ndarray]:
    return searcher.aligner.paths([searcher.items[i] for i in ids])


def align(
    data_dir: Path | str,
    *,
    minutes: float = 10.0,
    seed: int = 0,
    steps: int = 180,
    config: AlignerConfig | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[str], None] | None = None,
    engine: Engine | None = None,
) -> AlignReport:
    """Align a prepared corpus and write its durations (source "align").

    The same seed and steps give the same durations on one kind of device, unless `minutes` are too few for
    the steps. If the corpus has phone labels, the report holds the errors at word boundaries.

    Args:
        engine: where the trained net searches the paths, batch by batch; None = in this process, where it is
            trained in any case.

    Raises:
        UserError: not a prepared directory, or no utterance fits.
    """
    prepared = Prepared.open(data_dir)
    config = config or AlignerConfig()
    started = time.monotonic()
    deadline = started + 60.0 * minutes
    say = progress or (lambda _: None)
    aligner = _Aligner(prepared, config, seed, device)
    judge = judge_of(prepared)
    stages: dict[str, BoundaryErrors] = {}

    def look(name: str) -> None:
        if judge is not None:
            stages[name] = judge(aligner.durations(paths))
            say(f"{name}: {stages[name].line()}")

    refit = round(config.refit_share * steps)
    # Part of the time is reserved for the refit and the searches, which a slow machine needs too.
    done, loss = aligner.forward_sum_stage(steps - refit, 60.0 * minutes * (0.8 - config.refit_share))
    say(f"forward sum: {done} steps, {loss:.3f} nats per frame, {time.monotonic() - started:.0f} s")
    paths = aligner.search(engine)
    look("forward sum")
    if refit:
        done += aligner.refit_stage(refit, paths, deadline)
        paths = aligner.search(engine)
        look("refit")
    seconds = time.monotonic() - started
    source = (
        f"align: conv {config.channels}x{config.layers}, forward sum and refit, {done} steps, seed {seed}"
    )
    durations = aligner.durations(paths)
    write_durations(data_dir, durations, source=source)
    return AlignReport(
        utterances=len(durations),
        skipped=aligner.skipped,
        steps=done,
        seconds=seconds,
        loss=loss,
        source=source,
        boundaries=judge(durations) if judge else None,
        stages=stages,
    )
