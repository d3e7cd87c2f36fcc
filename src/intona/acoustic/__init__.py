"""Acoustic models: text states in, mel frames or latents out."""
