"""Perplexity of a run of prosody.mlm beside a unigram and a 5-gram, as a Markdown table.

python benchmarks/perplexity.py RUN DATA --texts texts/train.txt [--held texts/held.txt] [--texts-scored 60]
"""

from __future__ import annotations

import argparse
from pathlib import Path


def main() -> None:
    from intona.studies.prosody.perplexity import perplexity

    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", 1)[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--texts", default="", help="what the run was trained on besides the corpus")
    parser.add_argument("--held", default="", help="texts to score instead of the test split")
    parser.add_argument("--texts-scored", type=int, default=60)
    r = parser.parse_args()
    results = perplexity(r.run, r.data, texts=r.texts, held=r.held, most=r.texts_scored)
    print("| stream | stage 1 | 5-gram | unigram | texts, symbols, vocabulary |\n|---|---|---|---|---|")
    for stream, of in results.items():
        cells = [
            f"{of[k]['perplexity']:.2f} [{of[k]['low']:.2f}, {of[k]['high']:.2f}]"
            for k in ("model", "ngram", "unigram")
        ]
        print(f"| {stream} | {' | '.join(cells)} | {of['texts']}, {of['symbols']}, {of['vocabulary']} |")


if __name__ == "__main__":
    main()
