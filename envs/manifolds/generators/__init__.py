"""Generators without a trained encoder: GANs and the user's own modules, encoded by inversion."""
