"""An ensemble that checks plausibility: would networks other than the explained classifier predict the target class?

A walk can end where the classifier is confident and no other network would be: a counterfactual for the classifier's quirks
rather than for the class. The labelled reference inputs reveal this without a further query: a few small networks, each fitted
to a bootstrap sample of these inputs and the classifier's labels on them (cached: their queries were made when the world was
built), with noise and with reconstructions mixed in. They know nothing of the classifier's predictions along walks, which the
surrogate does know. So where they disagree with it, the data do not support the classifier's prediction.

The ensemble is part of the walker, so it must not evaluate walks: the oracle of `agents.explanation.metrics.oracle` is of
    another
architecture and seed.

Symbols: B items, D values of one datum, M members, K classes.

References
----------
.. Lakshminarayanan, Pritzel, Blundell, "Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles",
   NeurIPS 2017, section 2.4: the mean of the members' probabilities.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from envs.core.world import World
from envs.manifolds.networks.arrays import silu, silu_slope

MEMBERS, HIDDEN = 5, 32
STEPS, BATCH, RATE = 600, 128, 5e-3
NOISE = 0.05  # of the data, in class distances
EPS = 1e-6


class Ensemble(nn.Module):
    """M networks D-32-K with SiLU units; the prediction is the mean of their probabilities.

    Args:
        size: D.
        classes: K.
        members: M.

    Example:
        >>> ensemble = Ensemble(size=4, classes=3)
        >>> ensemble.margin(torch.zeros(2, 4), torch.tensor([0, 1])).shape
        torch.Size([2])
    """

    def __init__(self, size: int, classes: int, members: int = MEMBERS) -> None:
        super().__init__()
        self.members, self.classes = members, classes
        self.first = nn.Linear(size, members * HIDDEN)
        self.weight = nn.Parameter(torch.randn(members, HIDDEN, classes) / HIDDEN**0.5)
        self.bias = nn.Parameter(torch.zeros(members, 1, classes))

    def logits(self, x: Tensor) -> Tensor:
        """Logits (M, B, K) of every member for data x (B, D)."""
        return torch.baddbmm(self.bias, self._split(nn.functional.silu(self.first(x))), self.weight)

    def look(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Log odds (B,) of the target classes by the mean probability, and their gradients (B, D) by data x (B, D)."""
        odds, gradient = self.judge(x.numpy(), target.numpy())
        return torch.from_numpy(odds), torch.from_numpy(gradient(np.arange(len(x))))

    def margin(self, x: Tensor, target: Tensor) -> Tensor:
        """The log odds (B,) of `look` alone."""
        return torch.from_numpy(self.odds(x.numpy(), target.numpy()))

    @cached_property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Views: weight and bias of the first layer, (M * 32, D) and (M * 32, 1), and of the second, (M, 32, K), (M, K, 1)."""
        weight, shift, second, bias = (
            part.detach().numpy() for part in (self.first.weight, self.first.bias, self.weight, self.bias)
        )
        return weight, shift[:, None], second, bias.transpose(0, 2, 1)

    def judge(self, x: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        """As `look`, on arrays, with a function that gives the gradients (R, D) of chosen rows (R,)."""
        p, units = self._probabilities(x)
        each = p[:, target, np.arange(len(x))]  # (M, B)
        mean = _inside(each.mean(0))

        def gradient(rows: np.ndarray) -> np.ndarray:
            first, _, second, _ = self.arrays
            # d logit(mean) / d logits of a member: p_t (1_t - p) / (M mean (1 - mean)).
            share = each[:, rows] / (self.members * mean[rows] * (1 - mean[rows]))
            cotangent = p[:, :, rows] * -share[:, None]
            cotangent[:, target[rows], np.arange(len(rows))] += share
            back = (second @ cotangent).reshape(len(first), -1)
            return (back * silu_slope(*(part[:, rows] for part in units))).T @ first

        return _logit(mean), gradient

    def odds(self, x: np.ndarray, target: np.ndarray) -> np.ndarray:
        """As `margin`, on arrays."""
        p, _ = self._probabilities(x)
        return _logit(_inside(p[:, target, np.arange(len(x))].mean(0)))

    def _probabilities(self, x: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Probabilities of every member (M, K, B), and the hidden units with their gates (M * 32, B).

        One column per row of data: sums over few classes are slow along rows.
        """
        first, shift, second, bias = self.arrays
        hidden, gate = silu(first @ x.T + shift)
        logits = second.transpose(0, 2, 1) @ hidden.reshape(self.members, HIDDEN, -1) + bias
        logits -= logits.max(1, keepdims=True)
        p = np.exp(logits, out=logits)
        p /= p.sum(1, keepdims=True)
        return p, (hidden, gate)

    def _split(self, hidden: Tensor) -> Tensor:
        """Hidden units (B, M * 32) arranged by member, (M, B, 32)."""
        return hidden.view(len(hidden), self.members, HIDDEN).transpose(0, 1)

    @classmethod
    def of(cls, world: World, weights: dict[str, Any]) -> Self:
        """The ensemble with these weights (arrays by name)."""
        found = cls(world.reference.coordinates.shape[1], world.classes, len(weights["weight"]))
        found.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in weights.items()})
        return found.eval().requires_grad_(False)

    def weights(self) -> dict[str, Any]:
        """Arrays by name, for `of`."""
        return {name: value.numpy() for name, value in self.state_dict().items()}

    @classmethod
    def fit(cls, world: World, seed: int = 0) -> Self:
        """Fit to the reference inputs and their labels: cross-entropy, Adam, linear decay. Costs no query.

        Each member draws its own bootstrap sample. Half of its inputs are reference inputs, half their reconstructions, both
        with noise.

        Args:
            world: gives the reference inputs.
            seed: of weights, samples and noise.
        """
        label = world.reference.label.clone()
        seen = torch.stack(
            [world.reference.coordinates, world.manifold.coordinates(world.reference.z, world.reference.decoded)]
        ).clone()
        generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            found = cls(seen.shape[2], world.classes)
        rows = torch.randint(len(label), (found.members, len(label)), generator=generator)
        optimizer = torch.optim.Adam(found.parameters(), lr=RATE)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, STEPS)
        noise = NOISE * world.class_distance
        for _ in range(STEPS):
            draw = torch.randint(rows.shape[1], (found.members, BATCH), generator=generator)
            index = rows.gather(1, draw)  # (M, BATCH)
            x = seen[torch.randint(2, index.shape, generator=generator), index]
            x = x + noise * torch.randn(x.shape, generator=generator)
            with torch.enable_grad():
                weight = found.first.weight.view(found.members, HIDDEN, -1).transpose(1, 2)
                hidden = nn.functional.silu(torch.baddbmm(found.first.bias.view(found.members, 1, HIDDEN), x, weight))
                logits = torch.baddbmm(found.bias, hidden, found.weight)
                loss = nn.functional.cross_entropy(logits.flatten(0, 1), label[index].flatten()) * found.members
                optimizer.zero_grad()
                loss.backward()
            optimizer.step()
            schedule.step()
        return found.eval().requires_grad_(False)


def _inside(p: np.ndarray) -> np.ndarray:
    """Probabilities clipped away from 0 and 1."""
    return np.minimum(np.maximum(p, np.float32(EPS)), np.float32(1 - EPS))


def _logit(p: np.ndarray) -> np.ndarray:
    """Log odds."""
    return np.log(p / (1 - p))
