"""Stage `prosody.gradtts`: Grad-TTS on a prepared corpus."""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from intona import checkpoint
from intona import config as configs
from intona.data.batch import Batch
from intona.data.pieces import utterance_of
from intona.data.prepared import Prepared
from intona.encoders import pretrained
from intona.encoders.dual_stream import DualStreamEncoder
from intona.encoders.plain import PlainEncoderConfig
from intona.encoders.speaker import SpeakerVectors
from intona.encoders.speakers import vectors_of
from intona.errors import UserError
from intona.nn.losses import Losses
from intona.nn.random import ItemRandom
from intona.systems.gradtts import DecoderConfig, DurationConfig, GradTTS, GradTTSConfig
from intona.systems.gradtts.voice import GradTTSVoice
from intona.text import BpeTokenizer, PhonemeTokenizer, load_tokenizer
from intona.training.initial import Rows, built_as, start_from
from intona.training.loop import LoopConfig
from intona.training.mel_feed import MelFeed, mel_statistics
from intona.training.optim import OptimConfig
from intona.training.stage import fit_stage
from intona.training.task import Task
from intona.training.text_encoder import require_encoder, require_pieces, start_encoder, symbol_rows

DEMO_SENTENCES = 2


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A whole run.

    `corpus` is the fingerprint of the data, `alignment` that of its durations, `init` the model it started
    from ("" = random weights); `max_frames` bounds a batch with padding. `encoder` is the pretrained text
    encoder, whose weights are taken or, as a control, drawn anew ("random"); it learns at `encoder_rate` of
    the learning rate: 0 freezes it, and where none is said pretrained weights take 0.1, random ones 1 (ours).
    `only` names the one part that learns, such as "duration": all others stay as `init` brought them.
    """

    stage: str = "prosody.gradtts"
    size: str = "small"
    corpus: str = ""
    alignment: str = ""
    init: str = ""
    encoder: str = ""
    encoder_weights: Literal["pretrained", "random"] = "pretrained"
    encoder_rate: float | None = None
    only: Literal["", "encoder", "prior", "duration", "score"] = ""
    max_frames: int = 2400
    max_items: int | None = None
    model: GradTTSConfig = field(default_factory=GradTTSConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)

    def __post_init__(self) -> None:
        configs.at_least(self, max_frames=1, max_items=1, encoder_rate=0)
        if self.only == "encoder" and self.encoder_rate == 0:
            raise ValueError("only the encoder is to learn, and its rate is 0")


def paper() -> RunConfig:
    """Grad-TTS's own sizes: 14.8 M parameters, 2-D U-Net, MAS, blanks, 2 s windows, 1e-4, batch 16.

    Command: `intona train prosody.gradtts --size paper --data DATA --out RUN`. Cost: 1.7 M steps in the
    paper; on two CPU cores without bf16 308 steps an hour (docs/notebook/speed.md). Expected: MOS 4.38 on
    LJSpeech (paper).
    """
    return RunConfig(
        size="paper",
        max_frames=16 * 1600,
        max_items=16,
        loop=LoopConfig(steps=1_700_000, save_every=2000, validate_every=5000),
        optim=OptimConfig(lr=1e-4),
    )


def small() -> RunConfig:
    """6.5 M parameters, 1-D ConvNeXt score network, durations from the data, whole utterances.

    Command: `intona train prosody.gradtts --size small --data DATA --out RUN`. About 5,000 steps an hour on
    one CPU core. Figures: docs/notebook/voice-ru.md.
    """
    return RunConfig(
        size="small",
        max_frames=2400,
        model=GradTTSConfig(
            encoder=PlainEncoderConfig(layers=4, hidden=384),
            duration=DurationConfig(loss="gamma"),
            decoder=DecoderConfig(kind="convnext1d", dim=192, depth=8, expand=3, kernel=7, see_states=True),
            durations="data",
            add_blank=False,
            target="velocity",
            normalize=True,
            segment=0,
        ),
        loop=LoopConfig(steps=20_000, ema=0.999),
        optim=OptimConfig(
            lr=6e-4, betas=(0.9, 0.98), weight_decay=0.01, warmup=500, schedule="cosine", final=0.02
        ),
    )


def toy() -> RunConfig:
    """0.6 M parameters: trains in seconds, says nothing worth hearing. For tests and first tries."""
    base = small()
    return dataclasses.replace(
        base,
        size="toy",
        max_frames=1600,
        model=dataclasses.replace(
            base.model,
            encoder=PlainEncoderConfig(dim=64, layers=2, hidden=128),
            decoder=DecoderConfig(kind="convnext1d", dim=64, depth=2, expand=2, see_states=True),
        ),
        loop=dataclasses.replace(base.loop, steps=200, log_every=10, validate_every=100, save_every=100),
    )


SIZES = {"paper": paper, "small": small, "toy": toy}


class GradTTSTask(Task):
    """Grad-TTS with its losses; noise, times and windows belong to (seed, step, utterance)."""

    def __init__(
        self,
        config: RunConfig,
        prepared: Prepared,
        bpe: BpeTokenizer | None = None,
        speakers: SpeakerVectors | None = None,
    ) -> None:
        super().__init__()
        self.config, self.prepared, self.bpe = config, prepared, bpe
        self.model = GradTTS(config.model)
        self.model.set_statistics(*mel_statistics(prepared))
        if speakers is not None:
            means = np.stack([speakers.mean(i) for i in range(len(prepared.speakers))])
            self.model.set_voices(torch.from_numpy(means))
        for name, part in self.model.named_children():
            part.requires_grad_(self._learns(name))

    def _learns(self, part: str) -> bool:
        if self.config.only:
            return part == self.config.only
        return part != "encoder" or self.config.encoder_rate != 0

    def train(self, mode: bool = True) -> GradTTSTask:
        super().train(mode)
        for name, part in self.model.named_children():
            if not self._learns(name):
                part.eval()  # frozen: no dropout either
        return self

    def rates(self) -> dict[str, float]:
        rate = self.config.encoder_rate
        return {} if rate is None else {"model.encoder.": rate}

    def forward(self, batch: Batch, step: int) -> Losses:
        return self.model.losses(
            tokens=batch.tokens,
            token_lengths=batch.token_lengths,
            mels=batch.mels,
            mel_lengths=batch.mel_lengths,
            speakers=batch.speakers,
            durations=batch.durations,
            pieces=batch.pieces,
            random=ItemRandom(self.config.loop.seed, step, batch.ids),
        )

    def extra_files(self) -> dict[str, Any]:
        root = self.prepared.root
        read = {
            n: json.loads((root / n).read_text(encoding="utf-8")) for n in ("tokenizer.json", "features.json")
        }
        voices = {"speakers": list(self.prepared.speakers), "languages": list(self.prepared.languages)}
        if self.bpe is not None:
            read["bpe.json"] = self.bpe.to_json()
        return {**read, "stats.json": self.prepared.stats, "voices.json": voices}

    def demonstrate(self, out: Path, step: int) -> None:
        """The first dev sentences: wav and spectrogram, the same noise every time."""
        from intona.plots import spectrogram_of

        out.mkdir(parents=True, exist_ok=True)
        voice = GradTTSVoice(
            self.model,
            self.prepared.tokenizer,
            self.prepared.spec,
            speakers=self.prepared.speakers,
            bpe=self.bpe,
        )
        for item in self.prepared.items("dev")[:DEMO_SENTENCES]:
            audio = voice.speak([utterance_of(item)], speaker=self.prepared.speakers[item.speaker])[0]
            audio.write(out / f"{item.id}.wav")
            spectrogram_of(audio, out / f"{item.id}.png", title=f"{item.id}, step {step}")


def resolve(
    size: str,
    prepared: Prepared,
    overrides: dict[str, str],
    encoder: Path | None = None,
    init: Path | None = None,
) -> RunConfig:
    """The preset or the model of `init`, filled with what the corpus and an encoder say, and overridden."""
    config = built_as(SIZES[size](), init)
    require_encoder(config.model.encoder, encoder, init)
    if encoder is not None:
        sizes = dataclasses.replace(pretrained.config(encoder), n_tokens=len(prepared.tokenizer))
        # A blank belongs to no word: the dual-stream encoder does without.
        model = dataclasses.replace(config.model, add_blank=False, encoder=sizes)
        config = dataclasses.replace(config, encoder=checkpoint.identity_of(encoder), model=model)
    config = configs.override(config, overrides)
    if encoder is not None and config.encoder_rate is None:
        rate = 0.1 if config.encoder_weights == "pretrained" else 1.0
        config = dataclasses.replace(config, encoder_rate=rate)
    model = dataclasses.replace(
        config.model,
        n_tokens=len(prepared.tokenizer),
        n_speakers=len(prepared.speakers),
        n_mels=prepared.spec.n_mels,
    )
    if model.durations == "data":
        bare = [
            i.id for split in ("train", "dev") for i in prepared.items(split) if prepared.durations(i) is None
        ]
        if bare:
            raise UserError(
                f"{len(bare)} utterances have no phone durations (first: {bare[0]})",
                where=prepared.root,
                hint="run `intona align DATA` once, or train with --model.durations mas",
            )
    alignment = prepared.alignment if model.durations == "data" else ""
    return dataclasses.replace(config, corpus=prepared.fingerprint, alignment=alignment, model=model)


def start_from_voice(task: GradTTSTask, source: Path) -> None:
    """Weights of another voice; symbols and speakers are matched by name.

    The mel statistics stay the source's: its weights are scaled to them.
    """
    path, prepared = checkpoint.resolve(source), task.prepared
    voices = configs.read_json(path / "voices.json")
    before = _tokenizer(load_tokenizer(path / "tokenizer.json"), path).symbols
    now = _tokenizer(prepared.tokenizer, prepared.root).symbols
    speakers = Rows(before=voices["speakers"], now=prepared.speakers)
    rows = symbol_rows(before, now, blank=task.config.model.add_blank)
    rows |= {"model.speakers.weight": speakers, "model.voices": speakers}
    require_pieces(path, task.bpe)
    fresh = start_from(task, source, rows=rows)
    if fresh:
        print(f"{len(fresh)} symbols or speakers start anew: {' '.join(fresh[:20])}", file=sys.stderr)


def _tokenizer(tokenizer: object, where: Path) -> PhonemeTokenizer:
    if not isinstance(tokenizer, PhonemeTokenizer):
        raise UserError("a voice needs a phoneme tokenizer", where=where / "tokenizer.json")
    return tokenizer


def train(
    *,
    size: str,
    data: Path,
    out: Path,
    overrides: dict[str, str],
    limit_minutes: float | None,
    init: Path | None = None,
    encoder: Path | None = None,
    fabric: Any = None,
) -> Path:
    """See `intona.systems.train`."""
    prepared = Prepared.open(data)
    config = resolve(size, prepared, overrides, encoder, init)
    torch.manual_seed(config.loop.seed)
    bpe = None if encoder is None else pretrained.pieces(encoder)
    speakers = None
    if encoder is not None and getattr(config.model.encoder, "adaln", False):
        speakers = vectors_of(prepared, encoder)
    task = GradTTSTask(config, prepared, bpe, speakers)
    if encoder is not None and config.encoder_weights == "pretrained":
        assert isinstance(task.model.encoder, DualStreamEncoder)
        start_encoder(task.model.encoder, encoder, _tokenizer(prepared.tokenizer, prepared.root))
    return fit_stage(
        task,
        config,
        out,
        feed=lambda rank, world: MelFeed(
            prepared,
            seed=config.loop.seed,
            max_frames=config.max_frames,
            max_items=config.max_items,
            rank=rank,
            world=world,
            bpe=bpe,
        ),
        facts={"utterances": len(prepared.items("train"))},
        init=init,
        start=start_from_voice,
        limit_minutes=limit_minutes,
        fabric=fabric,
    )
