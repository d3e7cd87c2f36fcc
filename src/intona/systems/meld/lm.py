"""What meld.tts, meld.stt and meld.joint share: run config, sizes, the paper's controls, the task."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from intona import checkpoint
from intona import config as configs
from intona.acoustic.speech_lm import SpeechLM, SpeechLMConfig, spelling
from intona.acoustic.speech_lm.model import merge_losses
from intona.data.prepared import Prepared
from intona.errors import UserError, unknown
from intona.nn.losses import Losses, Part
from intona.nn.quantize import KMeansConfig
from intona.nn.random import ItemRandom, derive_seed
from intona.nn.sampling import SamplingConfig
from intona.systems.meld import codebook as codebooks
from intona.systems.meld.feed import Corpus, SpeechBatch, SpeechFeed
from intona.systems.meld.pace import Pace, jittered
from intona.text import BpeTokenizer, load_tokenizer
from intona.training.loop import LoopConfig
from intona.training.optim import OptimConfig
from intona.training.stage import fit_stage
from intona.training.task import Task

DEMO_SENTENCES = 2


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A whole run.

    `corpus` is the fingerprint of the data, `init` the model it started from, `codebook` the codebook: a
    directory on the command line ("" = made from the corpus in RUN/codebook), its hash from then on.
    `arm` is one of the paper's controls (`ARMS`). `bpe` pieces of text. `max_positions` bounds a batch with
    padding. `listen` is the share of utterances that are transcribed, from step `listen_from` on.
    `pace` (ours, `positions` "time" only): where text stands in training: "none" = as expected of its
    letters, "length" = that, scaled to the utterance, "words" = as aligned (an utterance without alignment:
    "length"). `pace_noise`: seconds of error put on each place in training.
    """

    stage: str = "meld.tts"
    size: str = "small"
    corpus: str = ""
    init: str = ""
    codebook: str = ""
    arm: str = ""
    bpe: int = 256
    perplexity: float = 5.0
    pace: Literal["none", "length", "words"] = "none"
    pace_noise: float = 0.0
    max_positions: int = 1600
    listen: float = 0.0
    listen_from: int = 0
    model: SpeechLMConfig = field(default_factory=SpeechLMConfig)
    kmeans: KMeansConfig = field(default_factory=KMeansConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)

    def __post_init__(self) -> None:
        if not 0 <= self.listen <= 1:
            raise ValueError("listen must lie in [0, 1]")
        if self.pace != "none" and self.model.positions != "time":
            raise UserError(
                f'"{self.pace}" needs text placed in time',
                where="--pace",
                mend="take --model.positions time, or --pace none",
            )
        if not 0 <= self.pace_noise < 1:
            raise UserError("not between 0 and 1 second", where="--pace-noise")


# The paper's controls (sections 4 and 5), as overrides of any size: `--arm hard-vq`.
ARMS: dict[str, dict[str, str]] = {
    "": {},
    # One code alone would be penalised for coming again at every step.
    "mel-lm": {
        "model.codes": "1",
        "model.code_embedding": "zero",
        "perplexity": "1",
        "sampling.penalty": "0",
    },
    "hard-vq": {"perplexity": "1"},
    "codes": {"model.see": "codes", "perplexity": "1"},
    "codec": {"model.see": "codes", "model.train_prenet": "false", "perplexity": "1"},
    "frozen-prenet": {"model.train_prenet": "false"},
    "no-slowness": {"model.slowness": "0"},
    "no-penalty": {"sampling.penalty": "0"},
    "zero-code": {"model.code_embedding": "zero"},
}


def paper() -> RunConfig:
    """The paper's sizes: 12 layers, 1024, 16 heads, K = 8192, 4096 pieces; some 180 M parameters.

    200k updates of 50k frames on 16 V100 in the paper; learning rate and schedule are ours (it gives none).
    """
    return RunConfig(
        size="paper",
        bpe=4096,
        max_positions=50_000,
        model=SpeechLMConfig(),
        loop=LoopConfig(steps=200_000, save_every=2000, validate_every=2000, best="kl"),
        optim=OptimConfig(lr=5e-4, betas=(0.9, 0.98), warmup=16_000, schedule="linear"),
    )


