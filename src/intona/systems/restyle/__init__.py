"""Restyling: diffusion from the latents of a text to those of speech in a style (arXiv 2311.10804)."""

from intona.systems.restyle.config import NetworkConfig, RestyleConfig
from intona.systems.restyle.model import Restyle

__all__ = ["NetworkConfig", "Restyle", "RestyleConfig"]
