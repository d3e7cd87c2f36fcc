"""A training run as a shipped voice: averaged weights in half precision, config, card; no training state.

python scripts/publish_voice.py RUN models/ru --card card.json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from intona import checkpoint
from intona import config as configs
from intona.errors import UserError


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="run or checkpoint directory of `intona train`")
    parser.add_argument("out", type=Path, help="the model's folder; its name is the voice's name")
    parser.add_argument(
        "--card", type=Path, required=True, help="JSON: kind, language, trained_on, licence, figures"
    )
    arguments = parser.parse_args()
    try:
        card = configs.read_json(arguments.card)
        if not isinstance(card, dict):
            raise UserError("a card is a table of fields", where=arguments.card)
        source = checkpoint.resolve(arguments.run)
        out = checkpoint.publish(source, arguments.out, card=card)
    except UserError as e:
        print(f"publish_voice: error: {e}", file=sys.stderr)
        return 1
    size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file()) / 1e6
    print(f"{out}: {source.name}, {size:.1f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
