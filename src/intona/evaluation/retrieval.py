"""Does a text vector find its own audio, and the audio its text? Recall at k among M, phoneme by phoneme.

A query is one phoneme token; its gallery holds its own counterpart and M - 1 others:

- `diff`: all of different phoneme types (tests identity);
- `sim`: all of the query's type, from other utterances (tests prosody: type alone is worth k / M);
- `sim-spk`: as `sim`, all of the query's speaker too (speaker alone is worth k / M).

M is one for all queries of a condition: `gallery`, or the number of types for `diff` when that is smaller. A
query whose type has fewer than M - 1 others is left out and counted. Ties take the worst rank, so that a
collapsed encoder scores 0. Intervals resample utterances as wholes. The published figures do not say their M.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from intona.errors import UserError
from intona.evaluation.stats import Interval, ratio_interval

QUERIES = 4_000
CONDITIONS = ("diff", "sim", "sim-spk")
DIRECTIONS = ("text-audio", "audio-text")
MAX_BYTES = 1 << 32


@dataclass(frozen=True, kw_only=True)
class Recall:
    """One figure: the share of queries whose counterpart is among the first k of M.

    Args:
        recall: with its interval; None where no query has a full gallery, and `why` says so.
        gallery: M. chance: k / M. queries: how many were asked; left_out: tokens without a full gallery.
    """

    condition: str
    direction: str
    k: int
    gallery: int
    chance: float
    queries: int
    left_out: int
    recall: Interval | None
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """N phoneme tokens: `text` and `audio` (N, D), and for each its phoneme, speaker and utterance."""

    text: np.ndarray
    audio: np.ndarray
    phonemes: tuple[str, ...]
    speakers: tuple[str, ...]
    utterances: tuple[str, ...]


def retrieval(
    text: np.ndarray,
    audio: np.ndarray,
    phonemes: Sequence[Hashable],
    speakers: Sequence[Hashable],
    utterances: Sequence[Hashable],
    *,
    gallery: int = 64,
    ks: Sequence[int] = (1, 5, 10),
    seed: int = 0,
    queries: int = QUERIES,
    resamples: int = 10_000,
) -> dict[str, Recall]:
    """ "R@1-sim text-audio" -> `Recall`, for each k, condition and direction.

    Args:
        text, audio: (N, D) vectors of the same N tokens, compared by cosine.
        gallery: M, at most; queries: at most so many, drawn without replacement by `seed`.

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
        raise UserError("a gallery has at least 2 items, k is at least 1, and there is a query")
    phone, speaker, utterance = _codes(phonemes), _codes(speakers), _codes(utterances)
    found: dict[str, Recall] = {}
    for number, condition in enumerate(CONDITIONS):
        rng = np.random.default_rng([seed, number])
        asked, others, size, left_out = _galleries(
            condition, phone, speaker, utterance, gallery, queries, rng
        )
        for direction in DIRECTIONS:
            a, b = (text, audio) if direction == DIRECTIONS[0] else (audio, text)
            ranks = _ranks(a, b, asked, others)
            for k in ks:
                recall, why = None, ""
                if not len(asked):
                    why = f"no token has {gallery - 1} others"
                elif k >= size:
                    why = f"k = {k} of M = {size} is always a hit"
                else:
                    hits = (ranks <= k).astype(float)
                    groups = utterance[asked].tolist()
                    recall = ratio_interval(hits.tolist(), None, groups, resamples=resamples, seed=seed)
                found[f"R@{k}-{condition} {direction}"] = Recall(
                    condition=condition,
                    direction=direction,
                    k=k,
                    gallery=size,
                    chance=min(1.0, k / size),
                    queries=len(asked),
                    left_out=left_out,
                    recall=recall,
                    why=why,
                )
    return found


def speaker_only(
    audio: np.ndarray, speakers: Sequence[Hashable], utterances: Sequence[Hashable]
) -> np.ndarray:
    """(N, D) queries that know the speaker and nothing else: put them in the place of `text`.

    Each is the mean audio vector of the speaker's *other* utterances (of all other speakers' for one with a
    single utterance), so that no query has seen its own answer.
    """
    audio = _unit(audio, "audio")
    speaker, utterance = _codes(speakers), _codes(utterances)
    out = np.empty_like(audio)
    total = audio.sum(0)
    by_speaker = {s: audio[speaker == s].sum(0) for s in np.unique(speaker)}
    for u in np.unique(utterance):
        mine = utterance == u
        for s in np.unique(speaker[mine]):
            place = mine & (speaker == s)
            rest = by_speaker[s] - audio[place].sum(0)
            alone = int((speaker == s).sum()) == int(place.sum())
            out[place] = total - by_speaker[s] if alone else rest
    # One speaker with one utterance has no "other": all queries alike, which ties then bring to 0.
    out[np.linalg.norm(out, axis=1) < 1e-9] = 1.0
    return out


