"""The latents that `--latents` names: plain mels, patches of mels, a run of the VAE, or those of a voice."""

from __future__ import annotations

import re
from pathlib import Path

from intona import checkpoint, models
from intona import config as configs
from intona.audio import MelSpec
from intona.data.prepared import Prepared
from intona.errors import UserError
from intona.latents import trained
from intona.latents.base import LatentSpace
from intona.latents.mel import PER_FRAME, PROPORTION, MelLatents, PatchLatentsConfig, fit_patches
from intona.systems.ditto import DittoConfig
from intona.systems.ditto.voice import is_ditto_voice, require_format


def open_latents(name: str, prepared: Prepared, proportion: float = PROPORTION) -> LatentSpace:
    """The space that `--latents` names; `proportion` is of new patches, see `PatchLatentsConfig`.

    Raises:
        UserError: none named, no such run, or one for other mels than the corpus's.
    """
    if not name:
        raise UserError(
            "no latents named",
            where="--latents",
            hint="name a run of prosody.melvae, mel for plain mels, mel8 for patches of 8 frames, or a run "
            "of prosody.ditto for its latents",
        )
    if name == "mel":
        return MelLatents(prepared.spec)
    if match := re.fullmatch(r"mel(\d{1,2})(?:x(\d{1,4}))?", name):
        frames, n_mels = int(match[1]), prepared.spec.n_mels
        dim = int(match[2] or PER_FRAME * frames)
        if not 2 <= frames <= 32:
            raise UserError(f"patches of {frames} frames are not between 2 and 32", where="--latents")
        if not 1 <= dim <= frames * n_mels:
            raise UserError(
                f"{dim} numbers for {frames} frames are not between 1 and {frames * n_mels}",
                where="--latents",
            )
        config = PatchLatentsConfig(
            n_mels=n_mels, frames=frames, dim=dim, corpus=prepared.fingerprint, proportion=proportion
        )
        return fit_patches((prepared.mel(i) for i in prepared.items("train")), config, prepared.spec)
    path = checkpoint.resolve(models.find(name))
    return _latents_of(path, prepared) if is_ditto_voice(path) else trained.load(path, spec=prepared.spec)


def _latents_of(path: Path, prepared: Prepared) -> LatentSpace:
    """The frozen space of a voice's run, so that the voice can continue on another corpus."""
    raw = configs.read_json(path / "config.json")
    require_format(raw, path)
    checkpoint.verify(path, state=False)
    spec = MelSpec.load(path / "features.json")
    spec.require_same(prepared.spec, where=path)
    config = configs.from_dict(DittoConfig, raw.get("model"), where=f"{path / 'config.json'}: model")
    space = config.latents.build(spec)
    prefix = "model.space."
    weights = {
        k.removeprefix(prefix): v for k, v in checkpoint.weights_of(path)[1].items() if k.startswith(prefix)
    }
    checkpoint.load_weights(space, weights, where=path)
    return space.eval().requires_grad_(False)
