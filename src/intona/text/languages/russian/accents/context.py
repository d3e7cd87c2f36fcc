"""Which of two readings a homograph has: a small BERT (Devlin et al. 2019) on its context, in NumPy.

Three layers of width 312 (the shape and vocabulary of rubert-tiny2) read the text around the word, which
stands between two marks. A perceptron on the state of the first mark and the mean state of the word chooses
the reading.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8
from safetensors import safe_open

PAD, UNKNOWN, BEGIN, END, MARK, END_MARK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[HOMO]", "[/HOMO]"
SPECIAL = (PAD, UNKNOWN, BEGIN, END, MARK, END_MARK)
LAYERS, HEADS, WIDTH, BITS = 3, 12, 312, 5
MAX_WORD = 100  # characters; a longer word is unknown
_TOKEN = re.compile(r"[^\W_]+|[.,!?\-]")
_LAYER_NORM_EPS = 1e-12

Array = np.ndarray
States = Float[Array, "batch tokens width"]


class ContextNetwork:
    """Chooses the reading of homographs.

    Args:
        folder: the model, as `scripts/convert_silero.py` writes it. Its embeddings stay on disk: a sentence
            needs some dozens of their 62,000 rows.
    """

    def __init__(self, folder: Path) -> None:
        pieces = gzip.decompress((folder / "pieces.txt.gz").read_bytes()).decode().split("\n")
        self._ids = {piece: i for i, piece in enumerate(pieces)}
        self._file = safe_open(folder / "context.safetensors", framework="np")
        names = [k for k in self._file.keys() if k != "embeddings.packed"]  # noqa: SIM118
        self._weights = {k: _single(self._file.get_tensor(k)) for k in names}
        self._rows = self._file.get_slice("embeddings.packed")

    def __call__(self, contexts: Sequence[tuple[str, str, str]]) -> list[int]:
        """0 or 1 for each (text before, homograph, text after), which are of one text."""
        ids, marks = self._padded([self._tokens(*c) for c in contexts])
        rows = zip(self._states(ids), marks, strict=True)
        features = [np.concatenate([s[a], s[a + 1 : b].mean(axis=0)]) for s, (a, b) in rows]
        hidden = np.maximum(self._linear("classifier.0", np.stack(features)), 0)
        return [int(x > 0) for x in self._linear("classifier.1", hidden)[:, 0]]

    def _tokens(self, before: str, word: str, after: str) -> list[int]:
        marked = [MARK, *self._pieces(word), END_MARK]
        return [self._ids[p] for p in (BEGIN, *self._pieces(before), *marked, *self._pieces(after), END)]

    def _pieces(self, text: str) -> list[str]:
        return [piece for word in _TOKEN.findall(text) for piece in word_pieces(word, self._ids)]

    def _padded(self, rows: list[list[int]]) -> tuple[Int[Array, "batch tokens"], list[tuple[int, int]]]:
        """Rows of one length and the places of the marks. silero-stress attends to the padding, too."""
        longest = max(map(len, rows))
        ids = np.array([row + [self._ids[PAD]] * (longest - len(row)) for row in rows])
        return ids, [(row.index(self._ids[MARK]), row.index(self._ids[END_MARK])) for row in rows]

    def _embeddings(self, ids: Int[Array, " unique"]) -> Float[Array, "unique width"]:
        """Rows of the table: integers of five bits, and the few that need eight as a list."""
        packed = np.concatenate([self._rows[i : i + 1] for i in ids.tolist()])
        values = unpack(packed).astype(np.float32)
        places, exact = self._weights["embeddings.places"], self._weights["embeddings.values"]
        for row, i in enumerate(ids.tolist()):
            first, last = np.searchsorted(places, [i * WIDTH, (i + 1) * WIDTH])
            values[row, places[first:last] - i * WIDTH] = exact[first:last]
        scale, zero = self._weights["embeddings.scale_zero"]
        return scale * (values - zero)

    def _states(self, ids: Int[Array, "batch tokens"]) -> States:
        unique, places = np.unique(ids, return_inverse=True)
        x = self._embeddings(unique)[places.reshape(ids.shape)]
        x = self._norm("embeddings.norm", x + self._weights["embeddings.positions"][: ids.shape[1]])
        for i in range(LAYERS):
            x = self._norm(f"{i}.attention.norm", x + self._attention(f"{i}.attention", x))
            x = self._norm(f"{i}.norm", x + self._linear(f"{i}.output", gelu(self._linear(f"{i}.inner", x))))
        return x

    def _attention(self, name: str, x: States) -> States:
        batch, tokens, width = x.shape
        heads = self._linear(f"{name}.query_key_value", x).reshape(batch, tokens, 3, HEADS, width // HEADS)
        q, k, v = heads.transpose(2, 0, 3, 1, 4)
        scores = q @ k.swapaxes(-1, -2) / np.sqrt(np.float32(width // HEADS))
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ v
        return self._linear(f"{name}.output", mixed.swapaxes(1, 2).reshape(batch, tokens, width))

    def _linear(self, name: str, x: Float[Array, "... inputs"]) -> Float[Array, "... outputs"]:
        return x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _norm(self, name: str, x: Float[Array, "... width"]) -> Float[Array, "... width"]:
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt(variance + np.float32(_LAYER_NORM_EPS))
        return scaled * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]


def _single(weight: Array) -> Array:
    return weight.astype(np.float32) if weight.dtype == np.float16 else weight


def word_pieces(word: str, known: dict[str, int]) -> list[str]:
    """The longest known pieces of a word from its start on; "##" marks those inside it (WordPiece)."""
    pieces: list[str] = []
    start = 0
    while start < len(word) <= MAX_WORD:
        prefix = "##" if start else ""
        ends = range(len(word), start, -1)
        end = next((e for e in ends if prefix + word[start:e] in known), None)
        if end is None:
            return [UNKNOWN]
        pieces.append(prefix + word[start:end])
        start = end
    return pieces or [UNKNOWN]


def pack(values: Int[Array, "rows width"], low: int) -> UInt8[Array, "rows bytes"]:
    """Integers from `low` to `low + 31` as five bits each."""
    bits = (values - low)[..., None] >> np.arange(BITS)[::-1] & 1
    return np.packbits(bits.reshape(len(values), -1).astype(np.uint8), axis=1)


def unpack(packed: UInt8[Array, "rows bytes"]) -> Int[Array, "rows width"]:
    bits = np.unpackbits(packed, axis=1).reshape(len(packed), -1, BITS)
    return bits @ (1 << np.arange(BITS)[::-1])


def gelu(x: Array) -> Array:
    """x Φ(x) (Hendrycks & Gimpel 2016).

    The error function is formula 7.1.26 of Abramowitz & Stegun (1964), with an error of at most 1.5e-7.
    """
    z = np.abs(x) * np.float32(1 / np.sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = np.float32(0)
    for c in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(c)) * t
    erf = np.copysign(1 - series * np.exp(-z * z), x)
    return x * (1 + erf) / 2
