"""Text as the model reads and writes it: pieces that know where words begin, and how long pieces last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from intona.text.normalize import PUNCTUATION, joined, normalize, plain
from intona.text.tokenizer import BpeTokenizer, Encoded

START = "▁"  # before each word: the tokenizer cuts at spaces and would forget them


def marked(text: str) -> str:
    """Plain text with the start of each word marked: what the tokenizer is trained on and reads."""
    return " ".join(w if w[0] in PUNCTUATION else START + w for w in plain(text).lower().split())


def train_tokenizer(texts: Iterable[str], *, size: int, language: str) -> BpeTokenizer:
    """BPE pieces of normalized texts."""
    return BpeTokenizer.train(map(marked, texts), size=size, frontend={"language": language, "start": START})


def encode(tokenizer: BpeTokenizer, text: str) -> Encoded:
    """Pieces of a normalized text; characters that the model never saw are left out and reported."""
    encoded = tokenizer.encode(marked(text))
    return Encoded([i for i in encoded.ids if i != tokenizer.unk_id], encoded.unknown)


def read(tokenizer: BpeTokenizer, pieces: Iterable[int]) -> str:
    """The text of pieces."""
    return " ".join("".join(tokenizer.decode(pieces)).replace(START, " ").split())


def spoken(text: str, language: str) -> str:
    """Raw text as read aloud: numbers in words, signs unified.

    Raises:
        UserError: nothing that can be spoken.
    """
    return plain(joined(normalize(text, language)))


def character_frames(texts: Sequence[str], frames: Sequence[int], *, ridge: float = 20.0) -> dict[str, float]:
    """Expected mel frames of each character: least squares over utterances, drawn towards the mean.

    Punctuation gets its pauses and vowels their length, which the mean over all characters cannot give.

    Args:
        ridge: utterances' worth of belief in the mean.
    """
    rows = [Counter(marked(t).replace(" ", "")) for t in texts]
    alphabet = sorted(set().union(*rows))
    a = np.array([[row[ch] for ch in alphabet] for row in rows], dtype=np.float64)
    b = np.asarray(frames, dtype=np.float64)
    mean = b.sum() / a.sum()
    scale = a.sum() / len(a) / len(alphabet)
    left = a.T @ a + ridge * max(scale, 1e-9) * np.eye(len(alphabet))
    found = mean + np.linalg.solve(left, a.T @ (b - mean * a.sum(1)))
    return {ch: float(max(0.0, v)) for ch, v in zip(alphabet, found, strict=True)}


def piece_frames(tokenizer: BpeTokenizer, characters: dict[str, float]) -> np.ndarray:
    """(n_text,) expected frames of each piece; the special pieces take none."""
    out = np.zeros(len(tokenizer), dtype=np.float32)
    mean = float(np.mean(list(characters.values())))
    for i in range(2, len(tokenizer)):
        # decode() leaves the padding out, so that it cannot be asked for piece 0; the special ones stay 0.
        out[i] = sum(characters.get(ch, mean) for ch in tokenizer.decode([i])[0])
    return out
