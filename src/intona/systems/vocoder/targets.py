"""What a vocoder is trained on: mels of varied recordings, with HiFi-GAN's sound of each and the recording.

HiFi-GAN is slow, so its output is computed once and kept in half precision:

    python -m intona.systems.vocoder.targets DATA TARGETS --minutes 60

Each pass over the training split draws a speed and a gain for every utterance, which belong to (seed, pass,
utterance). The dev split comes first, unvaried; then clips with the recording alone, which cost next to
nothing; then those with HiFi-GAN's sound too. The same command continues after a kill, and a larger number of
minutes adds to what is there; a run in progress keeps to the clips that it began with.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import tyro

from intona import config as configs
from intona import logs
from intona.audio import Audio, MelSpec, log_mel, read_audio
from intona.data.prepared import Item, Prepared
from intona.errors import UserError
from intona.jsonl import whole_rows, write_jsonl
from intona.nn.random import derive_seed
from intona.provenance import sha256
from intona.systems.vocoder.band import content_band
from intona.vocoder.source import analyse

log = logging.getLogger(__name__)

FORMAT = 1
MARK, CLIPS = "targets.json", "clips.jsonl"
Source = Literal["teacher", "recording"]
FILES = {"mel": "mels.f16", "teacher": "teacher.f16", "recording": "recording.f16"}
PITCH = "pitch.f32"  # of the recordings: see `vocoder.source.analyse`
PEAK = 0.98  # a gain that would clip is lowered to this


@dataclass(frozen=True, kw_only=True)
class TargetsConfig:
    """How the recordings are varied.

    Attributes:
        gain_db: range of a uniform gain. speed: range of a log-uniform playback speed; pitch moves with it.
        teacher: the vocoder whose sound is learnt, a shipped name or a directory.
        recorded_minutes: of clips without the teacher's sound.
    """

    gain_db: tuple[float, float] = (-12.0, 3.0)
    speed: tuple[float, float] = (0.9, 1.1)
    teacher: str = "hifigan"
    recorded_minutes: float = 120.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.gain_db[0] <= self.gain_db[1]:
            raise ValueError("gain_db must be a range from low to high")
        if not 0.25 <= self.speed[0] <= self.speed[1] <= 4:
            raise ValueError("speed must be a range within 0.25..4")


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One varied utterance.

    Attributes:
        offset: its first frame in the files. teacher: whether it has the teacher's sound.
        band_hz: where the content of the recording ends; 0 = not known.
    """

    id: str
    split: Literal["train", "dev"]
    n_frames: int
    offset: int
    teacher: bool = True
    band_hz: float = 0.0


class Targets:
    """Read access to a targets directory through memory maps.

    Args:
        clips: only the first so many clips (0 = all that are there now).

    Raises:
        UserError: not a targets directory, damaged, or fewer clips than named.
    """

    def __init__(self, root: Path, *, clips: int = 0) -> None:
        self.root = Path(root)
        if not (self.root / MARK).is_file():
            raise UserError(
                "not a targets directory",
                where=self.root,
                hint="make one: python -m intona.systems.vocoder.targets DATA TARGETS",
            )
        mark = read_mark(self.root)
        self.spec = configs.from_dict(MelSpec, mark["spec"], where=f"{self.root / MARK}: spec")
        self.corpus: str = mark["corpus"]
        self.clips = read_clips(self.root)
        if clips > len(self.clips) or not self.clips:
            raise UserError(f"{len(self.clips)} clips where {max(clips, 1)} are needed", where=self.root)
        self.clips = self.clips[: clips or None]
        rows = "\n".join(json.dumps(identity_of(c), sort_keys=True) for c in self.clips)
        self.fingerprint = hashlib.sha256(f"{json.dumps(mark, sort_keys=True)}\n{rows}".encode()).hexdigest()[
            :16
        ]
        self._pitch: np.ndarray | None = None
        self._maps = {name: self._map(file, name) for name, file in FILES.items()}

    def _map(self, file: str, name: str) -> np.ndarray:
        width = self.spec.n_mels if name == "mel" else self.spec.hop_length
        frames = self.clips[-1].offset + self.clips[-1].n_frames
        try:
            values = np.memmap(self.root / file, dtype=np.float16, mode="r")
        except (OSError, ValueError) as e:
            raise UserError(f"cannot be read ({e})", where=self.root / file) from None
        if len(values) < frames * width:
            raise UserError("truncated", where=self.root / file, hint="make the targets again")
        return values[: frames * width].reshape(-1, width)

    def pitch(self, clip: Clip, start: int, frames: int) -> np.ndarray:
        """Pitch in Hz (0 = unvoiced) and phase of the recording's fundamental, float32 (frames, 2)."""
        if self._pitch is None:
            path, end = self.root / PITCH, self.clips[-1].offset + self.clips[-1].n_frames
            values = (
                np.memmap(path, dtype=np.float32, mode="r") if path.is_file() else np.zeros(0, np.float32)
            )
            if len(values) < 2 * end:
                raise UserError("holds the pitch of fewer clips", where=path, hint="make the targets again")
            self._pitch = values[: 2 * end].reshape(-1, 2)
        return np.array(self._pitch[clip.offset + start : clip.offset + start + frames])

    def split(self, name: str) -> list[Clip]:
        """The clips of "train" or "dev", in the order of the files."""
        return [c for c in self.clips if c.split == name]

    def mel(self, clip: Clip, start: int, frames: int) -> np.ndarray:
        """Log mel float32 (frames, n_mels) from frame `start` of a clip."""
        return self._maps["mel"][clip.offset + start : clip.offset + start + frames].astype(np.float32)

    def samples(self, clip: Clip, source: Source, start: int, frames: int, margin: int) -> np.ndarray:
        """Samples float32 (frames * hop + 2 * margin,), with zeros where the margin leaves the clip."""
        hop = self.spec.hop_length
        whole = self._maps[source][clip.offset : clip.offset + clip.n_frames].reshape(-1)
        first, last = start * hop - margin, (start + frames) * hop + margin
        part = whole[max(first, 0) : min(last, len(whole))].astype(np.float32)
        return np.pad(part, (max(0, -first), max(0, last - len(whole))))


