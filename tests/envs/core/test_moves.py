"""The mathematics of the moves: laws kept, angles, stated lengths; and controls that must fail."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats

from envs.core.moves import METRIC_FLOOR, MOVES, euclidean, matched, pullback, spherical
from envs.geometry.transport import vicinity
from envs.manifolds import PCA, Prior

D = 16
ROWS = 20_000


def ks_against_normal(z: torch.Tensor) -> float:
    """Kolmogorov-Smirnov distance of all coordinates to N(0, 1), in units of the 1 % critical value."""
    values = z.double().numpy().ravel()
    return stats.kstest(values, "norm").statistic / (1.63 / math.sqrt(len(values)))


def unmatched(z: torch.Tensor, u: torch.Tensor, epsilon: float) -> torch.Tensor:
    """The control: the same step without the matching."""
    return z + epsilon * u


@pytest.mark.parametrize("epsilon", [0.25, 0.5, 1.5])
def test_matched_steps_keep_the_prior_where_unmatched_ones_do_not(epsilon):
    generator = torch.Generator().manual_seed(0)
    prior = Prior("normal", D)
    z, u = prior.sample(ROWS, generator), prior.sample(ROWS, generator)
    assert ks_against_normal(vicinity(prior, z, u, epsilon)) < 1
    assert ks_against_normal(matched(SimpleNamespace(prior=prior), z, u / math.sqrt(D), epsilon * math.sqrt(D))) < 1
    assert ks_against_normal(unmatched(z, u, epsilon)) > 1


def test_a_matched_walk_of_many_steps_keeps_the_prior_and_forgets_its_start():
    generator = torch.Generator().manual_seed(1)
    prior = Prior("normal", D)
    epsilon, first = 0.5, prior.sample(ROWS, generator)
    z, free = first, first
    for k in range(1, 11):
        u = prior.sample(ROWS, generator)
        z, free = vicinity(prior, z, u, epsilon), unmatched(free, u, epsilon)
        correlation = float((z * first).mean())
        assert correlation == pytest.approx((1 + epsilon**2) ** (-k / 2), abs=0.01)  # an AR(1) process
    assert ks_against_normal(z) < 1
    assert float(free.var()) == pytest.approx(1 + 10 * epsilon**2, rel=0.05)
    assert ks_against_normal(free) > 10


def test_the_ks_test_sees_a_matching_that_is_a_little_wrong():
    generator = torch.Generator().manual_seed(2)
    prior = Prior("normal", D)
    z, u = prior.sample(ROWS, generator), prior.sample(ROWS, generator)
    assert ks_against_normal(vicinity(prior, z, u, 0.7)) < 1
    wrong = (z + 0.7 * u) / (1 + 0.7 * 0.7 / 2)  # the first terms of the root alone: 2 % off
    assert ks_against_normal(wrong) > 1


def unit_rows(n: int, d: int, seed: int) -> torch.Tensor:
    rows = torch.randn(n, d, generator=torch.Generator().manual_seed(seed))
    return rows / rows.norm(dim=1, keepdim=True)


def test_euclidean_steps_have_their_length():
    z, action = unit_rows(50, D, 0), unit_rows(50, D, 1)
    torch.testing.assert_close((euclidean(None, z, action, 0.7) - z).norm(dim=1), torch.full((50,), 0.7))
    torch.testing.assert_close(euclidean(None, z, 0.5 * action, 0.7) - z, 0.35 * action)


@pytest.mark.parametrize("d", [2, 3, 16])
def test_spherical_keeps_the_norm_and_turns_by_the_right_angle(d):
    z = 2.5 * unit_rows(100, d, 0)
    action = 0.9 * unit_rows(100, d, 1)
    tangent = action - (action * z).sum(1, keepdim=True) * z / 2.5**2
    moved = spherical(None, z, tangent, 0.6)
    torch.testing.assert_close(moved.norm(dim=1), z.norm(dim=1))
    angle = torch.acos(((moved * z).sum(1) / 2.5**2).double().clamp(-1, 1))
    torch.testing.assert_close(angle, (0.6 * tangent.norm(dim=1) / 2.5).double(), atol=1e-3, rtol=1e-3)
    # It goes to the tangent's side, in the plane of z and the tangent.
    assert ((moved - z) * tangent).sum(1).min() >= 0
    plane = torch.linalg.qr(torch.stack([z, tangent], 2))[0]
    torch.testing.assert_close(plane @ (plane.transpose(1, 2) @ moved[:, :, None]), moved[:, :, None], atol=1e-5, rtol=1e-5)


def test_spherical_goes_out_and_in_by_the_radial_part():
    z = 2.0 * unit_rows(20, 4, 0)
    torch.testing.assert_close(spherical(None, z, z / 2, 0.5), z * 1.25)
    torch.testing.assert_close(spherical(None, z, -z / 2, 0.5), z * 0.75)


def test_spherical_near_the_origin_is_finite_and_euclidean():
    z = torch.tensor([[0.0, 0.0], [1e-8, 0.0], [0.05, 0.0]])
    action = torch.tensor([[0.6, 0.8]] * 3)
    torch.testing.assert_close(spherical(None, z, action, 0.5), z + 0.5 * action)
    assert spherical(None, z, 0 * action, 0.5).isfinite().all()


@pytest.mark.parametrize("d", [1, 2, 5])
def test_pullback_steps_of_a_linear_decoder_have_exactly_the_stated_length(linear_manifold, d):
    generator = torch.Generator().manual_seed(d)
    basis = torch.linalg.qr(torch.randn(12, d, generator=generator))[0]
    manifold = linear_manifold(basis * torch.linspace(0.5, 1.0, d), (12,))
    z, action = torch.randn(40, d, generator=generator), unit_rows(40, d, 3)
    for share in (1.0, 0.25):
        moved = manifold.decode(pullback(manifold, z, share * action, 0.3)) - manifold.decode(z)
        torch.testing.assert_close(moved.norm(dim=1), torch.full((40,), 0.3 * share))
    straight = manifold.decode(euclidean(manifold, z, action, 0.3)) - manifold.decode(z)
    if d > 1:
        assert (straight.norm(dim=1) - 0.3).abs().max() > 0.01, "the control, a euclidean step, depends on the direction"


def test_pullback_of_principal_components_has_the_stated_length_without_clamping():
    x = torch.rand(200, 5, 5, generator=torch.Generator().manual_seed(0))
    pca = PCA.fit(x, latent_dim=6)
    pca.low.fill_(-9)
    pca.high.fill_(9)
    z, action = pca.encode(x), unit_rows(200, 6, 1)
    length = (pca.decode(pullback(pca, z, action, 0.4)) - pca.decode(z)).flatten(1).norm(dim=1)
    torch.testing.assert_close(length, torch.full((200,), 0.4), rtol=1e-4, atol=1e-4)


def test_pullback_of_a_network_has_the_stated_length_to_first_order(digits):
    manifold, z = digits.manifold, digits.reference.z[:200]
    eigenvalues, vectors = torch.linalg.eigh(manifold.metric(z))
    alive = eigenvalues >= METRIC_FLOOR * eigenvalues.mean(1, keepdim=True)
    action = unit_rows(200, z.shape[1], 0)
    inside = ((vectors.transpose(1, 2) @ action[:, :, None])[:, :, 0] * alive)[:, :, None]
    action = (vectors @ inside)[:, :, 0]
    action /= action.norm(dim=1, keepdim=True)
    errors = []
    for length in (0.1, 0.01):
        moved = (manifold.decode(pullback(manifold, z, action, length)) - manifold.decode(z)).flatten(1).norm(dim=1)
        errors.append(float((moved / length - 1).abs().mean()))
    assert errors[0] < 0.05
    assert errors[1] < errors[0] / 4, f"the error must shrink with the step: {errors}"


def test_pullback_does_not_fling_walks_along_directions_that_the_decoder_ignores(linear_manifold):
    weight = torch.zeros(6, 3)
    weight[0, 0] = weight[1, 1] = 1.0
    manifold = linear_manifold(weight, (6,))
    moved = pullback(manifold, torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1.0]]), 0.1)
    mean = 2 / 3
    assert float(moved.norm()) == pytest.approx(0.1 / math.sqrt(METRIC_FLOOR * mean), rel=1e-4)
    assert pullback(linear_manifold(0 * weight, (6,)), torch.zeros(1, 3), torch.ones(1, 3), 0.1).isfinite().all()


@pytest.mark.parametrize("name", MOVES)
def test_no_action_changes_its_arguments(name, digits):
    z, action = digits.reference.z[:30].clone(), unit_rows(30, digits.latent_dim, 0)
    kept = z.clone(), action.clone()
    moved = MOVES[name](digits.manifold, z, action, 0.3)
    assert moved.shape == z.shape
    assert moved.dtype == torch.float32
    assert z.equal(kept[0])
    assert action.equal(kept[1])
    if MOVES[name].still:
        torch.testing.assert_close(MOVES[name](digits.manifold, z, 0 * action, 0.3), z)


@pytest.mark.parametrize("name", MOVES)
def test_a_calibrated_full_action_moves_an_eighth_of_the_class_distance(name, digits):
    world = digits.replace(move=name)
    assert name == "euclidean" or world.step_length != digits.step_length, "calibrated anew for another move"
    action = unit_rows(len(world.reference.z), world.latent_dim, 5)
    z = world.manifold.prior.project(world.move(world.manifold, world.reference.z, action, world.step_length))
    moved = (world.manifold.decode(z) - world.reference.frame).flatten(1).norm(dim=1)
    assert float(moved.median()) == pytest.approx(world.class_distance / 8, rel=0.08)


def test_a_broken_move_fails_the_tests_above():
    """The tests tell right from wrong: a shrinking, a tangent-only and a unit-metric step are all caught."""
    z, action = 2.5 * unit_rows(100, D, 0), unit_rows(100, D, 1)
    tangent = action - (action * z).sum(1, keepdim=True) * z / 2.5**2
    assert not np.allclose((z + 0.6 * tangent).norm(dim=1), z.norm(dim=1), rtol=1e-3)
    assert not np.allclose((euclidean(None, z, 0.99 * action, 0.7) - z).norm(dim=1), 0.7, rtol=1e-3)


def test_arc_steps_of_a_linear_decoder_have_exactly_the_stated_length_and_the_actions_direction(linear_manifold):
    generator = torch.Generator().manual_seed(0)
    manifold = linear_manifold(torch.randn(12, 4, generator=generator), (12,))
    z, action = torch.randn(40, 4, generator=generator), unit_rows(40, 4, 3)
    for share in (1.0, 0.3):
        moved = MOVES["arc"](manifold, z, share * action, 0.3)
        length = (manifold.decode(moved) - manifold.decode(z)).norm(dim=1)
        torch.testing.assert_close(length, torch.full((40,), 0.3 * share), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close((moved - z) / (moved - z).norm(dim=1, keepdim=True), action, rtol=1e-3, atol=1e-3)
    ignored = MOVES["arc"](linear_manifold(torch.zeros(6, 3), (6,)), torch.zeros(1, 3), torch.ones(1, 3), 0.1)
    assert ignored.isfinite().all()
