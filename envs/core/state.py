"""The state of a walk, and what one step reports. B walks, latent dimension d, K classes."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from envs.core.factual import Factual


class State(NamedTuple):
    """The state of B walks.

    Attributes:
        z: (B, d) present code.
        z0: (B, d) code of frame 0.
        frame: (B, \\*data_shape) decoded z, as the classifier saw it.
        factual: (B, \\*data_shape) the input that is explained.
        cells, base, held: further parts of the input, see `envs.core.factual.Factual`.
        prediction: (B, K) class probabilities of `frame`; the one-hot label if the classifier returns only labels.
        source: (B,) predicted class of `factual`.
        target: (B,) requested class.
        potential: (B,) shaping potential of this state.
        cost: (B,) cost of this state in the reward; see `envs.core.weights.Weights`.
        guidance: (B, 2 d) downhill direction of the known costs, (B, 0) in a world without guidance.

    Example:
        >>> from envs import make_world
        >>> from envs.core import dynamics
        >>> world = make_world(data="digits")
        >>> state, queries = dynamics.enter(world, world.held_out.x[:2])
        >>> state.z.shape, state.prediction.shape
        (torch.Size([2, 8]), torch.Size([2, 10]))
    """

    z: Tensor
    z0: Tensor
    frame: Tensor
    factual: Tensor
    cells: Tensor
    base: Tensor
    held: Tensor
    prediction: Tensor
    source: Tensor
    target: Tensor
    potential: Tensor
    cost: Tensor
    guidance: Tensor

    @property
    def home(self) -> Factual:
        """The inputs with everything that decoding a frame needs of them."""
        return Factual(self.factual, self.cells, self.base, self.held)


class StepInfo(NamedTuple):
    """What one step of B walks reports.

    Attributes:
        reward: (B,).
        terminated: (B,) bool, whether the task has ended.
        is_success: (B,) bool.
        step_length: (B,) data-space distance between the two frames.
        typicality: (B,) see `Manifold.typicality`.
        queries: (B,) int64, classifier queries of this step, in rows.
        goal: (B,) the probability that the task raises (0 or 1 if the classifier returns only labels).

    Example:
        >>> import torch
        >>> from envs import make_world
        >>> from envs.core import dynamics
        >>> world = make_world(data="digits")
        >>> state, _ = dynamics.enter(world, world.held_out.x[:2])
        >>> _, info = dynamics.step(world, state, torch.zeros(2, world.latent_dim))
        >>> info.queries.tolist()
        [1, 1]
    """

    reward: Tensor
    terminated: Tensor
    is_success: Tensor
    step_length: Tensor
    typicality: Tensor
    queries: Tensor
    goal: Tensor
