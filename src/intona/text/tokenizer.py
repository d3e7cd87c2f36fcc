"""Symbols to ids and back: phoneme and BPE tokenizers with one interface, stored as one JSON file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from intona import config
from intona.errors import UserError

PAD, UNK = "<pad>", "<unk>"
MAX_BYTES = 64 << 20
MAX_PIECES = 1_000_000


@dataclass(frozen=True)
class Encoded:
    """Ids of a text, and the symbols that are not in the vocabulary (in order, with repetitions)."""

    ids: list[int]
    unknown: list[str]


@runtime_checkable
class Tokenizer(Protocol):
    """The interface of tokenizers; id 0 is padding, id 1 is any unknown symbol."""

    kind: ClassVar[str]
    frontend: dict[str, Any]

    def __len__(self) -> int: ...
    def encode(self, symbols: Any) -> Encoded: ...
    def decode(self, ids: Iterable[int]) -> Any: ...
    def save(self, path: str | Path) -> None: ...


class _Saved:
    pad_id, unk_id = 0, 1
    kind: ClassVar[str]
    frontend: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        raise NotImplementedError

    def save(self, path: str | Path) -> None:
        """Write one JSON file, atomically."""
        config.write_json(Path(path), self.to_json())


class PhonemeTokenizer(_Saved):
    """One id per phoneme symbol (phones, " ", punctuation)."""

    kind = "phoneme"

    def __init__(self, symbols: Sequence[str], *, frontend: dict[str, Any] | None = None) -> None:
        self.symbols = tuple(symbols)
        self.frontend = dict(frontend or {})
        if self.symbols[:2] != (PAD, UNK):
            raise UserError(f"the vocabulary must start with {PAD} and {UNK}", where="tokenizer")
        self._ids = {s: i for i, s in enumerate(self.symbols)}
        if len(self._ids) != len(self.symbols):
            raise UserError("a symbol is in the vocabulary twice", where="tokenizer")

    @classmethod
    def build(
        cls, sequences: Iterable[Sequence[str]], *, frontend: dict[str, Any] | None = None
    ) -> PhonemeTokenizer:
        """The vocabulary of all symbols in the sequences, in code-point order."""
        seen: set[str] = set()
        for sequence in sequences:
            seen.update(sequence)
        seen -= {PAD, UNK}
        return cls((PAD, UNK, *sorted(seen)), frontend=frontend)

    def __len__(self) -> int:
        return len(self.symbols)

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._ids

    def encode(self, symbols: Sequence[str]) -> Encoded:
        """One id per symbol; an unknown one gets `unk_id` and is reported."""
        ids = [self._ids.get(s, self.unk_id) for s in symbols]
        return Encoded(ids, [s for s, i in zip(symbols, ids, strict=True) if i == self.unk_id])

    def decode(self, ids: Iterable[int]) -> tuple[str, ...]:
        """Symbols of the ids without padding; `<unk>` for an id outside the vocabulary."""
        n = len(self.symbols)
        return tuple(self.symbols[i] if 0 <= i < n else UNK for i in map(int, ids) if i != self.pad_id)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "version": 1, "vocabulary": list(self.symbols), "frontend": self.frontend}

    @classmethod
    def from_json(cls, value: dict[str, Any], *, where: object) -> PhonemeTokenizer:
        symbols = value.get("vocabulary")
        if not isinstance(symbols, list) or not all(isinstance(s, str) and s for s in symbols):
            raise UserError('"vocabulary" is not a list of symbols', where=where)
        try:
            return cls(symbols, frontend=value["frontend"])
        except UserError as e:
            raise UserError(e.what, where=where) from None


# Texts are never truncated, padded or enclosed in special tokens, whatever the file says.
BARE = {"post_processor": None, "padding": None, "truncation": None}


class BpeTokenizer(_Saved):
    """Byte-pair pieces of plain text (lower case, no stress marks), trained on the data.

    Words are separated first, so a piece never crosses a word and has no leading space.
    """

    kind = "bpe"

    def __init__(self, model: dict[str, Any], *, frontend: dict[str, Any] | None = None) -> None:
        from tokenizers import Tokenizer as Hf

        self._hf = Hf.from_str(json.dumps(model | BARE))
        self.frontend = dict(frontend or {})
        if self._hf.token_to_id(PAD) != 0 or self._hf.token_to_id(UNK) != 1:
            raise UserError(f"the vocabulary must start with {PAD} and {UNK}", where="tokenizer")

    @classmethod
    def train(
        cls, texts: Iterable[str], *, size: int = 1000, frontend: dict[str, Any] | None = None
    ) -> BpeTokenizer:
        """Train on texts (`Utterance.plain`).

        Args:
            size: number of pieces, including special ones and single characters; small data may give fewer.

        Raises:
            UserError: more than MAX_PIECES, for which memory would be allocated at once.
        """
        if size > MAX_PIECES:
            raise UserError(f"{size} text pieces, more than the {MAX_PIECES} allowed")
        from tokenizers import Regex, models, normalizers, pre_tokenizers, trainers
        from tokenizers import Tokenizer as Hf

        hf = Hf(models.BPE(unk_token=UNK, fuse_unk=False))
        hf.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])  # type: ignore[assignment]
        hf.pre_tokenizer = pre_tokenizers.Sequence(  # type: ignore[assignment]
            [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(r"[,.!?:;—…]"), "isolated")]
        )
        trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=[PAD, UNK], show_progress=False)
        hf.train_from_iterator(texts, trainer)
        return cls(json.loads(hf.to_str()), frontend=frontend)

    def __len__(self) -> int:
        return self._hf.get_vocab_size()

    def encode(self, symbols: str) -> Encoded:
        """Pieces of a text; characters that were not in the training data get `unk_id` and are reported."""
        e = self._hf.encode(symbols)
        unknown = [symbols[a:b] for i, (a, b) in zip(e.ids, e.offsets, strict=True) if i == self.unk_id]
        return Encoded(list(e.ids), unknown)

    def words(self, words: Sequence[str]) -> list[Encoded]:
        """Pieces of each word, which are exactly those of the whole text: no piece crosses a word."""
        out = []
        for word, e in zip(words, self._hf.encode_batch(list(words)), strict=True):
            unknown = [word[a:b] for i, (a, b) in zip(e.ids, e.offsets, strict=True) if i == self.unk_id]
            out.append(Encoded(list(e.ids), unknown))
        return out

    def decode(self, ids: Iterable[int]) -> tuple[str, ...]:
        """Pieces of the ids without padding."""
        return tuple(self._hf.id_to_token(i) or UNK for i in map(int, ids) if i != self.pad_id)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "version": 1,
            "model": json.loads(self._hf.to_str()),
            "frontend": self.frontend,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any], *, where: object) -> Self:
        if not isinstance(value.get("model"), dict):
            raise UserError('"model" is missing', where=where)
        try:
            tokenizer = cls(value["model"], frontend=value["frontend"])
            if max(tokenizer._hf.get_vocab().values()) >= len(tokenizer):
                raise UserError("its ids have gaps")
            tokenizer.encode("a щ 1 \ufffd")  # a model without an unknown piece fails here, not later
            return tokenizer
        except UserError as e:
            raise UserError(e.what, where=where) from None
        except ImportError:
            raise
        except Exception as e:  # `tokenizers` raises plain Exception
            raise UserError(f"not a BPE model ({e})", where=where) from None


class PublishedPieces(BpeTokenizer):
    """The tokenizer of a published text model (`tokenizer.json`), without its special tokens around a text.

    The id of unknown text is that of the published vocabulary. Padding is 0, which a mask hides.
    """

    kind = "published"

    def __init__(self, model: dict[str, Any], *, frontend: dict[str, Any] | None = None) -> None:
        from tokenizers import Tokenizer as Hf

        self._hf = Hf.from_str(json.dumps(model | BARE))
        self.frontend = dict(frontend or {})
        unknown = self.id_of(str((model.get("model") or {}).get("unk_token")))
        if unknown is None:
            raise UserError("the vocabulary has no piece for unknown text", where="tokenizer")
        self.unk_id = unknown

    def id_of(self, piece: str) -> int | None:
        return self._hf.token_to_id(piece)


_KINDS: dict[str, type[PhonemeTokenizer] | type[BpeTokenizer]] = {
    PhonemeTokenizer.kind: PhonemeTokenizer,
    BpeTokenizer.kind: BpeTokenizer,
    PublishedPieces.kind: PublishedPieces,
}


def load_tokenizer(path: str | Path) -> PhonemeTokenizer | BpeTokenizer:
    """Read a tokenizer saved by `save`.

    Raises:
        UserError: unreadable, corrupted or of an unknown kind.
    """
    value = config.read_json(Path(path), max_bytes=MAX_BYTES)
    if not isinstance(value, dict) or str(value.get("kind")) not in _KINDS:
        raise UserError(
            "not a tokenizer file", where=path, hint="prepare the data again, or fetch the file again"
        )
    if value.get("version") != 1:
        raise UserError(f"tokenizer version {value.get('version')!r} is not known", where=path)
    if not isinstance(value.get("frontend"), dict):
        raise UserError('"frontend" is missing', where=path)
    return _KINDS[value["kind"]].from_json(value, where=path)
