"""A frozen VITS as a latent space."""

from intona.latents.vits.load import language_code, language_of, load
from intona.latents.vits.space import Prior, VitsSpace, VoiceFacts

__all__ = ["Prior", "VitsSpace", "VoiceFacts", "language_code", "language_of", "load"]
