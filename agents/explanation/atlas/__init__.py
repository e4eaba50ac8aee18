"""Figures of a whole latent space."""
