"""150 small pictures of three classes."""

from __future__ import annotations

import torch

GENERATOR = torch.Generator().manual_seed(0)
LABELS = torch.arange(150) % 3
CENTRES = torch.rand(3, 4, 5, generator=GENERATOR)
PICTURES = (0.6 * CENTRES[LABELS] + 0.4 * torch.rand(150, 4, 5, generator=GENERATOR)).clamp(0, 1)
QUICK = {"latent_dim": 3, "hidden": (16,), "epochs": 40, "learning_rate": 1e-2}
