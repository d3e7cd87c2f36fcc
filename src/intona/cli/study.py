"""`intona study NAME`: many runs that answer one question, and one page about them."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from intona.cli.aliases import renamed
from intona.cluster.base import LOCAL
from intona.errors import UserError, unknown
from intona.studies.engine import catalog
from intona.studies.engine.entry import StudyEntry

OPTIONS = ("texts", "vits", "readers", "voice_minutes")  # options that not every study has
_LISTED = "Which study. " + " ".join(f"{name}: {catalog.get(name).what}." for name in catalog.names())


_PARTS = "Run a smaller study of the same question. " + " ".join(
    f"{study}: {name}, {part.what}."
    for study in catalog.names()
    for name, part in catalog.get(study).parts.items()
)


def _studies_with(option: str) -> list[str]:
    """Studies that have an option, or a part that alone has it, such as "restyle --only recordings"."""
    names = []
    for name in catalog.names():
        entry = catalog.get(name)
        if option in entry.options:
            names.append(name)
        else:
            names += [f"{name} --only {part}" for part, e in entry.parts.items() if option in e.options]
    return names


def _help(option: str, text: str) -> str:
    """The help of an option, with the studies that have it."""
    return f"({', '.join(_studies_with(option))}) {text}"


@dataclass(frozen=True, kw_only=True)
class Study:
    """Run a study: train every arm, measure, judge all voices together, and write OUT/report.html.

    The plan is printed first, with the budget of each arm. Run the same command again to continue after an
    interruption and to retry failed jobs; further --arms or --seeds extend the study. Unfinished jobs are
    listed at the end.

    The fields of the config of a stage are flags too, for all arms: `--prosody.gradtts.loop.steps 1000`.
    Planned minutes and warm-up change with the steps.
    """

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="|".join(catalog.names()), help=_LISTED)]
    data: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """A prepared corpus; it must be aligned if the study trains a voice that needs durations."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="OUT")]
    """The folder of the study."""
    size: Literal["small", "toy"] = "small"
    """small: hours. toy: a smoke test of minutes without meaningful results."""
    seeds: Annotated[str, tyro.conf.arg(metavar="0,1")] = "0"
    """Seeds of training; every arm is trained with the first."""
    arms: Annotated[str, tyro.conf.arg(metavar="A,B")] = ""
    """Names of arms, by default those of the paper; "all" adds the controls."""
    repeat: Annotated[str, tyro.conf.arg(metavar="A,B")] = ""
    """Arms that are trained with every seed; by default those that the claims need, "all" for all."""
    only: Annotated[str | None, tyro.conf.arg(metavar="PART", help=_PARTS)] = None
    texts: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="PATH",
            help=_help("texts", "further text for pretraining: a file, or a directory of *.txt"),
        ),
    ] = None
    vits: Annotated[
        str | None,
        tyro.conf.arg(metavar="NAME|DIR", help=_help("vits", "the frozen VITS whose latents are restyled")),
    ] = None
    readers: Annotated[
        tuple[Path, ...] | None,
        tyro.conf.arg(
            metavar="DIR [DIR ...]",
            help=_help(
                "readers", "further prepared corpora, each of one reader, as the other speakers of the swap"
            ),
        ),
    ] = None
    voice_minutes: Annotated[
        float | None,
        tyro.conf.arg(
            metavar="M",
            help=_help(
                "voice_minutes", "planned minutes of one core for each voice, instead of those of --size"
            ),
        ),
    ] = None
    asr: Annotated[str, tyro.conf.arg(metavar="offline|none|DIR")] = "offline"
    """The recognizer of WER and CER."""
    workers: int | None = None
    """How many jobs run at once, with one thread each; with 1, one job with all threads. By default 2, and
    with --cluster one for each of its cores."""
    cluster: Annotated[str, tyro.conf.arg(metavar="local|auto|HOST:PORT")] = "local"
    """Where the jobs run: this machine, or the Ray cluster that it belongs to, with one core each."""
    gpus: int = 0
    """GPUs for each job that trains, on a cluster."""
    limit_minutes: Annotated[float | None, tyro.conf.arg(metavar="M")] = None
    """Save everything and stop after so many minutes."""
    dry_run: bool = False
    """Print the plan and its budget, and do nothing."""

    def entry(self) -> StudyEntry:
        """The study, or the part of it that --only names.

        Raises:
            UserError: an unknown study or part.
        """
        entry = catalog.get(self.name)
        if self.only is None:
            return entry
        if not entry.parts:
            raise UserError(f"study {self.name} has no parts", where="--only")
        if self.only not in entry.parts:
            unknown("part", self.only, entry.parts, where=f"study {self.name}")
        return entry.parts[self.only]

    def check(self) -> None:
        entry = self.entry()
        if not self.data.is_dir():
            raise UserError("no such directory", where=self.data, hint="create it with `intona prepare`")
        if self.output.is_file():
            raise UserError("is a file, not a folder", where=self.output)
        for option in OPTIONS:
            if getattr(self, option) is not None and option not in entry.options:
                raise UserError(
                    f"study {self.name} has no such option",
                    where=f"--{option.replace('_', '-')}",
                    hint=f"studies with it: {', '.join(_studies_with(option)) or 'none'}",
                )
        if self.texts is not None and not self.texts.exists():
            raise UserError("no such file or directory", where=self.texts)
        if self.voice_minutes is not None and not 0.05 <= self.voice_minutes < 1e6:
            raise UserError(
                f"{self.voice_minutes:g} is not a number of minutes from 0.05", where="--voice-minutes"
            )
        if self.workers is not None and not 1 <= self.workers <= 256:
            raise UserError(f"{self.workers} is not between 1 and 256", where="--workers")
        if not 0 <= self.gpus <= 64:
            raise UserError(f"{self.gpus} is not between 0 and 64", where="--gpus")
        if self.gpus and self.cluster == LOCAL:
            raise UserError("jobs of this machine share its GPUs", where="--gpus", hint="it needs --cluster")
        if self.limit_minutes is not None and not 0 < self.limit_minutes < 1e6:
            raise UserError(f"{self.limit_minutes:g} is not a number of minutes", where="--limit-minutes")

    def declare(self, module: Any) -> Any:
        try:
            seeds = tuple(int(s) for s in self.seeds.split(","))
        except ValueError:
            raise UserError(
                f'"{self.seeds}" is not a list of seeds', where="--seeds", hint="for example 0,1"
            ) from None
        if any(not 0 <= s < 2**31 for s in seeds):
            raise UserError("a seed is between 0 and 2^31 - 1", where="--seeds")
        return module.declare(
            data=self.data,
            size=self.size,
            seeds=seeds,
            arms=_names(self.arms, module.DEFAULT_ARMS, module.ARMS),
            repeat=_names(self.repeat, module.REPEATED, module.ARMS),
            asr=self.asr,
            **{name: getattr(self, name) for name in self.entry().options},
        )


