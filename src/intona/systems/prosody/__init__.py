"""Studies of the text encoder and of latent diffusion."""
