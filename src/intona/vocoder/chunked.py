"""Mels that come in chunks to sound that comes in chunks, without a seam."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch


def decode_chunks(vocoder: Any, mels: Iterable[torch.Tensor]) -> Iterator[np.ndarray]:
    """Waves of mel chunks (T, n_mels), each decoded with what the vocoder sees on both sides."""
    if hasattr(vocoder, "stream"):  # one whose sound does not depend on neighbouring frames alone
        yield from vocoder.stream(mels)
        return
    reach, hop = vocoder.config.reach, vocoder.spec.hop_length
    held: list[torch.Tensor] = []
    context, ahead = 0, 0  # frames: all held, of them already spoken, of them not yet
    for mel in itertools.chain(mels, [None]):
        last = mel is None
        if mel is not None and len(mel):
            held.append(mel.float().cpu())
            ahead += len(mel)
        ready = ahead if last else ahead - reach
        if ready <= 0:
            continue
        x = torch.cat(held)
        wave = vocoder.decode(x[None])[0, context * hop : (context + ready) * hop]
        yield wave.float().numpy()
        keep = min(reach, context + ready)
        held = [x[context + ready - keep :]]
        context, ahead = keep, ahead - ready
