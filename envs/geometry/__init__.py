"""The mathematics of moving in a latent space: interpolation, transport, Riemannian geometry, attributes, grids.

Plain functions of tensors. Codes are float32 (B, d) unless said; none of them asks a classifier for anything but answers.
"""
