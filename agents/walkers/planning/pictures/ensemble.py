"""An ensemble for pictures: networks of several kinds that must all see the target class at the end of a walk.

The ensemble of `agents.walkers.planning.ensemble` weighs pixels one by one, and a picture can convince it alone. Networks of
convolutions look at edges and strokes; on large pictures, one of them averages over places and detects faint remains of the
input. They learn the labels that the explained classifier gives to reference inputs and to their reconstructions (the labels
are cached: they cost no query), from the half of the inputs that the badge's classifiers do not learn from. The least
confident kind counts. No gradient of the explained classifier is used; gradients are those of these networks.

Symbols: B items, D values of one datum, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from agents.walkers.planning.ensemble import Ensemble
from agents.walkers.planning.pictures.networks import Architecture, fit_network, is_large
from agents.walkers.planning.settings import PLANS, PlanSettings
from envs.core.reference_data import ReferenceData
from envs.core.world import World
from envs.errors import ManifoldError

ARCHITECTURES = (
    Architecture(5, (8, 16), nn.ReLU, nn.MaxPool2d, places=0, hidden=64),
    Architecture(5, (12, 24), nn.ReLU, nn.MaxPool2d, places=0, hidden=64),
    Architecture(5, (16, 24), nn.ReLU, nn.MaxPool2d, places=4, hidden=0),
)
LARGE_ARCHITECTURES = (  # of large pictures
    *ARCHITECTURES[1:],
    Architecture(3, (16, 32), nn.ReLU, nn.AvgPool2d, places=2, hidden=0, norm=True, noise=0.0, faint=True),
    ARCHITECTURES[0],
)
#: on large pictures: as convincing on reference inputs as the other plan, and nearer to the input
LARGE_PLAN = replace(PLANS["convincing"], confidence=0.94, implausibility=0.3)
SEED, HALVES, MOST = 57_203, 41_017, 6000  # HALVES: as in agents.explanation.badge.oracles, which learns from the other half
EPS = 1e-6

_kept: WeakKeyDictionary[ReferenceData, PictureEnsemble] = WeakKeyDictionary()


class Convolutions(nn.Module):
    """Networks of convolutions, as one kind of an ensemble: the mean of their probabilities counts.

    Args:
        members: networks from pictures (B, \\*shape) to logits (B, K).
        shape: of one picture.

    Example:
        >>> kind = Convolutions([nn.Sequential(nn.Flatten(), nn.Linear(4, 3))], (2, 2))
        >>> kind.odds(np.zeros((5, 4), np.float32), np.zeros(5, int)).shape
        (5,)
    """

    def __init__(self, members: Sequence[nn.Module], shape: Sequence[int]) -> None:
        super().__init__()
        self.members, self.shape = nn.ModuleList(members), tuple(shape)

    def judge(self, x: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        """See `Ensemble.judge`."""
        with torch.inference_mode(False), torch.enable_grad():
            rows = torch.from_numpy(x).requires_grad_()
            odds = self._odds(rows, target)

        def gradient(chosen: np.ndarray) -> np.ndarray:
            with torch.inference_mode(False), torch.enable_grad():
                found = torch.autograd.grad(odds[torch.from_numpy(chosen)].sum(), rows, retain_graph=True)[0]
            return np.asarray(found.numpy()[chosen])

        return odds.detach().numpy(), gradient

    def odds(self, x: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Log odds (B,) of the target classes (B,) for data x (B, D)."""
        with torch.inference_mode():
            return np.asarray(self._odds(torch.from_numpy(x), target).numpy())

    def _odds(self, x: Tensor, target: np.ndarray) -> Tensor:
        rows, wanted = x.reshape(-1, *self.shape), torch.from_numpy(target)[:, None]
        p = torch.stack([member(rows).softmax(1).gather(1, wanted)[:, 0] for member in self.members]).mean(0)
        return torch.logit(p, EPS)


class PictureEnsemble:
    """Ensembles of several kinds, of which the least confident one counts. Has the interface of `Ensemble`.

    Args:
        kinds: ensembles, each with the methods `judge` and `odds`.
        plan: settings of the planner of ends that must convince it.

    Example:
        >>> from envs import make_world
        >>> found = picture_ensemble_of(make_world(data="digits"))
        >>> found.margin(torch.zeros(2, 64), torch.tensor([0, 1])).shape
        torch.Size([2])
    """

    def __init__(self, kinds: Sequence[Any], plan: PlanSettings = PLANS["convincing"]) -> None:
        self.kinds, self.plan = kinds, plan

    def judge(self, x: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        """See `Ensemble.judge`."""
        found = [kind.judge(x, target) for kind in self.kinds]
        odds = np.stack([each for each, _ in found])
        least = odds.argmin(0)

        def gradient(rows: np.ndarray) -> np.ndarray:
            out = np.zeros((len(rows), x.shape[1]), np.float32)
            for k, (_, turn) in enumerate(found):
                mine = least[rows] == k
                if mine.any():
                    out[mine] = turn(rows[mine])
            return out

        return odds.min(0), gradient

    def odds(self, x: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Log odds (B,) of the target classes (B,) for data x (B, D)."""
        return np.stack([kind.odds(x, target) for kind in self.kinds]).min(0)

    def margin(self, x: Tensor, target: Tensor) -> Tensor:
        """As `odds`, on tensors."""
        return torch.from_numpy(self.odds(x.numpy(), target.numpy()))


def picture_ensemble_of(world: World) -> PictureEnsemble:
    """The ensemble of a world of pictures, fitted on first use (seconds) and kept as long as its reference data.

    Raises:
        ManifoldError: the data are not pictures, or the classifier returns only labels.
    """
    if world.modality != "image" or len(world.manifold.data_shape) < 2:
        raise ManifoldError(
            f"convincing ends are for pictures: networks of convolutions check them, and these data are "
            f"{world.modality} rows of shape {tuple(world.manifold.data_shape)}; leave convincing= out"
        )
    if world.label_only or not world.task.towards_target:
        why = "returns only labels" if world.label_only else "has no class to reach"
        what = "classifier" if world.label_only else "task"
        raise ManifoldError(
            f"convincing ends are planned by the target's probability, and this {what} {why}; leave convincing= out"
        )
    if world.reference not in _kept:
        _kept[world.reference] = _fitted(world)
    return _kept[world.reference]


def half(world: World) -> Tensor:
    """The reference inputs that the networks learn from: those that the badge's classifiers do not."""
    count = len(world.reference.x)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(HALVES))[: 2 * MOST]
    return order[len(order) // 2 :]


def _fitted(world: World) -> PictureEnsemble:
    reference, rows = world.reference, half(world)
    x = torch.cat([reference.x[rows], reference.decoded[rows]]).float().clone()
    label = reference.label[rows].repeat(2).clone()
    kinds = LARGE_ARCHITECTURES if is_large(world) else ARCHITECTURES
    nets = [fit_network(x, label, world.classes, kind, SEED + k) for k, kind in enumerate(kinds)]
    plan = LARGE_PLAN if is_large(world) else PLANS["convincing"]
    return PictureEnsemble([Ensemble.fit(world, SEED), *(Convolutions([net], x.shape[1:]) for net in nets)], plan)
