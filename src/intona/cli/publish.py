"""`intona publish`: a run as a small model to keep, to send, or to use by name."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from intona.errors import UserError

ENCODER, VOICES, VOCODER, CONFIG = "encoder.json", "voices.json", "vocoder.json", "config.json"
KINDS = (("voice", VOICES), ("encoder", ENCODER), ("vocoder", VOCODER))
TRAINING_ONLY = "discriminators."
NEXT = {
    "voice": 'intona say --model {out} "…"',
    "encoder": "intona train prosody.gradtts --encoder {out} …",
    "vocoder": 'intona.vocoder.load_vocoder("{out}")',
}


@dataclass(frozen=True, kw_only=True)
class Publish:
    """Write the model of a run: the averaged weights in half precision, no training state, and a card.

    A folder of a sixth or less of the checkpoint's size that speaks as the run does; a lexicon.txt in the run
    comes with it. A model in a folder that $INTONA_MODELS names is used by name: `--model NAME`,
    `--encoder NAME`.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A run, one of its checkpoints, or RUN/best: of a voice, of a text encoder or of a vocoder."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """A new folder, or a model published before: it is replaced, further fields of its card are kept."""
    summary: str | None = None
    """What it is, in a sentence."""
    trained_on: str | None = None
    """The recordings or texts: corpus, hours, what was held out."""
    licence: str | None = None
    """Of the weights and of the recordings."""
    language: str | None = None
    """Language of its texts; not needed for a voice."""
    card: Annotated[Path | None, tyro.conf.arg(metavar="FILE.json")] = None
    """Further fields of the card, such as the steps it speaks with and its figures."""


def main(arguments: list[str]) -> None:
    request = tyro.cli(Publish, prog="intona publish", args=arguments)
    from intona import checkpoint
    from intona import config as configs
    from intona.models import card_fields
    from intona.text import lexicon

    source = checkpoint.resolve(request.run)
    out = request.out
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / checkpoint.INDEX).is_file()):
        raise UserError("holds something else than a published model", where=out, hint="name a new folder")
    if out.resolve() == source.resolve() or (out / "state").exists():
        raise UserError("is a checkpoint itself", where=out, hint="name a new folder")
    further = {} if request.card is None else configs.read_json(request.card)
    if not isinstance(further, dict):
        raise UserError("a card is a table of fields", where=request.card)
    kept = card_fields(out) if out.is_dir() else {}
    flags = ("summary", "trained_on", "licence", "language")
    stated = {k: v for k in flags if (v := getattr(request, k)) is not None}
    card = {**kept, **facts(source), **further, **stated}
    # A republished model keeps its lexicon as it keeps its card.
    words = lexicon.in_directory(source) or lexicon.in_directory(out)
    if words is not None:
        lexicon.Lexicon.read(words)  # a damaged one is refused here, not when the model is used
    checkpoint.publish(source, out, card=card, files=[] if words is None else [words], without=TRAINING_ONLY)
    size = sum(p.stat().st_size for p in out.iterdir()) / 1e6
    print(f"{out}: {card['kind']}, {card['parameters'] / 1e6:.2f} M parameters, {size:.1f} MB")
    lacking = [k for k in ("summary", "trained_on", "licence") if not card.get(k)]
    if lacking:
        options = ", ".join("--" + k.replace("_", "-") for k in lacking)
        print(f"its card does not say: {', '.join(lacking)} ({options})", file=sys.stderr)
    print(f"use it: {NEXT[card['kind']].format(out=out)}", file=sys.stderr)


def facts(source: Path) -> dict[str, Any]:
    """The fields of a card that follow from a checkpoint.

    Raises:
        UserError: it is no model that can be used by name.
    """
    from intona import checkpoint
    from intona import config as configs

    config = configs.read_json(source / CONFIG)
    if not isinstance(config, dict):
        raise UserError("not the config of a run", where=source / CONFIG)
    kind = next((k for k, f in KINDS if (source / f).is_file()), None)
    if kind is None:
        raise UserError(
            f"a run of {config.get('stage', 'another kind')} is no model by itself",
            where=source,
            hint="publish the voice or the text encoder that is built on it",
        )
    if not {"stage", "size"} <= config.keys():
        raise UserError("not the config of a run", where=source / CONFIG)
    tensors = checkpoint.read_tensors(checkpoint.weights_file(source))
    out: dict[str, Any] = {
        "kind": kind,
        "system": f"{config['stage']} --size {config['size']}",
        "parameters": sum(
            t.numel() for k, t in tensors.items() if t.is_floating_point() and not k.startswith(TRAINING_ONLY)
        ),
    }
    if (step := checkpoint.step_of(source)) is not None:  # a model that is published again has none
        out["training"] = {"steps": step, "seed": config["loop"]["seed"], "corpus": config["corpus"]}
    if kind == "voice":
        out["language"] = ", ".join(configs.read_json(source / VOICES).get("languages", []))
    return out
