"""The Russian stress model of silero-stress 1.5 to the form this project ships, which needs no torch to run.

    pip download --no-deps silero-stress==1.5
    python scripts/convert_silero.py silero_stress-1.5-py3-none-any.whl models/stress-ru

Reads the wheel (or the bare `accentor.pt`), checks its SHA-256 and writes the weights, the word lists,
card.json and NOTICE.md. Nothing is trained. The large tables keep the integers that they are stored as: eight
bits, and in the context network five, with a list of the values that need more. The other weights of that
network become float16. Left out are 21,700 pieces of its vocabulary that Russian letters and punctuation
never need, and phrases that can match no text.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from intona import config as configs
from intona.errors import UserError
from intona.text.languages.russian.accents import context, homographs, words
from intona.text.languages.russian.silero import read_accentor

MEMBER = "silero_stress/data/accentor.pt"
SHA256 = "aecb207df9db34a079de2ba91edba2a9333839ad24de0cf17e7bc82424876786"
POSITIONS = 384  # two windows of 150 characters, a homograph and four marks
PUNCTUATION = (".", ",", "!", "?", "-")

CARD = {
    "name": "stress-ru",
    "kind": "stress",
    "language": "ru",
    "system": "silero-stress 1.5",
    "summary": "stress and ё of Russian words, homographs by context; runs in NumPy",
    "trained_on": "by its authors, on texts they do not name; not trained here",
    "licence": "MIT, Copyright (c) 2020-present Silero Team; NOTICE.md",
    "version": "1.5",
}

NOTICE = """# silero-stress, Russian

