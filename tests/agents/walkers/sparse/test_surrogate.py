"""What the surrogate expects of columns: beside rows that are built, and where columns interact."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import envs
from agents.walkers.sparse.surrogate import expected, surrogate_of


@pytest.fixture(scope="module")
def world() -> envs.World:
    """Four numbers; the answer is whether the first two have the same sign, which no linear surrogate sees."""
    rows = np.random.default_rng(0).normal(size=(500, 4))

    def together(x: Any) -> np.ndarray:
        good = 1 / (1 + np.exp(-4 * np.asarray(x, float)[:, 0] * np.asarray(x, float)[:, 1]))
        return np.stack([1 - good, good], axis=1)

    return envs.make_world(
        data=rows, columns=list("abcd"), classifier=together, class_names=["apart", "together"], manifold="pca", latent_dim=4,
        progress=False,
    )  # fmt: skip


def test_columns_that_interact_are_seen(world: envs.World) -> None:
    own = torch.tensor([[1.0, -1.0, 0.0, 0.0]])
    frames = torch.tensor([[[-1.0, 1.0, 1.0, 1.0], [-1.0, -1.0, 1.0, 1.0]]])
    moved = frames != own[:, None]
    found = expected(world, own, frames, moved, torch.arange(4), torch.tensor([1]))
    assert found.rise[0, 1, 0] > 1
    assert found.order[0, 1, 0] == 0  # its sign alone decides
    assert set(found.order[0, 0, :2]) == {0, 1} or found.order[0, 0, 0] in (0, 1)
    assert found.rise[0, 0, 0] > found.rise[0, 0, 3]  # both signs turned: apart again
    assert found.rise[0, 1, 3] == -np.inf  # one column does not change


def test_its_expectations_are_those_of_whole_rows(world: envs.World) -> None:
    own, frames = torch.randn(3, 4), torch.randn(3, 5, 4)
    group = torch.tensor([0, 1, 1, 2])  # two places belong to one column
    found = expected(world, own, frames, torch.ones(3, 5, 3, dtype=torch.bool), group, torch.tensor([0, 1, 1]))
    surrogate = surrogate_of(world)
    for i, c in enumerate((0, 1, 1)):
        start = surrogate.judge(own[i : i + 1].numpy(), np.array([c]))[0]
        for e in range(5):
            for k in range(3):
                changes = torch.from_numpy(np.isin(group.numpy(), found.order[i, e, : k + 1]))
                row = torch.where(changes, frames[i, e], own[i])[None]
                rise = surrogate.judge(row.numpy(), np.array([c]))[0] - start
                assert found.rise[i, e, k] == pytest.approx(float(rise[0]), abs=1e-4)
                near = world.class_neighbours(row, torch.tensor([c])).distance
                assert found.cost[i, e, k] == pytest.approx(float(near + (row - own[i]).norm()), rel=1e-3)
