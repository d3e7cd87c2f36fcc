"""Controls that any voice with word times can obey on the audio: pauses between words, and volume."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from intona.audio import Audio
from intona.synth.speech import Mark, Speech, TimedWord, delayed
from intona.text.controls import NEUTRAL, PlacedMark, WordControl

if TYPE_CHECKING:
    from intona.text import Utterance

FADE, RAMP = 0.005, 0.02  # seconds: around a cut, and between two volumes


def shaped(
    speech: Speech,
    controls: Sequence[WordControl],
    *,
    marks: Sequence[PlacedMark] = (),
) -> Speech:
    """A sentence with the pauses and the volume of its words. Times count from its start.

    The silence between two words becomes as long as the pause of the first one: it is lengthened or cut in
    its middle. The pause of the last word is left to the caller.

    Args:
        controls: one per word, or none.
        marks: of the sentence.
    """
    words, samples, rate = list(speech.words), speech.audio.samples, speech.audio.sample_rate
    if controls and any(c.energy for c in controls):
        samples = samples * _gain(len(samples), rate, words, [c.energy for c in controls])
    for i in range(len(words) - 1):
        pause = controls[i].pause if controls else None
        if pause is None:
            continue
        end, start = round(words[i].end * rate), round(words[i + 1].start * rate)
        samples, change = _resized(samples, end, start, round(pause * rate), round(FADE * rate))
        words[i + 1 :] = delayed(words[i + 1 :], change, rate)
    last = max(len(samples) / rate, words[-1].end + (controls[-1].pause or 0.0) if controls else 0.0)
    return Speech(
        audio=Audio(samples, rate), words=tuple(words), marks=tuple(_timed(m, words, last) for m in marks)
    )


def in_sequence(
    sentences: Sequence[Utterance], speeches: Iterable[Speech], *, usual: float
) -> Iterator[Speech]:
    """The sentences of a text one after another, and the silences around them, in consecutive pieces.

    A pause after a sentence counts from the end of its last word.

    Args:
        speeches: one per sentence, times from its start; taken one by one.
        usual: seconds of silence between two sentences where the text does not say.
    """
    start = 0
    silence = _first(sentences).before
    for i, (sentence, speech) in enumerate(zip(sentences, speeches, strict=True)):
        rate = speech.audio.sample_rate
        if piece := _silence(silence, rate):
            yield piece
            start += len(piece.audio)
        yield moved(speech, start)
        start += len(speech.audio)
        following = sentences[i + 1 :]
        pause = sentence.controls[-1].pause if sentence.controls else None
        natural = usual if following else 0.0
        silence = natural if pause is None else max(0.0, pause - _tail(speech))
        silence += _first(following).before
    if piece := _silence(silence, rate):
        yield piece


def _first(sentences: Sequence[Utterance]) -> WordControl:
    """The control of the first word."""
    return sentences[0].controls[0] if sentences and sentences[0].controls else NEUTRAL


def _silence(seconds: float, rate: int) -> Speech | None:
    n = round(seconds * rate)
    return Speech(audio=Audio(np.zeros(n, np.float32), rate)) if n else None


def _tail(speech: Speech) -> float:
    """Seconds behind the last word."""
    return speech.duration - speech.words[-1].end if speech.words else 0.0


def _resized(samples: np.ndarray, start: int, end: int, n: int, fade: int) -> tuple[np.ndarray, int]:
    """The part [start, end) brought to `n` samples around its middle, and the change of the length."""
    middle, change = (start + end) // 2, n - (end - start)
    if change == 0:
        return samples, 0
    cut = min(-change, end - start) // 2 if change < 0 else 0
    left, right = samples[: middle - cut].copy(), samples[middle - cut + max(0, -change) :].copy()
    ramp = np.linspace(0, 1, fade + 2, dtype=samples.dtype)[1:-1]
    k, m = min(fade, len(left)), min(fade, len(right))
    if k:
        left[-k:] *= ramp[::-1][-k:]
    if m:
        right[:m] *= ramp[:m]
    return np.concatenate([left, np.zeros(max(0, change), samples.dtype), right]), change


def _gain(n: int, rate: int, words: Sequence[TimedWord], energies: Sequence[float]) -> np.ndarray:
    """A factor per sample: the dB of the nearest word, with a ramp between two that differ."""
    at, values = [0.0], [float(energies[0])]
    for i in range(len(words) - 1):
        if energies[i] != energies[i + 1]:
            middle = (words[i].end + words[i + 1].start) / 2
            at += [max(at[-1], middle - RAMP / 2), max(at[-1], middle + RAMP / 2)]
            values += [float(energies[i]), float(energies[i + 1])]
    decibels = np.interp(np.arange(n) / rate, at, values)
    return (10.0 ** (decibels / 20)).astype(np.float32)


def _timed(mark: PlacedMark, words: Sequence[TimedWord], last: float) -> Mark:
    """The time of a mark; `last`: of one behind everything."""
    if mark.early and mark.word:
        return Mark(name=mark.name, time=words[mark.word - 1].end)
    return Mark(name=mark.name, time=words[mark.word].start if mark.word < len(words) else last)


def amplified(speech: Speech, decibels: float) -> Speech:
    """A speech at another volume, within full scale."""
    if not decibels:
        return speech
    samples = np.clip(speech.audio.samples * np.float32(10.0 ** (decibels / 20)), -1, 1)
    audio = Audio(samples, speech.audio.sample_rate)
    return Speech(audio=audio, words=speech.words, marks=speech.marks)


def moved(speech: Speech, samples: int) -> Speech:
    """A speech that begins `samples` later."""
    rate = speech.audio.sample_rate
    return Speech(
        audio=speech.audio,
        words=delayed(speech.words, samples, rate),
        marks=tuple(Mark(name=m.name, time=m.time + samples / rate) for m in speech.marks),
    )