The model of the package [silero-stress](https://github.com/snakers4/silero-stress) 1.5 by the Silero Team.

Taken from the file `{member}` of the wheel on PyPI (SHA-256 of the file `{source}`).
Changed here by `scripts/convert_silero.py`: tables in five and eight bits and other weights in float16, in
safetensors; pieces of the vocabulary and phrases that Russian text never needs are left out. The program
that runs the model is written anew.

MIT License

Copyright (c) 2020-present Silero Team

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


def convert(source: Path, target: Path) -> None:
    """Convert one file.

    Raises:
        UserError: the file is another than the pinned one.
    """
    data = source.read_bytes()
    if zipfile.is_zipfile(source) and MEMBER in (archive := zipfile.ZipFile(source)).namelist():
        data = archive.read(MEMBER)
    digest = hashlib.sha256(data).hexdigest()
    if digest != SHA256:
        raise UserError(f"SHA-256 {digest}, expected {SHA256}", where=source)
    with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        file.write(data)
        file.flush()
        model = read_accentor(Path(file.name))
    target.mkdir(parents=True, exist_ok=True)
    _save(word_weights(model.accentor.model), target / "words.safetensors")
    _write(target / "exceptions.txt.gz", exceptions(model.accentor.exceptions))
    pieces, rows = vocabulary(model.homosolver.tokenizer.vocab)
    _write(target / "pieces.txt.gz", pieces)
    _save(context_weights(model.homosolver.model, rows), target / "context.safetensors")
    _write(target / "homographs.txt.gz", homograph_lines(model.homosolver))
    configs.write_json(target / "card.json", CARD)
    (target / "NOTICE.md").write_text(NOTICE.format(member=MEMBER, source=digest), encoding="utf-8")


def word_weights(model: Any) -> dict[str, np.ndarray]:
    """The table of n-grams, sorted by key, and the two perceptrons."""
    ngrams: dict[str, int] = {k: i for k, i in model.embedding.ngram_dict.items() if k not in ("UNK", "PAD")}
    keys = np.array([words.ngram_key(k) for k in ngrams], np.uint64)
    order = np.argsort(keys)
    vectors, scale_zero = _integers(model.embedding.weight, model)
    out = {
        "ngrams.keys": keys[order],
        "ngrams.vectors": vectors[np.array(list(ngrams.values()))[order]].astype(np.int8),
        "ngrams.scale_zero": scale_zero,
    }
    for name, perceptron in (("stress", model.stress_clf), ("yo", model.yo_clf)):
        state = {k: v.detach().numpy() for k, v in perceptron.state_dict().items()}
        out |= {f"{name}.{int(k.split('.')[0]) // 2}.{k.split('.')[1]}": v for k, v in state.items()}
    return out


def exceptions(places: dict[str, tuple[int, int]]) -> Iterable[str]:
    """Word and marked word of each exception; places are those of the stress and of ё, or -1."""
    for word, (stress, yo) in places.items():
        letters = word if yo < 0 else word[:yo] + "ё" + word[yo + 1 :]
        yield f"{word}\t{letters[:stress]}+{letters[stress:]}"


def vocabulary(known: dict[str, int]) -> tuple[list[str], list[int]]:
    """The pieces that a word of Russian letters can have, and their rows in the embedding.

    Only its first letter can be a capital.
    """
    usable = re.compile("[А-ЯЁа-яё][а-яё]*|##[а-яё]+")
    pieces = [*context.SPECIAL, *PUNCTUATION]
    pieces += [p for p in known if usable.fullmatch(p)]
    return pieces, [known[p] for p in pieces]


def context_weights(model: Any, rows: list[int]) -> dict[str, np.ndarray]:
    """The weights under the names of `ContextNetwork`."""
    bert = model.bert
    vectors, (scale, zero) = _integers(bert.embeddings.word_embeddings.weight, bert)
    vectors = vectors[rows]
    lows = range(-64, 64)
    inside = [int(((vectors >= low) & (vectors < low + 32)).sum()) for low in lows]
    low = lows[int(np.argmax(inside))]
    outside = np.flatnonzero((vectors < low) | (vectors >= low + 32))
    state = {k: v.detach().numpy() for k, v in model.state_dict().items()}
    types = state["bert.embeddings.token_type_embeddings.weight"][0]
    out = {
        "embeddings.positions": state["bert.embeddings.position_embeddings.weight"][:POSITIONS] + types,
        "embeddings.norm.weight": state["bert.embeddings.LayerNorm.weight"],
        "embeddings.norm.bias": state["bert.embeddings.LayerNorm.bias"],
    }
    for i in range(context.LAYERS):
        source = f"bert.encoder.layer.{i}."
        for part in ("weight", "bias"):
            three = [state[f"{source}attention.self.{n}.{part}"] for n in ("query", "key", "value")]
            out[f"{i}.attention.query_key_value.{part}"] = np.concatenate(three)
            for name, theirs in (
                ("attention.output", "attention.output.dense"),
                ("attention.norm", "attention.output.LayerNorm"),
                ("inner", "intermediate.dense"),
                ("output", "output.dense"),
                ("norm", "output.LayerNorm"),
            ):
                out[f"{i}.{name}.{part}"] = state[f"{source}{theirs}.{part}"]
    for i, theirs in enumerate((0, 3)):
        out |= {f"classifier.{i}.{part}": state[f"homo_clf.{theirs}.{part}"] for part in ("weight", "bias")}
    return {k: v.astype(np.float16) for k, v in out.items()} | {
        "embeddings.packed": context.pack(np.clip(vectors, low, low + 31), low),
        "embeddings.places": outside.astype(np.uint32),
        "embeddings.values": (vectors.reshape(-1)[outside] - low).astype(np.int16),
        "embeddings.scale_zero": np.array([scale, zero - low], np.float32),
    }


def homograph_lines(solver: Any) -> Iterable[str]:
    """A line for each homograph, with its phrases as they stand in the regular expressions of the model."""
    for word in dict.fromkeys([*solver.homodict, *solver.compiled_phrases]):
        pattern = solver.compiled_phrases.get(word)
        phrases = list(_phrases(word, pattern.pattern)) if pattern is not None else []
        variants = tuple(sorted(solver.homodict.get(word, ())))
        yield homographs.line(word, homographs.Homograph(variants, tuple(phrases)))


def _phrases(word: str, pattern: str) -> Iterable[tuple[str, str, str]]:
    mark = f"[HOMO] {word} [/HOMO]"
    for group in pattern.split("(?P<")[1:]:
        name, _, rest = group.partition(">")
        stress = next(i for i, c in enumerate(name) if c.isupper())
        body = rest[rest.index("(?:") + 3 : rest.rindex(r")(?![")]
        for phrase in body.split("|"):
            text = re.sub(r"\\(.)", r"\1", phrase)
            left, *right = text.split(mark)
            # With the word twice, or within a longer word, the phrase matches nothing.
            if len(right) == 1 and not _in_word(left[-1:]) and not _in_word(right[0][:1]):
                yield f"{name[:stress]}+{name[stress:].lower()}", left.lower(), right[0].lower()


def _in_word(character: str) -> bool:
    return character not in ("", " ")


def _integers(weight: Any, owner: Any) -> tuple[np.ndarray, np.ndarray]:
    """A table as the integers that it was stored as: weight = scale * (integer - zero)."""
    scale_zero = np.array([float(owner.scale), float(owner.zero_point)], np.float32)
    exact = weight.detach().numpy() / scale_zero[0] + scale_zero[1]
    integers = np.round(exact)
    if np.abs(integers - exact).max() > 1e-3 or np.abs(integers + 0.5).max() > 127.5:
        raise UserError("the table is not one of eight-bit integers", where=MEMBER)
    return integers.astype(np.int64), scale_zero


def _save(weights: dict[str, np.ndarray], file: Path) -> None:
    save_file({k: np.ascontiguousarray(v) for k, v in weights.items()}, file)
    file.chmod(0o644)


def _write(file: Path, lines: Iterable[str]) -> None:
    file.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: convert_silero.py WHEEL_OR_ARCHIVE OUTPUT_DIRECTORY")
    try:
        convert(Path(sys.argv[1]), Path(sys.argv[2]))
    except (UserError, OSError) as error:
        sys.exit(str(error))
