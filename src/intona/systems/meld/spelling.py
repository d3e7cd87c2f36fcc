"""Text as the model reads and writes it: pieces that know where words begin, and how long pieces last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from intona.text.normalize import PUNCTUATION, plain
from intona.text.tokenizer import BpeTokenizer, Encoded

START = "▁"  # before each word: the tokenizer splits at spaces and does not keep them


def marked(text: str) -> str:
    """Plain text with the start of each word marked: what the tokenizer is trained on and reads."""
    return " ".join(w if w[0] in PUNCTUATION else START + w for w in plain(text).lower().split())


def train_tokenizer(texts: Iterable[str], *, size: int, language: str) -> BpeTokenizer:
    """BPE pieces of normalized texts."""
    return BpeTokenizer.train(map(marked, texts), size=size, frontend={"language": language, "start": START})


def encode(tokenizer: BpeTokenizer, text: str) -> Encoded:
    """Pieces of a normalized (or `marked`) text; characters never seen are left out and reported."""
    encoded = tokenizer.encode(text if START in text or text in PUNCTUATION else marked(text))
    return Encoded([i for i in encoded.ids if i != tokenizer.unk_id], encoded.unknown)


def read(tokenizer: BpeTokenizer, pieces: Iterable[int]) -> str:
    """The text of pieces."""
    return " ".join("".join(tokenizer.decode(pieces)).replace(START, " ").split())


def timed_parts(
    phonemes: Sequence[str], words: Sequence[tuple[str, int, int]], durations: Sequence[int] | np.ndarray
) -> list[tuple[str, float]]:
    """Words and signs as `marked` writes them, in spoken order, with their frames; no frame is left out.

    A space or a silence without a sign belongs to what stands before it, the first ones to the first word.

    Args:
        words: (text, start, end), half-open ranges into `phonemes`. durations: frames of each phoneme symbol.
    """
    owner = {i: (text, start) for text, start, end in words for i in range(start, end)}
    out: list[tuple[str, float]] = []
    before = 0.0
    for i, (symbol, n) in enumerate(zip(phonemes, map(float, durations), strict=True)):
        if i in owner:
            text, start = owner[i]
            if i == start:
                out.append((START + plain(text).lower(), 0.0))
        elif symbol in PUNCTUATION:
            out.append((symbol, 0.0))
        elif not out:
            before += n
            continue
        out[-1] = (out[-1][0], out[-1][1] + n + before)
        before = 0.0
    return out


def character_frames(
    texts: Sequence[str], frames: Sequence[float], *, ridge: float = 20.0
) -> dict[str, float]:
    """Expected mel frames of each character: least squares over texts, drawn towards the mean.

    Punctuation gets its pauses and vowels their length, which the mean over all characters cannot give.

    Args:
        texts: as `marked` writes them: utterances, or parts of them.
        ridge: weight of the mean, in texts.
    """
    rows = [Counter(t.replace(" ", "")) for t in texts]
    alphabet = sorted(set().union(*rows))
    a = np.array([[row[ch] for ch in alphabet] for row in rows], dtype=np.float64)
    b = np.asarray(frames, dtype=np.float64)
    mean = b.sum() / a.sum()
    scale = a.sum() / len(a) / len(alphabet)
    left = a.T @ a + ridge * max(scale, 1e-9) * np.eye(len(alphabet))
    estimates = mean + np.linalg.solve(left, a.T @ (b - mean * a.sum(1)))
    return {ch: float(max(0.0, v)) for ch, v in zip(alphabet, estimates, strict=True)}


def piece_frames(tokenizer: BpeTokenizer, characters: dict[str, float]) -> np.ndarray:
    """(n_text,) expected frames of each piece; the special pieces take none."""
    out = np.zeros(len(tokenizer), dtype=np.float32)
    mean = float(np.mean(list(characters.values())))
    for i in range(2, len(tokenizer)):
        # decode() skips the padding, piece 0; the special pieces stay 0.
        out[i] = sum(characters.get(ch, mean) for ch in tokenizer.decode([i])[0])
    return out
