"""The ring of transitions against a plain list, and whitening against numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vime.pool import PoolTooSmallError, TransitionPool, Transitions
from vime.serialization import StateMismatchError
from vime.whitening import Whitener


def rows(start, count):
    """Transitions that tell which one they are: obs i, next_obs i + 0.5."""
    i = torch.arange(start, start + count, dtype=torch.float32)[:, None]
    return Transitions(i.repeat(1, 2), i, i.repeat(1, 2) + 0.5, i.repeat(1, 3))


@given(st.integers(1, 12), st.lists(st.integers(0, 9), max_size=12))
def test_the_ring_is_the_tail_of_a_list(capacity, batches):
    pool, seen = TransitionPool(capacity, (2, 1, 3)), 0
    for count in batches:
        pool.add(rows(seen, count))
        seen += count
        kept = list(range(max(0, seen - capacity), seen))
        assert len(pool) == len(kept)
        assert sorted(pool.all().obs[:, 0].tolist()) == kept
        assert pool.newest(3).obs[:, 0].tolist() == kept[-3:]


@given(st.integers(1, 30))
def test_sampled_rows_stay_whole(count):
    pool = TransitionPool(20, (2, 1, 3))
    pool.add(rows(0, count))
    drawn = pool.sample(50, torch.Generator().manual_seed(0))
    assert torch.equal(drawn.next_obs, drawn.obs + 0.5)
    assert torch.equal(drawn.action[:, 0], drawn.target[:, 2])


def test_bad_pools_are_refused():
    with pytest.raises(ValueError, match="capacity"):
        TransitionPool(0, (2, 1, 3))
    with pytest.raises(ValueError, match=r"GiB.*pool_size"):
        TransitionPool(100_000, (84 * 84 * 4, 4, 84 * 84 * 4))
    pool = TransitionPool(5, (2, 1, 3))
    with pytest.raises(PoolTooSmallError, match="empty"):
        pool.sample(1, torch.Generator())
    with pytest.raises(ValueError, match="action has shape"):
        pool.add(rows(0, 2)._replace(action=torch.zeros(2, 4)))


def test_pool_state_round_trip_continues_the_ring():
    one = TransitionPool(7, (2, 1, 3))
    one.add(rows(0, 10))
    two = TransitionPool(7, (2, 1, 3))
    two.load_state_dict(one.state_dict())
    for pool in (one, two):
        pool.add(rows(10, 3))
    assert all(torch.equal(a, b) for a, b in zip(one.all(), two.all(), strict=True))
    with pytest.raises(StateMismatchError, match="pool_size=7"):
        TransitionPool(8, (2, 1, 3)).load_state_dict(one.state_dict())
    with pytest.raises(StateMismatchError, match="action has shape"):
        TransitionPool(7, (2, 4, 3)).load_state_dict(one.state_dict())


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6), st.integers(0, 2**16))
def test_running_moments_are_those_of_all_rows(counts, seed):
    data = np.random.default_rng(seed).normal(3, 2, size=(sum(counts) + 2, 4)).astype(np.float32)
    whitener, start = Whitener(4), 0
    for count in [*counts, 2]:
        whitener.update(torch.from_numpy(data[start : start + count]))
        start += count
    whitener.freeze()
    np.testing.assert_allclose(whitener.shift, data.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(whitener.scale, data.std(0), rtol=1e-4)


def test_whitening_moves_only_when_frozen_and_survives_constants_and_outliers():
    whitener = Whitener(3)
    data = torch.tensor([[1.0, 7.0, 1000.0], [3.0, 7.0, 1000.0001]])  # the last differ by rounding
    whitener.update(data)
    assert torch.equal(whitener(torch.ones(1, 3)), torch.ones(1, 3))
    whitener.freeze()
    assert whitener.varies.tolist() == [True, False, False]
    torch.testing.assert_close(whitener(data), torch.tensor([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]), atol=1e-4, rtol=0)
    assert whitener(torch.full((1, 3), 1e9)).tolist() == [[10.0, 10.0, 10.0]]
    other = Whitener(3)
    other.load_state_dict(whitener.state_dict())
    for w in (whitener, other):
        w.update(data * 2)
        w.freeze()
    assert torch.equal(whitener(data), other(data))
    with pytest.raises(StateMismatchError, match="whitening of 2"):
        Whitener(2).load_state_dict(whitener.state_dict())
