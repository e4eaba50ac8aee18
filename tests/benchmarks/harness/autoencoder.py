"""A small autoencoder of 8x8 pictures with the interface of `diffusers.AutoencoderKL`, and its training."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

STEPS = 300  # of its training


class AutoencoderKL(nn.Module):
    """Pictures in [-1, 1]; latents of shape (4, 4, 4), with mean and standard deviation.

    Args:
        seed: of its first weights.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.config = SimpleNamespace(latent_channels=4)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = nn.Conv2d(1, 8, 3, stride=2, padding=1)
            self.quant_conv = nn.Conv2d(8, 8, 1)
            self.decoder = nn.Sequential(
                nn.ConvTranspose2d(4, 16, 4, stride=2, padding=1), nn.SiLU(), nn.Dropout(0.5), nn.Conv2d(16, 1, 3, padding=1)
            )

    def encode(self, x: Tensor) -> Any:
        """Codes of pictures (B, 1, 8, 8) or (B, 8, 8), as a distribution."""
        if not float(x.min()) < -0.5:
            raise ValueError("pictures lie in [-1, 1]")
        mean, log_variance = self.quant_conv(self.encoder(x.reshape(-1, 1, 8, 8))).chunk(2, 1)
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=mean, std=(log_variance / 2).exp(), sample=lambda: None))

    def decode(self, z: Tensor, return_dict: bool = True) -> Any:
        """Pictures (B, 1, 8, 8) of codes (B, 4, 4, 4)."""
        return SimpleNamespace(sample=self.decoder(z))


def fitted_autoencoder(x: Tensor, seed: int = 0) -> AutoencoderKL:
    """Trained on pictures in [0, 1] by the squared error of the reconstruction."""
    model, generator = AutoencoderKL(seed), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    x = 2 * x.reshape(-1, 1, 8, 8) - 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # of the dropout
        for _ in range(STEPS):
            rows = x[torch.randint(len(x), (128,), generator=generator)]
            loss = (model.decode(model.encode(rows).latent_dist.mean).sample - rows).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model.eval()
