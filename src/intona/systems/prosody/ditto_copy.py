"""What a latent space alone costs: recordings through it and the vocoder, beside the vocoder alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from intona import config as configs
from intona.audio import Audio
from intona.data.prepared import Item, Prepared
from intona.evaluation import read_manifest
from intona.evaluation.stats import ratio_interval
from intona.latents.base import LatentSpace
from intona.study.stages import MANIFEST, RUN, WAVS, TimeIsUp, require_corpus, until
from intona.systems.prosody.ditto import open_latents
from intona.systems.prosody.gradtts import mel_statistics
from intona.systems.prosody.melvae import there_and_back
from intona.vocoder import load_vocoder

FOUND = "found.json"


def mel_errors(space: LatentSpace, prepared: Prepared, items: Iterable[Item]) -> dict[str, Any]:
    """Mean absolute error of mels through the latents, intervals over utterances.

    `nats` in natural-log units, `deviations` in the corpus's deviation of each bin.
    """
    std = mel_statistics(prepared)[1]
    nats: list[float] = []
    deviations: list[float] = []
    for item in items:
        mel = torch.from_numpy(prepared.mel(item))[None]
        error = (there_and_back(space, mel) - mel).abs()
        nats.append(float(error.mean()))
        deviations.append(float((error / std).mean()))
    found = {"nats": nats, "deviations": deviations}
    return {name: dataclasses.asdict(ratio_interval(values)) for name, values in found.items()}


def speak_copy(
    *,
    out: Path,
    needs: dict[str, Path],
    limit_minutes: float | None,
    data: str,
    corpus: str,
    latents: str,
    run: str,
    test: str,
) -> bool:
    """The test's recordings through the latents and the vocoder into `out/wavs`; errors in `out/found.json`.

    `latents`: a name that `--latents` takes, or with `run` whatever stands in that job's run.
    """
    require_corpus(data, corpus)
    prepared = Prepared.open(data)
    space = open_latents(str(needs[run] / RUN) if run else latents, prepared)
    vocoder = load_vocoder("hifigan")
    wanted = {row.id for row in read_manifest(needs[test] / MANIFEST).rows}
    items = [i for i in prepared.items("test") if i.name in wanted]
    (out / WAVS).mkdir(parents=True, exist_ok=True)
    tell = until(limit_minutes)
    try:
        for number, item in enumerate(items):
            target = out / WAVS / f"{item.name}.wav"
            if target.exists():
                continue
            tell(number, len(items), "")
            mel = there_and_back(space, torch.from_numpy(prepared.mel(item))[None])
            Audio(vocoder.decode(mel)[0].float().numpy().clip(-1, 1), prepared.spec.sample_rate).write(target)
    except TimeIsUp:
        return False
    facts = {"rate": space.rate, "dim": space.dim, "kind": space.kind}
    configs.write_json(out / FOUND, facts | mel_errors(space, prepared, items))
    return True
