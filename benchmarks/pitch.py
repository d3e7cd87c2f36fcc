"""Pitch trackers against Praat's autocorrelation (Boersma 1993), frame by frame, over a folder of sounds.

    pip install praat-parselmouth
    python benchmarks/pitch.py DIR...          # .wav, .flac, .ogg below each
    python benchmarks/pitch.py --study OUT     # of `intona study restyle`: how far each row moved the pitch

Found: of the frames that Praat calls voiced, those that the tracker does too. Far: of the frames that both
do, those more than two semitones apart. Median: of all voiced frames of a file, mean over files. Seconds: of
one core a second of speech.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from intona.audio import Audio, f0_contour, read_audio
from intona.audio.pitch import HOP_SECONDS
from intona.encoders.styles import SOUND
from intona.evaluation.stats import Interval, ratio_interval

RANGE = (50.0, 500.0)


def praat(audio: Audio, times: np.ndarray) -> np.ndarray:
    """(T,) Hz at `times`, 0 where unvoiced."""
    import parselmouth

    sound = parselmouth.Sound(audio.samples.astype(np.float64), audio.sample_rate)
    found = sound.to_pitch_ac(time_step=HOP_SECONDS / 2, pitch_floor=RANGE[0], pitch_ceiling=RANGE[1])
    return np.nan_to_num(np.array([found.get_value_at_time(t) for t in times]))


def told(value: Interval) -> str:
    return f"{value.estimate:.3f} [{value.low:.3f}, {value.high:.3f}]"


def steered(out: Path) -> None:
    """Semitones between a sentence's high and low style, row by row, by Praat and by our tracker."""
    from intona.encoders.style import contour_of
    from intona.studies.restyle import conditions as trial

    asked = trial.read_conditions(out / "jobs" / "test")
    sentences = sorted({w.sentence for w in asked.rows.values()})

    def medians(path: Path) -> tuple[float, float]:
        audio = read_audio(path)
        ours = contour_of(audio, 0.01)
        true = praat(audio, ours.times)
        return float(np.median(true[true > 0])), ours.median

    for folder in sorted((out / "jobs" / "said").glob("*/*")):
        wavs = folder / "wavs"
        both = [s for s in sentences if all((wavs / f"{s}.{p}.wav").exists() for p in trial.POLES)]
        found = [{p: medians(wavs / f"{s}.{p}.wav") for p in trial.POLES} for s in both]
        moved = 12 * np.log2([[f["high"][k] / f["low"][k] for k in (0, 1)] for f in found])
        told_of = (f"{name} {np.median(moved[:, k]):+.1f} st" for k, name in enumerate(("Praat", "YIN")))
        print(f"{folder.parent.name}@{folder.name}  N {len(both)}  {'  '.join(told_of)} (median)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--study", type=Path)
    parser.add_argument("--limit", type=int, default=40, help="files of a folder")
    given = parser.parse_args()
    if given.study:
        steered(given.study)
    for folder in given.folders:
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SOUND)[: given.limit]
        sounds = [read_audio(p) for p in paths]
        for method in ("yin", "harvest"):
            counts, medians, spent = [], [], 0.0
            for audio in sounds:
                start = time.process_time()
                found = f0_contour(audio, f_min=RANGE[0], f_max=RANGE[1], method=method)
                spent += time.process_time() - start
                true = praat(audio, found.times)
                both = (true > 0) & found.voiced
                far = np.abs(np.log2(found.f0[both] / true[both])) > 2 / 12
                counts.append((int((true > 0).sum()), int(both.sum()), int(far.sum())))
                if both.any():
                    medians.append((found.median, float(np.median(true[true > 0]))))
            voiced, shared, wrong = np.array(counts).T
            ours, theirs = np.mean(medians, axis=0)
            seconds = sum(a.duration for a in sounds)
            print(
                f"{folder}  {method:8} N {len(sounds)}  found {told(ratio_interval(shared, voiced))}  "
                f"far {told(ratio_interval(wrong, shared))}  median {ours:.1f} Hz (Praat {theirs:.1f})  "
                f"{spent / seconds:.4f} s"
            )


if __name__ == "__main__":
    main()
