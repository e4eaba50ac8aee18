"""Coverage of a latent space: the class regions and latent cells that all walks of an environment have visited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.core.world import World


class Coverage:
    """Distinct class regions and latent cells that walks have visited.

    The terciles of the reference codes split each latent dimension in three, which makes 3^d cells; dimensions in which these
    codes do not differ (distractors) are left out. A region is a predicted class.

    Args:
        world: gives the reference codes.

    Attributes:
        cells, regions: the visited ones.

    Example:
        >>> from envs import make_world
        >>> world = make_world(data="digits")
        >>> coverage = Coverage(world)
        >>> coverage.see(world.reference.z[:1], world.reference.prediction[:1])
        >>> coverage.figures
        {'cells_covered': 1, 'regions_covered': 1}
    """

    def __init__(self, world: World) -> None:
        self.edges = torch.quantile(world.reference.z, torch.tensor([1 / 3, 2 / 3]), dim=0).numpy()  # (2, d)
        varies = self.edges[0] < self.edges[1]
        self.powers = np.where(varies, 3 ** (np.cumsum(varies) - 1), 0)
        self.cells: set[int] = set()
        self.regions: set[int] = set()

    def see(self, z: Tensor, prediction: Tensor) -> None:
        """Count codes (B, d) and the predictions (B, K) for what they decode to."""
        codes = z.numpy()
        cell = ((codes > self.edges[0]).astype(np.int64) + (codes > self.edges[1])) @ self.powers
        self.cells.update(np.unique(cell).tolist())
        self.regions.update(np.unique(prediction.numpy().argmax(1)).tolist())

    @property
    def figures(self) -> dict[str, int]:
        """The counts, as environments report them in `info`."""
        return {"cells_covered": len(self.cells), "regions_covered": len(self.regions)}

    def state_dict(self) -> dict[str, Any]:
        """Plain arrays that continue the counts."""
        return {name: np.array(sorted(getattr(self, name)), dtype=np.int64) for name in ("cells", "regions")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`."""
        self.cells, self.regions = (set(state[name].tolist()) for name in ("cells", "regions"))
