"""`intona publish`: a run as a small model to keep, to send, or to use by name."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from intona.errors import UserError

if TYPE_CHECKING:
    from intona.hf import HubAddress

ENCODER, VOICES, VOCODER, CONFIG = "encoder.json", "voices.json", "vocoder.json", "config.json"
KINDS = (("voice", VOICES), ("encoder", ENCODER), ("vocoder", VOCODER))
TRAINING_ONLY = "discriminators."
NEXT = {
    "voice": 'intona say --model {out} "…"',
    "encoder": "intona train prosody.gradtts --encoder {out} …",
    "vocoder": 'intona say --vocoder {out} "…"',
}


@dataclass(frozen=True, kw_only=True)
class Publish:
    """Write the model of a run: the averaged weights in half precision, no training state, and a card.

    A folder of a sixth or less of the checkpoint's size that speaks as the run does; a lexicon.txt in the run
    comes with it. A model in a folder that $INTONA_MODELS names is used by name: `--model NAME`,
    `--encoder NAME`.

    With --push it is uploaded to the Hugging Face Hub, and `--model hf://OWNER/NAME` uses it anywhere. Sign
    in with `hf auth login`, or set HF_TOKEN.
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A run, one of its checkpoints, or RUN/best: of a voice, of a text encoder or of a vocoder."""
    out: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")] = None
    """A new folder, or a model published before: it is replaced, further fields of its card are kept. With
    --push it may be omitted."""
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
    default_speaker: Annotated[
        tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="CODE=NAME")
    ] = ()
    """Who speaks the sentences of a language where no speaker is requested, such as ru=anna. Repeat it for
    each language."""
    alias: Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="NAME=CODE")] = ()
    """A further name of the model, under which it speaks one of its languages alone, such as anna-en=en. May
    be repeated."""
    default_vocoder: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """The shipped vocoder with which the voice speaks where none is requested."""
    graphs: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Write ONNX graphs, too, as `intona export` does: the model then speaks without torch."""
    push: Annotated[str | None, tyro.conf.arg(metavar="hf://OWNER/NAME[@BRANCH]")] = None
    """Upload the model as a new commit of this repository of the Hugging Face Hub, with its card as README. A
    missing repository or branch is created."""
    private: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Create the repository private. Otherwise it is public, unless its owner's settings say otherwise."""
    replace: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Upload even where the repository holds another model. Its earlier commits remain."""


def main(arguments: list[str]) -> None:
    request = tyro.cli(Publish, prog="intona publish", args=arguments)
    if request.push is None:
        if request.private or request.replace:
            raise UserError("has an effect on uploads only", where="--private, --replace", hint="add --push")
        if request.out is None:
            raise UserError("no folder to write to", hint="intona publish RUN OUT, or --push hf://OWNER/NAME")
        kind = publish(request, request.out)
        print(f"use it: {NEXT[kind].format(out=request.out)}", file=sys.stderr)
        return
    from intona import hf

    address = hf.parse(request.push)
    hf.require_client()
    with _folder(request.out, address) as out:
        kind = publish(request, out)
        upload(request, out, address)
    print(f"use it: {NEXT[kind].format(out=address)}", file=sys.stderr)


@contextlib.contextmanager
def _folder(out: Path | None, address: HubAddress) -> Iterator[Path]:
    """OUT, or a temporary folder for a model that is only uploaded."""
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="intona-publish-") as folder:
        yield Path(folder) / address.repository.partition("/")[2]


def upload(request: Publish, out: Path, address: HubAddress) -> None:
    """Upload a published model, and print where it is."""
    from intona import hf_upload

    done = hf_upload.push(out, address, private=request.private, replace=request.replace)
    print(f"{done.url}: {'created, ' if done.created else ''}{done.address}")


def publish(request: Publish, out: Path) -> str:
    """Write the model of a run to a folder, and print what it is.

    Returns:
        its kind.
    """
    from intona import checkpoint
    from intona import config as configs
    from intona.models import card_fields
    from intona.text import lexicon

    source = checkpoint.resolve(request.run)
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / checkpoint.INDEX).is_file()):
        raise UserError("holds something else than a published model", where=out, hint="name a new folder")
    if out.resolve() == source.resolve() or (out / "state").exists():
        raise UserError("is a checkpoint itself", where=out, hint="name a new folder")
    further = {} if request.card is None else configs.read_json(request.card)
    if not isinstance(further, dict):
        raise UserError("a card is a table of fields", where=request.card)
    # A new folder of a published model, such as one that is only uploaded, keeps its card.
    kept = card_fields(out if out.is_dir() else source)
    flags = ("summary", "trained_on", "licence", "language")
    stated = {k: v for k in flags if (v := getattr(request, k)) is not None}
    card = {**kept, **facts(source), **further, **stated}
    card |= _tables(request, card["kind"])
    if request.default_vocoder is not None:
        card["default_vocoder"] = request.default_vocoder
    _require_consistent(card, source)
    if request.graphs:
        from intona.export.graph import require_exporter

        require_exporter()
    # A republished model keeps its lexicon as it keeps its card.
    words = lexicon.in_directory(source) or lexicon.in_directory(out)
    if words is not None:
        lexicon.Lexicon.read(words)  # a damaged one is refused here, not when the model is used
    checkpoint.publish(source, out, card=card, files=[] if words is None else [words], without=TRAINING_ONLY)
    if request.graphs:
        from intona.export.model import export

        export(out, out)
    size = sum(p.stat().st_size for p in out.iterdir()) / 1e6
    name = request.out or request.push
    print(f"{name}: {card['kind']}, {card['parameters'] / 1e6:.2f} M parameters, {size:.1f} MB")
    if "export" in card and not (out / checkpoint.GRAPHS).is_file():
        print("without ONNX graphs, for the weights are others: --graphs writes new ones", file=sys.stderr)
    lacking = [k for k in ("summary", "trained_on", "licence") if not card.get(k)]
    if lacking:
        options = ", ".join("--" + k.replace("_", "-") for k in lacking)
        print(f"its card does not say: {', '.join(lacking)} ({options})", file=sys.stderr)
    return card["kind"]


def _tables(request: Publish, kind: str) -> dict[str, Any]:
    """The fields of a card that come from flags of the form KEY=VALUE.

    Raises:
        UserError: not of this form; a model that has no speakers and languages.
    """
    out = {}
    for flag, field, pairs in (
        ("--default-speaker", "default_speakers", request.default_speaker),
        ("--alias", "aliases", request.alias),
    ):
        if pairs and kind != "voice":
            raise UserError(f"is for voices, not for a model of kind {kind}", where=flag)
        for pair in pairs:
            key, _, value = (part.strip() for part in pair.partition("="))
            if not key or not value:
                raise UserError(f'"{pair[:80]}" has another form', where=flag, hint="such as ru=anna")
            out.setdefault(field, {})[key] = value
    return out


def _require_consistent(card: dict[str, Any], source: Path) -> None:
    """Refuse speakers, languages, aliases and vocoders of a card that do not exist.

    Raises:
        UserError: names the field.
    """
    from intona import config as configs
    from intona import models
    from intona.errors import unknown
    from intona.synth.speakers import Speakers

    if card["kind"] != "voice":
        return
    voices = configs.read_json(source / VOICES)
    speakers, languages = (list(map(str, voices.get(k, []))) for k in ("speakers", "languages"))
    Speakers.of(card, where="card").require_known(speakers, languages, where="card")
    if "default_vocoder" in card:
        from intona.vocoder.load import find

        find(models.default_vocoder(card, where="card"))  # refuses one that does not exist
    for name, language in models.aliases_in(models.Card(name="card", path=source, more=card)).items():
        if language not in languages:
            unknown("language", language, languages, where=f"alias {name}")


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
