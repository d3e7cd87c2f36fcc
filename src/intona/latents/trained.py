"""Latent spaces out of run directories."""

from __future__ import annotations

from pathlib import Path

from intona import checkpoint
from intona import config as configs
from intona.audio import MelSpec
from intona.errors import UserError
from intona.latents.mel_vae import MelVAE, MelVAEConfig

STAGE = "prosody.melvae"
FORMAT = 2  # of a run: 2 since the last frame fills the last latent


def load(run: Path | str, *, spec: MelSpec | None = None) -> MelVAE:
    """The mel VAE of a run, checkpoint or published model (averaged weights), in evaluation mode, frozen.

    Args:
        spec: the mels that it will encode; others than those of its training are refused, field by field.

    Raises:
        UserError: no such run, a damaged one, another kind of run, other features.
    """
    path = checkpoint.resolve(Path(run))
    raw = configs.read_json(path / "config.json")
    if not isinstance(raw, dict) or raw.get("stage") != STAGE:
        raise UserError("holds no mel VAE", where=path, hint=f"train one: intona train {STAGE}")
    if raw.get("format") != FORMAT:
        raise UserError(
            "trained by an earlier version, which filled the last latent otherwise",
            where=path,
            hint=f"train it anew: intona train {STAGE}",
        )
    checkpoint.verify(path, state=False)
    features = MelSpec.load(path / "features.json")
    if spec is not None:
        features.require_same(spec, where=path)
    model = MelVAE(
        configs.from_dict(MelVAEConfig, raw.get("model"), where=f"{path / 'config.json'}: model"), features
    )
    checkpoint.load_weights(model, checkpoint.weights(path, "model."), where=path)
    return model.eval().requires_grad_(False)
