"""The table of a voice: recording, copy synthesis, voice, espeak-ng on the test split that it never saw.

    python scripts/shipped_voice_table.py --data data/ru --voice ru --out runs/table

Makes the wavs of each system under OUT/wavs/SYSTEM (those already there are kept unless the voice changed),
then judges them all with `intona.evaluation.evaluate` and prints OUT/report/table.md. Run it again after an
interruption and it goes on. A sentence that a system cannot speak is left out of its folder and so counts
as a failure of that system.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

import intona
from intona.audio import Audio
from intona.config import read_json, write_json
from intona.data.prepared import Item, Prepared
from intona.errors import UserError
from intona.evaluation import EvaluationConfig, Manifest, Row, evaluate
from intona.evaluation.controls import espeak_version, espeak_wavs
from intona.vocoder import load_vocoder


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="prepared corpus")
    parser.add_argument(
        "--voice", action="append", default=[], help="name or run directory; may be given again"
    )
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--split", default="test", choices=("dev", "test"))
    parser.add_argument("--limit", type=int, default=0, help="only the first so many sentences")
    parser.add_argument("--asr", default="offline", help='"offline", a hub name, a directory, or "none"')
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--steps", type=int, help="diffusion steps of the voices")
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    try:
        return run(arguments)
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1


def run(arguments: argparse.Namespace) -> int:
    prepared = Prepared.open(Path(arguments.data))
    items = prepared.items(arguments.split)[: arguments.limit or None]
    rows = tuple(Row(id=i.id, text=i.text, speaker=prepared.speakers[i.speaker]) for i in items)
    # N is fixed here, before anything is spoken.
    manifest = Manifest(rows=rows)
    language = items[0].language
    wavs = arguments.out / "wavs"
    systems = {"recording": recordings(prepared, items, wavs / "recording")}
    systems["copy synthesis"] = copy_synthesis(prepared, items, wavs / "copy")
    for name in arguments.voice:
        label = f"voice {Path(name).name}"
        systems[label] = voice_wavs(name, prepared, items, wavs / Path(name).name, arguments)
    folder = wavs / "espeak-ng"
    fresh(folder, {"espeak": espeak_version(), "language": language})
    systems["espeak-ng"] = espeak_wavs(manifest, folder, language=language)
    config = EvaluationConfig(
        language=language, asr=None if arguments.asr == "none" else arguments.asr, beam_size=arguments.beam
    )
    report = arguments.out / "report"
    evaluate(systems, manifest, out=report, reference=systems["recording"], config=config, progress=meter())
    print((report / "table.md").read_text(encoding="utf-8"))
    return 0


def recordings(prepared: Prepared, items: Iterable[Item], folder: Path) -> Path:
    """The prepared recordings (trimmed and levelled), under their ids."""
    fresh(folder, {"corpus": prepared.fingerprint})
    for item in items:
        source = prepared.audio_path(item)
        target = folder / f"{item.id}{source.suffix}"
        if not target.exists():
            shutil.copyfile(source, target)
    return folder


def copy_synthesis(prepared: Prepared, items: Iterable[Item], folder: Path) -> Path:
    """Recording -> mel -> vocoder: what the vocoder alone costs, the ceiling of any voice that uses it."""
    fresh(folder, {"corpus": prepared.fingerprint, "vocoder": "hifigan"})
    vocoder = load_vocoder("hifigan")

    def speak(item: Item) -> Audio:
        mel = torch.from_numpy(prepared.mel(item))[None]
        samples = vocoder.decode(mel)[0].float().clamp(-1, 1).numpy()
        return Audio(samples, vocoder.spec.sample_rate)

    with torch.inference_mode():
        write_all(items, folder, "copy synthesis", speak)
    return folder


def voice_wavs(name: str, prepared: Prepared, items: Iterable[Item], folder: Path, arguments: Any) -> Path:
    """The voice says the text of each sentence, through its own front end."""
    voice = intona.load(name)
    settings = {"steps": arguments.steps, "temperature": arguments.temperature, "seed": arguments.seed}
    fresh(folder, {"weights": weights_digest(voice.path), **settings})

    def speak(item: Item) -> Audio:
        speaker = prepared.speakers[item.speaker]
        known = speaker if speaker in voice.speakers else None
        return voice.say(item.text, speaker=known, **settings)

    write_all(items, folder, f"voice {name}", speak)
    return folder


def write_all(items: Iterable[Item], folder: Path, label: str, speak: Callable[[Item], Audio]) -> None:
    items = list(items)
    for number, item in enumerate(items, start=1):
        target = folder / f"{item.id}.wav"
        if not target.exists():
            half = folder / f".{item.id}.wav"
            try:
                speak(item).write(half)
                half.replace(target)
            except UserError as e:
                print(f"{label}: {item.id} could not be spoken: {e}", file=sys.stderr)
        print(f"\r{label} {number}/{len(items)}  ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def fresh(folder: Path, made_by: dict[str, Any]) -> None:
    """Empty the folder when its wavs were made by something else."""
    mark = folder / "made_by.json"
    if folder.exists() and (not mark.exists() or read_json(mark) != made_by):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(mark, made_by)


def weights_digest(path: Path | None) -> str:
    digest = hashlib.sha256()
    for file in sorted((path or Path()).glob("*")):
        if file.suffix in (".safetensors", ".json"):
            digest.update(file.name.encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def meter() -> Callable[[int, int, str], None]:
    """Progress on stderr, at most twice a second; the time left counts what was really judged."""
    start, shown = time.monotonic(), 0.0

    def show(done: int, total: int, what: str) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown > 0.5 or done == total:
            shown = now
            left = (now - start) / done * (total - done)
            print(
                f"\rjudging {done}/{total}  {what:40.40}  {left:5.0f} s left",
                end="",
                file=sys.stderr,
                flush=True,
            )
            if done == total:
                print(file=sys.stderr)

    return show


if __name__ == "__main__":
    sys.exit(main())
