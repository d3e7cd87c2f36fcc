"""`intona train SYSTEM.STAGE`: a few flags, and the fields of the run's config as further flags."""

from __future__ import annotations

import difflib
import inspect
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from intona.cli.aliases import renamed
from intona.cli.device import METAVAR
from intona.errors import UserError

_MAKES = {
    "voice": "Makes a voice.",
    "encoder": "Makes a text encoder.",
    "vocoder": "Makes a vocoder.",
    "part": "Makes a part of other models.",
}
SWITCHES = {"--verbose", "--help", "-h"}  # without a value
FLAGS = {"--size", "--data", "--output", "--limit-minutes", "--init", "--encoder"} | SWITCHES
FLAGS |= {"--device", "--devices", "--nodes", "--strategy"}


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train one stage of one system. The same --output again resumes where the run stopped.

    Any field of the run's config is a flag too: `--optim.lr 1e-4`. The resolved config is saved in the
    checkpoints of the run directory, which is the checkpoint that `say --model` takes.
    """

    stage: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SYSTEM.STAGE")]
    """What to train, such as prosody.gradtts."""
    data: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """A directory written by `intona prepare`."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="RUN")]
    """The run directory."""
    verbose: bool = False
    """Print all fields of the resolved config too."""
    size: Annotated[str, tyro.conf.arg(metavar="paper|small|toy")] = "small"
    """The preset; prosody.gradtts also has steerable, prosody.ditto base, large and xl.
    `intona train STAGE --help` describes them."""
    limit_minutes: Annotated[float | None, tyro.conf.arg(metavar="M")] = None
    """Stop after M minutes, with everything saved."""
    init: Annotated[str | None, tyro.conf.arg(metavar="NAME|RUN")] = None
    """Start a new run from this model, its sizes and its weights: fine-tuning, or the next stage."""
    encoder: Annotated[Path | None, tyro.conf.arg(metavar="NAME|RUN")] = None
    """Build the voice on this text encoder: a shipped one, or a run of prosody.mlm, .contrastive or .refine;
    for prosody.ditto also a published text model, which stays frozen: a directory with a BERT, or minilm.
    Without it, --model.encoder.kind NAME chooses a kind of encoder that learns with the voice."""
    device: Annotated[str, tyro.conf.arg(metavar=METAVAR)] = "auto"
    """What to compute on; auto takes a GPU where there is one."""
    devices: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Train on N GPUs of this machine, or in N processes on its CPU; torchrun and srun set it themselves."""
    nodes: Annotated[int | None, tyro.conf.arg(metavar="M")] = None
    """Machines, each with the same number of devices; started by torchrun or srun."""
    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    """ddp keeps the whole model on each device; fsdp divides its weights among them."""


def main(arguments: list[str]) -> None:
    flags, overrides = split(renamed(arguments))
    request = tyro.cli(Train, prog="intona train", description=_about(flags), args=flags)
    if request.limit_minutes is not None and not 0 < request.limit_minutes < 1e6:
        raise UserError(f"{request.limit_minutes:g} is not a number of minutes", where="--limit-minutes")
    if request.stage.count(".") != 1 or not all(request.stage.split(".")):
        raise UserError(f'"{request.stage}" is not SYSTEM.STAGE', hint="such as prosody.gradtts")
    if not request.data.is_dir():
        raise UserError(
            "no such directory", where=request.data, hint="make it with `intona prepare LAYOUT SRC OUT`"
        )

    # Before torch is loaded, also in the processes that are started: DDP warns of steps that use all weights.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from intona import systems

    if request.verbose:
        logging.getLogger("intona.training").setLevel(logging.DEBUG)
    systems.train(
        request.stage,
        size=request.size,
        data=request.data,
        out=request.output,
        overrides=overrides,
        limit_minutes=request.limit_minutes,
        init=request.init,
        encoder=request.encoder,
        device=request.device,
        devices=request.devices,
        nodes=request.nodes,
        strategy=request.strategy,
    )


def _about(flags: list[str]) -> str | None:
    """The help of one stage: its presets and the docstring of its config; None unless --help names one."""
    if not {"-h", "--help"} & set(flags):
        return None
    from intona import registry

    name = next((a for a in flags if a in registry.names("stages")), None)
    if name is None:
        return None
    from intona.training.stage import stage_of

    stage = stage_of(name)
    paragraphs = []
    for size, make in stage.sizes.items():
        about = inspect.getdoc(getattr(make, "func", make)) or "-"  # a partial has no docstring
        first = " ".join(about.split("\n\n")[0].split())
        paragraphs.append(f"{size}: {first.split('. ')[0].rstrip('.')}.")
    config = type(next(iter(stage.sizes.values()))())
    head = [inspect.getdoc(Train) or "", _MAKES[stage.makes], f"Sizes of {name}."]
    return "\n\n".join([*head, *paragraphs, *_fields(config)])


def _fields(config: type) -> list[str]:
    """Paragraphs of a config's docstring, without its first sentence; its attributes as flags."""
    about = inspect.getdoc(config) or ""
    text, _, attributes = about.partition("Attributes:\n")
    _, _, rest = text.partition(".")
    paragraphs = [f"Its config. {' '.join(rest.split())}"] if rest.strip() else []
    for line in attributes.splitlines():
        if line.startswith("    ") and not line.startswith("     "):
            field, _, about = line.strip().partition(":")
            paragraphs.append(f"Flag --{field.replace('_', '-')}:{about}")
        elif line.strip():
            paragraphs[-1] += " " + line.strip()
    return paragraphs


def split(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Separate the flags of the command from overrides of the config.

    `--any.field value`, `--any.field=value`, and `--any.field` alone for true.

    Raises:
        UserError: a flag without a dot that looks like a misspelt flag of the command; a field given
            twice.
    """
    flags: list[str] = []
    overrides: dict[str, str] = {}
    i = 0
    while i < len(arguments):
        token = arguments[i]
        i += 1
        flag, equals, value = token.partition("=")
        flag = "--" + flag[2:].replace("_", "-") if flag.startswith("--") else flag
        if flag in FLAGS or not token.startswith("--") or token == "--":
            flags.append(flag + equals + value if flag in FLAGS else token)
            if flag in FLAGS - SWITCHES and not equals and i < len(arguments):
                flags.append(arguments[i])
                i += 1
            continue
        key = flag[2:].replace("-", "_")
        close = difflib.get_close_matches(flag, FLAGS, n=1, cutoff=0.85)
        if "." not in key and close:
            raise UserError(f'unknown flag "{flag}"', where="intona train", hint=f"did you mean {close[0]}?")
        if not equals:
            takes = i < len(arguments) and not arguments[i].startswith("--")
            value = arguments[i] if takes else "true"
            i += takes
        if key in overrides:
            raise UserError("given twice", where=flag)
        overrides[key] = value
    return flags, overrides
