"""Pairs of synthetic speech: the voice speaks each sentence twice, with the same durations and other noise.

In the paper the voice is that of the recorded speaker. Synthetic speech goes further: z is known exactly, the
speaker is the same, and no posterior encoder is needed. The style is measured on the speech.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import torch

from intona.data.prepared import Prepared
from intona.encoders.captions import corpus_scale
from intona.encoders.style import NAMES, ProsodyStyle, measure, measuring
from intona.errors import UserError
from intona.nn.random import ItemRandom
from intona.systems.restyle.axis import ProsodyAxis, fit_axis
from intona.systems.restyle.latents import FILE, Align, z_text_of
from intona.systems.restyle.pairs import FramePair, make_in_parts, read, remove_parts, write
from intona.systems.restyle.posterior import is_held_out, order_of, texts_of
from intona.systems.restyle.vits import VitsSpace

log = logging.getLogger(__name__)

NOISE = (0.3, 1.0)  # range of the noise scale of the target; the source has the voice's scale
# The target is pushed up or down along the pitch axis of the voice by at most so many log Hz. Noise that is
# independent between frames averages out: renditions of one text differ by .02 in pitch, sentences by .04.
PUSH = 0.2


def synthetic_pairs(
    prepared: Prepared,
    space: VitsSpace,
    *,
    count: int,
    seed: int,
    max_frames: int,
    speaker: str = "",
    align: Align = "mas",
) -> tuple[dict[str, list[FramePair]], ProsodyStyle]:
    """Pairs of `count` sentences of train and dev, and their style in deviations of the training pairs.

    They are kept in DATA/latents-*.safetensors like those of recordings.

    Args:
        align: "none" = the source has other durations and is cut or padded to the length of the target: the
            misalignment of the paper and nothing else of it.

    Raises:
        UserError: another language than the voice's; fewer than two sentences with measurable speech.
    """
    inputs = {
        "own": count,
        "corpus": prepared.fingerprint,
        "voice": space.weights_hash(),
        "measured": measuring(),
        "noise": NOISE,
        "push": PUSH,
        "seed": seed,
        "max_frames": max_frames,
        "speaker": speaker,
        "version": 1,
    }
    identity = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
    path = prepared.root / FILE.format(identity[:16])
    measured_pairs = read(path, identity)
    if measured_pairs is None:
        texts = texts_of(prepared, space)
        log.info(
            f"the voice {space.facts.name} speaks {count} sentences of the corpus, each twice, as training "
            f"data; their latents are kept in {path}"
        )
        measured_pairs = _speak(texts, space, count, seed, max_frames, speaker, path, identity)
        try:
            write(path, measured_pairs, identity)
            remove_parts(path)
        except OSError:
            log.warning(f"latents are not kept: {path.parent} cannot be written")
        else:
            # The same half-precision values as in later calls.
            measured_pairs = read(path, identity) or measured_pairs
    if align == "none":
        measured_pairs = _apart(measured_pairs, prepared, space, count, seed, speaker)
    # The file holds raw attributes: their deviations are known only when all sentences are measured.
    rows = {
        s: [dict(zip(NAMES, p.style.tolist(), strict=True)) for p in pairs]
        for s, pairs in measured_pairs.items()
    }
    style = ProsodyStyle(corpus_scale(rows["train"]))
    pairs = {
        s: [
            FramePair(id=p.id, source=p.source, target=p.target, style=style.of_measured(row))
            for p, row in zip(measured_pairs[s], rows[s], strict=True)
        ]
        for s in measured_pairs
    }
    return pairs, style


@torch.inference_mode()
def _apart(
    pairs: dict[str, list[FramePair]],
    prepared: Prepared,
    space: VitsSpace,
    count: int,
    seed: int,
    speaker: str,
) -> dict[str, list[FramePair]]:
    """The same pairs with a source of other durations."""
    row = space.speaker(speaker or None)
    texts = {name: text for name, _, text in order_of(texts_of(prepared, space), count, seed)}

    def source(pair: FramePair) -> np.ndarray:
        target = torch.from_numpy(pair.target)
        z = z_text_of(space, texts[pair.id], pair.id, seed=seed, z_audio=target, align="none", speaker=row)
        return z.numpy()

    return {s: [dataclasses.replace(p, source=source(p)) for p in rows] for s, rows in pairs.items()}


@torch.no_grad()  # not inference mode: the axis needs a gradient
def _speak(
    texts: list[tuple[str, str]],
    space: VitsSpace,
    count: int,
    seed: int,
    max_frames: int,
    speaker: str,
    path: Path,
    identity: str,
) -> dict[str, list[FramePair]]:
    """Pairs of `count` sentences; those that an interrupted call kept beside `path` are not spoken again."""
    row = space.speaker(speaker or None)
    rows = None if row is None else torch.tensor([row])
    axis = fit_axis(space, texts, speakers=rows)

    def speak_pair(item: tuple[str, str, str]) -> tuple[str, FramePair] | None:
        name, id, text = item
        try:
            source, target = two_renditions(space, axis, text, name, seed=seed, speakers=rows)
            if not 8 <= len(target) <= max_frames:
                raise UserError("too long or too short")
            attributes = measure(space.sound(target, speaker=row))
        except UserError:
            return None
        values = np.array([attributes[n] for n in NAMES], np.float32)
        pair = FramePair(id=name, source=source.numpy(), target=target.numpy(), style=values)
        return "dev" if is_held_out(id) else "train", pair

    out = make_in_parts(path, identity, order_of(texts, count, seed), speak_pair, what="speaking")
    if lost := count - sum(map(len, out.values())):
        log.warning(f"{lost} of {count} sentences could not be spoken or measured, or were too long")
    return out


def two_renditions(
    space: VitsSpace,
    axis: ProsodyAxis,
    text: str,
    name: str,
    *,
    seed: int,
    speakers: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents (T, C) of a text twice, with the same durations.

    The first has the noise scale of the voice; the second has other noise of another scale, pushed up or down
    along the pitch axis of the voice.
    """
    ids = space.tokens(text)
    random = ItemRandom(seed, -2, [name])
    scale = NOISE[0] + (NOISE[1] - NOISE[0]) * float(random.uniform())
    prior = space.prior_of(ids, random, speakers=speakers)
    frames = int(prior.durations.sum())
    draws = [random.normal([frames], space.channels) for _ in range(2)]
    rise = PUSH * (2 * float(random.uniform()) - 1)
    draws[1] = draws[1] + axis.push(space, prior, draws[1], rise, scale=scale, speakers=speakers)
    source, target = (
        space.latents(prior, draw, scale=of, speakers=speakers)[0][0]
        for draw, of in zip(draws, (None, scale), strict=True)
    )
    return source, target
