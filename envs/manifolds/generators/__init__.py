"""Generators without an encoder: GANs, and inversion as the way in."""
