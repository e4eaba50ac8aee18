"""Geometry of latent spaces: interpolation, transport, Riemannian geometry, attributes, grids.

Plain functions of tensors. Codes are float32 (B, d) unless stated otherwise. Only predictions of a classifier are used.
"""
