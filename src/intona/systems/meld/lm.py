"""What meld.tts, meld.stt and meld.joint share: the task, and how a run is set up."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from intona import checkpoint
from intona import config as configs
from intona.data.prepared import Prepared
from intona.errors import UserError
from intona.nn.losses import Losses, Part
from intona.nn.random import ItemRandom, derive_seed
from intona.systems.meld import SpeechLM, presets, spelling
from intona.systems.meld import codebook as codebooks
from intona.systems.meld.feed import Corpus, SpeechBatch, SpeechFeed
from intona.systems.meld.model import merge_losses
from intona.systems.meld.pace import Pace, jittered
from intona.systems.meld.presets import MeldRun
from intona.text import BpeTokenizer, load_tokenizer
from intona.training.initial import built_as, config_of, start_from
from intona.training.stage import Request, Setup
from intona.training.task import Task

DEMO_SENTENCES = 2
STAGES = ("meld.tts", "meld.stt", "meld.joint")  # of one kind of model
SPEAK_FIRST = 0.4  # of the steps (MELD, section 5.6)


class MeldTask(Task):
    """The bound for the utterances that are spoken, cross-entropy for those that are transcribed.

    Which is which, dropout of the prenet and the draw of z belong to (seed, step, utterance).
    """

    def __init__(
        self, config: MeldRun, prepared: Prepared, pace: Pace, codebook: codebooks.Trained | None
    ) -> None:
        super().__init__()
        self.config, self.prepared, self.tokenizer = config, prepared, pace.tokenizer
        self.model = SpeechLM(config.model)
        self.model.spans.copy_(torch.from_numpy(pace.expected) / config.model.group)
        if codebook is not None:
            self.model.mean.copy_(codebook.mean)
            self.model.std.copy_(codebook.std)
            self.model.codebook.load_state_dict(codebook.codebook.state_dict())
            if codebook.config.perplexity != config.perplexity:
                _soften(self.model, config, prepared)
        self.listening = False  # whether it has learnt to listen yet
        if config.listen == 1:  # what only speaking uses is not trained, and DDP must not wait for it
            for part in (self.model.reconstruction, self.model.postnet):
                part.requires_grad_(False)
        if config.listen == 0 and self.model.ctc is not None:
            self.model.ctc.requires_grad_(False)

    def forward(self, batch: SpeechBatch, step: int) -> Losses:
        c = self.config
        share = c.listen if step < 0 or step >= c.listen_from * c.loop.accumulate else 0.0
        self.listening |= step >= 0 and share > 0
        choice = ItemRandom(derive_seed(c.loop.seed, "task"), step, batch.ids).uniform()
        listens = (choice < share).to(batch.mel_lengths.device)
        only = batch.transcribe_only.to(listens.device)
        listens = listens | only
        speaks = ~listens
        if step < 0 and 0 < c.listen < 1:  # dev: every utterance both ways
            listens = torch.ones_like(listens)
            speaks = ~only
        parts = []
        if c.listen < 1:
            parts.append(self._losses(self.model.speaking_losses, batch, speaks, step, SPEAKING))
        if c.listen > 0:
            names = (*LISTENING, "ctc") if self.model.ctc is not None else LISTENING
            parts.append(self._losses(self.model.listening_losses, batch, listens, step, names))
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
        return {
            "tokenizer.json": self.tokenizer.to_json(),
            "features.json": configs.to_dict(self.prepared.spec),
            "stats.json": self.prepared.stats,
            "voices.json": {
                "kind": "speech_lm",
                "listens": self.listening,
                "languages": list(self.prepared.languages),
                "speakers": list(self.prepared.speakers),
                "longest_frames": max(i.n_frames for i in self.prepared.items("train")),
            },
        }

    def demonstrate(self, out: Path, step: int) -> None:
        """The first dev sentences, spoken freely (if the model speaks): wav and spectrogram."""
        from intona.plots import spectrogram_of
        from intona.systems.meld.voice import MeldVoice

        if self.config.listen == 1:
            return
        out.mkdir(parents=True, exist_ok=True)
        voice = MeldVoice.of(
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


def resolve(preset: MeldRun, request: Request) -> MeldRun:
    """The preset or the model of --init, with the overrides of an arm, and overridden."""
    built = built_as(preset, request.init, stages=STAGES)
    return presets.resolve(preset.stage, built, request.overrides)


def setup(config: MeldRun, request: Request) -> Setup:
    """See `training.stage.Stage`. Tokenizer and codebook are the run's, else those of --init, else new."""
    prepared, out = Prepared.open(request.data), request.out
    config = _listen_from(config, out)
    tokenizer = _tokenizer(out if request.resumes else request.init, config, prepared)
    model = dataclasses.replace(config.model, n_text=len(tokenizer), n_mels=prepared.spec.n_mels)
    config = dataclasses.replace(config, corpus=prepared.fingerprint, model=model)
    codebook = None
    if request.init is None:
        codebook = _codebook(config, prepared, out)
        config = dataclasses.replace(config, codebook=codebook.identity)
    elif config.codebook:
        raise UserError("the model of --init brings its codebook", where="--codebook")
    pace = Pace.of(prepared, tokenizer, config.pace)
    limits: dict[str, Any] = {
        "group": model.group,
        "context": model.context,
        "pace": pace,
        "transcribe_only": _transcribe_only(config, prepared),
    }
    train = Corpus(
        prepared,
        "train",
        tokenizer,
        joined=config.joined,
        longest=config.max_positions,
        seed=config.loop.seed,
        **limits,
    )
    dev = Corpus(prepared, "dev", tokenizer, **limits) if prepared.items("dev") else None
    facts: dict[str, Any] = {"utterances": len(train.items)}
    if config.pace == "words":
        facts["placed by words"] = sum(i.id in pace.aligned for i in train.items)
    if train.unknown:  # a tokenizer of --init
        facts["characters left out"] = " ".join(
            f"{ch!r} {n} times" for ch, n in train.unknown.most_common(20)
        )
    return Setup(
        config=config,
        task=lambda: MeldTask(config, prepared, pace, codebook),
        feed=lambda rank, world: SpeechFeed(
            train, dev, max_positions=config.max_positions, seed=config.loop.seed, rank=rank, world=world
        ),
        facts=facts,
        start=lambda task, source: _start(task, source, config, prepared),
    )