def identity_of(clip: Clip) -> dict[str, Any]:
    """A clip's fields; targets from before its band was measured keep their fingerprint."""
    return {k: v for k, v in dataclasses.asdict(clip).items() if k != "band_hz" or v}


def read_mark(root: Path) -> dict[str, Any]:
    """The description of a targets directory, checked for its format."""
    mark = configs.read_json(root / MARK)
    if not isinstance(mark, dict) or mark.get("format") != FORMAT:
        raise UserError("targets of another format", where=root / MARK, hint="make them again")
    for key, kind in {"corpus": str, "spec": dict, "teacher": str, "config": dict}.items():
        if not isinstance(mark.get(key), kind):
            raise UserError(f'damaged: "{key}" is not a {kind.__name__}', where=root / MARK)
    return mark


def read_clips(root: Path) -> list[Clip]:
    """The clips that are complete; a line that a kill cut short is left out."""
    path = root / CLIPS
    clips: list[Clip] = []
    end = 0
    for number, row in enumerate(whole_rows(path), 1):
        clip = configs.from_dict(Clip, row, where=f"{path}: line {number}")
        if clip.n_frames < 1 or clip.offset != end:
            raise UserError(f"line {number} does not follow the one before", where=path)
        end += clip.n_frames
        clips.append(clip)
    return clips


def planned(prepared: Prepared, seed: int) -> Iterator[tuple[Item, int]]:
    """(utterance, pass) without end; pass 0 is the dev split."""
    yield from ((item, 0) for item in prepared.items("dev"))
    train = prepared.items("train")
    number = 0
    while train:
        number += 1
        order = np.random.default_rng([seed, number]).permutation(len(train))
        yield from ((train[i], number) for i in order)


def vary(audio: Audio, config: TargetsConfig, key: tuple[Any, ...]) -> Audio:
    """The recording at a speed and a gain that `key` decides."""
    rng = np.random.default_rng(derive_seed(config.seed, *key))
    speed = float(np.exp(rng.uniform(*np.log(config.speed))))
    gain = 10 ** (rng.uniform(*config.gain_db) / 20)
    rate = round(audio.sample_rate * speed)
    samples = Audio(audio.samples, rate).resample(audio.sample_rate).samples
    loudest = float(np.abs(samples).max(initial=1e-9))
    return Audio(samples * min(gain, PEAK / loudest), audio.sample_rate)


def add_pitch(root: Path) -> None:
    """Write the pitch of the clips that have none yet, from the recordings that are kept."""
    targets = Targets(root)
    path, row = root / PITCH, 8
    done = path.stat().st_size // row if path.is_file() else 0
    starts = {c.offset for c in targets.clips}
    while done and done not in starts and done != targets.clips[-1].offset + targets.clips[-1].n_frames:
        done -= 1  # a clip that a kill cut short
    with open(path, "ab") as f:
        os.truncate(f.fileno(), done * row)
        for clip in targets.clips:
            if clip.offset >= done:
                samples = targets.samples(clip, "recording", 0, clip.n_frames, 0)
                f.write(analyse(Audio(samples, targets.spec.sample_rate), targets.spec).tobytes())
                f.flush()


