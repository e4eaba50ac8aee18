"""Prepared starts equal those that are computed anew."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from envs import make_world
from envs.core import dynamics, starts
from envs.core.starts import Starts


@pytest.mark.parametrize("settings", [{}, {"guidance": True, "reward": {"implausibility": 2.4}}, {"task": "flip"}])
def test_prepared_starts_are_those_of_the_world_and_the_same_bits_in_any_company(settings: dict[str, Any]) -> None:
    world = make_world(data="iris", progress=False, **settings)
    index = torch.tensor([0, 7, 50, 3])
    target = (world.reference.label[index] + 1) % 3
    found, plain = Starts(world)(index, target), dynamics.start(world, index, target)
    for name, part, other in zip(found._fields, found, plain, strict=True):
        torch.testing.assert_close(part, other, msg=name)
    alone = Starts(world)(index[2:3], target[2:3])
    assert all(part[2:3].equal(other) for part, other in zip(found, alone, strict=True))


def test_a_world_with_too_many_pairs_keeps_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "MOST", 10)
    world = make_world(data="iris", progress=False)
    prepared = Starts(world)
    prepared(torch.tensor([0]), torch.tensor([1]))
    assert prepared._table is None
