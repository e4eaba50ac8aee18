"""The default target: the class of the nearest reference row of another class, by exact distances."""

import pytest
import torch

from envs import make_world


@pytest.mark.parametrize("chunk", [10_000_000, 3000])
def test_it_is_the_nearest_row_in_double_precision(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr("envs.core.reference_data.MAX_GAPS", chunk)
    world = make_world(data="digits")
    x = world.held_out.x[:200]
    place = world.manifold.coordinates(world.manifold.encode(x), x)
    source = torch.arange(len(x)) % world.classes
    gaps = torch.cdist(place.double(), world.reference.coordinates.double())
    gaps.masked_fill_(source[:, None] == world.reference.label[None, :], torch.inf)
    expected = world.reference.label[gaps.argmin(1)]
    assert torch.equal(world.reference.nearest_other_class(place, source), expected)
    assert world.reference.nearest_other_class(place[:0], source[:0]).shape == (0,)
