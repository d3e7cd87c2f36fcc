"""Stage 1, `prosody.mlm`: masked language modelling of the text encoder's two streams, on text alone."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from intona import config as configs
from intona.data.pieces import Text, padded, text_of
from intona.data.prepared import Prepared
from intona.data.samplers import DurationBatchSampler
from intona.encoders.dual_stream import DualStreamConfig
from intona.encoders.mlm import MaskConfig, MaskedModel, mask_text
from intona.errors import UserError
from intona.nn.losses import Losses
from intona.nn.random import derive_seed
from intona.systems.encoder.pretrain import bpe_of, encoder_files, read_texts, text_paths, texts_of
from intona.text import BpeTokenizer, PhonemeTokenizer
from intona.training.loop import LoopConfig
from intona.training.optim import OptimConfig
from intona.training.stage import Request, Setup, Stage
from intona.training.task import Batches, Task
from intona.training.text_encoder import start_encoder

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class MlmRun:
    """A whole run.

    `texts`: text files beside the texts of the corpus (a file, a list, or a directory of *.txt), in the
    language `language` ("" = the corpus's); `texts_fingerprint` is filled in. `pieces`: size of the BPE
    vocabulary.
    `max_tokens` bounds the phonemes of a batch with padding.
    """

    stage: str = "prosody.mlm"
    size: str = "small"
    corpus: str = ""
    init: str = ""
    texts: str | tuple[str, ...] = ()
    texts_fingerprint: str = ""
    language: str = ""
    pieces: int = 1000
    max_tokens: int = 8000
    max_items: int | None = None
    mask: MaskConfig = field(default_factory=MaskConfig)
    model: DualStreamConfig = field(default_factory=DualStreamConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)

    def __post_init__(self) -> None:
        configs.at_least(self, pieces=1, max_tokens=1, max_items=1)


def paper() -> MlmRun:
    """75,000 steps (published), widths of the authors' earlier code, 27 M parameters; the rest is ours.

    Command: `intona train prosody.mlm --size paper --data DATA --texts TEXTS --output RUN`. Batches of 192
    sentences at most. The paper takes a corpus of Russian dialogues; a corpus of an hour has too little text
    for this size. Cost: days on two CPU cores; meant for a GPU.
    """
    return MlmRun(
        size="paper",
        pieces=20_000,
        max_tokens=32_000,
        max_items=192,
        loop=LoopConfig(steps=75_000, save_every=2500, validate_every=2500),
        optim=OptimConfig(
            lr=2e-4, betas=(0.9, 0.98), weight_decay=0.01, warmup=3000, schedule="cosine", final=0.05
        ),
    )


def small() -> MlmRun:
    """5.7 M parameters in the encoder (width 128).

    Command: `intona train prosody.mlm --size small --data DATA --texts TEXTS --output RUN`. Cost: 1.1 s of
    one CPU core per step of 40 sentences, about an hour in all. A corpus of an hour alone is seen 200 times:
    bring more text.
    """
    return MlmRun(
        size="small",
        max_tokens=4000,
        model=DualStreamConfig(dim=128, hidden=256, kernel=3),
        loop=LoopConfig(steps=3000, ema=0.999, save_every=250, validate_every=250),
        optim=OptimConfig(
            lr=5e-4, betas=(0.9, 0.98), weight_decay=0.01, warmup=200, schedule="cosine", final=0.05
        ),
    )


def toy() -> MlmRun:
    """0.3 M parameters, seconds: for tests and first tries."""
    base = small()
    return dataclasses.replace(
        base,
        size="toy",
        pieces=200,
        max_tokens=1000,
        model=toy_encoder(),
        loop=dataclasses.replace(base.loop, steps=60, log_every=10, validate_every=30, save_every=30),
        optim=dataclasses.replace(base.optim, lr=2e-3, warmup=10),
    )


def toy_encoder() -> DualStreamConfig:
    """The text encoder of all toy stages."""
    return DualStreamConfig(
        dim=32, heads=2, hidden=64, kernel=3, out=32, stream_layers=2, shared_layers=1, dropout=0.1
    )


SIZES = {"paper": paper, "small": small, "toy": toy}


@dataclass(frozen=True, kw_only=True)
class TextBatch:
    """Texts of a batch; masks are drawn from (seed, step, id) when the task sees them."""

    texts: list[Text]
    ids: list[str]
    device: str = "cpu"

    def to(self, device: torch.device | str) -> TextBatch:
        return dataclasses.replace(self, device=str(device))


class MlmTask(Task):
    """Both streams' masked losses."""

    def __init__(
        self, config: MlmRun, prepared: Prepared, tokenizer: PhonemeTokenizer, bpe: BpeTokenizer
    ) -> None:
        super().__init__()
        self.config, self.prepared, self.tokenizer, self.bpe = config, prepared, tokenizer, bpe
        self.model = MaskedModel(config.model)

    def forward(self, batch: TextBatch, step: int) -> Losses:
        n_tokens, n_pieces = self.config.model.n_tokens, self.config.model.n_pieces
        both = []
        for text, id in zip(batch.texts, batch.ids, strict=True):
            generator = torch.Generator().manual_seed(derive_seed(self.config.loop.seed, step, id))
            both.append(
                mask_text(text, self.config.mask, n_tokens=n_tokens, n_pieces=n_pieces, generator=generator)
            )
        parts = {}
        for stream, masked, targets in (
            ("phonemes", [b[0] for b in both], [t.tokens for t in batch.texts]),
            ("pieces", [b[1] for b in both], [t.pieces for t in batch.texts]),
        ):
            lengths = torch.tensor([len(t) for t in targets])
            parts |= self.model.parts(
                padded([ids for ids, _ in masked]).to(batch.device),
                lengths.to(batch.device),
                padded(targets).to(batch.device),
                padded([chosen for _, chosen in masked]).bool().to(batch.device),
                stream,
            )
        return Losses(parts=parts)

    def extra_files(self) -> dict[str, Any]:
        return encoder_files(self.config.model, self.tokenizer, self.bpe, self.prepared)


class TextFeed:
    """Batches of training texts by length, and the dev texts."""

    def __init__(
        self, train: dict[str, Text], dev: dict[str, Text], config: MlmRun, rank: int, world: int
    ) -> None:
        self.ids, self.texts = list(train), train
        self.dev = dev
        self.config = config
        self.sampler = self._sampler(list(train.values()), rank, world)

    def _sampler(
        self, texts: list[Text], rank: int = 0, world: int = 1, *, shuffle: bool = True
    ) -> DurationBatchSampler:
        return DurationBatchSampler(
            [len(t.tokens) for t in texts],
            max_frames=self.config.max_tokens,
            max_items=self.config.max_items,
            seed=self.config.loop.seed,
            rank=rank,
            world_size=world,
            shuffle=shuffle,
        )

    def _batch(self, ids: list[str], texts: dict[str, Text]) -> TextBatch:
        return TextBatch(texts=[texts[i] for i in ids], ids=ids)

    def next(self) -> TextBatch:
        return self._batch([self.ids[i] for i in next(self.sampler)], self.texts)

    def longest(self) -> TextBatch:
        return self._batch([self.ids[i] for i in self.sampler.longest_batch()], self.texts)

    def validation(self) -> Sequence[TextBatch]:
        ids = list(self.dev)
        if not ids:
            return ()
        plan = self._sampler(list(self.dev.values()), shuffle=False).one_epoch()
        return Batches(plan, lambda batch: self._batch([ids[i] for i in batch], self.dev))

    def seconds(self, batch: TextBatch) -> float:
        """Text has no seconds; phonemes stand for them, at the rate of fluent reading (12 per second)."""
        return sum(len(t.tokens) for t in batch.texts) / 12

    def state_dict(self) -> dict[str, Any]:
        return self.sampler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sampler.load_state_dict(state)


def _short(texts: dict[str, Text], config: MlmRun, which: str) -> dict[str, Text]:
    """Those that a batch can hold; the others are named."""
    long = [i for i, t in texts.items() if len(t.tokens) > config.max_tokens]
    if long:
        log.warning(
            f"{len(long)} {which} are left out: over {config.max_tokens} phonemes (--max_tokens); "
            f"first: {long[0]}"
        )
    return {i: t for i, t in texts.items() if len(t.tokens) <= config.max_tokens}


def setup(config: MlmRun, request: Request) -> Setup:
    """See `training.stage.Stage`."""
    prepared = Prepared.open(request.data)
    paths = text_paths(config.texts)
    more, fingerprint = read_texts(paths, prepared, config.language)
    tokenizer = PhonemeTokenizer.build(
        [prepared.tokenizer.symbols, *(u.phonemes for u in more)], frontend=prepared.tokenizer.frontend
    )
    bpe = bpe_of(request, prepared, config.pieces, more)
    config = dataclasses.replace(
        config,
        corpus=prepared.fingerprint,
        texts=tuple(p.name for p in paths),  # where they lie is not part of the run
        texts_fingerprint=fingerprint,
        model=config.model.sized(n_tokens=len(tokenizer), n_pieces=len(bpe)),
    )
    corpus, dev = (
        _short(texts_of(prepared, prepared.items(split), tokenizer, bpe), config, f"of the {split} texts")
        for split in ("train", "dev")
    )
    added = {f"text-{i}": text_of(u, tokenizer.encode(u.phonemes).ids, bpe) for i, u in enumerate(more)}
    extra = _short(added, config, "of --texts")
    texts = corpus | extra
    if not texts:
        raise UserError("no text to train on", where=request.data)
    return Setup(
        config=config,
        task=lambda: MlmTask(config, prepared, tokenizer, bpe),
        feed=lambda rank, world: TextFeed(texts, dev, config, rank, world),
        facts={
            "texts": f"{len(corpus)} of the corpus and {len(extra)} more",
            "phonemes": len(tokenizer),
            "pieces": len(bpe),
        },
        start=lambda task, source: start_encoder(task.model.encoder, source, tokenizer),
    )


STAGE = Stage(name="prosody.mlm", makes="encoder", sizes=SIZES, setup=setup)
