"""The gradient of the loss by the latent code, for the white-box walkers.

This is the only module that differentiates a classifier. Walkers that use it say so (`Walker.needs_gradient`) and do not
compete on equal terms: they show what would be possible if the classifier were not black box. A gradient is taken at a frame
that was queried by the last step; it adds no query.
"""

from __future__ import annotations

import torch
from torch import Tensor

from agents.walkers.walker import Walker
from envs.core.factual import Factual
from envs.core.state import State
from envs.core.world import World
from envs.errors import ManifoldError


def network(world: World, walker: Walker) -> torch.nn.Module:
    """The differentiable network behind the world's classifier (logits of data-space rows).

    Raises:
        ManifoldError: there is none (a function, an estimator, labels alone).
    """
    module = world.classifier.torch_module
    if (why := walker.obstacle(world)) is not None or module is None:
        raise ManifoldError(why or f"the walker {walker.name!r} needs a classifier that is a torch module")
    return module


def descent(world: World, module: torch.nn.Module, state: State, closeness: float) -> Tensor:
    """Gradient (B, d) of each item's loss by its code.

    The loss is -log of the target's probability, plus `closeness` times the squared distance to the input as a share of the
    class distance. Under the task `leave` the probability is that of all classes but the source, with a group that of its
    classes; where the target is the own class, the first term is the squared distance to its prototype as a share of the
    class distance.

    Args:
        world: where the items walk.
        module: the classifier's network, see `network`.
        state: (B) where the items are.
        closeness: weight of the distance to the input.
    """
    with torch.enable_grad():
        z = state.z.detach().clone().requires_grad_(True)
        frame = world.decode(z, Factual(*(part.clone() for part in state.home if part is not None)))
        log_p = torch.log_softmax(module(frame), dim=1)
        rows = torch.arange(len(z))
        loss = -log_p[rows, state.target.clone()]
        own = (state.target == state.source).clone()
        if world.task.group is not None:
            loss = -torch.logsumexp(log_p[:, world.task.group], dim=1)
        elif world.task.any_other:
            own_class = torch.nn.functional.one_hot(state.source.clone(), log_p.shape[1]).bool()
            loss = -torch.logsumexp(log_p.masked_fill(own_class, -torch.inf), dim=1)
        elif bool(own.any()):
            prototype = world.reference.prototype_coordinates[state.source].clone()
            shown = world.manifold.decode(z) if world.units.anchored else frame
            away = (world.manifold.coordinates(z, shown) - prototype).square().sum(1) / world.class_distance**2
            loss = torch.where(own, away, loss)
        gap = (frame - state.factual.clone()).flatten(1).square().sum(1) / world.class_distance**2
        (gradient,) = torch.autograd.grad((loss + closeness * gap).sum(), z)
    return gradient.detach()
