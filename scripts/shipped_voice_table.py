"""The table of a voice: recording, copy synthesis, voice, espeak-ng on the test split that it never saw.

    python scripts/shipped_voice_table.py --data data/ru --voice ru --out runs/table

Writes OUT/manifest.jsonl and OUT/wavs/recording from the prepared corpus, then does what these two do:

    intona synthesize-set VOICE -m OUT/manifest.jsonl -o OUT/wavs/VOICE
    intona evaluate VOICE=OUT/wavs/VOICE -m OUT/manifest.jsonl --reference OUT/wavs/recording -o OUT/report

Run it again after an interruption and it goes on. What follows `--` goes to `intona evaluate`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from intona import cli
from intona.data.prepared import Prepared
from intona.errors import UserError
from intona.evaluation import Manifest, Row, write_manifest
from intona.evaluation.controls import fresh


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, type=Path, help="prepared corpus")
    parser.add_argument("--voice", action="append", default=[], help="name or run directory; repeatable")
    parser.add_argument(
        "--system", action="append", default=[], metavar="NAME=WAVDIR", help="wavs of another synthesizer"
    )
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--split", default="test", choices=("dev", "test"))
    parser.add_argument("--limit", type=int, default=0, help="only the first so many sentences")
    parser.add_argument("--seed", default="0")
    parser.add_argument("more", nargs="*", help="flags of `intona evaluate`, after --")
    arguments = parser.parse_args()
    wavs, manifest = arguments.out / "wavs", arguments.out / "manifest.jsonl"
    language = declare(arguments, wavs / "recording", manifest)
    systems = list(arguments.system)
    for voice in arguments.voice:
        name = Path(voice).name
        made = [
            "synthesize-set",
            voice,
            "-m",
            str(manifest),
            "-o",
            str(wavs / name),
            "--seed",
            arguments.seed,
        ]
        if code := cli.main(made):
            return code
        systems.append(f"{name}={wavs / name}")
    judged = ["evaluate", *systems, "-m", str(manifest), "--reference", str(wavs / "recording")]
    return cli.main([*judged, "--language", language, "-o", str(arguments.out / "report"), *arguments.more])


def declare(arguments: argparse.Namespace, recordings: Path, manifest: Path) -> str:
    """N is fixed here, before anything is spoken: manifest and recordings of the split; its language."""
    prepared = Prepared.open(arguments.data)
    items = prepared.items(arguments.split)[: arguments.limit or None]
    if not items:
        raise UserError(f'no sentence in the split "{arguments.split}"', where=arguments.data)
    fresh(recordings, {"corpus": prepared.fingerprint})
    for item in items:
        source = prepared.audio_path(item)
        target = recordings / f"{item.id}{source.suffix}"
        if not target.exists():
            shutil.copyfile(source, target)
    rows = (Row(id=i.id, text=i.text, speaker=prepared.speakers[i.speaker]) for i in items)
    write_manifest(manifest, Manifest(rows=tuple(rows)))
    return items[0].language


if __name__ == "__main__":
    sys.exit(cli.run(main))