def _names(names: str, default: tuple[str, ...], every: Any) -> tuple[str, ...]:
    if names == "all":
        return tuple(every)
    return tuple(n.strip() for n in names.split(",") if n.strip()) or default


def split(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Separate the flags of the verb, which have no dot, from fields of the configs of stages.

    Raises:
        UserError: a repeated field.
    """
    options: list[str] = []
    fields: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        token = rest.pop(0)
        flag, equals, value = token.partition("=")
        if not flag.startswith("--") or "." not in flag:
            options.append(token)
            continue
        if not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
        name = flag[2:].replace("-", "_")
        if name in fields:
            raise UserError("given twice", where=flag)
        fields[name] = value
    return options, fields


def preset(stage: str, size: str) -> Any:
    """The config of a stage as `intona train` starts from it."""
    from intona.training.stage import stage_of

    return stage_of(stage).sizes[size]()


def main(arguments: list[str]) -> int:
    options, fields = split(renamed(arguments))
    request = tyro.cli(Study, prog="intona study", args=options)
    request.check()
    from intona.cluster import open_engine
    from intona.studies.engine import job, needs, runner
    from intona.studies.engine.account import left_lines, plan_lines
    from intona.studies.engine.overrides import override
    from intona.studies.engine.plan import with_gpus

    entry = request.entry()
    plan_module, page_module = importlib.import_module(entry.plan), importlib.import_module(entry.page)
    plan = request.declare(plan_module)
    if fields:
        plan = override(plan, fields, preset)
    plan = with_gpus(plan, request.gpus)
    local = request.cluster == LOCAL
    workers = request.workers or (2 if local else None)
    print("\n".join(plan_lines(plan, request.output, workers or 1)), flush=True)
    try:
        for line in needs.lacking(plan):
            print(f"intona: warning: a measure will be missing: {line}", file=sys.stderr, flush=True)
    except UserError as e:
        if not request.dry_run:
            raise
        print(f"intona: warning: the study cannot run here: {e}", file=sys.stderr)
    if request.dry_run:
        return 0
    job.exit_on_sigterm()  # training runs save before they end
    device = "cuda" if request.gpus else "cpu"
    with open_engine(
        request.cluster,
        workers=workers,
        files=[request.data, request.output, request.texts, *(request.readers or ())],
        device=device,
    ) as engine:
        outcome = runner.run(
            plan,
            request.output,
            workers=engine.workers,
            engine=engine,
            limit_minutes=request.limit_minutes,
            report=lambda line: print(line, file=sys.stderr, flush=True),
        )
    page = page_module.write(plan, request.output, outcome)
    print()
    print("\n".join(left_lines(plan, request.output, outcome)))
    print(f"report: {page}")
    return 1 if outcome.failed else 0
