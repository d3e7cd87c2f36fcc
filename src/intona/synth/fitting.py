"""How many sentences are spoken at once: as many as fit into memory, fewer when they turn out not to fit."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from weakref import WeakKeyDictionary

from intona import devices
from intona.audio import Audio
from intona.errors import UserError
from intona.synth.voice import Reading, Voice

MAX_SENTENCES = 256
CPU_SENTENCES = 8  # a CPU gains nothing from more
MEMORY_SHARE = 0.5  # of the free memory, for a batch of sentences like the longest
log = logging.getLogger(__name__)
# Sentences at once, after a voice ran out of memory.
_limits: WeakKeyDictionary[Voice, int] = WeakKeyDictionary()


def device_of(voice: Voice) -> str:
    """The name of the device of a voice's model; "cpu" for a voice that names none."""
    return str(getattr(voice, "device", devices.CPU))


def fitting_batch(voice: Voice, readings: Sequence[Reading]) -> int:
    """How many sentences fit into memory at once: up to `MAX_SENTENCES`, or `CPU_SENTENCES` on a CPU.

    The text with the longest sentence is spoken once; a batch of sentences like it may take `MEMORY_SHARE`
    of what is then free.
    """
    device = device_of(voice)
    most = CPU_SENTENCES if device == devices.CPU else MAX_SENTENCES
    if not readings:
        return most
    longest = max(readings, key=lambda reading: reading.longest)
    voice.preload()
    try:
        with devices.PeakMemory(device) as peak:
            list(voice.speak_batch([longest]))
    except Exception as e:
        if not devices.is_out_of_memory(e):
            raise
        return 1
    free = devices.free_bytes(device)
    if free is None or not peak.bytes:
        return CPU_SENTENCES
    each = peak.bytes / len(longest.sentences)
    size = max(1, min(most, int(MEMORY_SHARE * free / each)))
    log.info(
        "%d sentences at once: %.2f GiB free, %.3f GiB for the longest", size, free / 2**30, each / 2**30
    )
    return size


def speak_fitting(voice: Voice, readings: Sequence[Reading]) -> Iterator[Audio | UserError]:
    """What `voice.speak_batch` gives; a batch that does not fit into memory is halved.

    From then on this process speaks no larger batch with the voice. A text that does not fit alone is an
    error of this text.
    """
    rest = list(readings)
    while rest:
        part = _first_part(rest, _limits.get(voice, MAX_SENTENCES))
        done = 0
        try:
            for result in voice.speak_batch(part):
                yield result
                done += 1
        except Exception as e:
            if not devices.is_out_of_memory(e):
                raise
        if done < len(part):
            # Outside of the handler: the exception would keep the tensors of the failed call.
            devices.release_cache(device_of(voice))
            if len(part) == 1:
                yield too_large(voice)
                done = 1
            else:
                _lower_limit(voice, _sentences(part))
        rest = rest[done:]


def too_large(voice: Voice) -> UserError:
    """The error of a text that does not fit into memory."""
    device = device_of(voice)
    place = "this machine" if device == devices.CPU else device
    return UserError(f"the memory of {place} is too small for this text", hint="split the text")


def _lower_limit(voice: Voice, attempted: int) -> None:
    limit = max(1, attempted // 2)
    log.warning("out of memory with %d sentences at once: %d at once from here on", attempted, limit)
    _limits[voice] = limit


def _first_part(readings: Sequence[Reading], limit: int) -> list[Reading]:
    """The first readings, with at most `limit` sentences, but never less than one reading."""
    part = [readings[0]]
    for reading in readings[1:]:
        if _sentences(part) + len(reading.sentences) > limit:
            break
        part.append(reading)
    return part


def _sentences(readings: Sequence[Reading]) -> int:
    return sum(len(reading.sentences) for reading in readings)
