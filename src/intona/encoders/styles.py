"""A style encoder by its name, and a style from what a user writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from intona.encoders.style import ProsodyStyle, Scale, StyleEncoder
from intona.errors import UserError

SOUND = (".wav", ".flac", ".ogg", ".mp3", ".opus", ".m4a")


def read(style: str, encoder: StyleEncoder) -> np.ndarray:
    """What `--style` means: a sound file's style, or a description's.

    Raises:
        UserError: empty, a file that is not there or silent, a text that the encoder cannot embed.
    """
    from intona.audio import read_audio

    if not style.strip():
        raise UserError("an empty style", where="--style", hint='such as "calm, low, slow", or a sound file')
    if Path(style).suffix.lower() in SOUND:
        try:
            return encoder.of_audio(read_audio(style))
        except UserError as e:
            raise UserError(
                e.what, where=e.where if e.where not in (None, "style") else style, hint=e.hint
            ) from None
    return encoder.of_text(style)


def load(name: str, scale: Scale | None = None, *, ask: bool = True) -> StyleEncoder:
    """ "prosody"; "style:" and a run of restyle.style; or a CLAP: "clap:" and a hub id or directory.

    Args:
        scale: of "prosody".
        ask: see `hub.fetch`.

    Raises:
        UserError: unknown, or not to be had.
    """
    if name == "prosody":
        return ProsodyStyle(scale)
    kind, _, rest = name.partition(":")
    if kind == "clap" and rest:
        from intona.encoders.clap import Clap

        return Clap(rest, ask=ask)
    if kind == "style" and rest:
        from intona.encoders.style_net import StyleEmbedding

        return StyleEmbedding(rest)
    raise UserError(
        f'unknown style encoder "{name}"',
        hint='"prosody", "style:" and a run of restyle.style, or "clap:" and a hub id or directory',
    )
