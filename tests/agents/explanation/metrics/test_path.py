"""Measures of one path, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.explanation.metrics import path as of_path

# A path in the plane: right 3, up 4, and 5 more along (3, 4) / 5: length 12, end (6, 8), distance 10 from the start.
BENT = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0], [6.0, 8.0]])


def test_distances_are_sums_over_all_features() -> None:
    a, b = np.zeros((2, 2)), np.array([[3.0, -4.0], [0.0, 0.0]])
    assert of_path.l1(a, b) == 7.0
    assert of_path.l2(a, b) == 5.0


def test_length_and_straightness() -> None:
    np.testing.assert_allclose(of_path.step_lengths(BENT), [3.0, 4.0, 5.0])
    assert of_path.path_length(BENT) == 12.0
    assert of_path.straightness(BENT) == pytest.approx(10 / 12)
    assert of_path.straightness(BENT[:2]) == 1.0


@pytest.mark.parametrize("points", [BENT[:1], np.repeat(BENT[:1], 3, axis=0)])
def test_a_path_that_does_not_move_has_no_straightness(points: np.ndarray) -> None:
    assert of_path.path_length(points) == 0.0
    assert np.isnan(of_path.straightness(points))


def test_rising_share_and_variation() -> None:
    p = [0.1, 0.5, 0.4, 0.9]  # up .4, down .1, up .5
    assert of_path.rising_steps(p) == (2, 3)
    assert of_path.rising_share(p) == pytest.approx(2 / 3)
    assert of_path.tv_ratio(p) == pytest.approx(0.8 / 1.0)
    assert of_path.rising_share([0.2, 0.2 - 1e-8]) == 1.0  # a rounding is not a fall
    assert of_path.tv_ratio([0.9, 0.1]) == -1.0


def test_one_frame_has_no_steps_to_judge() -> None:
    assert np.isnan(of_path.rising_share([0.95]))
    assert np.isnan(of_path.tv_ratio([0.95]))
    assert np.isnan(of_path.tv_ratio([0.5, 0.5]))
    assert of_path.class_switches([3]) == 0


def test_class_switches() -> None:
    assert of_path.class_switches([4, 4, 1, 1, 4, 9]) == 3


def test_largest_step_ratio() -> None:
    assert of_path.largest_step_ratio(BENT) == pytest.approx(5 / 4)
    assert np.isnan(of_path.largest_step_ratio(BENT[:1]))


def test_roughness_is_none_on_an_even_straight_line_and_known_for_a_cubic() -> None:
    assert of_path.roughness(np.linspace([0.0, 0.0], [3.0, 4.0], 9)) == pytest.approx(0.0, abs=1e-12)
    t = np.arange(5.0)
    # Third differences of t^3 are 6, twice on five points; its length on the line is 64.
    assert of_path.roughness((t**3)[:, None]) == pytest.approx(np.log1p(4**5 / 64**2 * 2 * 36))
    assert np.isnan(of_path.roughness(BENT[:3]))
    assert np.isnan(of_path.roughness(np.zeros((6, 2))))


@given(st.floats(0.01, 100.0))
def test_roughness_has_no_unit(scale: float) -> None:
    assert of_path.roughness(BENT * scale) == pytest.approx(of_path.roughness(BENT))


def test_cout_is_the_lead_of_the_target_over_the_way() -> None:
    assert of_path.cout([0.0, 1.0], [1.0, 0.0], [0.0, 2.0]) == 0.0
    # p(target) jumps to 1 at a quarter of the way: -1 for a quarter by trapezoids (mean 0), then 1 for the rest.
    assert of_path.cout([0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 4.0]) == pytest.approx(0.75)
    assert of_path.cout([1.0, 1.0], [0.0, 0.0], [3.0, 9.0]) == 1.0
    assert np.isnan(of_path.cout([1.0], [0.0], [0.0]))


@given(st.integers(0, 1000))
def test_slopes_of_a_quadratic_leave_no_completeness_gap(seed: int) -> None:
    draws = np.random.default_rng(seed)
    z, b, a = draws.normal(size=(5, 3)), draws.normal(size=3), draws.normal(size=(3, 3))
    p = z @ b + np.einsum("ti,ij,tj->t", z, a, z) + 0.3
    slopes = b + z @ (a + a.T)
    assert of_path.completeness_gap(slopes, z, p) == pytest.approx(0.0, abs=1e-9)
    assert of_path.completeness_gap(0 * slopes, z, p) == pytest.approx(abs(p[-1] - p[0]))


def test_knn_distance() -> None:
    bank = np.array([[0.0], [1.0], [3.0], [10.0]])
    np.testing.assert_allclose(of_path.knn_distance([[0.0], [4.0]], bank, k=2), [0.5, 2.0])  # (0, 1) and (1, 3)
    np.testing.assert_allclose(of_path.knn_distance(bank, bank, k=1, exclude_self=True), [1.0, 1.0, 2.0, 7.0])
    np.testing.assert_allclose(of_path.knn_distance([[0.0]], bank, k=9), [14 / 4])  # all there are
    assert np.isnan(of_path.knn_distance([[0.0]], np.zeros((0, 1)))).all()
    assert of_path.knn_distance(np.zeros((0, 1)), bank).shape == (0,)


def test_knn_distance_to_the_own_class() -> None:
    bank, classes = np.array([[0.0], [1.0], [5.0], [7.0]]), np.array([0, 0, 1, 1])
    found = of_path.knn_distance_to_class([[0.0], [0.0], [0.0]], [0, 1, 2], bank, classes, k=2)
    np.testing.assert_allclose(found, [0.5, 6.0, np.nan])


def test_resampling_by_arc_length() -> None:
    found = of_path.resample_by_arc_length(BENT, 5)  # every 3 of 12
    np.testing.assert_allclose(found, [[0, 0], [3, 0], [3, 3], [4.2, 5.6], [6, 8]])
    np.testing.assert_allclose(of_path.resample_by_arc_length(BENT[:1], 3), np.zeros((3, 2)))
    assert of_path.resample_by_arc_length(np.zeros((4, 2, 3)), 7).shape == (7, 2, 3)


@given(st.integers(2, 30), st.integers(0, 1000))
def test_resampling_keeps_the_ends(n: int, seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(6, 3))
    found = of_path.resample_by_arc_length(points, n)
    np.testing.assert_allclose(found[[0, -1]], points[[0, -1]], atol=1e-9)
