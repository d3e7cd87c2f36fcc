"""The arms of the study: how each differs, and the guidance scales at which it speaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from intona.studies.restyle.published import CLAIMS
from intona.studies.restyle.verdict import PRIMARY

POSTERIOR, STYLE, GATE = "encoder/posterior", "encoder/style", "gate"  # jobs that arms build on
GUIDANCES = (0.0, 1.0, 2.0, 3.0, 5.0, 10.0)
DECIDING = (1.0, PRIMARY, 10.0)  # the scales of the verdict and the claims
PAPER_NETWORK = (
    ("align", "none"),
    ("model.network.kind", "unet2d"),
    ("model.network.tokens", "1"),
    ("model.masked", "false"),
    ("model.normalize", "false"),
    ("model.partial", "0"),
)


@dataclass(frozen=True, kw_only=True)
class RestyleArm:
    """An arm: its stage, how its config differs, what it builds on, and the scales at which it speaks.

    Attributes:
        embedding: the condition is the style embedding.
        tuned: speaks with a decoder tuned to the recordings instead of the voice's.
        described: the styles are the words "low" and "high" instead of recordings.
        synthetic: trained on synthetic speech of the voice, without a posterior.
        of: has no model, but speaks with that of this arm.
        scales: of guidance in the first seed; further seeds speak at the scales of the claims.
        slower: a step takes so many times as long, so the arm gets fewer steps in the same minutes.
        swapped: runs the style-speaker swap.
    """

    what: str
    stage: str = "restyle.palette"
    overrides: tuple[tuple[str, str], ...] = ()
    embedding: bool = False
    tuned: bool = False
    described: bool = False
    synthetic: bool = False
    of: str = ""
    scales: tuple[float, ...] = (PRIMARY,)
    slower: float = 1.0
    optional: bool = False
    swapped: bool = False


TWO_D = (("model.network.kind", "unet2d"), ("model.network.tokens", "4"))
UNALIGNED = (("align", "none"),)
UNMASKED = (("model.masked", "false"), ("model.segment", "384"))
CANVAS_COSTS = 1.7  # cost of a step, relative to one on real frames
BRIDGE: dict[str, Any] = {"stage": "restyle.bridge"}
# With synthetic targets no latent is estimated: whatever such an arm loses is due to its own choices.
ARMS = {
    "palette-own": RestyleArm(
        what="v-diffusion, aligned, 1-D, real frames alone; targets: synthetic speech of the voice (z known)",
        synthetic=True,
        scales=GUIDANCES,
    ),
    "palette-own-unaligned": RestyleArm(
        what="palette-own from a source with other durations", overrides=UNALIGNED, synthetic=True
    ),
    "palette-own-unmasked": RestyleArm(
        what="palette-own on the paper's canvas of 384 frames, with padding trained like any frame",
        overrides=UNMASKED,
        slower=CANVAS_COSTS,
        synthetic=True,
    ),
    "palette-own-2d": RestyleArm(
        what="palette-own with latents as an image", overrides=TWO_D, synthetic=True
    ),
    "palette-own-words": RestyleArm(
        what='palette-own with the words "low" and "high" instead of recordings',
        described=True,
        of="palette-own",
    ),
    "bridge-own": RestyleArm(
        what="I2SB, otherwise as palette-own", scales=(1.0, PRIMARY), synthetic=True, **BRIDGE
    ),
    "palette": RestyleArm(
        what="as palette-own; targets: recordings, through the posterior", scales=DECIDING, swapped=True
    ),
    "palette-unaligned": RestyleArm(
        what="palette with the durations that the voice predicts", overrides=UNALIGNED
    ),
    "palette-decoder": RestyleArm(
        what="palette, decoded by a tuned copy of the decoder", tuned=True, of="palette"
    ),
    "palette-words": RestyleArm(
        what='palette with the words "low" and "high" instead of recordings',
        described=True,
        of="palette",
        optional=True,
    ),
    "palette-embedding": RestyleArm(
        what="palette, conditioned on the style embedding", embedding=True, optional=True
    ),
    "palette-2d": RestyleArm(what="palette with latents as an image", overrides=TWO_D, optional=True),
    "bridge": RestyleArm(
        what="I2SB, otherwise as palette", scales=(1.0, PRIMARY), swapped=True, optional=True, **BRIDGE
    ),
    "bridge-unaligned": RestyleArm(
        what="bridge with the durations that the voice predicts", overrides=UNALIGNED, optional=True, **BRIDGE
    ),
    "palette-unmasked": RestyleArm(
        what="palette on the paper's canvas of 384 frames, with padding trained like any frame",
        overrides=UNMASKED,
        slower=CANVAS_COSTS,
        optional=True,
    ),
    "paper-palette": RestyleArm(
        what="the paper's choices: unaligned image, whole canvas, latents not standardized",
        overrides=PAPER_NETWORK,
        optional=True,
    ),
    "paper-bridge": RestyleArm(
        what="as paper-palette, I2SB with noise on x_1 and OT-ODE",
        overrides=(
            *PAPER_NETWORK,
            ("model.x1_noise", "true"),
            ("model.ot_ode", "true"),
            ("model.see_text", "false"),
        ),
        optional=True,
        **BRIDGE,
    ),
    "palette-uniform": RestyleArm(
        what="palette trained with uniform noise, as in the authors' later code",
        overrides=(("model.noise", "uniform"),),
        optional=True,
    ),
    "bridge-2d": RestyleArm(what="bridge with latents as an image", overrides=TWO_D, optional=True, **BRIDGE),
    "bridge-embedding": RestyleArm(
        what="bridge, conditioned on the style embedding", embedding=True, optional=True, **BRIDGE
    ),
}
DEFAULT_ARMS = tuple(n for n, a in ARMS.items() if not a.optional)


def claimed() -> dict[str, tuple[float, ...]]:
    """Arm -> scales of its claims; every seed trains these arms and speaks at these scales."""
    scales: dict[str, set[float]] = {}
    for row in (r for c in CLAIMS for r in (c.arm, c.other)):
        arm, guidance = row.rsplit(".g", 1)
        scales.setdefault(arm, {PRIMARY}).add(float(guidance))
    return {n: tuple(sorted(scales[n])) for n in ARMS if n in scales}


REPEATED = tuple(claimed())
