"""Diffusion as four independent choices: process, target, solver, guidance."""
