"""Duration, F0, energy and pauses from the frozen states of a text encoder, learned from little speech."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from intona import config as configs
from intona.data.contours import CorpusContours
from intona.data.prepared import Item, Prepared
from intona.encoders import pretrained
from intona.errors import UserError
from intona.nn.random import derive_seed
from intona.studies.engine.stages import RESULTS, RUN, require_corpus
from intona.studies.prosody.probe import encode_texts
from intona.systems.encoder.pretrain import texts_of

TARGETS = ("duration", "pitch", "energy", "pauses")
PENALTIES = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)  # of ridge, chosen on dev
HIDDEN, STEPS, BATCH, CHECK = 64, 600, 512, 50  # of the small network, which stops where dev is best
VOICED = 0.5  # share of a phone's frames, from which it has a pitch


def predict(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    data: str,
    corpus: str,
    run: str,
    speech: list[float],
    draws: int,
) -> None:
    """Fit both models on random subsets of the training speech and score them on the test split.

    The states are those of the averaged weights, computed with the vector of an unknown speaker. RESULTS has
    by model, minutes and target, R² and each utterance's parts of it (in the order of `ids`); means over the
    draws.

    Args:
        run: the job whose encoder is used; "" = none (`symbol_vectors`). speech: minutes to learn from.
        draws: random subsets of each size below the whole.
    """
    require_corpus(data, corpus)
    prepared = Prepared.open(data)
    vectors = vectors_of_run(needs[run] / RUN, prepared) if run else symbol_vectors(prepared)
    contours = CorpusContours(prepared)
    split = {
        name: [rows_of(i, vectors(i), prepared, contours) for i in prepared.items(name)]
        for name in ("train", "dev", "test")
    }
    seconds = [i.seconds for i in prepared.items("train")]
    results: dict[str, Any] = {"ids": [i.id for i in prepared.items("test")], "ridge": {}, "network": {}}
    for minutes in speech:
        subsets = list(speech_subsets(seconds, minutes, draws))
        for model, fit in (("ridge", fit_ridge), ("network", fit_network)):
            results[model][f"{minutes:g}"] = {
                target: score(split, subsets, target, fit) for target in TARGETS
            }
    configs.write_json(out / RESULTS, results)


Rows = Mapping[str, tuple[np.ndarray, np.ndarray]]  # target -> states (n, D) and values (n,) of an utterance


def vectors_of_run(run: Path, prepared: Prepared) -> Any:
    """A function from an utterance to the states of its symbols, (N, D)."""
    encoder = pretrained.load(run)
    tokenizer, bpe = pretrained.phonemes(run), pretrained.pieces(run)

    def states(item: Item) -> np.ndarray:
        texts = texts_of(prepared, [item], tokenizer, bpe)
        with torch.inference_mode():
            return next(iter(encode_texts(encoder, list(texts.values()))))[1]

    return states


def symbol_vectors(prepared: Prepared) -> Any:
    """The same without an encoder: a symbol and the ones before and after it as one-hot vectors."""
    n = len(prepared.tokenizer)

    def states(item: Item) -> np.ndarray:
        one_hot = np.eye(n)[prepared.tokens(item)]
        ends = np.zeros((1, n))
        return np.concatenate(
            [one_hot, np.concatenate([ends, one_hot[:-1]]), np.concatenate([one_hot[1:], ends])], axis=1
        )

    return states


def rows_of(item: Item, states: np.ndarray, prepared: Prepared, contours: CorpusContours) -> Rows:
    """What is to be predicted in an utterance, and from what.

    Phones have a duration (log(1 + frames)), a level in dB, and a pitch in semitones where they are voiced.
    A gap between two words has a pause, log(1 + frames), predicted from the mean state of its symbols.

    Raises:
        UserError: no durations.
    """
    durations = prepared.durations(item)
    if durations is None:
        raise UserError("has no durations", where=item.id, hint="run `intona align DATA`")
    c = contours.of(item)
    phone = np.zeros(len(item.phonemes), bool)
    for word in item.words:
        phone[word.start : word.end] = True
    spoken, voiced = phone & c.present, phone & (c.voiced >= VOICED)
    gaps = [(w.end, after.start) for w, after in zip(item.words, item.words[1:], strict=False)]
    gaps = [(a, b) for a, b in gaps if b > a]
    pauses = np.array([np.log1p(durations[a:b].sum()) for a, b in gaps])
    between = np.stack([states[a:b].mean(0) for a, b in gaps]) if gaps else np.zeros((0, states.shape[1]))
    return {
        "duration": (states[spoken], np.log1p(durations[spoken].astype(float))),
        "pitch": (states[voiced], c.pitch[voiced].astype(float)),
        "energy": (states[spoken], c.energy[spoken].astype(float)),
        "pauses": (between, pauses),
    }


def speech_subsets(seconds: Sequence[float], minutes: float, draws: int) -> Iterator[list[int]]:
    """Random sets of utterances of so many minutes; a single one where that is all there is."""
    if sum(seconds) <= 60 * minutes:
        yield list(range(len(seconds)))
        return
    for draw in range(draws):
        order = np.random.default_rng(derive_seed(0, "screening", draw)).permutation(len(seconds))
        ends = np.cumsum(np.asarray(seconds)[order])
        yield order[: int((ends < 60 * minutes).sum()) + 1].tolist()


def score(
    split: Mapping[str, Sequence[Rows]], subsets: Sequence[Sequence[int]], target: str, fit: Any
) -> dict[str, Any]:
    """R² on the test utterances, and what each contributes: (explained, total) squares.

    The total is about the mean of all training speech, so that it is the same for every subset and arm.
    """
    mean = float(np.concatenate([u[target][1] for u in split["train"]]).mean())
    dev = _stacked(split["dev"], target)
    parts = [np.array([0.0, ((u[target][1] - mean) ** 2).sum()]) for u in split["test"]]
    for subset in subsets:
        model = fit(_stacked([split["train"][i] for i in subset], target), dev)
        for part, u in zip(parts, split["test"], strict=True):
            x, y = u[target]
            left = ((y - model(x)) ** 2).sum() if len(y) else 0.0
            part[0] += (((y - mean) ** 2).sum() - left) / len(subsets)
    explained, total = (sum(p[k] for p in parts) for k in (0, 1))
    return {"r2": float(explained / total), "parts": [p.tolist() for p in parts]}


def _stacked(rows: Sequence[Rows], target: str) -> tuple[np.ndarray, np.ndarray]:
    xs, ys = zip(*(u[target] for u in rows), strict=True)
    return np.concatenate(xs), np.concatenate(ys)


def fit_ridge(train: tuple[np.ndarray, np.ndarray], dev: tuple[np.ndarray, np.ndarray]) -> Any:
    """Ridge regression on standardized states; the penalty with the least error on dev."""
    (x, y), scale = train, Standardizer(train[0])
    centre, dev_z = y.mean(), scale(dev[0])

    def error(weights: np.ndarray) -> float:
        return float(((dev[1] - centre - dev_z @ weights) ** 2).mean())

    best = min(ridge_weights(scale(x), y - centre), key=error)
    return lambda x: centre + scale(x) @ best


def ridge_weights(z: np.ndarray, y: np.ndarray) -> Iterator[np.ndarray]:
    """Ridge regression of y (n,) or (n, K) on z (n, D): the weights (D,) or (D, K) for each of PENALTIES."""
    values, vectors = np.linalg.eigh(z.T @ z)
    projected = vectors.T @ (z.T @ y)
    for penalty in PENALTIES:
        yield vectors @ (projected.T / (np.maximum(values, 0) + penalty)).T


def fit_network(train: tuple[np.ndarray, np.ndarray], dev: tuple[np.ndarray, np.ndarray]) -> Any:
    """One hidden layer; the weights with the least error on dev. The start and the batches are fixed."""
    scale, centre, spread = Standardizer(train[0]), float(train[1].mean()), float(train[1].std()) + 1e-6
    x, y = (torch.from_numpy(v.astype(np.float32)) for v in (scale(train[0]), (train[1] - centre) / spread))
    dev_x, dev_y = (
        torch.from_numpy(v.astype(np.float32)) for v in (scale(dev[0]), (dev[1] - centre) / spread)
    )
    draws = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(x.shape[1], HIDDEN), nn.GELU(), nn.Dropout(0.1), nn.Linear(HIDDEN, 1))
        optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.1)
        best, kept = float("inf"), {k: v.clone() for k, v in net.state_dict().items()}
        for step in range(1, STEPS + 1):
            rows = torch.randint(len(x), (min(BATCH, len(x)),), generator=draws)
            optimizer.zero_grad(set_to_none=True)
            nn.functional.mse_loss(net(x[rows])[:, 0], y[rows]).backward()
            optimizer.step()
            if step % CHECK == 0:
                net.eval()
                with torch.no_grad():
                    error = float(nn.functional.mse_loss(net(dev_x)[:, 0], dev_y))
                net.train()
                if error < best:
                    best, kept = error, {k: v.clone() for k, v in net.state_dict().items()}
        net.load_state_dict(kept)
    net.eval()

    def guess(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            z = torch.from_numpy(scale(x).astype(np.float32))
            return net(z)[:, 0].double().numpy() * spread + centre

    return guess


class Standardizer:
    """Standardizes columns by those of the training states."""

    def __init__(self, x: np.ndarray) -> None:
        self.mean, self.deviation = x.mean(0), x.std(0) + 1e-6

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return (x - self.mean) / self.deviation
