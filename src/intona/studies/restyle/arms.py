"""The arms of the study: what each differs in, and at which guidance scales it speaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from intona.studies.restyle.published import CLAIMS
from intona.studies.restyle.verdict import PRIMARY

POSTERIOR, STYLE, GATE = "encoder/posterior", "encoder/style", "gate"  # jobs that arms stand on
GUIDANCES = (0.0, 1.0, 2.0, 3.0, 5.0, 10.0)
DECIDING = (1.0, PRIMARY, 10.0)  # what the verdict and the claims are about
PAPER_NETWORK = (
    ("align", "none"),
    ("model.network.kind", "unet2d"),
    ("model.network.tokens", "1"),
    ("model.masked", "false"),
    ("model.normalize", "false"),
    ("model.partial", "0"),
)


@dataclass(frozen=True, kw_only=True)
class Restyled:
    """An arm: its stage, how its config differs, what else it stands on, at which scales it speaks.

    Attributes:
        of: it has no model of its own and speaks with this arm's.
        tuned: a decoder tuned to the recordings speaks in place of the voice's.
        described: the styles are the words "low" and "high" in place of recordings.
        embedding: the condition is the style embedding.
        own: trained on the voice's own speech, without a posterior.
        scales: of guidance, in the first seed; further seeds speak at those that a claim is about.
        slower: a step takes so many times that of the others, so that it gets fewer in the same minutes.
    """

    what: str
    stage: str = "restyle.palette"
    overrides: tuple[tuple[str, str], ...] = ()
    embedding: bool = False
    tuned: bool = False
    described: bool = False
    own: bool = False
    of: str = ""
    scales: tuple[float, ...] = (PRIMARY,)
    slower: float = 1.0
    optional: bool = False
    swapped: bool = False


TWO_D = (("model.network.kind", "unet2d"), ("model.network.tokens", "4"))
UNALIGNED = (("align", "none"),)
UNMASKED = (("model.masked", "false"), ("model.segment", "384"))
CANVAS_COSTS = 1.7  # times a step on real frames
BRIDGE: dict[str, Any] = {"stage": "restyle.bridge"}
# Towards the voice's own speech nothing is estimated: what an arm loses there its own choice has lost.
ARMS = {
    "palette-own": Restyled(
        what="v-diffusion, aligned, 1-D, real frames, towards the voice's own speech: z known, one speaker",
        own=True,
        scales=GUIDANCES,
    ),
    "palette-own-unaligned": Restyled(
        what="palette-own from a sentence with other durations", overrides=UNALIGNED, own=True
    ),
    "palette-own-unmasked": Restyled(
        what="palette-own on the paper's canvas of 384 frames, padding learned like any frame",
        overrides=UNMASKED,
        slower=CANVAS_COSTS,
        own=True,
    ),
    "palette-own-2d": Restyled(what="palette-own with latents as an image", overrides=TWO_D, own=True),
    "palette-own-words": Restyled(
        what='palette-own told "low" and "high" in place of recordings', described=True, of="palette-own"
    ),
    "bridge-own": Restyled(what="I2SB, otherwise as palette-own", scales=(1.0, PRIMARY), own=True, **BRIDGE),
    "palette": Restyled(
        what="as palette-own, towards the recordings, through the posterior", scales=DECIDING, swapped=True
    ),
    "palette-unaligned": Restyled(what="palette on the voice's own durations", overrides=UNALIGNED),
    "palette-decoder": Restyled(
        what="palette, its sound by a tuned copy of the decoder", tuned=True, of="palette"
    ),
    "palette-words": Restyled(
        what='palette told "low" and "high" in place of recordings',
        described=True,
        of="palette",
        optional=True,
    ),
    "palette-embedding": Restyled(what="palette under the style embedding", embedding=True, optional=True),
    "palette-2d": Restyled(what="palette with latents as an image", overrides=TWO_D, optional=True),
    "bridge": Restyled(
        what="I2SB, otherwise as palette", scales=(1.0, PRIMARY), swapped=True, optional=True, **BRIDGE
    ),
    "bridge-unaligned": Restyled(
        what="bridge on the voice's own durations", overrides=UNALIGNED, optional=True, **BRIDGE
    ),
    "palette-unmasked": Restyled(
        what="palette on the paper's canvas of 384 frames, padding learned like any frame",
        overrides=UNMASKED,
        slower=CANVAS_COSTS,
        optional=True,
    ),
    "paper-palette": Restyled(
        what="the paper's choices: unaligned image, whole canvas, latents as they are",
        overrides=PAPER_NETWORK,
        optional=True,
    ),
    "paper-bridge": Restyled(
        what="the same, I2SB with noise on x_1 and OT-ODE",
        overrides=(
            *PAPER_NETWORK,
            ("model.x1_noise", "true"),
            ("model.ot_ode", "true"),
            ("model.see_text", "false"),
        ),
        optional=True,
        **BRIDGE,
    ),
    "palette-uniform": Restyled(
        what="palette trained with uniform noise, as the authors' later code",
        overrides=(("model.noise", "uniform"),),
        optional=True,
    ),
    "bridge-2d": Restyled(what="bridge with latents as an image", overrides=TWO_D, optional=True, **BRIDGE),
    "bridge-embedding": Restyled(
        what="bridge under the style embedding", embedding=True, optional=True, **BRIDGE
    ),
}
DEFAULT_ARMS = tuple(n for n, a in ARMS.items() if not a.optional)


def claimed() -> dict[str, tuple[float, ...]]:
    """Arm -> the scales at which a claim is about it: what every seed trains, and speaks."""
    found: dict[str, set[float]] = {}
    for row in (r for c in CLAIMS for r in (c.arm, c.other)):
        arm, guidance = row.rsplit(".g", 1)
        found.setdefault(arm, {PRIMARY}).add(float(guidance))
    return {n: tuple(sorted(found[n])) for n in ARMS if n in found}


REPEATED = tuple(claimed())