def small() -> RunConfig:
    """6 M parameters, four frames a step, text placed in time: for hours of speech and a CPU.

    Figures and cost: docs/meld.md.
    """
    return RunConfig(
        size="small",
        bpe=64,
        pace="words",
        pace_noise=0.04,
        max_positions=1600,
        model=SpeechLMConfig(
            codes=1024,
            group=4,
            reconstruction_weight=0.02,
            centroid_inputs=0.25,
            dropped_inputs=0.15,
            dim=256,
            layers=6,
            heads=4,
            hidden=1024,
            prenet=256,
            positions="time",
            reconstruction_hidden=512,
            postnet_channels=128,
            context=2048,
        ),
        loop=LoopConfig(steps=10_000, ema=0.999, validate_every=500, save_every=500, best="kl"),
        optim=OptimConfig(
            lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01, warmup=400, schedule="cosine", final=0.02, clip=5.0
        ),
    )


def toy() -> RunConfig:
    """0.2 M parameters: trains in seconds, says nothing. For tests and first tries."""
    base = small()
    return dataclasses.replace(
        base,
        size="toy",
        bpe=64,
        model=dataclasses.replace(
            base.model,
            codes=32,
            group=2,
            dim=64,
            layers=2,
            heads=2,
            hidden=128,
            prenet=64,
            reconstruction_hidden=64,
            reconstruction_blocks=1,
            postnet_channels=32,
            postnet_layers=2,
        ),
        kmeans=KMeansConfig(batch=1024, iterations=60),
        loop=dataclasses.replace(base.loop, steps=200, log_every=10, validate_every=100, save_every=100),
    )


SIZES = {"paper": paper, "small": small, "toy": toy}


class MeldTask(Task):
    """The bound for the utterances that are spoken, cross-entropy for those that are transcribed.

    Which is which, dropout of the prenet and the draw of z belong to (seed, step, utterance).
    """

    def __init__(self, config: RunConfig, prepared: Prepared, pace: Pace, found: Any) -> None:
        super().__init__()
        self.config, self.prepared, self.tokenizer = config, prepared, pace.tokenizer
        self.model = SpeechLM(config.model)
        self.model.spans.copy_(torch.from_numpy(pace.expected) / config.model.group)
        if found is not None:
            self.model.mean.copy_(found.mean)
            self.model.std.copy_(found.std)
            self.model.codebook.load_state_dict(found.codebook.state_dict())
        if config.listen == 1:  # what only speaking uses is not trained, and DDP must not wait for it
            for part in (self.model.reconstruction, self.model.postnet):
                part.requires_grad_(False)

    def forward(self, batch: SpeechBatch, step: int) -> Losses:
        c = self.config
        share = c.listen if step < 0 or step >= c.listen_from * c.loop.accumulate else 0.0
        choice = ItemRandom(derive_seed(c.loop.seed, "task"), step, batch.ids).uniform()
        listens = (choice < share).to(batch.mel_lengths.device)
        speaks = ~listens
        if step < 0 and 0 < c.listen < 1:  # dev: every utterance both ways
            speaks = listens = torch.ones_like(listens)
        parts = []
        if c.listen < 1:
            parts.append(self._losses(self.model.speaking_losses, batch, speaks, step, SPEAKING))
        if c.listen > 0:
            parts.append(self._losses(self.model.listening_losses, batch, listens, step, LISTENING))
        return merge_losses(parts)

    def _losses(
        self, losses: Any, batch: SpeechBatch, keep: torch.Tensor, step: int, names: tuple[str, ...]
    ) -> Losses:
        if not bool(keep.any()):
            # The same names on every rank and step: none here, and a count of 0.
            zero = self.model.mean.new_zeros(())
            return Losses(parts={n: Part(total=zero, count=zero) for n in names})
        rows, seed = batch.rows(keep), self.config.loop.seed
        how: dict[str, Any] = {}
        if names is SPEAKING and rows.spans is not None:
            spans = rows.spans / self.config.model.group
            if step >= 0:
                sigma = self.config.pace_noise / self.prepared.spec.seconds(self.config.model.group)
                random = ItemRandom(derive_seed(seed, "pace"), step, rows.ids)
                spans = jittered(spans, rows.text_lengths, sigma, random)
            how["spans"] = spans
        return losses(
            text=rows.text,
            text_lengths=rows.text_lengths,
            mels=rows.mels,
            mel_lengths=rows.mel_lengths,
            random=ItemRandom(seed, step, rows.ids),
            **how,
        )

    def extra_files(self) -> dict[str, Any]:
        language = self.prepared.languages[0]
        return {
            "tokenizer.json": self.tokenizer.to_json(),
            "features.json": configs.to_dict(self.prepared.spec),
            "stats.json": self.prepared.stats,
            "voices.json": {
                "kind": "speech_lm",
                "languages": list(self.prepared.languages),
                "language": language,
                "speakers": list(self.prepared.speakers),
                "longest_frames": max(i.n_frames for i in self.prepared.items("train")),
            },
        }

    def demonstrate(self, out: Path, step: int) -> None:
        """The first dev sentences, spoken freely (if the model speaks): wav and spectrogram."""
        from intona.plots import spectrogram_of
        from intona.synth_lm import LanguageVoice

        if self.config.listen == 1:
            return
        out.mkdir(parents=True, exist_ok=True)
        voice = LanguageVoice.of(
            self.model,
            self.tokenizer,
            self.prepared.spec,
            self.extra_files()["voices.json"],
            self.config.sampling,
        )
        for item in self.prepared.items("dev")[:DEMO_SENTENCES]:
            audio = voice.say(item.normalized)
            audio.write(out / f"{item.id}.wav")
            spectrogram_of(audio, out / f"{item.id}.png", title=f"{item.id}, step {step}")


