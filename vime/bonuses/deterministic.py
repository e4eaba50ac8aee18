"""Deterministic networks and their training loop, shared by the other bonuses."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from vime.errors import OptionError
from vime.serialization import State, expect_like, load_optimizer_state, nest, optimizer_state, part_of


def network(inputs: int, hidden: Sequence[int], outputs: int) -> nn.Sequential:
    """Return a float32 ReLU network with a linear output: (B, inputs) -> (B, outputs)."""
    if any(size < 1 for size in (inputs, *hidden, outputs)):
        raise OptionError(f"layer sizes must be at least 1, got {(inputs, *hidden, outputs)}")
    sizes = [inputs, *hidden]
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b, dtype=torch.float32), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs, dtype=torch.float32))


class Trainer:
    """Adam over the trainable parameters of a module, with a state of plain tensors.

    Args:
        module: The module to train.
        learning_rate: Step size.
        owner: Name of the bonus in error messages.
    """

    def __init__(self, module: nn.Module, learning_rate: float, owner: str):
        self.module = module
        self.owner = owner
        self.optimizer = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], lr=learning_rate, fused=True)

    def run(self, updates: int, loss_of: Callable[[], Tensor], check: Callable[[Tensor, int], None]) -> float:
        """Take ``updates`` steps on new losses, each checked before it is used; return the last loss."""
        loss = torch.zeros(())
        for update in range(updates):
            loss = loss_of()
            self.step(loss, update, check)
        return float(loss.detach())

    def step(self, loss: Tensor, update: int, check: Callable[[Tensor, int], None]) -> None:
        """Take one step on ``loss``, the ``update``-th of a fit, once ``check`` has accepted it."""
        check(loss, update)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def state(self) -> State:
        """Return the weights and the moments of the optimizer."""
        return nest(weights=self.module.state_dict(), optimizer=optimizer_state(self.optimizer))

    def load(self, state: State) -> None:
        """Inverse of :meth:`state`; raises StateMismatchError for other shapes."""
        weights = part_of(state, "weights")
        expect_like(weights, self.module.state_dict(), self.owner)
        self.module.load_state_dict(weights)
        load_optimizer_state(self.optimizer, part_of(state, "optimizer", required=False), self.owner)
