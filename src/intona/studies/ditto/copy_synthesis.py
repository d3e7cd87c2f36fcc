"""What a latent space alone loses: recordings through it and the vocoder, compared with the vocoder alone."""

from __future__ import annotations

from pathlib import Path

import torch

from intona import config as configs
from intona.audio import Audio
from intona.data.prepared import Prepared
from intona.evaluation import read_manifest
from intona.studies.engine.stages import MANIFEST, RESULTS, RUN, WAVS, TimeIsUp, require_corpus, until
from intona.systems.ditto.latents import open_latents
from intona.systems.ditto.melvae import mel_errors, there_and_back
from intona.vocoder import load_vocoder


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
    """The recordings of the test set through latents and vocoder into `out/wavs`; errors in RESULTS.

    Args:
        latents: a name that `--latents` accepts. run: a job whose trained latents are used instead.
    """
    require_corpus(data, corpus)
    prepared = Prepared.open(data)
    space = open_latents(str(needs[run] / RUN) if run else latents, prepared)
    vocoder = load_vocoder("hifigan")
    names = {row.id for row in read_manifest(needs[test] / MANIFEST).rows}
    items = [i for i in prepared.items("test") if i.name in names]
    (out / WAVS).mkdir(parents=True, exist_ok=True)
    check_time = until(limit_minutes)
    try:
        for number, item in enumerate(items):
            target = out / WAVS / f"{item.name}.wav"
            if target.exists():
                continue
            check_time(number, len(items), "")
            mel = there_and_back(space, torch.from_numpy(prepared.mel(item))[None])
            Audio(vocoder.decode(mel)[0].float().cpu().numpy().clip(-1, 1), prepared.spec.sample_rate).write(
                target
            )
    except TimeIsUp:
        return False
    facts = {"rate": space.rate, "dim": space.dim, "kind": space.kind}
    configs.write_json(out / RESULTS, facts | mel_errors(space, prepared, items))
    return True
