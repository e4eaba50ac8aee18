"""A manifold, a move, a task and an initial latent of a user's own, as small as they can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from envs.core.moves import Move
from envs.core.tasks import Task
from envs.manifolds import Manifold, Prior


class MeanManifold(Manifold):
    """Codes are the first two standardised values of a row; the others stay at their mean."""

    kind = "toy_mean"

    def __init__(self, data_shape: Any, modality: str = "table") -> None:
        super().__init__(latent_dim=2)
        self.data_shape, self.modality, self.prior = tuple(data_shape), modality, Prior("normal", 2)

    @property
    def settings(self) -> dict[str, Any]:
        return {"data_shape": list(self.data_shape), "modality": self.modality}

    @classmethod
    def fit(cls, x: torch.Tensor, *, modality: str = "table") -> MeanManifold:
        manifold = cls(x.shape[1:], modality)
        manifold.remember_codes(manifold.encode(x))
        return manifold

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return self.prior.project(x.flatten(1)[:, :2])

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        rest = z.new_zeros(len(z), int(torch.tensor(self.data_shape).prod()) - 2)
        return torch.cat([z, rest], 1).reshape(-1, *self.data_shape)


def drift(manifold: Manifold, z: torch.Tensor, action: torch.Tensor, length: float) -> torch.Tensor:
    """Towards the prior's centre, whatever the action: a move that the zero action does not hold."""
    return z * (1 - 0.1 * length) + length * action


DRIFT = Move(drift, "drift", still=False)


@dataclass(frozen=True)
class Doubt(Task):
    """Reach a point where no class is sure."""

    name: ClassVar[str] = "doubt"
    takes_target: ClassVar[bool] = False
    towards_target: ClassVar[bool] = False

    def targets(self, source: torch.Tensor, u: torch.Tensor, classes: int) -> torch.Tensor:
        return source.clone()

    def goal(self, state: Any) -> torch.Tensor:
        return 1 - state.prediction.amax(1)

    def arrived(self, reference: Any, state: Any, goal: torch.Tensor) -> torch.Tensor:
        return goal >= 0.4


def nearest(world: Any, x: torch.Tensor, source: torch.Tensor) -> Any:
    """The code, as `code`, by a name of its own."""
    from envs.core.initial_latent import code

    return code(world, x, source)