def read_embeddings(path: Path | str) -> Embeddings:
    """`text` and `audio` from a .npz (never pickled) or .safetensors file, labels from the .json beside it.

    The JSON has the lists `utterance`, `phoneme`, `speaker`, one entry a row.

    Raises:
        UserError: a file is missing or malformed, or a list has another length.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"larger than {MAX_BYTES >> 30} GiB", where=path)
        if path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            arrays: Any = load_file(path)
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as stored:
                arrays = {k: stored[k] for k in ("text", "audio") if k in stored}
        else:
            raise UserError("is neither .npz nor .safetensors", where=path)
    except UserError:
        raise
    except OSError as e:
        raise UserError(f"cannot be read ({e.strerror or type(e).__name__})", where=path) from None
    except Exception as e:  # two formats, each with its own kinds of error for a broken file
        raise UserError(f"cannot be read as vectors ({type(e).__name__})", where=path) from None
    labels_path = path.with_suffix(".json")
    try:
        labels = json.loads(labels_path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise UserError("is missing, or no JSON", where=labels_path) from None
    vectors = {}
    for name in ("text", "audio"):
        if name not in arrays or arrays[name].ndim != 2:
            raise UserError(f'holds no "{name}" of N x D', where=path)
        vectors[name] = np.asarray(arrays[name], np.float32)
    lists = {}
    for name in ("utterance", "phoneme", "speaker"):
        value = labels.get(name) if isinstance(labels, dict) else None
        if not isinstance(value, list) or len(value) != len(vectors["text"]):
            raise UserError(f'"{name}" must be a list of {len(vectors["text"])}', where=labels_path)
        lists[name] = tuple(str(x) for x in value)
    return Embeddings(
        **vectors, phonemes=lists["phoneme"], speakers=lists["speaker"], utterances=lists["utterance"]
    )


def _galleries(
    condition: str,
    phone: np.ndarray,
    speaker: np.ndarray,
    utterance: np.ndarray,
    gallery: int,
    queries: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Query tokens (Q,), their other items (Q, M - 1), M, and how many tokens have no full gallery."""
    n = len(phone)
    order = rng.permutation(n)
    if condition == "diff":
        types = phone.max() + 1
        size = int(min(gallery, types))
        if size < 2:
            return order[:0], np.zeros((0, 0), int), gallery, n
        tokens = [np.flatnonzero(phone == p) for p in range(types)]
        asked = order[:queries]
        others = np.empty((len(asked), size - 1), int)
        for row, q in enumerate(asked):
            chosen = rng.permutation(np.delete(np.arange(types), phone[q]))[: size - 1]
            others[row] = [tokens[p][rng.integers(len(tokens[p]))] for p in chosen]
        return asked, others, size, 0
    group = phone if condition == "sim" else _codes(list(zip(phone.tolist(), speaker.tolist(), strict=True)))
    members = [np.flatnonzero(group == g) for g in range(group.max() + 1)]
    asked, rows, left_out = [], [], 0
    for q in order:
        pool = members[group[q]]
        pool = pool[utterance[pool] != utterance[q]]
        if len(pool) < gallery - 1:
            left_out += 1
        elif len(asked) < queries:
            asked.append(q)
            rows.append(rng.choice(pool, gallery - 1, replace=False))
    return np.array(asked, int), np.array(rows, int).reshape(len(asked), gallery - 1), gallery, left_out


def _ranks(a: np.ndarray, b: np.ndarray, asked: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(Q,) rank of the counterpart, 1 = best; whatever scores as high stands before it."""
    ranks = np.empty(len(asked), int)
    for start in range(0, len(asked), 256):
        q = asked[start : start + 256]
        own = np.einsum("qd,qd->q", a[q], b[q])
        rest = np.einsum("qd,qmd->qm", a[q], b[others[start : start + 256]])
        # Equal vectors may differ in the last bits of their products.
        ranks[start : start + 256] = 1 + (rest >= own[:, None] - 1e-9).sum(1)
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
