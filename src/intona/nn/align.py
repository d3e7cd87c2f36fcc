"""Monotonic alignment of tokens to frames: the sum over all paths (a loss) and the best path (durations).

Both take `log_p`, the log-likelihood of frame t under token n. A path assigns one token to each frame, starts
at the first token, ends at the last and never goes back. Each token takes at least one frame, except tokens
marked `optional`, which may be skipped: a pause that the speaker left out. `enter`, if any, is a
log-probability counted once for each token on the path: the cost of that pause.

Forward sum: Shih et al., RAD-TTS, 2021, and Badlani et al., One TTS Alignment To Rule Them All, 2022.
Search: Kim et al., Glow-TTS, 2020, algorithm 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int, Int64
from torch import Tensor

NEVER = -1e9  # stands for log 0: finite, so that the sum of two stays comparable and cannot become NaN


def beta_binomial_prior(
    n_tokens: int, n_frames: int, *, scaling: float = 1.0
) -> Float32[Tensor, "{n_tokens} {n_frames}"]:
    """Log prior that frame t belongs to token n: wide in the middle, narrow at both ends.

    Frame t = 1..T: n - 1 ~ BetaBinomial(N - 1, scaling t, scaling (T - t + 1)); each column sums to one
    (Shih et al. 2021, section 3). A larger `scaling` is narrower around the diagonal.
    """
    t = torch.arange(1, n_frames + 1, dtype=torch.float64)[None, :]
    k = torch.arange(n_tokens, dtype=torch.float64)[:, None]
    n, a, b = torch.tensor(n_tokens - 1.0, dtype=torch.float64), scaling * t, scaling * (n_frames - t + 1)
    choose = torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)

    def log_beta(x: Tensor, y: Tensor) -> Tensor:
        return torch.lgamma(x) + torch.lgamma(y) - torch.lgamma(x + y)

    return (choose + log_beta(k + a, n - k + b) - log_beta(a, b)).float()


def _skips(optional: Any, xp: Any) -> list[Any]:
    """One mask (B,N) per k = 1, 2, ..: the k tokens before n are optional, so n may follow n-1-k."""
    out, run = [], optional
    count = optional.shape[1]
    while True:
        # run[n]: tokens n-k+1 .. n are all optional
        shifted = xp.zeros_like(run)
        shifted[:, 1:] = run[:, :-1]
        if not bool(shifted.any()) or len(out) >= count:
            return out
        out.append(shifted)
        run = optional & shifted


def _edges(optional: Any, lengths: Any, xp: Any, place: Any) -> tuple[Any, Any]:
    """(B,N) masks of tokens that may be first (all before are optional) and last (all after are)."""
    place = place + xp.zeros_like(lengths)[:, None]  # (B,N)
    first, last = place == 0, place == lengths[:, None] - 1
    for _ in range(optional.shape[1]):
        more = xp.zeros_like(first)
        more[:, 1:] = first[:, :-1] & optional[:, :-1]
        back = xp.zeros_like(last)
        back[:, :-1] = last[:, 1:] & optional[:, 1:]
        if not bool((more & ~first).any()) and not bool((back & ~last).any()):
            break
        first, last = first | more, last | back
    return first & (place < lengths[:, None]), last


def _alpha(
    log_p: Float[Tensor, "batch tokens frames"],
    first: Bool[Tensor, "batch tokens"],
    skips: list[Tensor],
    enter: Float[Tensor, "batch tokens"],
) -> tuple[Float[Tensor, "frames batch tokens"], Float64[Tensor, "frames batch"]]:
    """Log sum over paths that end at token n in frame t, including that score, minus a shift; and the shift.

    The shift keeps the maximum at 0, so that single precision is enough for 1,000 frames.
    """
    frames = log_p.shape[2]
    score = log_p.permute(2, 0, 1).contiguous()
    out = torch.empty_like(score)
    out[0] = (score[0] + enter).masked_fill(~first, NEVER)
    top = torch.empty(frames, log_p.shape[0], dtype=out.dtype, device=out.device)
    top[0] = out[0].amax(1)
    out[0] -= top[0, :, None]
    into = torch.full((2 + len(skips), *out[0].shape), NEVER, dtype=out.dtype, device=out.device)
    barred = [~s[:, k + 2 :] for k, s in enumerate(skips)]
    for t in range(1, frames):
        before = out[t - 1]
        into[0] = before
        into[1, :, 1:] = before[:, :-1]
        for k, bar in enumerate(barred):
            into[k + 2, :, k + 2 :] = before[:, : -(k + 2)].masked_fill(bar, NEVER)
        into[1:] += enter
        torch.add(torch.logsumexp(into, 0), score[t], out=out[t])
        top[t] = out[t].amax(1)
        out[t] -= top[t, :, None]
        out[t].clamp_min_(NEVER)
    return out, top.double().cumsum(0)


class _ForwardSum(torch.autograd.Function):
    """log Z of all paths; the gradient is the posterior probability that frame t belongs to token n."""

    @staticmethod
    def forward(
        ctx: Any, log_p: Tensor, tokens: Tensor, frames: Tensor, optional: Tensor, enter: Tensor
    ) -> Tensor:
        rows = torch.arange(len(tokens), device=log_p.device)
        place = torch.arange(log_p.shape[1], device=log_p.device)[None]
        time = torch.arange(log_p.shape[2], device=log_p.device)[None]
        first, last = _edges(optional, tokens, torch, place)
        valid = place < tokens[:, None]
        score = log_p.masked_fill(~valid[:, :, None], NEVER)
        # The backward pass is the forward pass on reversed tokens and frames: both run in one batch.
        token_at = (tokens[:, None] - 1 - place) % log_p.shape[1]
        frame_at = (frames[:, None] - 1 - time) % log_p.shape[2]
        flip = score.gather(1, token_at[:, :, None].expand_as(score))
        flip = flip.gather(2, frame_at[:, None, :].expand_as(score))
        start = torch.cat([first, last.gather(1, token_at) & valid])
        skips = _skips(torch.cat([optional, optional.gather(1, token_at) & valid]), torch)
        cost = torch.cat([enter, enter.gather(1, token_at)])
        sums, shift = _alpha(torch.cat([score, flip]), start, skips, cost)
        alpha, beta = sums.split(len(tokens), dim=1)
        top = shift[frames - 1, rows]
        log_z = top + torch.logsumexp(alpha[frames - 1, rows].double().masked_fill(~last, NEVER), 1)
        beta = beta.permute(1, 2, 0)
        beta = beta.gather(1, token_at[:, :, None].expand_as(beta))
        beta = beta.gather(2, frame_at[:, None, :].expand_as(beta))
        # Each frame has one token: the shifts cancel when the posterior is normalised over tokens.
        both = alpha.permute(1, 2, 0) + beta - score - enter[:, :, None]
        both = both.masked_fill(~valid[:, :, None], 2 * NEVER)
        post = torch.softmax(both, 1) * (valid[:, :, None] & (time < frames[:, None])[:, None, :])
        ctx.save_for_backward(post.to(log_p.dtype))
        return log_z.to(log_p.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        (post,) = ctx.saved_tensors
        return post * grads[0][:, None, None], None, None, None, None


def forward_sum(
    log_p: Float[Tensor, "batch tokens frames"],
    token_lengths: Int[Tensor, " batch"],
    mel_lengths: Int[Tensor, " batch"],
    optional: Bool[Tensor, "batch tokens"] | None = None,
    enter: Float[Tensor, "batch tokens"] | None = None,
) -> Float[Tensor, " batch"]:
    """Log of the sum over all monotonic paths, differentiable in `log_p`.

    Args:
        optional: True = the token may be skipped; None = no token may.
        enter: log-probability of taking the token at all; no gradient flows into it.

    Raises:
        ValueError: more tokens that are not optional than frames.
    """
    optional = _checked(log_p, token_lengths, mel_lengths, optional)
    enter = log_p.new_zeros(log_p.shape[:2]) if enter is None else enter.to(log_p)
    return _ForwardSum.apply(log_p, token_lengths, mel_lengths, optional, enter)  # type: ignore[return-value]


def forward_sum_loss(
    log_p: Float[Tensor, "batch tokens frames"],
    token_lengths: Int[Tensor, " batch"],
    mel_lengths: Int[Tensor, " batch"],
    optional: Bool[Tensor, "batch tokens"] | None = None,
    enter: Float[Tensor, "batch tokens"] | None = None,
) -> Float[Tensor, ""]:
    """Mean over frames of the negative `forward_sum`: a scalar that does not grow with the batch."""
    return -forward_sum(log_p, token_lengths, mel_lengths, optional, enter).sum() / mel_lengths.sum()


@torch.no_grad()
def monotonic_search(
    log_p: Float[Tensor, "batch tokens frames"],
    token_lengths: Int[Tensor, " batch"],
    mel_lengths: Int[Tensor, " batch"],
    optional: Bool[Tensor, "batch tokens"] | None = None,
    enter: Float[Tensor, "batch tokens"] | None = None,
) -> Int64[Tensor, "batch tokens"]:
    """Durations of the most likely path through `log_p`, in frames; row b sums to `mel_lengths[b]`.

    Without optional tokens the search is that of the package `monotonic-alignment-search` if installed, else
    `search_numpy`. The result is on the device of `log_p`.

    Raises:
        ValueError: more tokens that are not optional than frames.
    """
    checked = _checked(log_p, token_lengths, mel_lengths, optional)
    score = log_p.detach().float().cpu().numpy()
    n, t = token_lengths.cpu().numpy(), mel_lengths.cpu().numpy()
    durations = None
    if optional is None and enter is None:
        durations = _search_package(score, n, t)
    if durations is None:
        cost = None if enter is None else enter.detach().cpu().numpy()
        durations = search_numpy(score, n, t, checked.cpu().numpy(), cost)
    return torch.from_numpy(durations).to(log_p.device)


def _search_package(log_p: np.ndarray, tokens: np.ndarray, frames: np.ndarray) -> np.ndarray | None:
    try:
        from monotonic_alignment_search import maximum_path_cython
    except ImportError:
        return None
    mask = (np.arange(log_p.shape[1])[None, :, None] < tokens[:, None, None]) & (
        np.arange(log_p.shape[2])[None, None, :] < frames[:, None, None]
    )
    path = maximum_path_cython(torch.from_numpy(log_p), torch.from_numpy(mask))
    return path.sum(2).numpy().astype(np.int64)


def search_numpy(
    log_p: Float[np.ndarray, "batch tokens frames"],
    tokens: Int[np.ndarray, " batch"],
    frames: Int[np.ndarray, " batch"],
    optional: Bool[np.ndarray, "batch tokens"],
    enter: Float[np.ndarray, "batch tokens"] | None = None,
) -> Int64[np.ndarray, "batch tokens"]:
    """`monotonic_search` in NumPy: one step per frame, all rows and tokens at once."""
    size, n, t_max = log_p.shape
    place = np.arange(n)[None, :]
    first, last = _edges(optional, tokens, np, place)
    skips = _skips(optional, np)
    score = np.where(place[:, :, None] < tokens[:, None, None], log_p, NEVER).transpose(2, 0, 1)
    score = np.ascontiguousarray(score)  # (T,B,N)
    # step[t, b, n] = how many tokens back the path came from
    step = np.zeros((t_max, size, n), dtype=np.uint16)
    cost = np.zeros((size, n)) if enter is None else enter.astype(np.float64)
    best = np.where(first, score[0] + cost, NEVER)
    final = np.where(last, best, NEVER).argmax(1)
    for t in range(1, t_max):
        come = best.copy()
        moved = step[t]
        for k in range(1 + len(skips)):
            other = np.full_like(best, NEVER)
            other[:, k + 1 :] = best[:, : n - k - 1] + cost[:, k + 1 :]
            better = other > come
            if k:
                better &= skips[k - 1]
            come = np.where(better, other, come)
            moved[better] = k + 1
        best = np.maximum(come + score[t], NEVER)
        ends = frames - 1 == t
        if ends.any():
            final = np.where(ends, np.where(last, best, NEVER).argmax(1), final)
    durations = np.zeros((size, n), dtype=np.int64)
    rows, at = np.arange(size), final.copy()
    for t in range(t_max - 1, -1, -1):
        live = t < frames
        durations[rows[live], at[live]] += 1
        at = np.where(live, at - step[t, rows, at], at)
    return durations


def _checked(
    log_p: Float[Tensor, "batch tokens frames"],
    tokens: Int[Tensor, " batch"],
    frames: Int[Tensor, " batch"],
    optional: Bool[Tensor, "batch tokens"] | None,
) -> Bool[Tensor, "batch tokens"]:
    if optional is None:
        optional = torch.zeros(log_p.shape[:2], dtype=torch.bool, device=log_p.device)
    valid = torch.arange(log_p.shape[1], device=log_p.device)[None] < tokens[:, None]
    optional = optional & valid
    short = (tokens - optional.sum(1)).clamp_min(1) > frames
    if bool(short.any()):
        b = int(short.nonzero()[0, 0])
        raise ValueError(f"row {b}: {int(tokens[b])} tokens cannot be aligned to {int(frames[b])} frames")
    return optional
