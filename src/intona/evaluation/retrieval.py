"""Does a text vector retrieve its audio, and the audio its text? Recall at k among M, phoneme by phoneme.

A query is one phoneme token. Its gallery holds its counterpart and M - 1 others:

- `diff`: all of different phoneme types (tests identity);
- `sim`: all of the query's type, from other utterances (tests prosody: knowing the type gives k / M);
- `sim-spk`: as `sim`, and all of the query's speaker (knowing the speaker gives k / M);
- `sim-mix`: the queries of `sim-spk` with galleries drawn as for `sim`. The difference between the two is the
  contribution of the speaker's identity.

M is the same for all queries of a condition: `gallery`, or for `diff` the number of types if that is smaller.
A query whose type has fewer than M - 1 others is left out and counted. Ties get the worst rank, so that a
collapsed encoder scores 0. Intervals resample speakers as wholes if there are several, otherwise utterances.
The published figures do not state their M.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from intona.errors import UserError
from intona.evaluation.shares import share_interval
from intona.evaluation.stats import Interval

QUERIES = 4_000
CONDITIONS = ("diff", "sim", "sim-spk", "sim-mix")
DIRECTIONS = ("text-audio", "audio-text")
KNOWN = 20  # training utterances per speaker from which the baselines are computed


@dataclass(frozen=True, kw_only=True)
class Recall:
    """One figure: the share of queries whose counterpart is among the first k of M.

    Args:
        recall: with its interval; None if no query has a full gallery, and `why` states that.
        gallery: M. chance: k / M. queries: their number. left_out: tokens without a full gallery.
        hits: utterance -> (hits, queries), for paired tests: runs on one corpus with one seed have the same
            queries.
    """

    condition: str
    direction: str
    k: int
    gallery: int
    chance: float
    queries: int
    left_out: int
    recall: Interval | None
    hits: Mapping[str, tuple[int, int]]
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """N phoneme tokens: `text` and `audio` (N, D), and the phoneme, speaker and so on of each."""

    text: np.ndarray
    audio: np.ndarray
    phonemes: tuple[str, ...]
    speakers: tuple[str, ...]
    utterances: tuple[str, ...]
    neighbours: tuple[tuple[str, str], ...] = ()


def retrieval(
    text: np.ndarray,
    audio: np.ndarray,
    phonemes: Sequence[str],
    speakers: Sequence[str],
    utterances: Sequence[str],
    *,
    gallery: int = 64,
    ks: Sequence[int] = (1, 5, 10),
    directions: Sequence[str] = DIRECTIONS,
    seed: int = 0,
    queries: int = QUERIES,
) -> dict[str, Recall]:
    """ "R@1-sim text-audio" -> `Recall`, for each k, condition and direction.

    Args:
        text, audio: (N, D) vectors of the same N tokens, compared by cosine.
        gallery: M at most. queries: the most that are drawn, without replacement, by `seed`.

    Raises:
        UserError: shapes differ, a vector is not finite or of length 0, k is not below M.
    """
    text, audio = _unit(text, "text"), _unit(audio, "audio")
    n = len(text)
    if text.shape != audio.shape or not n:
        raise UserError(f"text {text.shape} and audio {audio.shape} must be the same N x D, N above 0")
    for name, labels in (("phonemes", phonemes), ("speakers", speakers), ("utterances", utterances)):
        if len(labels) != n:
            raise UserError(f"{len(labels)} {name} for {n} vectors")
    if gallery < 2 or not ks or min(ks) < 1 or queries < 1:
        raise UserError("a gallery has at least 2 items, k is at least 1, and queries is at least 1")
    phone, speaker, utterance = _codes(phonemes), _codes(speakers), _codes(utterances)
    clusters = speakers if len(set(speakers)) > 1 else utterances
    recalls: dict[str, Recall] = {}
    tokens = np.zeros(0, int)
    for number, condition in enumerate(CONDITIONS):
        rng = np.random.default_rng([seed, number])
        tokens, others, size, left_out = _galleries(
            condition, phone, speaker, utterance, gallery, queries, rng, tokens
        )
        for direction in directions:
            a, b = (text, audio) if direction == DIRECTIONS[0] else (audio, text)
            ranks = _ranks(a, b, tokens, others)
            for k in ks:
                recall, why, hits = None, "", np.zeros(0)
                if not len(tokens):
                    why = f"no token has {gallery - 1} others"
                elif k >= size:
                    why = f"k = {k} of M = {size} is always a hit"
                else:
                    hits = (ranks <= k).astype(float)
                    groups = [clusters[q] for q in tokens]
                    recall = share_interval(hits.tolist(), groups)
                recalls[f"R@{k}-{condition} {direction}"] = Recall(
                    condition=condition,
                    direction=direction,
                    k=k,
                    gallery=size,
                    chance=min(1.0, k / size),
                    queries=len(tokens),
                    left_out=left_out,
                    recall=recall,
                    hits=_by_utterance(hits, [utterances[int(q)] for q in tokens[: len(hits)]]),
                    why=why,
                )
    return recalls


def largest_galleries(
    phonemes: Sequence[str], speakers: Sequence[str], utterances: Sequence[str]
) -> dict[str, int]:
    """Condition -> the largest M for which there is a query; 1 if there is none for any M.

    Without `diff`, whose galleries have at most one item per phoneme type.
    """
    by_type = _largest(list(phonemes), utterances)
    by_speaker = _largest(list(zip(phonemes, speakers, strict=True)), utterances)
    return {"sim": by_type, "sim-spk": by_speaker, "sim-mix": by_speaker}


def _largest(groups: Sequence[Hashable], utterances: Sequence[str]) -> int:
    """1 + the largest number of tokens of a group that are in other utterances than one of its tokens."""
    within: dict[Hashable, Counter[str]] = {}
    for group, utterance in zip(groups, utterances, strict=True):
        within.setdefault(group, Counter())[utterance] += 1
    return 1 + max(count.total() - min(count.values()) for count in within.values())


def _by_utterance(hits: np.ndarray, utterances: Sequence[str]) -> dict[str, tuple[int, int]]:
    out: dict[str, tuple[int, int]] = {}
    for hit, name in zip(hits, utterances, strict=True):
        hits_before, queries = out.get(name, (0, 0))
        out[name] = (hits_before + int(hit), queries + 1)
    return out


def known_means(known: np.ndarray, labels: Sequence[Hashable], queries: Sequence[Hashable]) -> np.ndarray:
    """(N, D) baseline queries that depend on a label and nothing else: use them in place of `text`.

    Each is the mean of the known vectors with its label, or of all of them if none has it. With speakers as
    labels this is what knowing the speaker gives, with (speaker, phoneme) what knowing both gives.

    Args:
        known: (K, D) audio vectors of *other* utterances than the queries: a mean that contains the items of
            a gallery favours the wrong ones. labels: (K,) their labels. queries: (N,) labels of the queries.
    """
    known = _unit(known, "known audio")
    codes = _codes(labels)
    sums = np.zeros((codes.max() + 1, known.shape[1]))
    np.add.at(sums, codes, known)
    rows = dict(zip(labels, codes.tolist(), strict=True))
    sums = np.concatenate([sums, known.sum(0)[None]])  # the last row: everything
    return sums[[rows.get(label, -1) for label in queries]]


def context_means(
    known: np.ndarray,
    labels: Sequence[Sequence[Hashable]],
    queries: Sequence[Sequence[Hashable]],
    *,
    strength: float = 1.0,
) -> np.ndarray:
    """(N, D) baseline queries that know a phoneme and its neighbours: use them in place of `text`.

    Each is the mean of the known vectors with the query's label, shrunk towards that of the next wider label
    as if `strength` vectors had been there: (sum + strength * wider mean) / (count + strength). So a context
    that training has once counts half, and one that it never has is the wider mean.

    Args:
        known: (K, D) audio vectors of *other* utterances than the queries.
        labels: from wide to narrow, (K,) each, such as phoneme, phoneme and next, triphone. Each label
            belongs to one wider one. queries: the same of the N queries.
    """
    known = _unit(known, "known audio")
    means = np.repeat(known.mean(0)[None], len(queries[0]), axis=0)
    for level, of in zip(labels, queries, strict=True):
        codes = _codes(level)
        sums = np.zeros((codes.max() + 2, known.shape[1]))  # the last row: labels that are not known
        np.add.at(sums, codes, known)
        counts = np.bincount(codes, minlength=len(sums))
        rows = dict(zip(level, codes.tolist(), strict=True))
        at = [rows.get(label, -1) for label in of]
        means = (sums[at] + strength * means) / (counts[at] + strength)[:, None]
    return means


def _galleries(
    condition: str,
    phone: np.ndarray,
    speaker: np.ndarray,
    utterance: np.ndarray,
    gallery: int,
    queries: int,
    rng: np.random.Generator,
    before: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Query tokens (Q,), their other items (Q, M - 1), M, and the number of tokens without a full gallery.

    `before`: the queries of the previous condition, which `sim-mix` uses again.
    """
    n = len(phone)
    order = rng.permutation(n)
    if condition == "diff":
        types = phone.max() + 1
        size = int(min(gallery, types))
        if size < 2:
            return order[:0], np.zeros((0, 0), int), gallery, n
        by_type = [np.flatnonzero(phone == p) for p in range(types)]
        tokens = order[:queries]
        others = np.empty((len(tokens), size - 1), int)
        for row, q in enumerate(tokens):
            chosen = rng.permutation(np.delete(np.arange(types), phone[q]))[: size - 1]
            others[row] = [by_type[p][rng.integers(len(by_type[p]))] for p in chosen]
        return tokens, others, size, 0
    same_speaker = condition == "sim-spk"
    group = _codes(list(zip(phone.tolist(), speaker.tolist(), strict=True))) if same_speaker else phone
    members = [np.flatnonzero(group == g) for g in range(group.max() + 1)]
    selected, rows, left_out = [], [], 0
    for q in before if condition == "sim-mix" else order:
        pool = members[group[q]]
        pool = pool[utterance[pool] != utterance[q]]
        if len(pool) < gallery - 1:
            left_out += 1
        elif len(selected) < queries:
            selected.append(q)
            rows.append(rng.choice(pool, gallery - 1, replace=False))
    others = np.array(rows, int).reshape(len(selected), gallery - 1)
    return np.array(selected, int), others, gallery, left_out


def _ranks(a: np.ndarray, b: np.ndarray, tokens: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(Q,) rank of the counterpart, 1 = best; equal scores rank before it."""
    ranks = np.empty(len(tokens), int)
    for start in range(0, len(tokens), 256):
        q = tokens[start : start + 256]
        counterpart = np.einsum("qd,qd->q", a[q], b[q])
        rest = np.einsum("qd,qmd->qm", a[q], b[others[start : start + 256]])
        # Products of equal vectors may differ in their last bits.
        ranks[start : start + 256] = 1 + (rest >= counterpart[:, None] - 1e-9).sum(1)
    return ranks


def _unit(vectors: np.ndarray, name: str) -> np.ndarray:
    vectors = np.asarray(vectors, np.float64)
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise UserError(f"{name} vectors must be N x D and finite")
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    if (length == 0).any():
        raise UserError(f"{int((length == 0).sum())} {name} vectors are all zeros")
    return vectors / length


def _codes(labels: Sequence[Hashable]) -> np.ndarray:
    names: dict[Hashable, int] = {}
    return np.array([names.setdefault(x, len(names)) for x in labels], int)
