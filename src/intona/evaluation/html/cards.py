"""The utterances on the page: which ones, and each with all systems side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from intona.audio import Audio
from intona.errors import UserError, unknown
from intona.evaluation.finished import Finished, find_audio
from intona.evaluation.html import figures, parts, sound
from intona.evaluation.html.page import Child, Html, Section, join, tag
from intona.evaluation.html.transcript import marked, words_of
from intona.evaluation.judges.base import Measure
from intona.evaluation.judges.f0 import contour
from intona.evaluation.wavs import read_clip

# Bytes of encoded audio and pictures before base64 adds a third: the page stays below 20 MB.
LOSSLESS_BYTES = 7_000_000
MOST_BYTES = 13_000_000


@dataclass(frozen=True, kw_only=True)
class _Sound:
    audio: Audio | None
    trouble: str | None


def choose(finished: Finished, utterances: Sequence[str] | int) -> tuple[list[str], str]:
    """Ids to show and how they were chosen.

    A number n selects n utterances at even steps of rank, from the worst to the best, by the mean over
    systems of the first measure with a direction.

    Raises:
        UserError: an unknown id; a negative number.
    """
    ids = list(finished.rows)
    if not isinstance(utterances, int):
        for utterance in utterances:
            if utterance not in finished.rows:
                unknown("utterance", utterance, ids, where=finished.directory)
        return list(dict.fromkeys(utterances)), "Chosen by name."
    if utterances < 0:
        raise UserError(f"{utterances} utterances cannot be shown", hint="give 0 or more")
    if utterances >= len(ids):
        return ids, f"All {len(ids)} utterances."
    judged = next((m for m in finished.measures if m.better), None)
    if judged is None or utterances == 0:
        return ids[:utterances], f"The first {utterances} of {len(ids)}."
    ranked = sorted(ids, key=lambda i: (-_badness(finished, judged, i), i))
    last = max(1, utterances - 1)
    picked = [ranked[round(k * (len(ids) - 1) / last)] for k in range(utterances)]
    rule = (
        f"{len(picked)} of {len(ids)}, at even steps from the worst to the best by {judged.title} (mean over "
        "systems): chosen by rule, not by listening."
    )
    return picked, rule


def audible(finished: Finished) -> tuple[str, ...]:
    """Systems with audio: the destroyed-text row uses the audio of another one."""
    return tuple(row.name for row in finished.report.rows if row.role != "destroyed")


def _badness(finished: Finished, measure: Measure, utterance: str) -> float:
    values = []
    for system in audible(finished):
        record = finished.records.get((system, utterance), {}).get(measure.name)
        if record is not None and record.value is not None:
            values.append(record.value)
    mean = sum(values) / len(values) if values else 0.0
    return mean if measure.better == "lower" else -mean


def cards(
    finished: Finished,
    wavs: Mapping[str, Path],
    chosen: Sequence[str],
    rule: str,
    *,
    progress: Callable[[int, int, str], None] | None = None,
) -> Section:
    """The section of all chosen utterances. If it grows too big: compressed audio, then fewer utterances."""
    files = {name: find_audio(Path(folder), chosen) for name, folder in wavs.items()}
    normalize, normalizer_id = words_of(finished.language)
    coding = _coding(files)
    shown: list[Html] = []
    spent, left_out = 0, 0
    for number, utterance in enumerate(chosen):
        raw = {name: _read(finished, name, files.get(name), utterance) for name in audible(finished)}
        voices, size = _voices(finished, utterance, raw, coding, normalize)
        if spent + size > MOST_BYTES:
            left_out = len(chosen) - number
            break
        spent += size
        row = finished.rows[utterance]
        shown.append(parts.card(utterance, row.text, voices, note=row.speaker or None))
        if progress:
            progress(number + 1, len(chosen), "pictures")
    kind = "FLAC, lossless" if coding == "flac" else "Ogg Opus, to save space; use the files for fine detail"
    notes = [
        rule + (f" {left_out} more did not fit on a page of 20 MB." if left_out else ""),
        f"Sound: {kind}, at the original level of each system.",
        "Grey line in a pitch plot: the recording, not aligned in time.",
        join(
            [
                "Words: ",
                tag("del", "struck"),
                " is in the text and not in the transcript, ",
                tag("ins", "underlined"),
                f" is in the transcript and not in the text ({normalizer_id}).",
            ]
        ),
    ]
    return Section(id="utterances", title="Utterances", lead=notes, body=join(shown))


def _coding(files: Mapping[str, Mapping[str, Path]]) -> sound.Coding:
    """Decided before anything is encoded: FLAC takes a little more than half of a 16-bit wav."""
    total = sum(path.stat().st_size for paths in files.values() for path in paths.values())
    return "flac" if total * 0.6 <= LOSSLESS_BYTES else "opus"


def _read(finished: Finished, system: str, files: Mapping[str, Path] | None, utterance: str) -> _Sound:
    failure = finished.failure(system, utterance)
    trouble = ": ".join(part for part in failure if part) if failure else None
    if files is None:
        return _Sound(audio=None, trouble=trouble)
    if failure is None and utterance not in files:
        # It was judged and has been removed since: this is not a failure of the system.
        return _Sound(audio=None, trouble=None)
    clip = read_clip(files.get(utterance))
    return _Sound(audio=clip.audio, trouble=trouble)


def _voices(
    finished: Finished,
    utterance: str,
    sounds: Mapping[str, _Sound],
    coding: sound.Coding,
    normalize: Callable[[str], str],
) -> tuple[list[parts.Rendering], int]:
    longest = max((s.audio.duration for s in sounds.values() if s.audio), default=0.0)
    f0 = {name: contour(s.audio) for name, s in sounds.items() if s.audio}
    hz = figures.f0_range(list(f0.values()))
    recording = finished.report.recording
    voices, size = [], 0
    for i, (system, clip) in enumerate(sounds.items()):
        encoded = picture = None
        if clip.audio is not None:
            raw = sound.encode(clip.audio, coding)
            encoded = sound.uri(raw, coding)
            picture = figures.voice(
                clip.audio,
                f0[system],
                seconds=longest,
                label=f"{utterance}, {system}",
                colour=i,
                beside=None if system == recording else f0.get(recording),
                hz=hz,
            )
            size += len(raw) + len(picture) * 3 // 4
        hypothesis = finished.hypothesis(system, utterance)
        transcript = None
        if hypothesis is not None:
            transcript = marked(normalize(finished.rows[utterance].text), normalize(hypothesis))
        voices.append(
            parts.Rendering(
                system=system,
                audio=encoded,
                picture=picture,
                transcript=transcript,
                figures=_values(finished, system, utterance),
                failure=clip.trouble,
                colour=i,
            )
        )
    return voices, size


def _values(finished: Finished, system: str, utterance: str) -> list[tuple[Child, Child]]:
    records = finished.records.get((system, utterance), {})
    shown: list[tuple[Child, Child]] = []
    for m in finished.measures:
        record = records.get(m.name)
        if record is not None and record.value is not None:
            shown.append((m.title, f"{record.value:.{m.digits}f}"))
    return shown
