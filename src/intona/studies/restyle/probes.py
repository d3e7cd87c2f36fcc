"""Probes of Z_text, Z_audio and style vectors: what they tell about content, style and speaker.

Probes are fitted on recordings of train and scored on those of test. There are two kinds: ridge regression
(information that is linear) and the five nearest neighbours (any information). Questions:

- *content*: the symbol of a frame. For Z_audio it follows from the alignment of the voice. Z_text has the
  durations that the voice predicts, so that the symbol of every frame is known; on the frames of the
  recording it would come from the same alignment as the labels. A style vector is the same for all frames of
  its recording. Chance: always the commonest symbol of train.
- *style*: each measured attribute, and the length in seconds, from the mean over the frames. R²; chance is 0.
- *speaker*: from the mean over the frames; chance: always the commonest. Only if the corpus has several.

For style and speaker, Z_text is aligned to the recording. The correlation of Z_text with Z_audio per channel
is measured aligned, as in the paper (predicted durations, cut or padded), and for a chance level with the
text of another recording of similar length, aligned to this one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from intona import config as configs
from intona.audio import read_audio
from intona.data.prepared import Item, Prepared
from intona.encoders import styles
from intona.encoders.style import NAMES, StyleEncoder
from intona.errors import UserError
from intona.evaluation.shares import share_interval
from intona.evaluation.stats import ratio_interval
from intona.nn.random import ItemRandom
from intona.studies.engine.stages import RESULTS, RUN, require_corpus
from intona.studies.restyle.conditions import trained_posterior
from intona.systems.restyle import vits
from intona.systems.restyle.latents import z_text_of
from intona.systems.restyle.measured import measured_of
from intona.systems.restyle.vits import VitsSpace
from intona.systems.restyle.vits.posterior import latents_of

RIDGE, NEIGHBOURS = 1.0, 5
FRAMES = 16  # of each recording, evenly spaced
Z_TEXT, Z_AUDIO = "Z_text", "Z_audio"


@dataclass(frozen=True, kw_only=True)
class Probed:
    """One recording: frames (F, C) and symbols (F,) of each space, pooled vectors, style and correlations.

    A space without frames uses the symbols of Z_AUDIO.
    """

    id: str
    speaker: int
    frames: dict[str, np.ndarray]
    symbols: dict[str, np.ndarray]
    pooled: dict[str, np.ndarray]
    style: np.ndarray
    correlation: dict[str, np.ndarray]


def run_probes(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    data: str,
    corpus: str,
    voice: str,
    train: int,
    test: int,
    embedding: str = "",
) -> None:
    """Run all probes, on at most `train` and `test` recordings of the two splits, evenly spaced."""
    require_corpus(data, corpus)
    prepared, space = Prepared.open(data), vits.load(voice)
    net = trained_posterior(space, needs)
    encoders: dict[str, StyleEncoder] = {"prosody vector": styles.load("prosody")}
    if embedding:
        encoders["style embedding"] = styles.load(f"style:{needs[embedding] / RUN}")
    measured = measured_of(prepared)

    left_out: dict[str, str] = {}

    def gather(split: str, most: int) -> list[Probed]:
        items = prepared.items(split)
        if 0 < most < len(items):
            items = [items[k * len(items) // most] for k in range(most)]
        others, probed = like_in_length(items), []
        for item in items:
            try:
                probed.append(_probed(item, others[item.id], prepared, space, net, encoders, measured))
            except (UserError, ValueError) as e:  # no text to speak, or more symbols than frames
                left_out[item.id] = str(e)
        return probed

    fit, held = gather("train", train), gather("test", test)
    if len(fit) <= NEIGHBOURS or len(held) < 2:
        raise UserError(f"{len(fit)} and {len(held)} recordings are too few to probe", where=data)
    configs.write_json(out / RESULTS, results_of(fit, held) | {"left out": left_out})


def like_in_length(items: Sequence[Item]) -> dict[str, str]:
    """Id -> the text of another item of similar length; the same text if all items have one."""
    order = sorted(items, key=lambda i: (len(i.phonemes), i.id))
    out = {}
    for k, item in enumerate(order):
        near = sorted(range(len(order)), key=lambda j, k=k: (abs(j - k), j))
        out[item.id] = next((order[j].text for j in near if order[j].text != item.text), item.text)
    return out


@torch.inference_mode()
def _probed(
    item: Item,
    other: str,
    prepared: Prepared,
    space: VitsSpace,
    net: Any,
    encoders: dict[str, StyleEncoder],
    measured: Mapping[str, Mapping[str, float]],
) -> Probed:
    if item.id not in measured:
        raise UserError("its prosody could not be measured")
    audio = read_audio(prepared.audio_path(item))
    speaker = space.speaker(None)
    z_audio = latents_of(space, net, audio, speaker=speaker)
    aligned = z_text_of(space, item.text, item.id, seed=0, z_audio=z_audio, speaker=speaker)
    cut = z_text_of(space, item.text, item.id, seed=0, z_audio=z_audio, align="none", speaker=speaker)
    chance = z_text_of(space, other, item.id, seed=0, z_audio=z_audio, speaker=speaker)
    free, named = predicted_frames(space, item, speaker)
    pooled = {name: e.of_audio(audio) for name, e in encoders.items()}
    pooled["prosody vector"] = pooled["prosody vector"][: len(NAMES)]
    spaces = {Z_TEXT: aligned.numpy(), Z_AUDIO: z_audio.numpy()}
    frames = {Z_TEXT: free, Z_AUDIO: spaces[Z_AUDIO]}
    symbols = {Z_TEXT: named, Z_AUDIO: symbols_of(space, item, z_audio, speaker)}
    places = {
        k: np.linspace(0, len(v) - 1, min(FRAMES, len(v))).round().astype(int) for k, v in frames.items()
    }
    return Probed(
        id=item.id,
        speaker=item.speaker,
        frames={k: v[places[k]] for k, v in frames.items()},
        symbols={k: v[places[k]] for k, v in symbols.items()},
        pooled={k: np.concatenate([v.mean(0), v.std(0)]) for k, v in spaces.items()} | pooled,
        style=np.array([*(measured[item.id][n] for n in NAMES), item.seconds]),
        correlation={
            "aligned": correlations(spaces[Z_TEXT], spaces[Z_AUDIO]),
            "unaligned": correlations(cut.numpy(), spaces[Z_AUDIO]),
            "another text": correlations(chance.numpy(), spaces[Z_AUDIO]),
        },
    )


def predicted_frames(space: VitsSpace, item: Item, speaker: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Z_text (T, C) with predicted durations, and the symbol (T,) of each frame."""
    ids = space.tokens(item.text)
    rows = None if speaker is None else torch.tensor([speaker])
    random = ItemRandom(0, 0, [item.id])
    prior = space.prior_of(ids, random, speakers=rows)
    frames = int(prior.durations.sum())
    z, _ = space.latents(prior, random.normal([frames], space.channels), speakers=rows)
    return z[0].numpy(), np.repeat(_named(ids.numpy()), prior.durations[0].numpy())


