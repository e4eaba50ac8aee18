"""Every space becomes finite rows, and bad batches are named."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.spaces.utils import flatdim, flatten
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array
from hypothesis import given
from hypothesis import strategies as st

from vime.spaces import SpaceEncoder

ALL = [
    spaces.Box(-1, 1, (3,)),
    spaces.Box(0, 255, (2, 2, 3), np.uint8),
    spaces.Discrete(4),
    spaces.Discrete(3, start=-1),
    spaces.MultiDiscrete([2, 3]),
    spaces.MultiBinary(4),
    spaces.Dict({"b": spaces.Box(-1, 1, (2,)), "a": spaces.Discrete(3), "c": spaces.Dict({"d": spaces.MultiBinary(2)})}),
    spaces.Tuple([spaces.Discrete(2), spaces.Box(-1, 1, (1, 2))]),
]


@pytest.mark.parametrize("space", ALL, ids=str)
@given(seed=st.integers(0, 999), count=st.integers(1, 5))
def test_rows_are_gymnasiums_own_flattening(space, seed, count):
    space.seed(seed)
    items = [space.sample() for _ in range(count)]
    batch = concatenate(space, items, create_empty_array(space, count))
    encoder = SpaceEncoder(space, "observation")
    rows = encoder(batch)
    assert rows.shape == (count, encoder.size)
    assert rows.dtype == torch.float32
    assert encoder.size == flatdim(space)
    np.testing.assert_allclose(rows, np.stack([flatten(space, item) for item in items]).astype(np.float32))
    assert batch_space(space, count) is not None


def test_rows_are_a_copy():
    batch = np.zeros((2, 3), dtype=np.float32)
    rows = SpaceEncoder(ALL[0], "observation")(batch)
    batch += 1
    assert torch.equal(rows, torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("space", "batch", "message"),
    [
        (ALL[0], np.array([[0, 0, 0], [0, np.nan, 0]]), "observation row 1, number 1 of 3 is nan"),
        (ALL[0], np.array([[0, 0, np.inf]]), "is inf"),
        (ALL[0], np.array([[0, 0, 1e200]]), r"is inf \(as float32\)"),
        (ALL[0], np.zeros(3), "leading axis"),
        (ALL[0], np.zeros((2, 4)), r"shape \(2, 4\), expected \(B, 3\)"),
        (ALL[0], [np.zeros(3), None], "ragged|not numeric"),
        (ALL[2], np.array([4]), "row 0 is 4, not a whole number from 0 to 3"),
        (ALL[2], np.array([0.5]), "whole number"),
        (ALL[2], np.array([np.nan]), "whole number"),
        (ALL[3], np.array([-2]), "from -1 to 1"),
        (ALL[4], np.array([[0, 3]]), "row 0 is 3, not a whole number from 0 to 2"),
        (ALL[6], {"a": np.zeros(1)}, "keys"),
        (ALL[6], np.zeros((1, 5)), "must be a dict"),
        (ALL[6], {"a": np.zeros(1), "b": np.zeros((2, 2)), "c": {"d": np.zeros((1, 2))}}, "different lengths"),
        (ALL[7], np.zeros((2, 4)), "tuple of 2"),
    ],
)
def test_bad_batches_are_named(space, batch, message):
    with pytest.raises(ValueError, match=message):
        SpaceEncoder(space, "observation")(batch)


def test_spaces_without_a_flat_size_are_refused_with_the_way_out():
    with pytest.raises(TypeError, match=r"observation\['t'\].*TransformObservation"):
        SpaceEncoder(spaces.Dict({"t": spaces.Text(5)}), "observation")
    with pytest.raises(ValueError, match="no numbers"):
        SpaceEncoder(spaces.Dict({}), "observation")
