"""Vocoders trained here: distilled from HiFi-GAN, and learnt from recordings."""
