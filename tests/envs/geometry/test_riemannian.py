"""Lengths, energies and shortest curves, against surfaces whose answers are known."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.sparse import csgraph

from envs import ManifoldError
from envs.geometry import curves
from envs.geometry.geodesics import Spline, detour_ratio, geodesic
from envs.geometry.graph import LatentGraph
from envs.geometry.uncertainty import DecoderEnsemble, magnification, pullback_metric


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def globe(z: torch.Tensor) -> torch.Tensor:
    """Longitude and latitude to the unit sphere: geodesics are arcs of great circles."""
    u, v = z[:, 0], z[:, 1]
    return torch.stack([torch.cos(v) * torch.cos(u), torch.cos(v) * torch.sin(u), torch.sin(v)], dim=1)


def cylinder(z: torch.Tensor) -> torch.Tensor:
    """A half cylinder of radius 2: flat, so its geodesics are the straight lines of the chart."""
    return torch.stack([2 * torch.cos(z[:, 0]), 2 * torch.sin(z[:, 0]), z[:, 1]], dim=1)


def great_circle(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.arccos((globe(a) * globe(b)).sum(1).clamp(-1, 1))


PLACES = torch.tensor([[0.0, 0.6], [0.3, -0.8], [0.0, 1.0]]), torch.tensor([[2.0, 0.7], [1.8, 0.9], [2.4, 1.0]])


# --- curves -----------------------------------------------------------------------------------------------------------


def test_a_line_under_a_linear_view_has_the_chord_as_length_and_its_square_as_energy():
    weight, a, b = rand(3, 7), rand(10, 3, seed=1), rand(10, 3, seed=2)
    line = curves.straight(a, b)
    chord = ((b - a) @ weight).norm(dim=1)
    torch.testing.assert_close(curves.length(lambda z: z @ weight, line), chord)
    torch.testing.assert_close(curves.energy(lambda z: z @ weight, line), chord.square(), rtol=1e-4, atol=1e-4)


def test_length_squared_is_at_most_the_energy_and_equal_at_constant_speed():
    way = rand(20, 30, 2).cumsum(0)
    assert (curves.length(globe, way).square() <= curves.energy(globe, way) * (1 + 1e-5)).all()
    assert (curves.length(globe, way).square() < 0.95 * curves.energy(globe, way)).any(), "the control: uneven speed"
    equator = curves.straight(torch.zeros(1, 2), torch.tensor([[1.5, 0.0]]))
    assert float(curves.energy(globe, equator)) == pytest.approx(1.5**2, rel=1e-3)


def test_length_does_not_hang_on_how_the_curve_is_run_through():
    way = rand(6, 8, 2).cumsum(0) * 0.2
    even, timed = curves.along(way, 400, by_length=True), curves.along(way, 400)
    torch.testing.assert_close(curves.length(cylinder, even), curves.length(cylinder, timed), rtol=0.02, atol=0)
    sizes = even.diff(dim=0).norm(dim=2)
    assert float((sizes / sizes.mean(0)).std()) < 0.2, "equal latent length a step but for the corners"
    for grid in (even, timed):
        assert grid[0].equal(way[0])
        assert grid[-1].equal(way[-1])


def test_the_cylinders_lines_have_the_length_of_the_unrolled_sheet():
    a, b = torch.tensor([[0.1, 0.0]]), torch.tensor([[2.9, 3.0]])
    assert float(curves.length(cylinder, curves.straight(a, b))) == pytest.approx(math.hypot(2 * 2.8, 3.0), rel=1e-4)


def test_fisher_rao_lengths_come_to_the_closed_form_on_the_sphere():
    p, q = torch.softmax(rand(20, 5), 1), torch.softmax(rand(20, 5, seed=1), 1)
    distance = curves.fisher_rao(p, q)
    # The geodesic of the simplex is a great circle of sqrt p: walk it and measure.
    from envs.geometry.interpolation import slerp

    arc = slerp(p.sqrt(), q.sqrt(), torch.linspace(0, 1, 200)).square()
    torch.testing.assert_close(curves.length(lambda x: 2 * x.sqrt(), arc), distance, rtol=1e-3, atol=1e-4)
    mixed = curves.along(torch.stack([p, q]), 200)
    assert (curves.length(lambda x: 2 * x.sqrt(), mixed) >= distance * (1 - 1e-4)).all(), "no other way is shorter"
    sure = torch.eye(5)
    assert float(curves.fisher_rao(sure[0], sure[1])) == pytest.approx(math.pi)
    assert not curves.fisher_rao(p, p).max() > 1e-3


def test_lengths_in_probabilities_are_counted_as_queries(digits):
    view = curves.probabilities(digits.manifold, digits.classifier.predict_proba)
    before = digits.classifier.queries
    line = curves.straight(digits.reference.z[:3], digits.reference.z[3:6], 50)
    found = curves.length(view, line)
    assert digits.classifier.queries - before == 150
    ends = [digits.classifier.predict_proba(digits.manifold.decode(part)) for part in (line[0], line[-1])]
    assert (found >= curves.fisher_rao(*ends) * 0.99).all()


def test_text_lies_where_its_codes_do():
    z = rand(5, 3)
    assert curves.pixels(SimpleNamespace(modality="text"))(z) is z


def test_features_are_whatever_the_caller_takes(digits):
    z = digits.reference.z[:4]
    view = curves.features(digits.manifold, lambda x: x.flatten(1)[:, :10])
    assert view(z).equal(curves.pixels(digits.manifold)(z)[:, :10])


# --- splines ----------------------------------------------------------------------------------------------------------


def test_spline_geodesics_on_the_globe_are_great_circles():
    a, b = PLACES
    found = geodesic(globe, a, b).points()
    exact = great_circle(a, b)
    torch.testing.assert_close(curves.length(globe, found), exact, rtol=0.01, atol=0)
    assert (curves.length(globe, curves.straight(a, b)) > 1.01 * exact).all(), "the control: lines of the chart are longer"
    assert found[0].equal(a)
    assert found[-1].equal(b)


def test_spline_geodesics_of_flat_views_are_the_straight_lines():
    a, b = rand(8, 2, seed=3).clamp(-1.5, 1.5), rand(8, 2, seed=4).clamp(-1.5, 1.5)
    torch.testing.assert_close(geodesic(cylinder, a, b).points(), curves.straight(a, b), rtol=0, atol=0.02)


def test_a_spline_never_costs_more_than_the_line_and_begins_where_it_is_told(digits):
    view, z = curves.pixels(digits.manifold), digits.reference.z
    a, b = z[:12], z[20:32]
    found = geodesic(view, a, b, steps=40)
    assert found.a.is_inference() is False
    told = curves.compare(view, found.points())
    assert (told["energy"] <= told["straight_energy"] * (1 + 1e-6)).all()
    assert float((told["energy"] / told["straight_energy"]).mean()) < 0.98
    bad = geodesic(view, a, b, steps=1, rate=50.0)
    assert not bad.coefficients.any(), "a spline that is worse than the line is the line"
    detour = torch.stack([a, a + 1.0, b])
    kept = geodesic(view, a, b, start=detour, steps=0)
    assert not kept.coefficients.any()
    begun = Spline(a, b, torch.zeros(6, 12, 8)).points(5)
    torch.testing.assert_close(begun, curves.straight(a, b, 5), rtol=1e-5, atol=1e-5)


def test_geodesics_are_the_same_every_time():
    a, b = PLACES
    assert geodesic(globe, a, b, steps=20).coefficients.equal(geodesic(globe, a, b, steps=20).coefficients)


def test_what_has_no_geodesic_is_named():
    a, b = PLACES
    for wrong in ((a, b[:1]), (a[0], b[0])):
        with pytest.raises(ManifoldError, match="geodesics join two"):
            geodesic(globe, *wrong)
    with pytest.raises(ManifoldError, match="finite"):
        geodesic(globe, a, b * torch.nan)
    with pytest.raises(ManifoldError, match="no gradient"):
        geodesic(lambda z: globe(z).detach(), a, b)
    with pytest.raises(ManifoldError, match="at least 2 points"):
        curves.straight(a, b, 1)


def test_detour_ratios_of_known_paths():
    a, b = PLACES
    arc = geodesic(globe, a, b).points(60)
    around = torch.stack([a, torch.tensor([[1.0, -1.2]] * 3), b])
    still = torch.zeros(4, 2)
    ratios = detour_ratio(globe, [arc[:, 0], around[:, 0], torch.stack([a[0], b[0]]), still, arc[:1, 0]])
    assert float(ratios[0]) == pytest.approx(1, abs=0.005)
    long = float(curves.length(globe, curves.along(around[:, :1], 400)) / great_circle(a[:1], b[:1]))
    assert float(ratios[1]) == pytest.approx(long, rel=0.02)
    assert 1.01 < float(ratios[2]) < float(ratios[1])
    assert ratios[3:].isnan().all()
    assert detour_ratio(globe, []).shape == (0,)


# --- graph ------------------------------------------------------------------------------------------------------------


def grid(n: int = 25) -> torch.Tensor:
    return torch.cartesian_prod(torch.linspace(0, 2.4, n), torch.linspace(-1, 1.2, n))


def test_graph_paths_are_longer_than_chords_symmetric_and_keep_the_triangle():
    graph = LatentGraph(globe, grid())
    pairs = torch.randint(len(graph.z), (3, 200), generator=torch.Generator().manual_seed(0))
    a, b, c = pairs
    ab, ba, bc, ac = (graph.between(*ends) for ends in ((a, b), (b, a), (b, c), (a, c)))
    assert (ab.lengths >= (globe(graph.z[a]) - globe(graph.z[b])).norm(dim=1) - 1e-4).all()
    torch.testing.assert_close(ab.lengths, ba.lengths)
    assert (ac.lengths <= ab.lengths + bc.lengths + 1e-4).all()
    exact = great_circle(graph.z[a], graph.z[b])
    apart = exact > 0.3
    assert float((ab.lengths / exact)[apart].median()) < 1.1, "a fine grid comes near to the great circle"
    columns = torch.arange(200)
    assert ab.points[0].equal(graph.z[a])
    assert ab.points[ab.counts - 1, columns].equal(graph.z[b])
    assert ab.points[-1].equal(graph.z[b]), "the end is repeated"
    torch.testing.assert_close(curves.length(globe, curves.along(ab.points, 800)), ab.lengths, rtol=0.02, atol=0.01)


def test_paths_to_the_nearest_goal_are_the_shortest_of_all():
    graph = LatentGraph(globe, grid(12))
    goals = torch.tensor([3, 77, 140])
    codes = graph.z[torch.tensor([0, 50, 100, 143])] + 0.003
    led = graph.lead(codes, goals, entries=1)
    each = torch.stack([graph.between(torch.tensor([0, 50, 100, 143]), goal.expand(4)).lengths for goal in goals])
    torch.testing.assert_close(led.lengths, each.amin(0), rtol=0, atol=0.01)
    assert led.points[0].equal(codes)
    free = graph.lead(codes, goals, entries=8)
    assert (free.lengths <= led.lengths + 1e-6).all()
    at_goal = graph.lead(graph.z[goals], goals)
    assert float(at_goal.lengths.max()) < 1e-6
    with pytest.raises(ManifoldError, match="no goal nodes"):
        graph.lead(codes, goals[:0])


def test_a_graph_in_parts_is_joined():
    z = torch.cat([0.1 * rand(20, 2), 5 + 0.1 * rand(20, 2, seed=1), torch.tensor([[-9.0, 0.0]])])
    graph = LatentGraph(lambda z: z, z, neighbours=3)
    assert csgraph.connected_components(graph.matrix)[0] == 1
    assert graph.between(torch.tensor([0]), torch.tensor([20])).lengths.isfinite().all()
    assert (graph.matrix != graph.matrix.T).nnz == 0
    same = LatentGraph(lambda z: z, torch.zeros(6, 2), neighbours=2)
    assert float(same.between(torch.tensor([0]), torch.tensor([5])).lengths) < 1e-6, "equal codes are joined too"


def test_a_graph_needs_codes():
    for z, k in ((torch.zeros(1, 2), 3), (torch.zeros(5, 2), 0)):
        with pytest.raises(ManifoldError, match="at least"):
            LatentGraph(globe, z, k)
    with pytest.raises(ManifoldError, match="NaN"):
        LatentGraph(globe, torch.full((5, 2), torch.nan))


# --- metric and uncertainty -------------------------------------------------------------------------------------------


def test_the_pullback_metric_of_the_globe():
    z = torch.tensor([[0.3, 0.5], [1.0, -0.2]])
    metric = pullback_metric(globe, z)
    expected = torch.diag_embed(torch.stack([torch.cos(z[:, 1]).square(), torch.ones(2)], dim=1))
    torch.testing.assert_close(metric, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(magnification(metric).float(), torch.cos(z[:, 1]))
    torch.testing.assert_close(pullback_metric(globe, z, floor=0.1), expected + 0.1 * torch.eye(2), rtol=1e-5, atol=1e-5)


def test_the_pullback_metric_of_a_manifold_is_its_own(digits):
    z = digits.reference.z[:5].clone()
    torch.testing.assert_close(
        pullback_metric(curves.pixels(digits.manifold), z), digits.manifold.metric(z), rtol=1e-3, atol=1e-4
    )


def test_the_expected_metric_is_that_of_random_decoders():
    """E[J^T J] of f = mu + eps sigma, eps standard normal a pixel: J_mu^T J_mu + J_sigma^T J_sigma, by Monte Carlo."""
    base, other = rand(3, 6), rand(3, 6, seed=1)
    # Two linear members: mu = z (A + B) / 2 and sigma = |z (A - B)| / sqrt 2, smooth away from zero.
    ensemble = DecoderEnsemble([lambda z: z @ base, lambda z: z @ other])
    z = rand(4, 3, seed=2)
    j_mu = ((base + other) / 2).T
    signs = torch.sign(z @ (base - other))
    j_sigma = signs[:, :, None] * ((base - other) / math.sqrt(2)).T
    noise = rand(4, 20_000, 6, seed=3)
    sampled = (j_mu[None, None] + noise[..., None] * j_sigma[:, None]).double()
    drawn = torch.einsum("bnij,bnik->bjk", sampled, sampled).float() / 20_000
    torch.testing.assert_close(ensemble.metric(z), drawn, rtol=0.05, atol=0.1)
    assert not torch.allclose(DecoderEnsemble(ensemble.members, 0.0).metric(z), drawn, rtol=0.05, atol=0.1), "the control"


def test_with_the_uncertainty_term_geodesics_stay_nearer_to_the_data():
    """Data on the unit circle, decoders that agree there alone: the shortest way across the hole is no way any more."""

    def hole(z: torch.Tensor) -> torch.Tensor:
        return 2 * (z.norm(dim=1, keepdim=True) - 1).square()

    members = [lambda z: torch.cat([z, hole(z)], 1), lambda z: torch.cat([z, -hole(z)], 1)]
    angle = torch.tensor([0.2, 0.4, -0.3])
    a = torch.stack([angle.cos(), angle.sin()], 1)
    b = torch.stack([-angle.cos(), angle.sin()], 1)

    def away(weight: float) -> float:
        points = geodesic(DecoderEnsemble(members, weight), a, b).points(50)
        return float((points.norm(dim=2) - 1).abs().mean())

    assert away(10.0) < 0.6 * away(0.0)


def test_ensembles_are_seeded_and_named_errors_say_what_is_wrong(digits):
    small = digits.reference.x[:100]
    first, again = (DecoderEnsemble.fit(digits.manifold, small, members=2, epochs=2, seed=1) for _ in range(2))
    z = digits.reference.z[:10]
    assert first(z).equal(again(z))
    state = torch.random.get_rng_state()
    DecoderEnsemble.fit(digits.manifold, small, members=2, epochs=1)
    assert torch.random.get_rng_state().equal(state)
    with pytest.raises(ManifoldError, match="at least 2 decoders"):
        DecoderEnsemble([globe])
    with pytest.raises(ManifoldError, match="weight"):
        DecoderEnsemble([globe, globe], -1.0)
    assert np.isfinite(first.uncertainty(z).numpy()).all()


def test_fitted_decoders_agree_on_the_data_and_not_far_from_it(digits):
    z, x = digits.reference.z, digits.reference.x
    ensemble = DecoderEnsemble.fit(digits.manifold, x[::2], members=3, epochs=20)
    error = (ensemble.moments(z)[0] - x.flatten(1)).square().mean()
    assert float(error) < 0.03
    assert float(ensemble.uncertainty(2.5 * z[:200]).mean()) > 1.5 * float(ensemble.uncertainty(z[:200]).mean())
