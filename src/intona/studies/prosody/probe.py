"""What a text encoder has learned: retrieval, linear probes, and the heads of stage 1.

`follow` probes every checkpoint of the chain 1 -> 1+2 -> 1+2+3 on one fixed set. It shows what each stage
forgets of what the earlier stages learned.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from intona import checkpoint
from intona import config as configs
from intona.data.pieces import Text, collate_pieces, collate_tokens
from intona.data.prepared import Prepared
from intona.encoders import pretrained
from intona.encoders.mlm import MaskConfig, MaskedModel, mask_text
from intona.encoders.speaker import speaker_vectors
from intona.errors import UserError
from intona.evaluation.shares import share_interval
from intona.evaluation.stats import ratio_interval
from intona.nn.random import derive_seed
from intona.studies.engine.stages import RESULTS, RUN, TimeIsUp, require_corpus, until
from intona.systems.encoder.pretrain import texts_of
from intona.systems.encoder.retrieve import retrieve
from intona.text import BpeTokenizer, PhonemeTokenizer

POINTS = "points.json"
TRAIN_TEXTS = 96  # of the linear probe
AHEAD = 4  # untrained convolutions already reveal the phoneme itself and its neighbours
RIDGE = 1.0
AT_ONCE = 8


def find_speakers(
    *, out: Path, needs: dict[str, Path], limit_minutes: float | None, data: str, corpus: str
) -> None:
    """Compute the speaker vectors of the corpus once, before several jobs need them at the same time."""
    require_corpus(data, corpus)
    speaker_vectors(Prepared.open(data))


def find_sounds(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    data: str,
    corpus: str,
    run: str,
    gallery: int,
    known: int,
) -> None:
    """Recalls of the encoder of job `run` on the test split (see `retrieve`)."""
    require_corpus(data, corpus)
    ks = tuple(k for k in (1, 5, 10) if k < gallery)
    recalls = retrieve(needs[run] / RUN, data, gallery=gallery, ks=ks, known=known)
    configs.write_json(out / RESULTS, dataclasses.asdict(recalls))


def follow(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    data: str,
    corpus: str,
    chain: list[str],
    gallery: int,
) -> bool:
    """Probe every kept checkpoint of the runs of `chain`, the first of which is a run of stage 1.

    The probe set is the test split. Each point has the run's place in the chain, its step, and:

    - R@1-diff and R@1-sim, text to audio, for runs with an audio encoder;
    - the accuracy of linear probes of the text states (`linear_probe`);
    - the masked loss of both streams under the heads of stage 1: those of the same checkpoint during stage 1,
      those of its last checkpoint afterwards.
    """
    require_corpus(data, corpus)
    runs = [needs[name] / RUN for name in chain]
    heads = checkpoint.resolve(runs[0])
    places = [(i, s, run / f"step-{s:08d}") for i, run in enumerate(runs) for s in checkpoint.steps(run)]
    check_time = until(limit_minutes)
    kept = out / POINTS
    points = configs.read_json(kept) if kept.is_file() else []
    try:
        for number, (place, step, path) in enumerate(places):
            if number < len(points):
                continue
            check_time(number, len(places), "")
            point: dict[str, Any] = {"run": chain[place], "place": place, "step": step}
            point |= point_of(path, Path(data), heads=path if place == 0 else heads, gallery=gallery)
            points.append(point)
            configs.write_json(kept, points)
    except TimeIsUp:
        return False
    configs.write_json(out / RESULTS, {"points": points})
    kept.unlink()
    return True


def point_of(path: Path, data: Path, *, heads: Path, gallery: int) -> dict[str, Any]:
    """The figures of one checkpoint: name -> Interval as a dictionary (see `follow`)."""
    out: dict[str, Any] = {}
    if configs.read_json(path / "config.json")["stage"] != "prosody.mlm":
        recalls = retrieve(path, data, gallery=gallery, ks=(1,), known=0).encoder
        for name in ("R@1-diff", "R@1-sim"):
            recall = recalls[f"{name} text-audio"]
            out[name] = None if recall.recall is None else dataclasses.asdict(recall.recall)
            out[f"{name} chance"] = recall.chance
    prepared = Prepared.open(data)
    out |= linear_probe(path, prepared)
    return out | masked_loss(path, heads, prepared)


@torch.inference_mode()
def linear_probe(path: Path, prepared: Prepared) -> dict[str, Any]:
    """Ridge regression from the text states, fitted on training texts and scored on test texts.

    - "phoneme": share of test phonemes classified correctly. It is near 1 before any training.
    - "phoneme ahead": the same for the phoneme `AHEAD` positions later, which needs learned context.
    - "duration": R² of log(1 + frames); 0 = always predicting the mean of the training texts.
    - "... majority": the share that always predicting the commonest phoneme would score.

    The states are computed without a speaker vector.

    Raises:
        UserError: the corpus has no durations.
    """
    encoder = pretrained.load(path)
    tokenizer, bpe = pretrained.phonemes(path), pretrained.pieces(path)

    def states(split: str, most: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        items = prepared.items(split)[:most]
        frames = {i.id: prepared.durations(i) for i in items}
        texts = texts_of(prepared, items, tokenizer, bpe)
        xs, ys, lasts, groups = [], [], [], []
        for u, (id, (text, x)) in enumerate(
            zip(texts, encode_texts(encoder, list(texts.values())), strict=True)
        ):
            n, known = max(0, len(x) - AHEAD), frames[id]
            if known is None:
                raise UserError("has no durations", where=id, hint="run `intona align DATA`")
            xs.append(x[:n])
            ys.append(np.stack([text.tokens[:n], text.tokens[AHEAD:]], axis=1))
            lasts.append(np.log1p(np.asarray(known, float)[:n]))
            groups.append(np.full(n, u))
        return np.concatenate(xs), np.concatenate(ys), np.concatenate(lasts), np.concatenate(groups)

    x, y, lasts, _ = states("train", TRAIN_TEXTS)
    test_x, test_y, test_lasts, groups = states("test", None)
    mean, deviation = x.mean(0), x.std(0) + 1e-6
    x, test_x = (_with_one((v - mean) / deviation) for v in (x, test_x))
    gram = x.T @ x + RIDGE * np.eye(x.shape[1])
    out: dict[str, Any] = {}
    for column, name in enumerate(("phoneme", "phoneme ahead")):
        weights = np.linalg.solve(gram, x.T @ np.eye(len(tokenizer))[y[:, column]])
        right = (test_x @ weights).argmax(1) == test_y[:, column]
        out[name] = dataclasses.asdict(share_interval(right.astype(float).tolist(), groups.tolist()))
        commonest = np.bincount(y[:, column]).argmax()
        out[f"{name} majority"] = float((test_y[:, column] == commonest).mean())
    error = test_lasts - test_x @ np.linalg.solve(gram, x.T @ lasts)
    # R² is one minus the residual share, so the ends of the interval change places.
    square = (test_lasts - lasts.mean()) ** 2 + 1e-12
    left = ratio_interval((error**2).tolist(), square.tolist(), groups.tolist())
    ends = (left.high, left.low)
    low, high = (None if e is None else 1 - e for e in ends)
    out["duration"] = dataclasses.asdict(
        dataclasses.replace(left, estimate=1 - left.estimate, low=low, high=high)
    )
    out["duration mean"] = 0.0
    return out


def _with_one(x: np.ndarray) -> np.ndarray:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)


def encode_texts(encoder: torch.nn.Module, texts: Sequence[Text]) -> Iterator[tuple[Text, np.ndarray]]:
    """Each text with the states of its symbols, (N, D), computed with the vector of an unknown speaker."""
    for start in range(0, len(texts), AT_ONCE):
        some = texts[start : start + AT_ONCE]
        tokens, lengths = collate_tokens(some)
        out, _ = encoder(tokens, lengths, None, collate_pieces(some))
        for text, row in zip(some, out, strict=True):
            yield text, row[: len(text.tokens)].double().numpy()


@torch.inference_mode()
def masked_loss(path: Path, heads: Path, prepared: Prepared) -> dict[str, Any]:
    """Cross-entropy of the test texts in nats per masked symbol, with the encoder of `path` and other heads.

    Each text has the same masks at every checkpoint. "... unigram" is the cross-entropy of the same symbols
    under their frequencies in the training texts, which a model without context reaches at best.

    Args:
        heads: a checkpoint of stage 1, whose prediction heads are used.

    Raises:
        UserError: `heads` is not a checkpoint of stage 1.
    """
    config = configs.read_json(heads / "config.json")
    if config.get("stage") != "prosody.mlm":
        raise UserError("the heads must be those of a run of prosody.mlm", where=heads)
    tokenizer, bpe = pretrained.phonemes(heads), pretrained.pieces(heads)
    if bpe.to_json() != pretrained.pieces(path).to_json():
        raise UserError("other pieces than stage 1's", where=path)
    sizes = pretrained.config(heads)
    model = MaskedModel(sizes)
    _, state = checkpoint.weights_of(heads)
    state = {k.removeprefix("model."): v for k, v in state.items()}
    theirs = pretrained.load(path, symbols=tokenizer.symbols).state_dict()
    checkpoint.load_weights(model, state | {f"encoder.{k}": v for k, v in theirs.items()}, where=path)
    model.eval()
    totals: dict[str, list[float]] = {}
    blind: dict[str, list[float]] = {}
    common = _frequencies(prepared, tokenizer, bpe, phonemes=sizes.n_tokens, pieces=sizes.n_pieces)
    masks = configs.from_dict(MaskConfig, config["mask"])
    for id, text in texts_of(prepared, prepared.items("test"), tokenizer, bpe).items():
        generator = torch.Generator().manual_seed(derive_seed(0, "probe", id))
        both = mask_text(text, masks, n_tokens=sizes.n_tokens, n_pieces=sizes.n_pieces, generator=generator)
        for stream, (ids, chosen), target in zip(
            ("phonemes", "pieces"), both, (text.tokens, text.pieces), strict=True
        ):
            if not any(chosen):
                continue
            part = model.parts(
                torch.tensor([ids]),
                torch.tensor([len(ids)]),
                torch.tensor([target]),
                torch.tensor([chosen]),
                stream,
            )[stream]
            sums = totals.setdefault(stream, [])
            sums += [float(part.total), float(part.count)]
            hidden = np.asarray(target)[np.asarray(chosen, bool)]
            blind.setdefault(stream, []).extend(-np.log(common[stream][hidden]))
    out: dict[str, Any] = {}
    for stream, sums in totals.items():
        out[f"masked {stream}"] = dataclasses.asdict(ratio_interval(sums[::2], sums[1::2]))
        out[f"masked {stream} unigram"] = float(np.mean(blind[stream]))
    return out


def _frequencies(
    prepared: Prepared, tokenizer: PhonemeTokenizer, bpe: BpeTokenizer, **sizes: int
) -> dict[str, np.ndarray]:
    """Stream -> probability of each symbol in the training texts, with add-one smoothing."""
    counts = {stream: np.ones(n) for stream, n in sizes.items()}
    for text in texts_of(prepared, prepared.items("train"), tokenizer, bpe).values():
        np.add.at(counts["phonemes"], list(text.tokens), 1)
        np.add.at(counts["pieces"], list(text.pieces), 1)
    return {stream: c / c.sum() for stream, c in counts.items()}
