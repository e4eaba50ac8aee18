"""How good an end point could be at all: the constrained white-box optimum of each item, to print a gap against.

For an item with input x and target t the code z is sought that makes

    |decode(z) - x| + w * (distance of decode(z) to the five nearest starts of t)

least with p(t) >= tau, by Adam on a penalty with the classifier's own gradients, from several known starts. No walk and no
bound on steps stands in its way, so a black-box walker cannot be expected to reach it; the gap to it is reported. The
weight w trades distance for typicality: optima at several weights make a front, on which the least L2 at a walker's own kNN
ratio is read. An optimiser that finds less than the optimum would understate the gap: the starts of every weight hold the
ends found at the last one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agents.explanation.metrics.path import knn_distance_to_class
from envs.core.guidance import distance
from envs.core.world import World

WEIGHTS = (0.0, 0.3, 0.6, 0.9, 1.5)
SLACK = 0.02  # log odds beyond the threshold that are aimed at


def optima(
    world: World,
    x: Tensor,
    targets: Tensor,
    reference: Any,
    weights: tuple[float, ...] = WEIGHTS,
    restarts: int = 3,
    steps: int = 250,
) -> list[dict[str, float]]:
    """The front: for each weight the mean L2 and kNN ratio of the best ends, over the items for which one was found.

    Args:
        world: whose classifier gives gradients (`Classifier.torch_module`).
        x: (M, \\*data_shape) inputs; targets (M,).
        reference: what 1.0 means, see `agents.explanation.metrics.evaluate.Reference`.
        weights: w, from the least.
        starts: nearest arriving starts of the target class from which an item's search begins.
        steps: of Adam, for each weight.
    """
    module = world.classifier.torch_module
    assert module is not None
    home = x.flatten(1)
    z = torch.cat([_first(world, home, targets, restarts), world.manifold.encode(x)[None]]).clone()  # (S, M, d)
    front = []
    for weight in weights:
        z, ends, cost = _search(world, module, z, x, targets, weight, steps)
        best = cost.argmin(0)
        rows = torch.arange(len(x))
        arrived = torch.isfinite(cost[best, rows])
        chosen = ends[best, rows][arrived].numpy()
        near = knn_distance_to_class(chosen, targets[arrived].numpy(), _flat(reference.bank), reference.bank_classes)
        front.append({
            "weight": weight,
            "arrived": float(arrived.float().mean()),
            "l2_input": float(np.linalg.norm(chosen - home[arrived].numpy(), axis=1).mean()),
            "knn_ratio": float(near.mean() / reference.typical_distance()),
        })  # fmt: skip
    return front


def least_l2(front: list[dict[str, float]], knn_ratio: float) -> float:
    """The least L2 on a front at no more than this kNN ratio: linear between its points, `nan` below the front."""
    ordered = sorted(front, key=lambda point: point["knn_ratio"])
    ratios, lengths = [p["knn_ratio"] for p in ordered], [p["l2_input"] for p in ordered]
    if knn_ratio < ratios[0]:
        return math.nan
    within = [l2 for ratio, l2 in zip(ratios, lengths, strict=True) if ratio <= knn_ratio]
    return float(min(np.interp(knn_ratio, ratios, lengths), *within))


def _flat(bank: np.ndarray) -> np.ndarray:
    return bank.reshape(len(bank), -1)


def _first(world: World, home: Tensor, targets: Tensor, count: int) -> Tensor:
    """Codes (count, M, d) of the nearest starts that arrive at each item's target."""
    known, arrives = world.reference.coordinates, world.reference.prediction >= world.task.tau  # (N, K)
    codes = torch.zeros(count, len(home), world.latent_dim)
    for target in targets.unique().tolist():
        rows = torch.nonzero(targets == target).flatten()
        there = torch.nonzero(arrives[:, target]).flatten()
        near = torch.cdist(home[rows], known[there]).topk(count, dim=1, largest=False).indices
        codes[:, rows] = world.reference.z[there[near]].transpose(0, 1)
    return codes


def _search(
    world: World, module: torch.nn.Module, z: Tensor, x: Tensor, targets: Tensor, weight: float, steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Codes where the search ended (S, M, d), the best frames that arrive (S, M, D) and what they cost (S, M), inf: none."""
    runs, many, d = z.shape
    factual, wanted_class = x.repeat(runs, *[1] * (x.dim() - 1)), targets.repeat(runs)
    home, rows = factual.flatten(1), torch.arange(runs * many)
    wanted = math.log(world.task.tau / (1 - world.task.tau))
    code = torch.nn.Parameter(z.reshape(-1, d).clone())
    kept, best = z.reshape(-1, d).clone(), torch.full((runs * many,), math.inf)
    ends = home.clone()
    adam = torch.optim.Adam([code], lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps, eta_min=0.002)
    for _ in range(steps):
        with torch.enable_grad():
            frame = world.decode(world.manifold.prior.project(code), factual)
            logits = module(frame)
            own = torch.nn.functional.one_hot(wanted_class, logits.shape[1]).bool()
            margin = logits[rows, wanted_class] - logits.masked_fill(own, -math.inf).logsumexp(1)
            place = frame.flatten(1)
            near = world.class_neighbours(place.detach(), wanted_class) if weight else None
            away = distance(place, home)
            loss = away + 2.0 * (wanted + SLACK - margin).clamp_min(0)
            if near is not None:  # its own gradient, given by hand
                loss = loss + weight * (near.gradient * place).sum(1)
            adam.zero_grad()
            loss.sum().backward()
        with torch.no_grad():
            cost = away + (0 if near is None else weight * near.distance)
            better = (margin >= wanted) & (cost < best)
            best = torch.where(better, cost, best)
            kept[better], ends[better] = code.detach()[better], place.detach()[better]
        adam.step()
        schedule.step()
    return kept.reshape(z.shape), ends.reshape(runs, many, -1), best.reshape(runs, many)