def _start(task: Any, source: Path, config: MeldRun, prepared: Prepared) -> None:
    """Copy the weights of `source`; the temperature of its codebook is this run's."""
    start_from(task, source, added=("model.ctc.weight", "model.ctc.bias"))
    if config_of(source).get("perplexity") != config.perplexity:
        _soften(task.model, config, prepared)


def _soften(model: Any, config: MeldRun, prepared: Prepared) -> None:
    steps = codebooks.Steps(
        prepared, config.model.group, model.mean, model.std, without=_transcribe_only(config, prepared)
    )
    codebooks.soften(model.codebook, codebooks.sample(steps, config.kmeans.seed), config.perplexity)


def _transcribe_only(config: MeldRun, prepared: Prepared) -> set[int]:
    """Indices of the speakers of --only-heard."""
    speakers = codebooks.speakers_named(config.only_heard, prepared, where="--only-heard")
    if speakers and not config.listen:
        raise UserError("this stage does not listen", where="--only-heard", hint="train meld.joint")
    return speakers


def _listen_from(config: MeldRun, out: Path) -> MeldRun:
    """-1 becomes a number, once: a resume with more steps does not move it.

    Raises:
        UserError: a run that ends before it listens.
    """
    if config.listen_from < 0:
        at = int(SPEAK_FIRST * config.loop.steps)
        if steps := checkpoint.steps(out):
            before = configs.read_json(out / f"step-{steps[-1]:08d}" / "config.json")
            at = int(before["listen_from"]) if isinstance(before, dict) and "listen_from" in before else at
        config = dataclasses.replace(config, listen_from=at)
    if config.listen > 0 and config.listen_from >= config.loop.steps:
        raise UserError(
            f"listening would begin at step {config.listen_from} of {config.loop.steps}: never",
            where="--listen-from",
            hint="a smaller one, or more --loop.steps",
        )
    return config


def _tokenizer(source: Path | None, config: MeldRun, prepared: Prepared) -> BpeTokenizer:
    if source is not None:
        path = checkpoint.resolve(source) / "tokenizer.json"
        tokenizer = load_tokenizer(path)
        if not isinstance(tokenizer, BpeTokenizer):
            raise UserError("not a model of system meld", where=path)
        return tokenizer
    texts = [i.normalized for i in prepared.items("train")]
    return spelling.train_tokenizer(texts, size=config.bpe, language=prepared.languages[0])


def _codebook(config: MeldRun, prepared: Prepared, out: Path) -> codebooks.Trained:
    """The codebook that the config names, or one made from the corpus inside the run."""
    if config.codebook:
        codebook = codebooks.load(Path(config.codebook))
        sizes = (config.model.codes, config.model.group)
        if (codebook.config.codes, codebook.config.group) != sizes:
            raise UserError(
                f"{codebook.config.codes} codes of {codebook.config.group} frames, and the model needs "
                f"{sizes[0]} of {sizes[1]}",
                where=config.codebook,
                hint="make one with the same --codes and --group, or leave --codebook out",
            )
        return codebook
    request = codebooks.CodebookConfig(
        size=config.size,
        corpus=prepared.fingerprint,
        codes=config.model.codes,
        group=config.model.group,
        perplexity=config.perplexity,
        without=config.only_heard if config.listen < 1 else "",
        kmeans=config.kmeans,
    )
    return codebooks.load(codebooks.make(request, prepared, out / "codebook"))
