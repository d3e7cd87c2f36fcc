"""Many voices from few readers, for zero-shot speech: WORLD warps, and how near a prompt is met.

    python benchmarks/pseudo_speakers.py warp CORPUS --output WARPED --speakers 200 --seed 0
    python benchmarks/pseudo_speakers.py judge SPOKEN --corpus WARPED --table OUT/table.json

`warp` reads prepared data, or `metadata.csv` (id|text|speaker, or id|text of one speaker) with `wavs/`,
draws for each pseudo-speaker a source reader, a warp of the formants and a shift and a scale of F0, and
resynthesizes some of the reader's recordings with WORLD (Morise et al. 2016; pyworld). The warps are spread
evenly over their ranges, so that hardly two voices are alike, and follow from the seed. It writes:

- `speakers.jsonl`: id, "label" ("synthetic warp of READER"), source, warps, and "held_out";
- `train/metadata.csv` and `held-out/metadata.csv`, each with `wavs/`: the voices to train on and the others,
  as `intona prepare csv` reads them.

`judge` compares speech with voices: SPOKEN holds `ID.wav` or `ID.DRAW.wav`, each spoken with a prompt by the
held-out voice of recording ID. SIM-o is the GE2E cosine to another recording of that voice than ID. Beside it
stand chance, the cosine of a recording by another held-out voice to the same recording; the ceiling, that of
another recording by the voice itself; and the cosine to the nearest voice of the training, which says
whether the model copies a voice that it knows. Intervals are over held-out voices.

The warped recordings are synthetic: name them so wherever they are used, and keep the sources' licence.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from intona.audio import Audio, read_audio
from intona.data.prepared import MARK, Prepared
from intona.errors import UserError
from intona.evaluation.controls import put
from intona.evaluation.stats import ratio_interval
from intona.evaluation.wavs import sound_files
from intona.jsonl import read_jsonl, write_jsonl
from intona.seeds import derive_seed

RATE = 16_000
FORMANTS, SEMITONES, RANGE = (0.82, 1.22), (-6.0, 6.0), (0.7, 1.4)
PERIOD = 5.0  # ms between WORLD's frames
TRAIN, HELD_OUT = "train", "held-out"


@dataclass(frozen=True, kw_only=True)
class Warp:
    """Factor of the formants' frequencies, shift of F0, and factor about the mean of log F0."""

    formants: float
    semitones: float
    range: float


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One recording of a source reader."""

    id: str
    text: str
    speaker: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class PseudoSpeaker:
    """A voice. recordings: ids of those of its source that are warped."""

    id: str
    label: str
    source: str
    warp: Warp
    held_out: bool
    recordings: tuple[str, ...]


# --- warps --------------------------------------------------------------------------------------------


def warp_audio(audio: Audio, warp: Warp) -> Audio:
    """The recording with its envelope stretched along frequency and its F0 changed; the length stays.

    Raises:
        UserError: pyworld cannot be imported.
    """
    world = _world()
    sound = audio.resample(RATE).samples.astype(np.float64)
    f0, times = world.dio(sound, RATE, frame_period=PERIOD)
    f0 = world.stonemask(sound, f0, times, RATE)
    envelope = world.cheaptrick(sound, f0, times, RATE)
    aperiodicity = world.d4c(sound, f0, times, RATE)
    samples = world.synthesize(
        warp_f0(f0, warp), warp_envelope(envelope, warp.formants), aperiodicity, RATE, PERIOD
    )
    samples = samples[: len(sound)]
    peak = float(np.abs(samples).max(initial=0.0))
    before = float(np.abs(sound).max(initial=0.0))
    if peak > 0:
        samples = samples * min(before, 0.99) / peak
    return Audio(samples.astype(np.float32), RATE)


def warp_f0(f0: np.ndarray, warp: Warp) -> np.ndarray:
    """Hz (T,), 0 where unvoiced: log F0 is scaled about its mean and shifted."""
    out, voiced = np.zeros_like(f0), f0 > 0
    if voiced.any():
        log = np.log(f0[voiced])
        mean = log.mean()
        out[voiced] = np.exp(mean + warp.range * (log - mean) + warp.semitones * np.log(2) / 12)
    return out


def warp_envelope(envelope: np.ndarray, formants: float) -> np.ndarray:
    """(T, F): what stood at frequency f stands at f * formants; the edge is held above the last value."""
    bins = np.arange(envelope.shape[1]) / formants
    log = np.log(envelope)
    place = np.arange(envelope.shape[1])
    return np.exp(np.stack([np.interp(bins, place, row) for row in log]))


def draw_warps(n: int, seed: int) -> list[Warp]:
    """`n` warps that fill their range evenly (a Latin hypercube), from a seed."""
    from scipy.stats.qmc import LatinHypercube

    rng = np.random.default_rng(derive_seed(seed, "pseudo-speakers"))
    points = LatinHypercube(d=3, rng=rng).random(n)
    low, high = (np.array(v) for v in zip(FORMANTS, SEMITONES, RANGE, strict=True))
    # Frequencies and ranges are factors: they are drawn evenly in the logarithm.
    low[[0, 2]], high[[0, 2]] = np.log(low[[0, 2]]), np.log(high[[0, 2]])
    rows = low + points * (high - low)
    rows[:, [0, 2]] = np.exp(rows[:, [0, 2]])
    return [Warp(formants=round(a, 4), semitones=round(b, 3), range=round(c, 4)) for a, b, c in rows.tolist()]


def plan(
    recordings: Sequence[Recording], *, speakers: int, share: float, per_speaker: int, seed: int
) -> list[PseudoSpeaker]:
    """Which reader, warp and recordings each pseudo-speaker has; every reader has its share of the held out.

    Raises:
        UserError: readers with too few recordings, no speakers, a share that is none.
    """
    if speakers < 2 or per_speaker < 2 or not 0 < share < 1:
        raise UserError(
            "need at least 2 speakers, 2 recordings each and a share between 0 and 1", where="warp"
        )
    by_reader: dict[str, list[str]] = defaultdict(list)
    for r in recordings:
        by_reader[r.speaker].append(r.id)
    readers = sorted(name for name, ids in by_reader.items() if len(ids) >= per_speaker)
    if not readers:
        raise UserError(f"no speaker has {per_speaker} recordings", where="warp")
    warps = draw_warps(speakers, seed)
    every = round(1 / share)
    out, seen = [], dict.fromkeys(readers, 0)
    for n, warp in enumerate(warps):
        reader = readers[n % len(readers)]
        rng = np.random.default_rng(derive_seed(seed, "recordings", n))
        ids = rng.choice(np.array(sorted(by_reader[reader])), per_speaker, replace=False)
        out.append(
            PseudoSpeaker(
                id=f"warp-{n:04d}",
                label=f"synthetic warp of {reader}",
                source=reader,
                warp=warp,
                held_out=seen[reader] % every == every - 1,
                recordings=tuple(sorted(ids.tolist())),
            )
        )
        seen[reader] += 1
    return out


def write(recordings: Sequence[Recording], voices: Sequence[PseudoSpeaker], output: Path) -> int:
    """Resynthesize what is missing; how many recordings were refused because they hold no speech."""
    by_id, refused = {r.id: r for r in recordings}, 0
    rows: dict[str, list[tuple[str, str, str]]] = {TRAIN: [], HELD_OUT: []}
    for n, voice in enumerate(voices, 1):
        part = HELD_OUT if voice.held_out else TRAIN
        (output / part / "wavs").mkdir(parents=True, exist_ok=True)
        for id in voice.recordings:
            name = f"{voice.id}-{id}"
            target = output / part / "wavs" / f"{name}.wav"
            if not target.is_file():
                audio = warp_audio(read_audio(by_id[id].path), voice.warp)
                if not np.abs(audio.samples).max(initial=0.0):
                    print(f"{name}: silent, left out", file=sys.stderr)
                    refused += 1
                    continue
                put(target, audio.write)
            rows[part].append((name, by_id[id].text, voice.id))
        print(f"{n} of {len(voices)} voices", file=sys.stderr)
    for part, lines in rows.items():
        (output / part).mkdir(exist_ok=True, parents=True)
        text = "".join("|".join(line) + "\n" for line in lines)
        (output / part / "metadata.csv").write_text(text, encoding="utf-8")
    write_jsonl(output / "speakers.jsonl", [dataclasses.asdict(v) for v in voices])
    return refused


def read_corpus(folder: Path) -> list[Recording]:
    """The training recordings of prepared data, or those that `metadata.csv` lists and `wavs/` has.

    Raises:
        UserError: no list, a row that is no id|text|speaker, a missing or ambiguous recording.
    """
    if (folder / MARK).is_file():
        prepared = Prepared.open(folder)
        return [
            Recording(
                id=i.name, text=i.text, speaker=prepared.speakers[i.speaker], path=prepared.audio_path(i)
            )
            for i in prepared.items("train")
        ]
    path = folder / "metadata.csv"
    if not path.is_file():
        raise UserError("no metadata.csv", where=folder, hint="id|text|speaker per line, beside wavs/")
    files: dict[str, Path] = {p.stem: p for p in sound_files(folder / "wavs")}
    out = []
    with open(path, encoding="utf-8", newline="") as f:
        for n, row in enumerate(csv.reader(f, delimiter="|", quoting=csv.QUOTE_NONE), 1):
            if len(row) not in (2, 3) or not row[0] or not row[1].strip():
                raise UserError("not id|text|speaker", where=f"{path}:{n}")
            if row[0] not in files:
                raise UserError(f'no recording "{row[0]}"', where=folder / "wavs")
            speaker = row[2] if len(row) == 3 and row[2] else "reader"
            out.append(Recording(id=row[0], text=row[1], speaker=speaker, path=files[row[0]]))
    return out


def _world():
    from intona.audio.pitch import pyworld

    if (world := pyworld()) is None:
        raise UserError("warps need pyworld, which cannot be imported", hint="pip install pyworld")
    return world


# --- similarity ---------------------------------------------------------------------------------------

Vectors = Mapping[str, np.ndarray]  # id of a recording -> unit vector


def similarities(
    spoken: Vectors, held_out: Vectors, trained: Vectors, speaker_of: Mapping[str, str]
) -> dict[str, dict[str, list[float]]]:
    """Measure -> held-out voice -> cosines: "sim_o", "chance", "ceiling" and "nearest_training_voice".

    Args:
        spoken: key "ID" or "ID.DRAW", ID the recording that was the prompt. held_out, trained: recordings.
        speaker_of: id of a recording -> its voice.

    Raises:
        UserError: a spoken file without its recording, or a voice with a single recording.
    """
    by_voice: dict[str, list[str]] = defaultdict(list)
    for id in sorted(held_out):
        by_voice[speaker_of[id]].append(id)
    voices = sorted(by_voice)
    if len(voices) < 2:
        raise UserError("fewer than two held-out voices: there is no chance to compare with", where="judge")
    means: dict[str, list[np.ndarray]] = defaultdict(list)
    for id, vector in trained.items():
        means[speaker_of[id]].append(vector)
    centroids = [v / np.linalg.norm(v) for v in (np.mean(rows, axis=0) for rows in means.values())]
    out: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for key in sorted(spoken):
        prompt = key if key in held_out else key.rpartition(".")[0]
        if prompt not in held_out:
            raise UserError(f'"{key}" names no held-out recording', where="judge")
        voice = speaker_of[prompt]
        others = [id for id in by_voice[voice] if id != prompt]
        if not others:
            raise UserError(f'voice "{voice}" has a single recording', where="judge")
        # Always the same recordings for a key.
        target = others[derive_seed("target", key) % len(others)]
        rest = [id for id in others if id != target] or [prompt]
        again = rest[derive_seed("ceiling", key) % len(rest)]
        strangers = [v for v in voices if v != voice]
        stranger = by_voice[strangers[derive_seed("chance", key) % len(strangers)]]
        other = stranger[derive_seed("recording", key) % len(stranger)]
        values = {
            "sim_o": float(spoken[key] @ held_out[target]),
            "chance": float(held_out[other] @ held_out[target]),
            "ceiling": float(held_out[again] @ held_out[target]),
        }
        if centroids:
            values["nearest_training_voice"] = max(float(spoken[key] @ c) for c in centroids)
        for name, value in values.items():
            out[name][voice].append(value)
    return out


def summary(by_measure: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, dict[str, float]]:
    """Each measure's mean with its interval over voices, and of SIM-o minus the others, paired by voice."""
    out = {}
    for name, by_voice in by_measure.items():
        out[name] = _interval([(sum(v), float(len(v))) for v in by_voice.values()])
    for name in ("chance", "nearest_training_voice"):
        if name in by_measure:
            pairs = [
                (sum(v) - sum(by_measure[name][voice]), float(len(v)))
                for voice, v in by_measure["sim_o"].items()
            ]
            out[f"sim_o - {name}"] = _interval(pairs)
    return out


