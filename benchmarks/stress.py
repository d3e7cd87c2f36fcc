"""How often the stress of Russian words is right: words that a person has marked, with the marks taken away.

    python benchmarks/stress.py data/festvox-ru/etc/txt.done.data

Reads any text with `+` before the stressed vowel. The marked text through `stress="marks"` is the truth; the
same text without its marks goes through silero-stress and through espeak-ng's dictionary.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from intona.errors import UserError
from intona.evaluation.stats import ratio_interval
from intona.text import Frontend, FrontendConfig, Utterance, Word
from intona.text.ipa import is_vowel


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path, help="sentences, one a line, + before stressed vowels")
    parser.add_argument("--language", default="ru")
    arguments = parser.parse_args()
    try:
        print(table(read(arguments.text), arguments.language))
    except UserError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    return 0


def read(path: Path) -> list[str]:
    """The quoted part of Festvox lines, else whole lines; only those that carry a mark."""
    lines = path.read_text(encoding="utf-8").splitlines()
    quoted = (re.search(r'"(.*)"', line) for line in lines)
    texts = [m[1] if m else line for m, line in zip(quoted, lines, strict=True)]
    found = [t for t in texts if re.search(r"\+\w", t)]
    if not found:
        raise UserError("no text with + before a vowel", where=path)
    return found


def place(utterance: Utterance, word: Word) -> int | None:
    """Which vowel of the word is stressed, from 0; None if none is."""
    vowels = [p for p in utterance.phonemes[word.start : word.end] if is_vowel(p.lstrip("ˈˌ"))]
    return next((i for i, p in enumerate(vowels) if p.startswith("ˈ")), None)


def table(texts: list[str], language: str) -> str:
    truth = Frontend(FrontendConfig(language=language, stress="marks"))(texts)
    bare = [re.sub(r"\+(?=\w)", "", t) for t in texts]
    rows = ["| source | right | of | share [95 %] |", "|---|---|---|---|"]
    for name, stress in (("espeak-ng's dictionary", "marks"), ("silero-stress, then espeak-ng", "silero")):
        frontend = Frontend(FrontendConfig(language=language, stress=stress))  # type: ignore[arg-type]
        right: list[float] = []
        for text, marked, answer in zip(texts, truth, frontend(bare), strict=True):
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


if __name__ == "__main__":
    sys.exit(main())
