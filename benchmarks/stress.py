"""How often the stress of Russian words is right, and what a source of stress costs.

    python benchmarks/stress.py data/festvox-ru/etc/txt.done.data

Reads any text with `+` before stressed vowels. The marked text through `stress="marks"` is the truth; the
same text without its marks goes through espeak-ng's dictionary, the shipped model, and the package
silero-stress where it is installed. Each source is timed in a process of its own: processor seconds, which
other processes disturb least, and peak memory.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from intona.errors import UserError
from intona.evaluation.stats import ratio_interval
from intona.text import Frontend, FrontendConfig, Utterance, Word
from intona.text.ipa import is_vowel

SOURCES = {"marks": "espeak-ng's dictionary", "auto": "shipped model", "silero": "package silero-stress"}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path, help="sentences, one per line, + before stressed vowels")
    parser.add_argument("--language", default="ru")
    parser.add_argument("--cost", choices=SOURCES, help="print the cost of one source as JSON and stop")
    arguments = parser.parse_args()
    try:
        texts = read(arguments.text)
        if arguments.cost:
            print(json.dumps(cost(texts, arguments.language, arguments.cost)))
            return 0
        print(table(texts, arguments.language))
        print()
        print(costs(arguments.text, arguments.language))
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    return 0


def read(path: Path) -> list[str]:
    """The quoted part of Festvox lines, else whole lines; only those that carry a mark."""
    lines = path.read_text(encoding="utf-8").splitlines()
    quoted = (re.search(r'"(.*)"', line) for line in lines)
    texts = [m[1] if m else line for m, line in zip(quoted, lines, strict=True)]
    marked = [t for t in texts if re.search(r"\+\w", t)]
    if not marked:
        raise UserError("no text with + before a vowel", where=path)
    return marked


def place(utterance: Utterance, word: Word) -> int | None:
    """Which vowel of the word is stressed, from 0; None if none is."""
    vowels = [p for p in utterance.phonemes[word.start : word.end] if is_vowel(p.lstrip("ˈˌ"))]
    return next((i for i, p in enumerate(vowels) if p.startswith("ˈ")), None)


def table(texts: list[str], language: str) -> str:
    truth = Frontend(FrontendConfig(language=language, stress="marks"))(texts)
    bare = without_marks(texts)
    rows = ["| source | right | of | share [95 %] |", "|---|---|---|---|"]
    for stress, name in SOURCES.items():
        frontend = Frontend(FrontendConfig(language=language, stress=stress))  # type: ignore[arg-type]
        right: list[float] = []
        try:
            answers = frontend(bare)
        except UserError as e:
            rows.append(f"| {name} | not measured: {e} | | |")
            continue
        for text, marked, answer in zip(texts, truth, answers, strict=True):
            tokens = [w for w in text.split() if any(c.isalpha() for c in w)]
            if not len(tokens) == len(marked.words) == len(answer.words):
                raise UserError(f"words do not match in: {text[:80]}")
            for token, a, b in zip(tokens, marked.words, answer.words, strict=True):
                if re.search(r"\+\w", token):
                    right.append(float(place(marked, a) == place(answer, b)))
        interval = ratio_interval(right)
        rows.append(
            f"| {name} | {sum(right):.0f} | {len(right)} | "
            f"{interval.estimate:.0%} [{interval.low:.0%}, {interval.high:.0%}] |"
        )
    return "\n".join(rows)


def without_marks(texts: list[str]) -> list[str]:
    return [re.sub(r"\+(?=\w)", "", t) for t in texts]


def cost(texts: list[str], language: str, stress: str) -> dict[str, float]:
    """Processor seconds to the first sentence and per sentence after it, and peak memory, of this process."""
    texts = without_marks(texts)
    frontend = Frontend(FrontendConfig(language=language, stress=stress))  # type: ignore[arg-type]
    frontend(texts[:1])
    first = time.process_time()
    for text in texts[1:]:
        frontend([text])
    return {
        "first": first,
        "sentence": (time.process_time() - first) / max(len(texts) - 1, 1),
        "memory": peak_memory(),
    }


def peak_memory() -> float:
    """MiB. Not by `getrusage`, which counts the process that started this one."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return next((int(x.split()[1]) / 1024 for x in lines if x.startswith("VmHWM")), float("nan"))


def costs(path: Path, language: str, rounds: int = 3) -> str:
    """Medians over rounds in which the sources take turns."""
    runs: dict[str, list[dict[str, float]]] = {stress: [] for stress in SOURCES}
    for _ in range(rounds):
        for stress, values in runs.items():
            command = [sys.executable, __file__, str(path), "--language", language, "--cost", stress]
            run = subprocess.run(command, capture_output=True, text=True)
            if run.returncode == 0:
                values.append(json.loads(run.stdout))
    rows = [
        "| source | process to the first sentence, processor s | per sentence, ms | peak memory, MiB | N |",
        "|---|---|---|---|---|",
    ]
    for stress, values in runs.items():
        if not values:
            rows.append(f"| {SOURCES[stress]} | not measured | | | 0 |")
            continue
        first, sentence, memory = (
            statistics.median(v[key] for v in values) for key in ("first", "sentence", "memory")
        )
        rows.append(
            f"| {SOURCES[stress]} | {first:.2f} | {1000 * sentence:.1f} | {memory:.0f} | {len(values)} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
