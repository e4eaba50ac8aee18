"""Interpolation between codes: exact ends, arcs of the sphere, and pairs without an arc."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import geometric_slerp

from envs import ManifoldError
from envs.geometry.interpolation import INTERPOLATIONS, interpolate, lerp, slerp, sphere_step
from envs.manifolds import Prior

TIMES = torch.linspace(0, 1, 9)


def pairs(n: int = 30, d: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator), torch.randn(n, d, generator=generator)


@pytest.mark.parametrize("kind", ["normal", "uniform", "sphere", "empirical"])
@pytest.mark.parametrize("name", INTERPOLATIONS)
def test_every_way_has_its_ends_to_the_last_bit_and_takes_one_time_or_several(name, kind):
    prior = Prior(kind, 6, samples=np.random.default_rng(0).exponential(size=500) if kind == "empirical" else None)
    generator = torch.Generator().manual_seed(0)
    a, b = prior.sample(20, generator), prior.sample(20, generator)
    way = interpolate(name, prior, a, b, TIMES)
    assert way.shape == (9, 20, 6)
    assert way.dtype == torch.float32
    assert way[0].equal(a)
    assert way[-1].equal(b)
    torch.testing.assert_close(way[3], interpolate(name, prior, a, b, 3 / 8), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(way, interpolate(name, prior, b, a, 1 - TIMES), rtol=1e-4, atol=1e-4)
    assert way.isfinite().all()


def test_slerp_agrees_with_scipy_on_unit_vectors():
    a, b = pairs(10)
    a, b = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
    ours = slerp(a, b, TIMES)
    for row in range(10):
        theirs = geometric_slerp(a[row].double().numpy() / a[row].double().norm().item(),
                                 b[row].double().numpy() / b[row].double().norm().item(), TIMES.numpy())  # fmt: skip
        np.testing.assert_allclose(ours[:, row], theirs, atol=1e-6)


def test_slerp_keeps_equal_norms_and_turns_at_constant_speed():
    a, b = pairs()
    b = b * (a.norm(dim=1) / b.norm(dim=1))[:, None]
    way = slerp(a, b, TIMES).double()
    torch.testing.assert_close(way.norm(dim=2), a.double().norm(dim=1).expand(9, -1), rtol=1e-6, atol=1e-6)
    unit = way / way.norm(dim=2, keepdim=True)
    turns = torch.acos((unit[1:] * unit[:-1]).sum(2).clamp(-1, 1))
    torch.testing.assert_close(turns, turns[:1].expand(8, -1), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(lerp(a, b, TIMES).norm(dim=2), a.norm(dim=1).expand(9, -1), rtol=0.05), "the control"


def test_slerp_turns_with_its_ends():
    a, b = pairs()
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1)))[0]
    torch.testing.assert_close(slerp(a @ rotation, b @ rotation, TIMES), slerp(a, b, TIMES) @ rotation, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("a", "b", "said"), [
    ([1.0, 2.0], [-2.0, -4.0], "antipodal"),
    ([0.0, 0.0], [1.0, 0.0], "zero"),
    ([1.0, 0.0], [0.0, 0.0], "zero"),
])  # fmt: skip
def test_where_there_is_no_one_arc_an_error_says_so_or_the_line_is_taken(a, b, said):
    a, b = torch.tensor([[1.0, 0.0], a]), torch.tensor([[0.0, 1.0], b])
    with pytest.raises(ManifoldError, match=f"row 1 are {said}"):
        slerp(a, b, 0.5)
    with pytest.raises(ManifoldError, match="row 1"):
        slerp(a, b, TIMES)
    way = slerp(a, b, TIMES, undefined="lerp")
    torch.testing.assert_close(way[:, 1], lerp(a, b, TIMES)[:, 1])
    torch.testing.assert_close(way[:, 0], slerp(a[:1], b[:1], TIMES)[:, 0])
    with pytest.raises(ManifoldError, match="did you mean 'lerp'"):
        slerp(a, b, 0.5, undefined="lerpp")


@given(st.integers(0, 10_000), st.floats(1e-9, 1e-3), st.floats(0.1, 3))
def test_slerp_between_nearly_parallel_codes_is_finite_and_lies_between_them(seed, gap, scale):
    a, away = pairs(8, 5, seed)
    b = scale * (a + gap * away)
    way = slerp(a, b, TIMES)
    assert way.isfinite().all()
    torch.testing.assert_close(way, lerp(a, b, TIMES), rtol=1e-3, atol=1e-3)


def test_slerp_of_a_code_with_itself_stays_where_it_is():
    a, _ = pairs()
    torch.testing.assert_close(slerp(a, a, TIMES), a.expand(9, -1, -1))


def test_a_sphere_step_aimed_at_a_code_of_the_same_norm_is_slerp():
    a, b = pairs()
    b = b * (a.norm(dim=1) / b.norm(dim=1))[:, None]
    close = slerp(a, b, 0.3)
    tangent = b - (a * b).sum(1, keepdim=True) / (a * a).sum(1, keepdim=True) * a
    tangent = tangent / tangent.norm(dim=1, keepdim=True)
    angle = torch.acos(((a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))).clamp(-1, 1))
    action = tangent * (0.3 * angle * a.norm(dim=1))[:, None]
    torch.testing.assert_close(sphere_step(a, action, 1.0), close, rtol=1e-4, atol=1e-4)


def test_unknown_ways_and_times_of_odd_shape_are_named():
    a, b = pairs()
    with pytest.raises(ManifoldError, match="did you mean 'slerp'"):
        interpolate("slerpp", Prior("normal", 6), a, b, 0.5)
    with pytest.raises(ManifoldError, match="times t"):
        lerp(a, b, torch.zeros(2, 3))