SPEAKING = ("kl", "reconstruction", "slowness", "eos", "entropy")
LISTENING = ("text",)


def resolve(stage: str, base: RunConfig, overrides: dict[str, str]) -> RunConfig:
    """A preset of a stage with an arm's overrides, then the user's."""
    arm = overrides.get("arm", "")
    if arm not in ARMS:
        unknown("arm", arm, [a for a in ARMS if a], where="--arm")
    return configs.override(dataclasses.replace(base, stage=stage), {**ARMS[arm], **overrides})


def run(
    stage: str,
    base: RunConfig,
    *,
    data: Path,
    out: Path,
    overrides: dict[str, str],
    limit_minutes: float | None,
    init: Path | None = None,
    fabric: Any = None,
) -> Path:
    """Train or resume a stage. Tokenizer and codebook are the run's, else those of `init`, else made."""
    prepared, out = Prepared.open(data), Path(out)
    config = resolve(stage, base, overrides)
    source = out if checkpoint.steps(out) else init
    tokenizer = _tokenizer(source, config, prepared)
    model = dataclasses.replace(config.model, n_text=len(tokenizer), n_mels=prepared.spec.n_mels)
    config = dataclasses.replace(config, corpus=prepared.fingerprint, model=model)
    found = None
    if init is not None:
        if config.codebook:
            raise UserError("the model of --init brings its own codebook", where="--codebook")
    else:
        found = _codebook(config, prepared, out)
        config = dataclasses.replace(config, codebook=found.identity)
    torch.manual_seed(config.loop.seed)
    pace = Pace.of(prepared, tokenizer, config.pace)
    task = MeldTask(config, prepared, pace, found)
    limits: dict[str, Any] = {"group": model.group, "context": model.context, "pace": pace}
    train = Corpus(prepared, "train", tokenizer, **limits)
    dev = Corpus(prepared, "dev", tokenizer, **limits) if prepared.items("dev") else None
    facts: dict[str, Any] = {"utterances": len(train.items)}
    if config.pace == "words":
        facts["placed by words"] = sum(i.id in pace.aligned for i in train.items)
    return fit_stage(
        task,
        config,
        out,
        feed=lambda rank, world: SpeechFeed(
            train, dev, max_positions=config.max_positions, seed=config.loop.seed, rank=rank, world=world
        ),
        facts=facts,
        init=init,
        limit_minutes=limit_minutes,
        fabric=fabric,
    )


def _tokenizer(source: Path | None, config: RunConfig, prepared: Prepared) -> BpeTokenizer:
    if source is not None:
        path = checkpoint.resolve(source) / "tokenizer.json"
        tokenizer = load_tokenizer(path)
        if not isinstance(tokenizer, BpeTokenizer):
            raise UserError("not a model of system meld", where=path)
        return tokenizer
    texts = [i.normalized for i in prepared.items("train")]
    return spelling.train_tokenizer(texts, size=config.bpe, language=prepared.languages[0])


def _codebook(config: RunConfig, prepared: Prepared, out: Path) -> codebooks.Trained:
    """The codebook named, or one made from the corpus inside the run."""
    if config.codebook:
        found = codebooks.load(Path(config.codebook))
        wanted = (config.model.codes, config.model.group)
        if (found.config.codes, found.config.group) != wanted:
            raise UserError(
                f"{found.config.codes} codes of {found.config.group} frames, the model wants "
                f"{wanted[0]} of {wanted[1]}",
                where=config.codebook,
                mend="make one with the same --codes and --group, or leave --codebook out",
            )
        return found
    wanted = codebooks.CodebookConfig(
        size=config.size,
        corpus=prepared.fingerprint,
        codes=config.model.codes,
        group=config.model.group,
        perplexity=config.perplexity,
        kmeans=config.kmeans,
    )
    return codebooks.load(codebooks.make(wanted, prepared, out / "codebook"))
