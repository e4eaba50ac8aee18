"""What the white-box walkers share: the gradient of what is asked for, by the latent code.

This is the only place in the project that asks a classifier for gradients. The walkers that use it have `gradient`
in their name and are no rivals on equal terms: they show what could be had if the classifier were no black box. A
gradient is taken on the frame that the last step asked about; it adds no row to an item's queries.
"""

from __future__ import annotations

import torch
from torch import Tensor

from envs.core.factual import Factual
from envs.core.state import State
from envs.core.world import World
from envs.errors import ManifoldError


def network(world: World, walker: str) -> torch.nn.Module:
    """The differentiable network behind the world's classifier (logits of data-space rows).

    Raises:
        ManifoldError: there is none (a function, an estimator, labels alone).
    """
    module = world.classifier.torch_module
    if world.label_only or module is None:
        why = "shows labels alone" if world.label_only else f"({type(world.classifier).__name__}) has no gradients"
        raise ManifoldError(
            f"the walker {walker!r} is a white-box one and needs the classifier's gradients, "
            f"but this classifier {why}; choose a black-box walker, for example line or spheres"
        )
    return module


def descent(world: World, module: torch.nn.Module, state: State, closeness: float) -> Tensor:
    """Gradient (B, d), by the code, of each item's loss.

    The loss is -log of the probability asked for (for `leave`: of everything but the source; where the own class's
    prototype is asked for: the squared distance to it as a share of the class distance), plus `closeness` times the
    squared distance to the input, also as a share of the class distance.
    """
    with torch.enable_grad():
        z = state.z.detach().clone().requires_grad_(True)
        frame = world.decode(z, Factual(*(part.clone() for part in state.home)))
        log_p = torch.log_softmax(module(frame), dim=1)
        rows = torch.arange(len(z))
        loss = -log_p[rows, state.target.clone()]
        own = (state.target == state.source).clone()
        if world.task.any_other:
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
