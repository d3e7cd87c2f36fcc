"""Stress and ё of single words: a list of exceptions, then a network on letter n-grams."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from intona.text.symbols import RU_VOWELS, STRESS

MAX_NGRAM = 4
_SEPARATORS = re.compile(r"([\s.,!?;:<>=()/\\]+)")
_OTHER = re.compile("[^а-яё]")
_THRESHOLD = 0.5

Array = np.ndarray


class WordAccents:
    """Puts `+` before the stressed vowel of a word, and ё where it belongs, without its context.

    A word is the mean of the vectors of its n-grams of one to four letters; two perceptrons predict from it
    the stressed vowel and which letter е, if any, is ё.

    Args:
        weights: as `scripts/convert_silero.py` writes them, floats in float32.
        exceptions: word -> word with `+` and ё, for which the network is not used.
    """

    def __init__(self, weights: Mapping[str, Array], exceptions: Mapping[str, str]) -> None:
        self._exceptions = exceptions
        self._keys = weights["ngrams.keys"]
        self._vectors = weights["ngrams.vectors"]
        self._scale, self._zero = (float(x) for x in weights["ngrams.scale_zero"])
        self._stress, self._yo = (_layers(weights, name) for name in ("stress", "yo"))

    def __call__(self, words: Sequence[str]) -> list[str]:
        """The words, in order. A word that has a mark already keeps it."""
        return ["".join(self._part(p, last) for p, last in _parts(w)) for w in words]

    def _part(self, raw: str, clitic: bool) -> str:
        lower = raw.lower()
        letters = _OTHER.sub("", lower)
        if not letters or clitic or STRESS in raw:
            return raw
        if "ё" in lower:
            return "".join(STRESS + c if c in "ёЁ" else c for c in raw)
        if letters in self._exceptions:
            return _like(raw, self._exceptions[letters])
        vowels = [i for i, c in enumerate(lower) if c in RU_VOWELS]
        if not vowels:
            return raw
        vector = self._vector(letters)
        stress, stress_probability = _choice(self._stress, vector)
        yo, yo_probability = _choice(self._yo, vector)  # 0: no ё, k: the k-th letter е
        at = vowels[stress] if stress < len(vowels) else -1
        e_letters = [i for i, c in enumerate(lower) if c == "е"]
        if 0 < yo <= len(e_letters) and e_letters[yo - 1] == at and yo_probability > _THRESHOLD:
            raw = raw[:at] + ("ё" if raw[at].islower() else "Ё") + raw[at + 1 :]
        if len(vowels) == 1:
            at = vowels[0]
        elif stress_probability <= _THRESHOLD:
            at = -1
        return raw if at < 0 else raw[:at] + STRESS + raw[at:]

    def _vector(self, letters: str) -> Float[Array, " width"]:
        keys = ngram_keys(letters)
        at = np.searchsorted(self._keys, keys)
        at[at == len(self._keys)] = 0
        rows = self._vectors[at[self._keys[at] == keys]]
        # Every Cyrillic letter is a known n-gram, so that there is at least one row.
        mean = rows.sum(axis=0, dtype=np.int64) / len(rows)
        return (self._scale * (mean - self._zero)).astype(np.float32)


def ngram_keys(letters: str) -> Array:
    """The n-grams of `<letters>`, each as one integer: 16 bits per letter."""
    codes = np.array([ord(c) for c in f"<{letters}>"], np.uint64)
    keys, grams = [codes], codes
    for n in range(1, min(MAX_NGRAM, len(codes))):
        grams = (grams[:-1] << np.uint64(16)) | codes[n:]
        keys.append(grams)
    return np.concatenate(keys)


def ngram_key(ngram: str) -> int:
    return sum(ord(c) << (16 * i) for i, c in enumerate(reversed(ngram)))


def read_exceptions(file: Path) -> dict[str, str]:
    """One word with `+` and ё per line; the key is the word without them."""
    lines = gzip.decompress(file.read_bytes()).decode().split("\n")
    return {key: marked for key, marked in (line.split("\t") for line in lines if line)}


def _parts(word: str) -> list[tuple[str, bool]]:
    """(part, is the particle "-то") of a word: cut at punctuation and after hyphens."""
    out: list[tuple[str, bool]] = []
    for piece in _SEPARATORS.split(word):
        *first, last = piece.split("-")
        out += [(f"{p}-", False) for p in first]
        out.append((last, bool(first) and last == "то"))
    return out


def _like(raw: str, marked: str) -> str:
    """The marks of an exception in a word that may have capital letters and punctuation."""
    at = marked.index(STRESS)
    yo = marked.replace(STRESS, "").find("ё")
    if yo >= 0:
        raw = raw[:yo] + ("ё" if raw[yo].islower() else "Ё") + raw[yo + 1 :]
    return raw[:at] + STRESS + raw[at:]


def _layers(weights: Mapping[str, Array], name: str) -> list[tuple[Array, Array]]:
    numbers = sorted({int(k.split(".")[1]) for k in weights if k.startswith(f"{name}.")})
    return [(weights[f"{name}.{i}.weight"], weights[f"{name}.{i}.bias"]) for i in numbers]


def _choice(layers: list[tuple[Array, Array]], vector: Array) -> tuple[int, float]:
    """The most likely class of a perceptron with rectifiers, and its probability."""
    for i, (weight, bias) in enumerate(layers):
        vector = weight @ (np.maximum(vector, 0) if i else vector) + bias
    best = int(vector.argmax())
    return best, float(1 / np.exp(vector - vector[best]).sum())
