"""Phonemes, F0 and speakers read off the encoder of a speech language model by linear regression.

The jointly learned encoder is the prenet, through which the model sees frames. The separate one is the frozen
codebook; a step is then one number, the code nearest to it, given to the probe as a one-hot vector. That is
the most a layer on top of the codes can use, and the centroid is a linear map of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from intona import config as configs
from intona.data.contours import track_pitch
from intona.data.prepared import Item, Prepared
from intona.errors import UserError
from intona.studies.engine.stages import RESULTS, require_corpus
from intona.studies.meld.jobs import trained
from intona.studies.prosody.predict import Standardizer, fit_ridge, ridge_weights
from intona.systems.meld import SpeechLM
from intona.systems.meld import voice as speech_lm

STEPS = 40  # of each utterance at most, evenly spaced
SPLITS = ("train", "dev", "test")
REFERENCE_HZ = 100.0


def probe(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    data: str,
    corpus: str,
    voice: str,
) -> None:
    """Fit on train, choose the penalty on dev, score on test.

    RESULTS has "ids" of the test utterances, "dim", and "phoneme" and "speaker" ([correct, of] of each
    utterance) and "f0" ([explained, total] squares of each). "speaker" is there with several speakers only.

    Raises:
        UserError: data without phone durations.
    """
    require_corpus(data, corpus)
    prepared = Prepared.open(data)
    model = speech_lm.load(trained(needs[voice])).model.eval()
    f0 = track_pitch(prepared)
    split = {
        name: [_rows(model, prepared, i, f0[i.offset : i.offset + i.n_frames]) for i in prepared.items(name)]
        for name in SPLITS
    }
    results: dict[str, Any] = {
        "ids": [i.id for i in prepared.items("test")],
        "dim": int(split["test"][0]["states"].shape[1]),
        "phoneme": _classes(split, "spoken", "phonemes"),
        "f0": _f0(split),
    }
    if len(prepared.speakers) > 1:
        for name in SPLITS:
            for row, item in zip(split[name], prepared.items(name), strict=True):
                row["mean"] = row["states"].mean(0, keepdims=True)
                row["who"] = np.array([item.speaker])
        results["speaker"] = _classes(split, "mean", "who")
    configs.write_json(out / RESULTS, results)


@torch.inference_mode()
def encoded(model: SpeechLM, mel: np.ndarray) -> np.ndarray:
    """Natural-log mel (T, n_mels) -> (S, D): the prenet without dropout, or one-hot codes."""
    x = model.normalized(torch.from_numpy(np.asarray(mel, np.float32))[None])
    if model.config.see == "codes":
        codes = model.codebook.nearest(x)[0]
        return np.eye(model.config.codes)[codes.numpy()]
    return model.embed_steps(x, None)[0].double().numpy()


def _rows(model: SpeechLM, prepared: Prepared, item: Item, f0: np.ndarray) -> dict[str, np.ndarray]:
    durations = prepared.durations(item)
    if durations is None:
        raise UserError("has no durations", where=item.id, hint="run `intona align DATA`")
    states = encoded(model, prepared.mel(item))
    group = model.config.group
    steps = np.unique(np.linspace(0, len(states) - 1, min(STEPS, len(states))).round().astype(int))
    middle = steps * group + group // 2  # the frame that labels a step
    symbols = np.repeat(np.arange(len(durations)), durations)
    phone = np.zeros(len(durations), bool)
    for word in item.words:
        phone[word.start : word.end] = True
    at = symbols[np.minimum(middle, len(symbols) - 1)]
    pitch = np.asarray(f0, np.float64)[np.minimum(middle, len(f0) - 1)]
    spoken, voiced = phone[at], phone[at] & (pitch > 0)
    return {
        "states": states[steps],
        "spoken": states[steps[spoken]],
        "phonemes": np.asarray(prepared.tokens(item))[at[spoken]],
        "voiced": states[steps[voiced]],
        "semitones": 12 * np.log2(pitch[voiced] / REFERENCE_HZ),
    }


Split = dict[str, list[dict[str, np.ndarray]]]


def _stacked(rows: Sequence[dict[str, np.ndarray]], *names: str) -> tuple[np.ndarray, ...]:
    return tuple(np.concatenate([r[n] for r in rows]) for n in names)


def _classes(split: Split, states: str, labels: str) -> list[list[float]]:
    guess = fit_classes(_stacked(split["train"], states, labels), _stacked(split["dev"], states, labels))
    return [
        [float((guess(r[states]) == r[labels]).sum()) if len(r[labels]) else 0.0, float(len(r[labels]))]
        for r in split["test"]
    ]


def _f0(split: Split) -> list[list[float]]:
    train = _stacked(split["train"], "voiced", "semitones")
    dev = _stacked(split["dev"], "voiced", "semitones")
    model, mean = fit_ridge((train[0], train[1]), (dev[0], dev[1])), float(train[1].mean())
    parts = []
    for r in split["test"]:
        y = r["semitones"]
        total = float(((y - mean) ** 2).sum())
        left = float(((y - model(r["voiced"])) ** 2).sum()) if len(y) else 0.0
        parts.append([total - left, total])
    return parts


def fit_classes(train: Sequence[np.ndarray], dev: Sequence[np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Ridge regression onto one column per class; the largest wins. The penalty with most hits on dev.

    Args:
        train, dev: states (n, D) and labels (n,).
    """
    (x, labels), scale = train, Standardizer(train[0])
    classes, index = np.unique(labels, return_inverse=True)
    y = np.eye(len(classes))[index]
    mean, dev_z = y.mean(0), scale(dev[0])

    def hits(weights: np.ndarray) -> int:
        return int((classes[(mean + dev_z @ weights).argmax(1)] == dev[1]).sum())

    best = max(ridge_weights(scale(x), y - mean), key=hits)
    return lambda x: classes[(mean + scale(x) @ best).argmax(1)]