def make(data: Path, out: Path, *, minutes: float, config: TargetsConfig) -> Path:
    """Fill `out` until it holds `minutes` of training sound with the teacher's output.

    Raises:
        UserError: a folder of other targets; data that cannot be read.
    """
    from intona.vocoder import find, load_vocoder

    prepared = Prepared.open(data)
    out.mkdir(parents=True, exist_ok=True)
    teacher = load_vocoder(config.teacher)
    teacher.spec.require_same(prepared.spec, where=config.teacher)
    mark = {
        "format": FORMAT,
        "corpus": prepared.fingerprint,
        "spec": configs.to_dict(prepared.spec),
        "teacher": sha256(find(config.teacher) / "model.safetensors"),
        "config": json.loads(json.dumps(configs.to_dict(config))),
    }
    if (out / MARK).is_file() and read_mark(out) != mark:
        raise UserError("holds targets of other data or another config", where=out, hint="name a new folder")
    configs.write_json(out / MARK, mark)
    clips = read_clips(out)
    write_jsonl(out / CLIPS, [dataclasses.asdict(c) for c in clips])
    end = clips[-1].offset + clips[-1].n_frames if clips else 0
    minutes_of = {
        kind: prepared.spec.seconds(
            sum(c.n_frames for c in clips if c.split == "train" and c.teacher == kind)
        )
        / 60
        for kind in (False, True)
    }
    hop, n_mels = prepared.spec.hop_length, prepared.spec.n_mels
    files = {name: open(out / file, "ab") for name, file in FILES.items()}  # noqa: SIM115
    try:
        for name, f in files.items():
            os.truncate(f.fileno(), end * 2 * (n_mels if name == "mel" else hop))
        with open(out / CLIPS, "a", encoding="utf-8") as index:
            for number, (item, pass_number) in enumerate(planned(prepared, config.seed)):
                if number < len(clips):
                    continue
                taught = not pass_number or minutes_of[False] >= config.recorded_minutes
                if pass_number and taught and minutes_of[True] >= minutes:
                    break
                audio = read_audio(prepared.audio_path(item))
                if pass_number:
                    audio = vary(audio, config, (pass_number, item.id))
                mel = log_mel(audio, prepared.spec).astype(np.float16)
                files["mel"].write(mel.tobytes())
                if taught:
                    wave = teacher.decode(torch.from_numpy(mel.astype(np.float32))[None])[0].numpy()
                    files["teacher"].write(wave.astype(np.float16).tobytes())
                samples = np.pad(audio.samples, (0, hop))[: len(mel) * hop]
                files["recording"].write(samples.astype(np.float16).tobytes())
                for f in files.values():
                    f.flush()
                clip = Clip(
                    id=f"{item.id}#{pass_number}",
                    split="train" if pass_number else "dev",
                    n_frames=len(mel),
                    offset=end,
                    teacher=taught,
                    band_hz=round(content_band(audio), 1),
                )
                index.write(json.dumps(dataclasses.asdict(clip), ensure_ascii=False) + "\n")
                index.flush()
                end += len(mel)
                if not taught:  # a hole in the file, which takes no room
                    os.truncate(files["teacher"].fileno(), end * hop * 2)
                if pass_number:
                    minutes_of[taught] += prepared.spec.seconds(len(mel)) / 60
                if number % 50 == 0:
                    log.info(f"{number} clips, {minutes_of[True]:.1f} minutes of them taught")
    finally:
        for f in files.values():
            f.close()
    add_pitch(out)
    return out


@dataclass(frozen=True, kw_only=True)
class TargetsRequest:
    """Compute the targets of a vocoder from a prepared corpus."""

    data: Annotated[Path, tyro.conf.Positional]
    """A prepared directory; several corpora are united by `intona merge`."""
    out: Annotated[Path, tyro.conf.Positional]
    """A new folder, or one that this command filled before."""
    minutes: float = 60.0
    """Minutes of training sound with the teacher's output."""
    config: Annotated[TargetsConfig, tyro.conf.arg(name="")] = dataclasses.field(
        default_factory=TargetsConfig
    )


def main() -> int:
    request = tyro.cli(TargetsRequest, prog="python -m intona.systems.vocoder.targets")
    torch.set_num_threads(1)
    try:
        with logs.on_stderr():
            make(request.data, request.out, minutes=request.minutes, config=request.config)
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
