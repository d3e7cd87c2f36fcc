"""Which phone label of a corpus corresponds to which phoneme symbol, learnt from the corpus by EM.

A pair hidden Markov model (Durbin et al., Biological Sequence Analysis, 1998, ch. 4) with three monotonic
moves: a symbol matches a label, a symbol has no label, a label has no symbol. It needs no table for any
language. Silence labels match only word boundaries and punctuation ("pauses" below), and vice versa.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from intona.data.labels import is_silence
from intona.errors import UserError

Pair = tuple[Sequence[str], Sequence[str]]
_NEVER = -1e30


def is_pause(symbol: str) -> bool:
    """Whether a symbol may be silent: a word boundary or punctuation, which contains no letter."""
    return not any(unicodedata.category(c).startswith("L") for c in symbol)


@dataclass(frozen=True, kw_only=True)
class Correspondence:
    """The learnt model.

    `take[o, l]` is log p(label l | symbol o), `drop[o]` is log p(no label | symbol o), and `extra[l]` is the
    log expected number of labels l without a symbol at one place.
    """

    symbols: tuple[str, ...]
    labels: tuple[str, ...]
    take: np.ndarray
    drop: np.ndarray
    extra: np.ndarray

    def table(self, top: int = 3) -> dict[str, list[tuple[str, float]]]:
        """Symbol -> its most likely labels with their probabilities; "∅" is no label."""
        out = {}
        for o, symbol in enumerate(self.symbols):
            p = [(label, float(np.exp(self.take[o, i]))) for i, label in enumerate(self.labels)]
            p.append(("∅", float(np.exp(self.drop[o]))))
            out[symbol] = sorted(p, key=lambda x: -x[1])[:top]
        return out

    def align(self, pairs: Sequence[Pair]) -> list[list[tuple[int, int]]]:
        """Viterbi alignment: for each pair the matched (symbol index, label index), both increasing."""
        out: list[list[tuple[int, int]]] = [[] for _ in pairs]
        for chunk, batch in _batches(pairs, self):
            best = _forward(batch, np.maximum)
            for b, index in enumerate(chunk):
                out[index] = _trace(best, batch, b)
        return out


@dataclass(frozen=True)
class _Batch:
    """Padded scores of some pairs: s (B,N,M), d (B,N), e (B,M); ids of symbols o (B,N), labels l (B,M)."""

    s: np.ndarray
    d: np.ndarray
    e: np.ndarray
    o: np.ndarray
    l: np.ndarray  # noqa: E741
    n: np.ndarray
    m: np.ndarray


def _batches(pairs: Sequence[Pair], c: Correspondence, size: int = 64) -> Iterable[tuple[np.ndarray, _Batch]]:
    so, sl = {s: i for i, s in enumerate(c.symbols)}, {s: i for i, s in enumerate(c.labels)}
    lengths = np.array([[len(a), len(b)] for a, b in pairs]).reshape(-1, 2)
    order = np.argsort(lengths.sum(1), kind="stable")
    for at in range(0, len(order), size):
        chunk = order[at : at + size]
        n, m = lengths[chunk].T
        o = np.zeros((len(chunk), max(1, n.max())), dtype=np.int64)
        lab = np.zeros((len(chunk), max(1, m.max())), dtype=np.int64)
        for b, i in enumerate(chunk):
            o[b, : n[b]] = [so[s] for s in pairs[i][0]]
            lab[b, : m[b]] = [sl[s] for s in pairs[i][1]]
        yield chunk, _Batch(c.take[o[:, :, None], lab[:, None, :]], c.drop[o], c.extra[lab], o, lab, n, m)


def _forward(x: _Batch, plus: np.ufunc) -> np.ndarray:
    """Scores of all prefixes on anti-diagonals (N+M+1, B, N+1): [t, :, i] is i symbols and t - i labels.

    `plus` is logaddexp (sum over paths) or maximum (best path).
    """
    size, n, m = x.s.shape
    f = np.full((n + m + 1, size, n + 1), _NEVER)
    f[0, :, 0] = 0.0
    for t in range(1, n + m + 1):
        lo, hi = max(0, t - m), min(n, t)
        i = np.arange(lo, hi + 1)
        j = t - i
        new = np.full((size, len(i)), _NEVER)
        a, b = i > 0, j > 0
        new[:, a] = f[t - 1][:, i[a] - 1] + x.d[:, i[a] - 1]
        new[:, b] = plus(new[:, b], f[t - 1][:, i[b]] + x.e[:, j[b] - 1])
        ab = a & b
        if ab.any():
            new[:, ab] = plus(new[:, ab], f[t - 2][:, i[ab] - 1] + x.s[:, i[ab] - 1, j[ab] - 1])
        f[t][:, lo : hi + 1] = new
    return f


def _backward(x: _Batch) -> np.ndarray:
    """Scores of all suffixes, stored like the prefixes of `_forward`; each pair ends at its (n, m)."""
    size, n, m = x.s.shape
    g = np.full((n + m + 3, size, n + 2), _NEVER)
    rows = np.arange(size)
    for t in range(n + m, -1, -1):
        i = np.arange(max(0, t - m), min(n, t) + 1)
        j = t - i
        ic, jc = np.minimum(i, n - 1), np.minimum(j, m - 1)
        ok_i, ok_j = i[None, :] < x.n[:, None], j[None, :] < x.m[:, None]
        new = np.where(ok_i, g[t + 1][:, i + 1] + x.d[:, ic], _NEVER)
        new = np.logaddexp(new, np.where(ok_j, g[t + 1][:, i] + x.e[:, jc], _NEVER))
        new = np.logaddexp(new, np.where(ok_i & ok_j, g[t + 2][:, i + 1] + x.s[:, ic, jc], _NEVER))
        g[t][:, i] = new
        ends = rows[x.n + x.m == t]
        g[t][ends, x.n[ends]] = 0.0
    return g


def _trace(f: np.ndarray, x: _Batch, b: int) -> list[tuple[int, int]]:
    i, j = int(x.n[b]), int(x.m[b])
    out = []
    while i or j:
        here = f[i + j, b, i]
        take = f[i + j - 2, b, i - 1] + x.s[b, i - 1, j - 1] if i and j else _NEVER
        drop = f[i + j - 1, b, i - 1] + x.d[b, i - 1] if i else _NEVER
        if i and j and take >= here - 1e-9 and take > _NEVER / 2:
            i, j = i - 1, j - 1
            out.append((i, j))
        elif i and (not j or drop >= here - 1e-9):
            i -= 1
        else:
            j -= 1
    return out[::-1]


def learn_correspondence(
    pairs: Sequence[Pair], *, iterations: int = 8, smoothing: float = 0.01
) -> Correspondence:
    """EM over pairs of (symbols, labels) of a corpus.

    It starts from co-occurrence near the diagonal (three places wide), so that no initial table is needed.
    Punctuation starts with a higher probability of a pause than a word boundary. `smoothing` is added to each
    expected count.

    Raises:
        UserError: no pairs.
    """
    if not pairs:
        raise UserError("no utterance has both symbols and labels", hint="prepare a corpus with phone labels")
    symbols = tuple(sorted({s for a, _ in pairs for s in a}))
    labels = tuple(sorted({s for _, b in pairs for s in b}))
    quiet_o = np.array([is_pause(s) for s in symbols], dtype=bool)
    quiet_l = np.array([is_silence(s) for s in labels], dtype=bool)
    allowed = quiet_o[:, None] == quiet_l[None, :]
    so, sl = {s: i for i, s in enumerate(symbols)}, {s: i for i, s in enumerate(labels)}
    counts = np.zeros((len(symbols), len(labels)))
    for ours, theirs in pairs:
        # Positions without pauses, which are often on one side only and would shift the diagonal.
        o = np.array([so[s] for s in ours if not is_pause(s)], dtype=np.int64)
        t = np.array([sl[s] for s in theirs if not is_silence(s)], dtype=np.int64)
        if len(o) and len(t):
            away = (np.arange(len(o))[:, None] + 0.5) * len(t) / len(o) - (np.arange(len(t)) + 0.5)
            np.add.at(counts, (o[:, None], t[None, :]), np.exp(-0.5 * (away / 3.0) ** 2))
    total = counts.sum(1, keepdims=True)
    drops = 0.1 * total[:, 0] + 1e-3
    audible = np.array([0.05 if s.isspace() or s == "|" else 0.8 for s in symbols])
    counts[np.ix_(quiet_o, quiet_l)] = (audible[quiet_o] / max(1, quiet_l.sum()))[:, None]
    drops[quiet_o] = 1 - audible[quiet_o]
    extras, places = np.full(len(labels), 0.002), 1.0
    c = _normalise(symbols, labels, counts, drops, extras, places, allowed, smoothing=1e-6)
    for _ in range(iterations):
        counts, drops, extras = np.zeros_like(counts), np.zeros(len(symbols)), np.zeros(len(labels))
        places = 0.0
        for _, x in _batches(pairs, c):
            f, g = _forward(x, np.logaddexp), _backward(x)
            z = g[0, :, 0]
            n, m = x.s.shape[1:]
            i, j = np.arange(n)[:, None], np.arange(m)[None, :]
            ok = (i < x.n[:, None, None]) & (j < x.m[:, None, None])
            post = f[i + j, :, i].transpose(2, 0, 1) + x.s + g[i + j + 2, :, i + 1].transpose(2, 0, 1)
            p = np.where(ok, np.exp(np.minimum(post - z[:, None, None], 0.0)), 0.0)
            np.add.at(counts, (x.o[:, :, None], x.l[:, None, :]), p)
            valid_o, valid_l = np.arange(n) < x.n[:, None], np.arange(m) < x.m[:, None]
            np.add.at(drops, x.o, np.where(valid_o, 1 - p.sum(2), 0.0).clip(0))
            np.add.at(extras, x.l, np.where(valid_l, 1 - p.sum(1), 0.0).clip(0))
            places += float((x.n + 1).sum())
        c = _normalise(symbols, labels, counts, drops, extras, places, allowed, smoothing=smoothing)
    return c


def _normalise(
    symbols: tuple[str, ...],
    labels: tuple[str, ...],
    counts: np.ndarray,
    drops: np.ndarray,
    extras: np.ndarray,
    places: float,
    allowed: np.ndarray,
    *,
    smoothing: float,
) -> Correspondence:
    counts = np.where(allowed, counts + smoothing, 0.0)
    drops = drops + smoothing
    total = counts.sum(1) + drops
    with np.errstate(divide="ignore"):
        take = np.where(allowed, np.log(counts / total[:, None]), _NEVER)
    extra = np.log((extras + smoothing) / (places + smoothing))
    # The silence at the start of each utterance has no symbol; it must not make other such silences likely.
    quiet = np.array([is_silence(s) for s in labels], dtype=bool)
    extra[quiet] = np.minimum(extra[quiet], np.log(1e-4))
    return Correspondence(symbols=symbols, labels=labels, take=take, drop=np.log(drops / total), extra=extra)
