"""Recordings of any length to text: levelled, cut at pauses, transcribed window by window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from intona.audio import Audio, MelSpec, log_mel
from intona.data.clean import frame_levels
from intona.nn.precision import autocast, one_at_a_time
from intona.nn.random import ItemRandom
from intona.synth.reference import levelled, silent
from intona.systems.meld import SpeechLM, listen, spelling
from intona.text import BpeTokenizer

QUIET_FRAMES = 17  # of 10 ms: the width of the pause that a long recording is cut at


@dataclass(frozen=True, kw_only=True)
class Window:
    """A part of a transcribed recording.

    Args:
        start, end: seconds from the start of the recording.
        score: log probability per piece, in nats.
        ended: whether the model ended the text by itself.
    """

    start: float
    end: float
    text: str
    score: float
    ended: bool


def transcribed_windows(
    model: SpeechLM,
    tokenizer: BpeTokenizer,
    spec: MelSpec,
    blocks: Iterable[np.ndarray],
    *,
    longest_frames: int,
    beam: int,
    seed: int,
    dropout: bool = False,
) -> Iterator[Window]:
    """Windows of samples at `spec.sample_rate` with their transcripts; silent ones have an empty text.

    Args:
        blocks: consecutive samples, each of any length.
        beam: texts that are followed at once; 1 is greedy.
        dropout: keep that of the prenet, drawn from `seed`.
    """
    rate, group, start = spec.sample_rate, model.config.group, 0
    for i, samples in enumerate(windows(blocks, longest_frames, spec)):
        begin, start = start / rate, start + len(samples)
        if len(samples) <= spec.n_fft * group or silent(samples, rate):
            yield Window(start=begin, end=start / rate, text="", score=0.0, ended=True)
            continue
        mel = torch.from_numpy(log_mel(levelled(Audio(samples, rate), where="recording"), spec)).to(
            model.mean.device
        )
        # Twice as many pieces as so much sound holds on average.
        mean = max(float(model.spans[2:].mean()) * group, 1e-3)
        most = min(8 + round(2 * len(mel) / mean), model.config.context - 1 - len(mel) // group)
        with one_at_a_time(), autocast(device=model.mean.device.type):
            random = ItemRandom(seed, 0, [f"window {i}"]) if dropout else None
            best = listen(model, mel, max_pieces=most, beam=beam, random=random)
        text = spelling.read(tokenizer, best.pieces)
        yield Window(start=begin, end=start / rate, text=text, score=best.score, ended=best.ended)


def windows(blocks: Iterable[np.ndarray], longest_frames: int, spec: MelSpec) -> Iterator[np.ndarray]:
    """Samples cut into windows no longer than the longest training utterance, at the quietest place.

    The cut lies in the last half of a window. Memory: two windows, whatever the length.
    """
    size = longest_frames * spec.hop_length
    buffer = np.zeros(0, np.float32)
    for block in blocks:
        buffer = np.concatenate([buffer, block])
        while len(buffer) > size:
            level = frame_levels(buffer[:size], spec.sample_rate)
            smooth = np.convolve(level, np.ones(QUIET_FRAMES) / QUIET_FRAMES, mode="same")
            half = len(smooth) // 2
            quietest = half + int(np.argmin(smooth[half : len(smooth) - QUIET_FRAMES // 2]))
            cut = min(size, round((quietest + 0.5) * 0.010 * spec.sample_rate))
            yield buffer[:cut]
            buffer = buffer[cut:]
    if len(buffer):
        yield buffer