def symbols_of(space: VitsSpace, item: Item, z_audio: torch.Tensor, speaker: int | None) -> np.ndarray:
    """(T,) symbol ids of the frames by the alignment of the voice; a pad counts as the symbol before it."""
    ids = space.tokens(item.text)
    rows = None if speaker is None else torch.tensor([speaker])
    prior = space.prior_of(ids, ItemRandom(0, 0, [item.id]), speakers=rows)
    durations = space.align(prior, z_audio[None], torch.tensor([len(z_audio)]), speakers=rows)[0]
    return np.repeat(_named(ids.numpy()), durations.numpy())


def _named(ids: np.ndarray) -> np.ndarray:
    """Replace each pad (the commonest id) by the symbol before it."""
    named, pad = ids.copy(), np.bincount(ids).argmax()
    for i in range(1, len(named)):
        if named[i] == pad:
            named[i] = named[i - 1]
    return named


def correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson's r of each channel over time, (T, C) each -> (C,); 0 for a constant channel."""
    a, b = a - a.mean(0), b - b.mean(0)
    norm = np.sqrt((a * a).sum(0) * (b * b).sum(0))
    return np.where(norm > 1e-9, (a * b).sum(0) / np.maximum(norm, 1e-9), 0.0)


def results_of(fit: Sequence[Probed], held: Sequence[Probed]) -> dict[str, Any]:
    """All figures as JSON types, with intervals over the recordings of `held`."""
    spaces = list(fit[0].pooled)
    out: dict[str, Any] = {"fitted": len(fit), "scored": len(held), "content": {}, "style": {}, "speaker": {}}
    out["content chance"] = {}
    for name in spaces:
        of = name if name in fit[0].symbols else Z_AUDIO
        y, test_y = (np.concatenate([p.symbols[of] for p in some]) for some in (fit, held))
        groups = np.concatenate([np.full(len(p.symbols[of]), i) for i, p in enumerate(held)])
        x, test_x = (
            np.concatenate([
                p.frames.get(name, np.repeat(p.pooled[name][None], len(p.symbols[of]), axis=0)) for p in some
            ])
            for some in (fit, held)
        )  # fmt: skip
        out["content"][name] = {
            kind: _share(predicted == test_y, groups) for kind, predicted in classified(x, y, test_x).items()
        }
        out["content chance"][name] = _share(test_y == np.bincount(y).argmax(), groups)
    attributes = [*NAMES, "seconds"]
    truth, test_truth = (np.stack([p.style for p in some]) for some in (fit, held))
    who, test_who = (np.array([p.speaker for p in some]) for some in (fit, held))
    each = np.arange(len(held))
    several = len(set(who)) > 1
    out["speakers"] = len(set(who))
    if several:
        out["speaker chance"] = _share(test_who == np.bincount(who).argmax(), each)
    for name in spaces:
        x, test_x = (np.stack([p.pooled[name] for p in some]) for some in (fit, held))
        out["style"][name] = {
            kind: {
                a: explained(predicted[:, k], test_truth[:, k], truth[:, k].mean())
                for k, a in enumerate(attributes)
            }
            for kind, predicted in regressed(x, truth, test_x).items()
        }
        if several:
            out["speaker"][name] = {
                kind: _share(predicted == test_who, each)
                for kind, predicted in classified(x, who, test_x).items()
            }
    out["correlation"] = {
        how: dataclasses.asdict(ratio_interval([float(p.correlation[how].mean()) for p in held]))
        for how in fit[0].correlation
    }
    return out


