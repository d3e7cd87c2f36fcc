"""Stage `prosody.gradtts`: Grad-TTS on a prepared corpus."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from intona import checkpoint
from intona import config as configs
from intona.data.batch import Batch
from intona.data.contours import CorpusContours
from intona.data.pieces import utterance_of
from intona.data.prepared import Prepared
from intona.encoders.plain import PlainEncoderConfig
from intona.encoders.speaker import SpeakerVectors
from intona.encoders.speakers import GE2E, vectors_by, vectors_of
from intona.errors import UserError
from intona.nn.losses import Losses
from intona.nn.random import ItemRandom
from intona.systems.gradtts import DecoderConfig, DurationConfig, GradTTS, GradTTSConfig, VarianceConfig
from intona.systems.gradtts.voice import GradTTSVoice
from intona.text import BpeTokenizer
from intona.training.initial import Rows, built_as, start_from
from intona.training.loop import LoopConfig
from intona.training.mel_feed import MelFeed, mel_statistics
from intona.training.optim import OptimConfig
from intona.training.stage import Request, Setup, Stage
from intona.training.task import Task
from intona.training.text_encoder import (
    pieces_for,
    require_pieces,
    require_width,
    symbol_rows,
    symbols_of,
    with_encoder,
    with_rate,
)

STATISTICS = ("pitch_mean", "pitch_std", "energy_mean", "energy_std")
log = logging.getLogger(__name__)
# What only a model of several speakers has.
SPEAKER_INPUTS = ("model.speakers", "model.encoder.speaker", "model.score.speaker", "model.variance.speaker")

DEMO_SENTENCES = 2


@dataclass(frozen=True, kw_only=True)
class GradTTSRun:
    """A whole run.

    `corpus` is the fingerprint of the data, `alignment` that of its durations, `init` the model it started
    from ("" = random weights); `max_frames` bounds a batch with padding. `encoder` is the pretrained text
    encoder, of which the weights are used or, as a control, drawn anew ("random"); it learns at
    `encoder_rate` of the learning rate: 0 freezes it, and the default is 0.1 for pretrained weights and 1 for
    random ones (ours). `only` names the one part that learns, such as "duration": all others stay as `init`
    has them. `anew` names a part that starts from random weights, whatever `init` has, such as "score" for
    another target. `expressive` is how often an utterance with a question or an exclamation occurs per epoch.
    """

    stage: str = "prosody.gradtts"
    size: str = "small"
    corpus: str = ""
    alignment: str = ""
    init: str = ""
    encoder: str = ""
    encoder_weights: Literal["pretrained", "random"] = "pretrained"
    encoder_rate: float | None = None
    only: Literal["", "encoder", "prior", "duration", "score", "variance"] = ""
    anew: Literal["", "duration", "score"] = ""
    expressive: int = 1
    max_frames: int = 2400
    max_items: int | None = None
    model: GradTTSConfig = field(default_factory=GradTTSConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)

    def __post_init__(self) -> None:
        configs.at_least(self, max_frames=1, max_items=1, encoder_rate=0, expressive=1)
        if self.only == "encoder" and self.encoder_rate == 0:
            raise ValueError("only the encoder is to learn, and its rate is 0")


def paper() -> GradTTSRun:
    """Grad-TTS's own sizes: 14.8 M parameters, 2-D U-Net, MAS, blanks, 2 s windows, 1e-4, batch 16.

    Command: `intona train prosody.gradtts --size paper --data DATA --output RUN`. Cost: 1.7 M steps in the
    paper; on two CPU cores without bf16 308 steps per hour (docs/notebook/speed.md). Expected: MOS 4.38 on
    LJSpeech (paper).
    """
    return GradTTSRun(
        size="paper",
        max_frames=16 * 1600,
        max_items=16,
        loop=LoopConfig(steps=1_700_000, save_every=2000, validate_every=5000),
        optim=OptimConfig(lr=1e-4),
    )


def small() -> GradTTSRun:
    """6.5 M parameters, 1-D ConvNeXt score network, durations from the data, whole utterances.

    Command: `intona train prosody.gradtts --size small --data DATA --output RUN`. About 5,000 steps per hour
    on one CPU core. Figures: docs/notebook/voice-ru.md.
    """
    return GradTTSRun(
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


def toy() -> GradTTSRun:
    """0.6 M parameters: trains in seconds, for tests and first tries; its speech is unintelligible."""
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


def steerable() -> GradTTSRun:
    """`small` with a variance adaptor, 7.4 M parameters: pitch and energy that can be steered.

    Command: `intona train prosody.gradtts --size steerable --data DATA --output RUN`. F0 is tracked once per
    corpus, some 40 times faster than real time on one core. Questions and exclamations, which are rare in
    read speech, occur four times per epoch.
    """
    base = small()
    return dataclasses.replace(
        base,
        size="steerable",
        expressive=4,
        model=dataclasses.replace(base.model, variance=VarianceConfig()),
    )


SIZES = {"paper": paper, "small": small, "steerable": steerable, "toy": toy}


class GradTTSTask(Task):
    """Grad-TTS with its losses; noise, times and windows follow from (seed, step, utterance)."""

    def __init__(
        self,
        config: GradTTSRun,
        prepared: Prepared,
        bpe: BpeTokenizer | None = None,
        speakers: SpeakerVectors | None = None,
        contours: CorpusContours | None = None,
    ) -> None:
        super().__init__()
        self.config, self.prepared, self.bpe = config, prepared, bpe
        self.model = GradTTS(config.model)
        self.model.set_statistics(*mel_statistics(prepared))
        if self.model.variance is not None and contours is not None:
            self.model.variance.set_statistics(contours.statistics())
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
            contours=batch.contours,
            intonation=batch.intonation,
            random=ItemRandom(self.config.loop.seed, step, batch.ids),
        )

    def extra_files(self) -> dict[str, Any]:
        root = self.prepared.root
        files = {
            n: json.loads((root / n).read_text(encoding="utf-8")) for n in ("tokenizer.json", "features.json")
        }
        voices = {"speakers": list(self.prepared.speakers), "languages": list(self.prepared.languages)}
        if self.bpe is not None:
            files["bpe.json"] = self.bpe.to_json()
        return {**files, "stats.json": self.prepared.stats, "voices.json": voices}

    def demonstrate(self, out: Path, step: int) -> None:
        """The first dev sentences: wav and spectrogram, the same noise every time."""
        from intona.plots import spectrogram_of

        out.mkdir(parents=True, exist_ok=True)
        voice = GradTTSVoice(
            self.model,
            self.prepared.tokenizer,
            self.prepared.spec,
            speakers=self.prepared.speakers,
            languages=self.prepared.languages or ("ru",),
            bpe=self.bpe,
        )
        for item in self.prepared.items("dev")[:DEMO_SENTENCES]:
            audio = voice.speak([utterance_of(item)], speaker=self.prepared.speakers[item.speaker])[0]
            audio.write(out / f"{item.id}.wav")
            spectrogram_of(audio, out / f"{item.id}.png", title=f"{item.id}, step {step}")


def resolve(preset: GradTTSRun, request: Request) -> GradTTSRun:
    """The preset or the model of --init, with the encoder of --encoder, and overridden."""
    config = built_as(preset, request.init)
    # A blank belongs to no word, which a pretrained encoder needs.
    config = with_encoder(config, request.encoder, request.init, add_blank=False)
    config = configs.override(config, request.overrides)
    return with_rate(config, request.encoder)


def fitted(config: GradTTSRun, prepared: Prepared, *, bpe: BpeTokenizer | None = None) -> GradTTSRun:
    """The config for a corpus: its vocabularies, speakers, mels and durations.

    Raises:
        UserError: the corpus has no durations, and the model needs them.
    """
    n_tokens = len(prepared.tokenizer)
    encoder = config.model.encoder.sized(
        n_tokens=n_tokens + config.model.add_blank, n_pieces=0 if bpe is None else len(bpe)
    )
    model = dataclasses.replace(
        config.model,
        n_tokens=n_tokens,
        n_speakers=len(prepared.speakers),
        n_mels=prepared.spec.n_mels,
        encoder=encoder,
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
    """Copy the weights of another voice; symbols and speakers are matched by name.

    The mel statistics stay the source's: its weights are scaled to them. A source with one speaker has no
    speaker input; that of the new model starts at zero, so that it begins with the source's outputs. A new
    model with one speaker has none either, and begins with the source's outputs without its speaker vectors.
    """
    path, prepared = checkpoint.resolve(source), task.prepared
    voices = configs.read_json(path / "voices.json")
    speakers = Rows(before=voices["speakers"], now=prepared.speakers)
    model = task.config.model
    rows = symbol_rows(model.encoder, symbols_of(path), prepared.tokenizer.symbols, blank=model.add_blank)
    rows |= {"model.speakers.weight": speakers, "model.voices": speakers}
    rows |= {f"model.variance.{name}": speakers for name in STATISTICS}
    require_pieces(path, task.bpe)
    added = [name for name in task.state_dict() if name.startswith("model.variance.")]
    if len(speakers.before) == 1 and len(speakers.now) > 1:
        added += ["model.speakers.weight", *silenced(task, ".speaker")]
    unused = SPEAKER_INPUTS if len(speakers.now) == 1 < len(speakers.before) else ()
    random = copy.deepcopy(task.model.get_submodule(anew).state_dict()) if (anew := task.config.anew) else {}
    fresh = start_from(task, source, rows=rows, added=added, unused=unused)
    if unused:
        log.warning(f"the corpus has one speaker: the speaker vectors of {source.name} are not used")
    if anew:
        task.model.get_submodule(anew).load_state_dict(random)
        log.info(f"{anew} starts anew")
    if fresh:
        log.info(f"{len(fresh)} symbols or speakers start anew: {' '.join(fresh[:20])}")


def silenced(module: nn.Module, suffix: str) -> list[str]:
    """Set the linear layers whose names end in `suffix` to zero; the names of their tensors."""
    names: list[str] = []
    for name, layer in module.named_modules():
        if name.endswith(suffix) and isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
            names += [f"{name}.weight", f"{name}.bias"]
    return names


def setup(config: GradTTSRun, request: Request) -> Setup:
    """See `training.stage.Stage`."""
    prepared, source = Prepared.open(request.data), request.encoder
    bpe = pieces_for(config.model.encoder, prepared, source=source, out=request.out, init=request.init)
    config = fitted(config, prepared, bpe=bpe)
    contours = None if config.model.variance is None else CorpusContours(prepared)
    speakers = None
    if config.model.encoder.condition_dim:
        speakers = vectors_by(prepared, GE2E) if source is None else vectors_of(prepared, source.path)
        require_width(speakers, config.model.encoder)

    def task() -> GradTTSTask:
        task = GradTTSTask(config, prepared, bpe, speakers, contours)
        if source is not None and config.encoder_weights == "pretrained":
            source.start(task.model.encoder, prepared.tokenizer)  # type: ignore[arg-type]
        return task

    return Setup(
        config=config,
        task=task,
        feed=lambda rank, world: MelFeed(
            prepared,
            seed=config.loop.seed,
            max_frames=config.max_frames,
            max_items=config.max_items,
            rank=rank,
            world=world,
            bpe=bpe,
            contours=contours,
            expressive=config.expressive,
        ),
        facts={"utterances": len(prepared.items("train"))},
        start=start_from_voice,
    )


STAGE = Stage(
    name="prosody.gradtts", makes="voice", sizes=SIZES, resolve=resolve, setup=setup, encoders=("run",)
)
