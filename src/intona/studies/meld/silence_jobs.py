"""Jobs of `intona study meld --only silence`: texts that provoke failures, drawn, measured and judged."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from intona import config as configs
from intona.audio import Audio
from intona.data.prepared import Prepared
from intona.jsonl import write_jsonl
from intona.studies.engine.job import WORKERS
from intona.studies.engine.stages import REPORT, RESULTS, WAVS, TimeIsUp, require_corpus, until
from intona.studies.meld.endings import TrainingSpeech, letters, measure
from intona.studies.meld.jobs import ENDINGS, by_id, trained
from intona.synth.voice import PAUSE_SECONDS
from intona.systems.meld import voice as speech_lm
from intona.systems.meld import whole

TEXTS, KINDS = "provoking-texts.jsonl", ("long", "repetitive", "list")


@dataclass(frozen=True, kw_only=True)
class ProvokingText:
    """A text and its kind: "long", "repetitive" or "list"."""

    id: str
    kind: str
    text: str


def provoking_texts(per_kind: int = 0) -> list[ProvokingText]:
    """The texts, ten of each kind; with `per_kind`, the shortest of each."""
    source = resources.files("intona.studies.meld").joinpath(TEXTS).read_text(encoding="utf-8")
    texts = [ProvokingText(**json.loads(line)) for line in source.splitlines()]
    if not per_kind:
        return texts
    shortest = sorted(texts, key=lambda t: len(t.text))
    return [t for kind in KINDS for t in [t for t in shortest if t.kind == kind][:per_kind]]


def row_id(text: str, draw: int) -> str:
    return f"{text}.{draw}"


def text_of(row: str) -> str:
    """The id of the text of a row."""
    return row.rpartition(".")[0]


def training_speech(
    *, out: Path, needs: dict[str, Path], limit_minutes: float | None, data: str, corpus: str
) -> None:
    """What outputs are compared with, and how often the recordings of the test split meet the definitions."""
    require_corpus(data, corpus)
    prepared = Prepared.open(data)
    hop = prepared.spec.hop_length / prepared.spec.sample_rate
    training = TrainingSpeech.of(((prepared.mel(i), i.normalized) for i in prepared.items("train")), hop)
    recordings = {
        i.id: vars(measure(prepared.mel(i), i.normalized, ended=True, training=training))
        for i in prepared.items("test")
    }
    configs.write_json(out / RESULTS, {"training": vars(training), "recordings": recordings})


def draw(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    voice: str,
    training: str,
    per_kind: int,
    draws: int,
    decoded: int,
) -> bool:
    """Draw each text `draws` times, with seeds from 0, and measure every mel; none is skipped.

    A text is spoken as one utterance. The first `decoded` draws are also decoded into `out/wavs`, as they
    are: cut at the maximum length, or a pause where nothing was spoken. ENDINGS has one row per draw.
    """
    model = speech_lm.load(trained(needs[voice]))
    reference = TrainingSpeech(**configs.read_json(needs[training] / RESULTS)["training"])
    texts, path, check_time = provoking_texts(per_kind), out / ENDINGS, until(limit_minutes)
    measured = by_id(path)
    write_jsonl(path, measured.values())  # without a last line that an interruption left unfinished
    (out / WAVS).mkdir(exist_ok=True)
    rows = [(text, seed) for seed in range(draws) for text in texts]
    try:
        for number, (text, seed) in enumerate(rows):
            check_time(number, len(rows), "")
            if (key := row_id(text.id, seed)) in measured:
                continue
            spoken, pieces = model.pieces(text.text)
            # One chunk, so that the whole mel passes the PostNet at once.
            drawn = whole(model.mels(pieces, seed=seed, place=text.id, chunk=1 << 30))
            mel = drawn.mel.float().cpu()
            ending = measure(mel.numpy(), spoken, ended=drawn.ended, training=reference)
            if seed < decoded:
                _decode(model, mel).write(out / WAVS / f"{key}.wav")
            row = {"id": key, "text": text.id, "letters": letters(spoken), **vars(ending)}
            with open(path, "a", encoding="utf-8") as f:
                f.write(json.dumps(row) + "\n")
    except TimeIsUp:
        return False
    return True


def _decode(model: speech_lm.MeldVoice, mel: Any) -> Audio:
    rate = model.spec.sample_rate
    if not len(mel):
        return Audio(np.zeros(round(PAUSE_SECONDS * rate), np.float32), rate)
    return Audio(np.clip(model.vocoder.decode(mel[None])[0].float().numpy(), -1, 1), rate)


def judge(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    per_kind: int,
    decoded: int,
    measures: list[str],
    language: str,
    asr: str,
) -> bool:
    """Transcribe the decoded draws of all voices: WER, CER and omissions against the text.

    The jobs whose speech it judges are named PREFIX/ARM/SEED.
    """
    from intona.evaluation import EvaluationConfig, Manifest, Row, System, evaluate

    texts = provoking_texts(per_kind)
    rows = [Row(id=row_id(t.id, n), text=t.text, speaker=t.id) for t in texts for n in range(decoded)]
    systems = []
    for name, folder in needs.items():
        _, arm, seed = name.rsplit("/", 2)
        systems.append(System(name=arm, seed=seed, folder=folder / WAVS))
    config = EvaluationConfig(
        language=language, asr=None if asr == "none" else asr, judges=tuple(measures), family=()
    )
    try:
        evaluate(
            systems,
            Manifest(rows=tuple(rows)),
            out=out / REPORT,
            config=config,
            progress=until(limit_minutes),
            workers=int(os.environ.get(WORKERS, "1")),
        )
    except TimeIsUp:
        return False
    return True