def classified(x: np.ndarray, y: np.ndarray, test_x: np.ndarray) -> dict[str, np.ndarray]:
    """Labels of `test_x` by ridge regression on one-hot labels, and by a vote of the nearest."""
    x, test_x = _standardised(x, test_x)
    labels, places = np.unique(y, return_inverse=True)
    linear = labels[(_ridge(x, np.eye(len(labels))[places], test_x)).argmax(1)]
    near = _nearest(x, test_x)
    votes = np.stack([np.bincount(row, minlength=len(labels)) for row in places[near]])
    return {"linear": linear, "nearest": labels[votes.argmax(1)]}


def regressed(x: np.ndarray, y: np.ndarray, test_x: np.ndarray) -> dict[str, np.ndarray]:
    """(n, K) guesses of `y` (m, K): by ridge regression, and as the mean of the nearest."""
    x, test_x = _standardised(x, test_x)
    mean, spread = y.mean(0), y.std(0) + 1e-9
    linear = _ridge(x, (y - mean) / spread, test_x, strength=max(RIDGE, 0.1 * x.shape[1])) * spread + mean
    return {"linear": linear, "nearest": y[_nearest(x, test_x)].mean(1)}


def _standardised(x: np.ndarray, test_x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, spread = x.mean(0), x.std(0) + 1e-6
    return (x - mean) / spread, (test_x - mean) / spread


def _ridge(x: np.ndarray, y: np.ndarray, test_x: np.ndarray, *, strength: float = RIDGE) -> np.ndarray:
    x, test_x = (np.concatenate([v, np.ones((len(v), 1))], axis=1) for v in (x, test_x))
    return test_x @ np.linalg.solve(x.T @ x + strength * np.eye(x.shape[1]), x.T @ y)


def _nearest(x: np.ndarray, test_x: np.ndarray) -> np.ndarray:
    """(n, NEIGHBOURS) rows of `x` by Euclidean distance."""
    out = []
    for start in range(0, len(test_x), 256):
        some = test_x[start : start + 256]
        far = (x * x).sum(1)[None] - 2 * some @ x.T
        out.append(np.argsort(far, axis=1, kind="stable")[:, :NEIGHBOURS])
    return np.concatenate(out)


def _share(right: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    return dataclasses.asdict(share_interval(right.astype(float).tolist(), groups.tolist()))


def explained(predicted: np.ndarray, truth: np.ndarray, guess: float) -> dict[str, Any]:
    """R² against always guessing train's mean: 1 - sum of squares / sum of squares of that guess.

    Below 0 the probe is worse than the mean.
    """
    left, whole = (predicted - truth) ** 2, np.maximum((truth - guess) ** 2, 1e-12)
    ratio = ratio_interval(left.tolist(), whole.tolist())
    ends = (None, None) if ratio.low is None or ratio.high is None else (1 - ratio.high, 1 - ratio.low)
    return {
        "estimate": 1 - ratio.estimate,
        "low": ends[0],
        "high": ends[1],
        "n": ratio.n,
        "clusters": ratio.clusters,
    }
