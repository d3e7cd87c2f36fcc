"""Pairs of Z_text and Z_audio with a style for each recording of a corpus, computed once and kept with it.

`align` "mas" expands the prior of the text to the frames of the recording by VITS's alignment, so that frame
t of both is the same sound. "none" is the paper's choice: Z_text has the durations that the voice predicts,
and is cut or zero-padded to the length of the recording.
"""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Literal

import torch

from intona.audio import read_audio
from intona.data.prepared import Prepared
from intona.encoders.style import ProsodyStyle, StyleEncoder
from intona.errors import UserError
from intona.nn.random import ItemRandom
from intona.progress import track
from intona.systems.restyle.axis import ProsodyAxis
from intona.systems.restyle.measured import measured_of
from intona.systems.restyle.pairs import FramePair, read, write
from intona.systems.restyle.vits import VitsSpace
from intona.systems.restyle.vits.posterior import PosteriorNet, latents_of

log = logging.getLogger(__name__)

Align = Literal["mas", "none"]
FILE = "latents-{}.safetensors"


def z_text_of(
    space: VitsSpace,
    text: str,
    name: str,
    *,
    seed: int,
    z_audio: torch.Tensor | None = None,
    align: Align = "mas",
    speaker: int | None = None,
    rate: float = 1.0,
    scale: float | None = None,
    raised: tuple[ProsodyAxis, float] | None = None,
    widened: tuple[ProsodyAxis, float] | None = None,
) -> torch.Tensor:
    """Z_text (T, C) of a text; its noise is a function of (seed, name).

    Args:
        z_audio: (T, C) of the recording. With "mas" the text is aligned to it; with "none" Z_text is cut or
            padded to its length. None = the durations that the voice predicts, as in synthesis.
        rate: of speech, for predicted durations. scale: of the noise; None = the voice's.
        raised: an axis of the voice, and by how much to push the noise along it, in log Hz or dB.
        widened: the pitch axis, and the factor by which to stretch the contour around its mean.

    Raises:
        UserError: nothing to say. ValueError: more symbols than frames ("mas").
    """
    ids = space.tokens(text)
    random = ItemRandom(seed, 0, [name])
    rows = None if speaker is None else torch.tensor([speaker], device=ids.device)
    prior = space.prior_of(ids, random, speakers=rows, rate=rate)
    durations = prior.durations
    if z_audio is not None and align == "mas":
        durations = space.align(prior, z_audio[None], torch.tensor([len(z_audio)]), speakers=rows)
    frames = int(durations.sum())
    drawn = random.normal([frames], space.channels).to(ids.device)
    options = {"durations": durations, "scale": scale, "speakers": rows}
    if raised is not None:
        drawn = drawn + raised[0].push(space, prior, drawn, raised[1], **options)
    if widened is not None:
        drawn = drawn + widened[0].widen(space, prior, drawn, widened[1], **options)
    z, _ = space.latents(prior, drawn, **options)
    if z_audio is None or len(z_audio) == frames:
        return z[0]
    return torch.nn.functional.pad(z[0], (0, 0, 0, len(z_audio) - frames))


@torch.inference_mode()
def corpus_pairs(
    prepared: Prepared,
    space: VitsSpace,
    net: PosteriorNet | None,
    style: StyleEncoder,
    *,
    align: Align,
    seed: int,
    max_frames: int,
    posterior: str,
    speaker: str = "",
) -> dict[str, list[FramePair]]:
    """Train and dev pairs, from DATA/latents-*.safetensors if that file is up to date.

    Args:
        posterior: identity of the trained posterior encoder, "" = the voice's. speaker: of the voice.

    Raises:
        UserError: no recording could be used.
    """
    inputs = {
        "corpus": prepared.fingerprint,
        "voice": space.weights_hash(),
        "posterior": posterior,
        "style": style.describe(),
        "align": align,
        "seed": seed,
        "max_frames": max_frames,
        "speaker": speaker,
        "version": 2,
    }
    identity = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
    path = prepared.root / FILE.format(identity[:16])
    known = read(path, identity)
    if known is not None:
        return known
    log.info(
        "computing the latents of the recordings and of their texts, which the model is trained on; "
        f"they are kept in {path}"
    )
    pairs = _compute(prepared, space, net, style, align, seed, max_frames, space.speaker(speaker or None))
    try:
        write(path, pairs, identity)
    except OSError:
        log.warning(f"latents are not kept: {path.parent} cannot be written")
        return pairs
    return read(path, identity) or pairs  # the same half-precision values as in later calls


def _compute(
    prepared: Prepared,
    space: VitsSpace,
    net: PosteriorNet | None,
    style: StyleEncoder,
    align: Align,
    seed: int,
    max_frames: int,
    speaker: int | None,
) -> dict[str, list[FramePair]]:
    # Measured prosody is shared by all stages; other style encoders read the audio.
    measured = measured_of(prepared) if isinstance(style, ProsodyStyle) else {}
    items = [(split, item) for split in ("train", "dev") for item in prepared.items(split)]
    out: dict[str, list[FramePair]] = {"train": [], "dev": []}
    dropped: dict[str, list[str]] = {}
    for split, item in track(items, "latents"):
        audio = read_audio(prepared.audio_path(item))
        try:
            z_audio = latents_of(space, net, audio, speaker=speaker)
            if not 8 <= len(z_audio) <= max_frames:
                raise ValueError(f"not between 8 and {max_frames} frames")
            z_text = z_text_of(
                space, item.text, item.id, seed=seed, z_audio=z_audio, align=align, speaker=speaker
            )
            attributes = measured.get(item.id)
            if isinstance(style, ProsodyStyle) and attributes is not None:
                vector = style.of_measured(attributes)
            else:
                vector = style.of_audio(audio)
        except (UserError, ValueError) as e:
            why = e.what if isinstance(e, UserError) else "more symbols than frames, or too long or short"
            dropped.setdefault(why, []).append(item.id)
            continue
        out[split].append(FramePair(id=item.id, source=z_text.numpy(), target=z_audio.numpy(), style=vector))
    for why, ids in dropped.items():
        log.warning(f"{len(ids)} recordings left out: {why} (first: {ids[0]})")
    if not out["train"]:
        raise UserError("no recording is left to train on", where=prepared.root)
    return out