def _interval(pairs: Sequence[tuple[float, float]]) -> dict[str, float]:
    return vars(ratio_interval([a for a, _ in pairs], [b for _, b in pairs]))


def judge(spoken: Path, corpus: Path, embed: Callable[[Audio], np.ndarray]) -> dict[str, dict[str, float]]:
    """SIM-o of speech with held-out voices of a folder that `write` made.

    Raises:
        UserError: no such folder, a file that is not audio.
    """
    voices = {row["id"]: row for row in read_jsonl(corpus / "speakers.jsonl")}
    listed = {part: read_corpus(corpus / part) for part in (TRAIN, HELD_OUT)}
    speaker_of = {r.id: r.speaker for rows in listed.values() for r in rows}
    unknown = sorted(set(speaker_of.values()) - set(voices))
    if unknown:
        raise UserError(f"{unknown[0]} is not in speakers.jsonl", where=corpus)
    vectors = {part: {r.id: embed(read_audio(r.path)) for r in rows} for part, rows in listed.items()}
    files = {p.stem: embed(read_audio(p)) for p in sound_files(spoken)}
    return summary(similarities(files, vectors[HELD_OUT], vectors[TRAIN], speaker_of))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    warp = verbs.add_parser("warp", help="make the pseudo-speakers")
    warp.add_argument(
        "corpus", type=Path, nargs="+", help="prepared data, or folders with metadata.csv and wavs/"
    )
    warp.add_argument("--output", type=Path, required=True)
    warp.add_argument("--speakers", type=int, default=200)
    warp.add_argument("--recordings", type=int, default=12, help="per pseudo-speaker")
    warp.add_argument("--held-out", type=float, default=0.1, help="share of the voices")
    warp.add_argument("--seed", type=int, default=0)
    test = verbs.add_parser("judge", help="similarity of speech to held-out voices")
    test.add_argument("spoken", type=Path)
    test.add_argument("--corpus", type=Path, required=True, help="what `warp` wrote")
    test.add_argument("--table", type=Path, help="write the figures here as JSON")
    request = parser.parse_args()
    try:
        if request.verb == "warp":
            recordings = [r for folder in request.corpus for r in read_corpus(folder)]
            if len({r.id for r in recordings}) < len(recordings):
                raise UserError("two recordings have one id", where="warp", hint="name them differently")
            voices = plan(
                recordings,
                speakers=request.speakers,
                share=request.held_out,
                per_speaker=request.recordings,
                seed=request.seed,
            )
            refused = write(recordings, voices, request.output)
            held = sum(v.held_out for v in voices)
            print(f"{len(voices)} voices, {held} of them held out; {refused} recordings refused")
            return 0
        from intona.encoders.ge2e import GE2E

        table = judge(request.spoken, request.corpus, GE2E().embed)
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    print("| measure | mean [95 % over voices] |\n|---|---|")
    for name, i in table.items():
        print(f"| {name} | {i['estimate']:.3f} [{i['low']:.3f}, {i['high']:.3f}] (N = {i['n']}) |")
    if request.table:
        request.table.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
