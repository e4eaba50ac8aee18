"""The digits' default split is shipped, so that their environments need no scikit-learn."""

import numpy as np
import pytest

from envs.datasets import digits


def test_the_shipped_split_is_scikit_learns() -> None:
    shipped, split = digits.load(), digits.split(seed=0, test_size=0.3)
    found = (shipped.x * 16, shipped.held_out * 16, shipped.truth, shipped.held_out_truth)
    for ours, theirs in zip(found, split, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert shipped.x.dtype == np.float32
    assert shipped.truth.dtype == np.int64
    assert len(shipped.x) == 1257


@pytest.mark.parametrize(("seed", "share", "rows"), [(1, 0.3, 1257), (0, 0.5, 898)])
def test_other_splits_are_made(seed: int, share: float, rows: int) -> None:
    data = digits.load(seed, share)
    assert data.x.shape == (rows, 8, 8)
    assert data.x.max() == 1.0
    assert data.truth.dtype == np.int64
