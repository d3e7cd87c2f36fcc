"""Pairs of the voice's own speech: one sentence, twice, in its own durations and with other noise.

The paper's setting, in which the voice is the recorded speaker, carried to its end: z is known exactly, the
speaker is the same, and no posterior stands between. The style is measured on what was said.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch

from intona.data.prepared import Prepared
from intona.encoders.captions import corpus_scale
from intona.encoders.style import NAMES, ProsodyStyle, measure, measuring
from intona.errors import UserError
from intona.nn.random import ItemRandom
from intona.systems.restyle.axis import PitchAxis, fit_axis
from intona.systems.restyle.latents import FILE, Align, z_text_of
from intona.systems.restyle.pairs import Pair, make_in_parts, read, remove_parts, write
from intona.systems.restyle.posterior import is_held, order_of, texts_of
from intona.systems.restyle.vits import VitsSpace

NOISE = (0.3, 1.0)  # of the sentence that is wanted; the given one has the voice's own
# Log Hz, at most, by which it is pushed up or down along the voice's own pitch axis. Noise of its own in
# every frame averages out over a sentence: sayings of one text differ by .02 in pitch, sentences by .04.
PUSH = 0.2


def own_pairs(
    prepared: Prepared,
    space: VitsSpace,
    *,
    count: int,
    seed: int,
    max_frames: int,
    speaker: str = "",
    align: Align = "mas",
) -> tuple[dict[str, list[Pair]], ProsodyStyle]:
    """Pairs of `count` sentences of train and dev, and the style in deviations of those that are trained on.

    Kept in DATA/latents-*.safetensors like those of recordings.

    Args:
        align: "none" = the given sentence has durations of its own and is cut or padded to the length of the
            wanted one: the paper's misalignment, and nothing else of it.

    Raises:
        UserError: another language than the voice's; fewer than two sentences that can be measured.
    """
    made = {
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
    identity = hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()
    path = prepared.root / FILE.format(identity[:16])
    found = read(path, identity)
    if found is None:
        texts = texts_of(prepared, space)
        print(
            f"the voice {space.facts.name} says {count} sentences of the corpus, each twice, for the model "
            f"to learn from its speech; they are kept in {path}",
            file=sys.stderr,
        )
        found = _speak(texts, space, count, seed, max_frames, speaker, path, identity)
        try:
            write(path, found, identity)
            remove_parts(path)
        except OSError:
            print(f"latents not kept: {path.parent} cannot be written", file=sys.stderr)
        else:
            found = read(path, identity) or found  # the same halves on every start
    if align == "none":
        found = _apart(found, prepared, space, count, seed, speaker)
    # In the file stands what was measured; what it is in deviations is known when all is.
    rows = {s: [dict(zip(NAMES, p.style.tolist(), strict=True)) for p in pairs] for s, pairs in found.items()}
    style = ProsodyStyle(corpus_scale(rows["train"]))
    pairs = {
        s: [
            Pair(id=p.id, given=p.given, wanted=p.wanted, style=style.of_measured(row))
            for p, row in zip(found[s], rows[s], strict=True)
        ]
        for s in found
    }
    return pairs, style


@torch.inference_mode()
def _apart(
    pairs: dict[str, list[Pair]], prepared: Prepared, space: VitsSpace, count: int, seed: int, speaker: str
) -> dict[str, list[Pair]]:
    """The same pairs, the given sentence said anew."""
    row = space.speaker(speaker or None)
    texts = {name: text for name, _, text in order_of(texts_of(prepared, space), count, seed)}

    def given(pair: Pair) -> np.ndarray:
        wanted = torch.from_numpy(pair.wanted)
        z = z_text_of(space, texts[pair.id], pair.id, seed=seed, z_audio=wanted, align="none", speaker=row)
        return z.numpy()

    return {s: [dataclasses.replace(p, given=given(p)) for p in rows] for s, rows in pairs.items()}


@torch.no_grad()  # not inference mode: the axis takes a gradient
def _speak(
    texts: list[tuple[str, str]],
    space: VitsSpace,
    count: int,
    seed: int,
    max_frames: int,
    speaker: str,
    path: Path,
    identity: str,
) -> dict[str, list[Pair]]:
    """Pairs of `count` sentences; what an interrupted call has kept beside `path` is not said again."""
    row = space.speaker(speaker or None)
    rows = None if row is None else torch.tensor([row])
    axis = fit_axis(space, texts, speakers=rows)

    def say_twice(item: tuple[str, str, str]) -> tuple[str, Pair] | None:
        name, id, text = item
        try:
            given, wanted = twice(space, axis, text, name, seed=seed, speakers=rows)
            if not 8 <= len(wanted) <= max_frames:
                raise UserError("too long or too short")
            found = measure(space.sound(wanted, speaker=row))
        except UserError:
            return None
        values = np.array([found[n] for n in NAMES], np.float32)
        pair = Pair(id=name, given=given.numpy(), wanted=wanted.numpy(), style=values)
        return "dev" if is_held(id) else "train", pair

    out = make_in_parts(path, identity, order_of(texts, count, seed), say_twice, what="speaking")
    if lost := count - sum(map(len, out.values())):
        print(f"{lost} of {count} sentences could not be said or measured, or were too long", file=sys.stderr)
    return out


def twice(
    space: VitsSpace,
    axis: PitchAxis,
    text: str,
    name: str,
    *,
    seed: int,
    speakers: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(T, C) of a text twice: with the voice's own noise; with another draw of another strength, pushed up or
    down along the voice's own pitch axis."""
    ids = space.tokens(text)
    random = ItemRandom(seed, -2, [name])
    scale = NOISE[0] + (NOISE[1] - NOISE[0]) * float(random.uniform())
    prior = space.prior_of(ids, random, speakers=speakers)
    frames = int(prior.durations.sum())
    draws = [random.normal([frames], space.channels) for _ in range(2)]
    rise = PUSH * (2 * float(random.uniform()) - 1)
    draws[1] = draws[1] + axis.push(space, prior, draws[1], rise, scale=scale, speakers=speakers)
    given, wanted = (
        space.latents(prior, draw, scale=of, speakers=speakers)[0][0]
        for draw, of in zip(draws, (None, scale), strict=True)
    )
    return given, wanted
