"""System restyle: diffusion on the latents of a frozen VITS (arXiv 2311.10804)."""
