"""How much of a latent space has been seen: class regions and latent cells, counted over all walks of an environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.core.world import World


class Coverage:
    """Distinct class regions and latent cells since it was made.

    A cell is where a code lies among the starts': below, between or above their terciles in each latent dimension, 3^d
    cells in all. A region is a label that the classifier has given.

    Attributes:
        cells, regions: what has been seen.
    """

    def __init__(self, world: World) -> None:
        self.edges = torch.quantile(world.reference.z, torch.tensor([1 / 3, 2 / 3]), dim=0).numpy()  # (2, d)
        self.powers = 3 ** np.arange(world.latent_dim, dtype=np.int64)
        self.cells: set[int] = set()
        self.regions: set[int] = set()

    def see(self, z: Tensor, prediction: Tensor) -> None:
        """Codes (B, d) and the classifier's answers (B, K) on what they decode to."""
        codes = z.numpy()
        cell = ((codes > self.edges[0]).astype(np.int64) + (codes > self.edges[1])) @ self.powers
        self.cells.update(np.unique(cell).tolist())
        self.regions.update(np.unique(prediction.numpy().argmax(1)).tolist())

    @property
    def figures(self) -> dict[str, int]:
        """What an environment tells in its infos."""
        return {"cells_covered": len(self.cells), "regions_covered": len(self.regions)}

    def state_dict(self) -> dict[str, Any]:
        """Plain arrays that continue the counts."""
        return {name: np.array(sorted(getattr(self, name)), dtype=np.int64) for name in ("cells", "regions")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.cells, self.regions = (set(state[name].tolist()) for name in ("cells", "regions"))
