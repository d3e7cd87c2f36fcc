"""A frozen VITS as a latent space."""

from intona.systems.restyle.vits.load import language_code, language_of, load
from intona.systems.restyle.vits.space import Prior, VitsSpace, VoiceFacts

__all__ = ["Prior", "VitsSpace", "VoiceFacts", "language_code", "language_of", "load"]
