"""Opening and reading corpora of many utterances: `python benchmarks/corpus.py --sizes 4000,40000,400000`.

Generates corpora of random mels of 20 to 40 frames with real texts, measures each in processes of their own,
prints a Markdown table and removes the corpora. Every row states wall and processor seconds, and the memory
of the whole process; the row "none" is a process that has imported torch and intona only.

A directory that exists already is measured with `--measure DIR`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ASSET = Path(__file__).parents[1] / "tests" / "assets" / "festvox-ru-small" / "etc" / "txt.done.data"
PARTS = ("open", "items", "plan", "epoch", "places", "feed")
SPEAKERS, SEED, MAX_FRAMES = 500, 0, 3200
MOST_STEPS = 400  # batches that are read of an epoch


def generate(out: Path, n: int, texts: list[str]) -> None:
    """A prepared directory of `n` utterances, with durations; without recordings."""
    from intona.audio import MelSpec
    from intona.data.finish import Contents, finish, split_ids
    from intona.data.shards import ShardWriter
    from intona.text import Frontend, FrontendConfig

    frontend = Frontend(FrontendConfig(language="ru", stress="none"), inline=False)
    spoken = [(text, utterance) for text, utterance in zip(texts, frontend(texts), strict=True)]
    rng = np.random.default_rng(SEED)
    lengths = rng.integers(20, 41, n)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    noise = rng.normal(-6, 2, (4096, 80)).astype(np.float16)
    out.mkdir(parents=True)
    writer = ShardWriter(out, row_bytes=160, limit=1 << 30)
    writer.start()
    for frames in lengths.tolist():
        at = int(rng.integers(0, len(noise) - frames))
        writer.append(noise[at : at + frames])
    writer.close()

    def rows() -> Iterator[dict[str, Any]]:
        for k in range(n):
            text, utterance = spoken[k % len(spoken)]
            frames = int(lengths[k])
            durations = [2] * (frames // 2) + [0] * len(utterance.phonemes)
            durations = durations[: len(utterance.phonemes)]
            durations[-1] += frames - sum(durations)
            yield {
                "id": f"u{k:07d}",
                "text": text,
                "normalized": utterance.normalized,
                "phonemes": list(utterance.phonemes),
                "words": [[w.text, w.start, w.end] for w in utterance.words],
                "speaker": k % SPEAKERS,
                "language": "ru",
                "n_frames": frames,
                "offset": int(offsets[k]),
                "seconds": round(frames * 256 / 22050, 6),
                "file": f"u{k:07d}.flac",
                "durations": durations,
                "labels": [],
            }

    contents = Contents(
        rows=rows,
        splits=split_ids((f"u{k:07d}" for k in range(n)), None, None),
        spec=MelSpec(),
        speakers=[f"s{k}" for k in range(SPEAKERS)],
        languages=["ru"],
        symbols={s for _, u in spoken for s in u.phonemes},
        shards=writer.sizes(),
        frontends={"ru": frontend.describe()},
        durations_source="random",
    )
    finish(out, contents, dropped=Counter(), origin={}, layout="generated")


def measure(part: str, directory: Path) -> dict[str, Any]:
    """One part of reading a corpus, in this process."""
    import torch  # noqa: F401 - its memory is that of the process, not of the corpus

    from intona.data import Loader, Prepared

    began = _clock()
    prepared = Prepared.open(directory)
    facts: dict[str, Any] = {"utterances": len(prepared)}
    if part == "open":
        return facts | _since(began)
    if part == "items":
        rng = np.random.default_rng(SEED)
        items = prepared.items("train")
        ids = [items[int(i)].id for i in rng.integers(0, len(items), 5000)]
        began = _clock()
        for id in ids:
            prepared.durations(prepared[id])
        return facts | _since(began, per=len(ids))
    if part == "places":
        from intona.data.phoneme_batches import SamePhonemeSampler, phoneme_places

        began = _clock()
        places = phoneme_places(prepared, "train")
        sampler = SamePhonemeSampler(places, batch=64)
        facts |= {"places": len(places), **_since(began)}
        began = _clock()
        for _ in range(200):
            next(sampler)
        return facts | {"draws per second": round(200 / _since(began)["seconds"])}
    began = _clock()
    loader = Loader(prepared, "train", max_frames=MAX_FRAMES, seed=SEED)
    if part == "plan":
        steps = loader.sampler.steps_in_epoch()
        return facts | {"steps": steps, **_since(began)}
    steps = min(loader.sampler.steps_in_epoch(), MOST_STEPS)
    if part == "epoch":
        began, count, frames = _clock(), 0, 0
        for _ in range(steps):
            batch = next(loader)
            count, frames = count + len(batch), frames + batch.frames
        return (
            facts | _since(began, per=count) | {"frames per second": round(frames / _since(began)["seconds"])}
        )
    return facts | _feed(loader, min(steps, 400))


def _feed(loader: Any, steps: int) -> dict[str, Any]:
    """Share of the time that a consumer waits, with and without reading ahead.

    The consumer leaves the processor idle, as a GPU does, for as long as reading a batch takes.
    """
    from intona.data.prefetch import Prefetcher

    began = time.perf_counter()
    for _ in range(50):
        next(loader)
    seconds = (time.perf_counter() - began) / 50
    out: dict[str, Any] = {"consumer": f"{1000 * seconds:.1f} ms per batch"}
    ahead = Prefetcher(loader)
    for name, batches in (("alone", loader), ("ahead", ahead)):
        waited = 0.0
        for _ in range(steps):
            start = time.perf_counter()
            next(batches)
            waited += time.perf_counter() - start
            time.sleep(seconds)
        out[f"waits {name}"] = f"{100 * waited / (waited + steps * seconds):.0f} %"
    ahead.close()
    return out


def _clock() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(began: tuple[float, float], per: int = 0) -> dict[str, Any]:
    seconds, processor = (b - a for a, b in zip(began, _clock(), strict=True))
    facts: dict[str, Any] = {"seconds": round(seconds, 3), "processor": round(processor, 3)}
    return facts | ({"utterances per second": round(per / seconds)} if per else {})


def _memory() -> dict[str, int]:
    """MiB of this process: the most it had, and what is its own now (without pages of mapped files)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    return {"peak MiB": int(fields["VmHWM"][0]) // 1024, "private MiB": int(fields["RssAnon"][0]) // 1024}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", default="4000,40000,400000")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--texts", type=Path, default=ASSET, help="one text per line, or txt.done.data")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--measure", type=Path, help="measure this directory")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--keep", action="store_true", help="keep the generated corpora")
    arguments = parser.parse_args()
    if arguments.part == "none":
        import torch  # noqa: F401

        from intona.data import Loader, Prepared  # noqa: F401

        print(json.dumps(_memory()))
    elif arguments.part:
        print(json.dumps(measure(arguments.part, arguments.measure) | _memory()))
    elif arguments.measure:
        report(arguments.measure, arguments.parts)
    else:
        lines = arguments.texts.read_text(encoding="utf-8").splitlines()
        texts = [line.split('"')[1] if line.startswith("(") else line for line in lines if line.strip()]
        for size in map(int, arguments.sizes.split(",")):
            out = arguments.folder / f"intona-corpus-{size}"
            began = _clock()
            generate(out, size, texts)
            print(f"\n{size} utterances, generated in {_since(began)}", flush=True)
            try:
                report(out, arguments.parts)
            finally:
                if not arguments.keep:
                    shutil.rmtree(out)


def report(directory: Path, parts: str) -> None:
    sizes = {p.name: f"{p.stat().st_size / 1e6:.1f} MB" for p in sorted(directory.iterdir()) if p.is_file()}
    print(json.dumps(sizes), flush=True)
    for part in ("none", *parts.split(",")):
        command = [sys.executable, __file__, "--measure", str(directory), "--part", part]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        text = done.stdout.strip() or done.stderr.strip().splitlines()[-1]
        print(f"| {part} | {text} |", flush=True)


if __name__ == "__main__":
    main()
