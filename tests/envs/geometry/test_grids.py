"""Grids of codes: corners, anchors, order, and the assignment of items to cells."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch

from envs import ManifoldError
from envs.geometry.grids import anchor_count, assign_to_grid, j_diagram, mine_grid
from envs.geometry.interpolation import INTERPOLATIONS, slerp
from envs.geometry.transport import analogy
from envs.manifolds import Prior

PRIOR = Prior("normal", 5)


def corners(seed: int = 0) -> torch.Tensor:
    return PRIOR.sample(3, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("way", INTERPOLATIONS)
def test_a_j_diagram_has_its_codes_in_the_corners(way):
    a, b, c = corners()
    grid = j_diagram(PRIOR, a, b, c, 5, 7, way)
    assert grid.shape == (5, 7, 5)
    for place, code in (((0, 0), a), ((0, -1), b), ((-1, 0), c)):
        torch.testing.assert_close(grid[place], code)
    d = grid[-1, -1]
    expected = analogy(PRIOR, a, b, c) if way == "matched" else c + (b - a)
    torch.testing.assert_close(d, expected)
    if way != "matched":
        torch.testing.assert_close(d - b, c - a)


def test_rows_are_filled_first_and_columns_between_them():
    a, b, c = corners()
    grid = j_diagram(PRIOR, a, b, c, 4, 4, "slerp")
    torch.testing.assert_close(grid[0], slerp(a[None], b[None], torch.linspace(0, 1, 4))[:, 0])
    torch.testing.assert_close(grid[:, 2], slerp(grid[0, 2][None], grid[-1, 2][None], torch.linspace(0, 1, 4))[:, 0])
    other = j_diagram(PRIOR, a, c, b, 4, 4, "slerp").transpose(0, 1)
    assert not torch.allclose(grid, other, atol=1e-3), "on a sphere the order matters"
    matched = [j_diagram(PRIOR, *three, 4, 4, "matched") for three in ((a, b, c), (a, c, b))]
    torch.testing.assert_close(matched[0], matched[1].transpose(0, 1))


@pytest.mark.parametrize("way", INTERPOLATIONS)
@pytest.mark.parametrize("spacing", [1, 3])
def test_a_mine_grid_has_its_anchors_in_their_cells(way, spacing):
    anchors = PRIOR.sample(12, torch.Generator().manual_seed(0)).reshape(3, 4, 5)
    grid = mine_grid(PRIOR, anchors, spacing, way)
    assert grid.shape == (2 * spacing + 1, 3 * spacing + 1, 5)
    torch.testing.assert_close(grid[::spacing, ::spacing], anchors)
    assert grid.isfinite().all()
    assert anchor_count(grid.shape[0], spacing) == 3


def test_grids_that_cannot_be_are_named():
    a, b, c = corners()
    with pytest.raises(ManifoldError, match="at least 2 rows"):
        j_diagram(PRIOR, a, b, c, 1, 5)
    with pytest.raises(ManifoldError, match="2 x 2 anchors"):
        mine_grid(PRIOR, torch.zeros(1, 4, 5), 2)
    with pytest.raises(ManifoldError, match=r"3 cells apart do not end on a side of 9 cells; choose \[7, 10\]"):
        anchor_count(9, 3)
    with pytest.raises(ManifoldError, match="takes 6 places"):
        assign_to_grid(np.zeros((5, 2)), 2, 3)


def test_the_assignment_is_the_best_of_all():
    places = np.random.default_rng(0).normal(size=(6, 2))
    found = assign_to_grid(places, 2, 3)
    assert sorted(found.ravel()) == list(range(6))
    scaled = (places - places.min(0)) / np.ptp(places, axis=0) * [2, 1]
    cells = np.array([(x, y) for y in range(2) for x in range(3)])

    def cost(order) -> float:
        return float(np.square(scaled[list(order)] - cells).sum())

    assert cost(found.ravel()) == pytest.approx(min(cost(order) for order in permutations(range(6))))


def test_items_that_lie_on_a_grid_stay_there():
    places = np.array([(x, y) for y in range(3) for x in range(4)], float)
    shuffled = np.random.default_rng(1).permutation(12)
    found = assign_to_grid(places[shuffled], 3, 4)
    np.testing.assert_array_equal(shuffled[found].ravel(), np.arange(12))
