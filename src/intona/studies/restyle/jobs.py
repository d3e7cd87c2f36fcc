"""Jobs that train: a stage on the frozen voice, and the synthetic speech that models are trained on."""

from __future__ import annotations

from pathlib import Path

from intona import config as configs
from intona.data.prepared import Prepared
from intona.studies.engine import stages
from intona.studies.engine.stages import RESULTS, RUN, require_corpus
from intona.systems.restyle import vits
from intona.systems.restyle.own import synthetic_pairs
from intona.systems.restyle.stage import RestyleRunConfig


def train(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    stage: str,
    size: str,
    data: str,
    corpus: str,
    overrides: dict[str, str],
    voice: str,
    posterior: str,
    style: str,
) -> bool:
    """`engine.stages.train` with the frozen voice and the runs that the stage builds on.

    A posterior is trained only for a voice without one; otherwise the job is done at once.

    Args:
        voice: the frozen VITS. posterior, style: jobs of these stages, "" = not needed.
    """
    needs_posterior = stage == "restyle.posterior" or bool(posterior)
    has_posterior = needs_posterior and vits.load(voice).facts.has_posterior
    if stage == "restyle.posterior" and has_posterior:
        return True
    more = {} if stage == "restyle.style" else {"vits": voice}
    if posterior and not has_posterior:
        more["posterior"] = str(needs[posterior].resolve() / RUN)
    if style:
        more["style"] = f"style:{needs[style].resolve() / RUN}"
    return stages.train(
        out=out,
        needs=needs,
        limit_minutes=limit_minutes,
        stage=stage,
        size=size,
        data=data,
        corpus=corpus,
        overrides={**overrides, **more},
    )


def synthesize_corpus(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    data: str,
    corpus: str,
    voice: str,
    sentences: int,
    seed: int,
) -> None:
    """Synthesize the training data of the models with synthetic targets; it is kept with the corpus."""
    require_corpus(data, corpus)
    frames = RestyleRunConfig().max_frames
    pairs, style = synthetic_pairs(
        Prepared.open(data), vits.load(voice), count=sentences, seed=seed, max_frames=frames
    )
    results = {"sentences": {s: len(p) for s, p in pairs.items()}, "scale": style.describe()["scale"]}
    configs.write_json(out / RESULTS, results)
