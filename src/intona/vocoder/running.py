"""Mels in chunks through a source-filter vocoder, whose phase runs on from chunk to chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from intona.arrays import namespace
from intona.audio import MelSpec
from intona.vocoder.source import bridged, running_phase


def waves(
    chunks: Iterable[Any],
    spec: MelSpec,
    *,
    reach: int,
    pitch_reach: int,
    pitch: Callable[[Any], Any],
    sound: Callable[[Any, Any, Any, int], Any],
) -> Iterator[Any]:
    """Waves (B, S) of consecutive mels (B, T, n_mels), late by what the network must see ahead.

    The pitch of all frames so far is kept, 4 bytes each; mels only as far as the network looks back.

    Args:
        reach: frames to either side of its own that a sample depends on; of them `pitch_reach` for the pitch.
        pitch: mels to Hz (B, T), 0 where unvoiced.
        sound: mels, pitch and phase (B, T) and the number of their first frame to waves (B, T * hop).
    """
    ahead, hop = pitch_reach + 1, spec.hop_length
    mel: Any = None
    f0: Any = None
    dropped = spoken = 0  # frames: gone from `mel`, given out
    for chunk in _with_end(chunks):
        if chunk is not None:
            mel = chunk if mel is None else namespace(mel).concatenate([mel, chunk], axis=1)
        if mel is None:
            return
        total = dropped + mel.shape[1]
        known = 0 if f0 is None else f0.shape[1]
        sure = total if chunk is None else max(known, total - ahead + 1)
        new = pitch(mel)[:, known - dropped : sure - dropped]
        f0 = new if f0 is None else namespace(f0).concatenate([f0, new], axis=1)
        ready = total if chunk is None else max(spoken, total - reach)
        if ready > spoken:
            # Frames whose pitch is sure, from those that are still in `mel`.
            end = min(sure, ready + reach - pitch_reach)
            phase = running_phase(bridged(f0), spec)[:, dropped:end]
            wave = sound(mel[:, : end - dropped], f0[:, dropped:end], phase, dropped)
            yield wave[:, (spoken - dropped) * hop : (ready - dropped) * hop]
            spoken = ready
        gone = max(0, min(spoken, known if chunk is None else sure) - reach - dropped)
        mel, dropped = mel[:, gone:], dropped + gone


def _with_end(chunks: Iterable[Any]) -> Iterator[Any]:
    yield from chunks
    yield None
