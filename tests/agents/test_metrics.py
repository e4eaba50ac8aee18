"""Measures against cases worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from agents.explanation.metrics import bootstrap
from agents.explanation.metrics import evaluate as metrics
from agents.explanation.metrics import path as of_path
from agents.explanation.metrics.cost import break_even, time_alone
from envs.core.factual import Factual

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
    assert of_path.rising_share([0.2, 0.2 - 1e-8]) == 1.0  # a rounding is no fall
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


def test_when_training_pays_off() -> None:
    def measures(before: int, each: float) -> dict[str, Any]:
        return {"training_queries": before, "queries": bootstrap.Estimate(each, each, each, 9)}

    found = {"agent": measures(1000, 10.0), "line": measures(100, 40.5), "free": measures(0, 8.0)}
    # (1000 - 100) / 30.5 is 29.5; a rival that asks less for each is never overtaken.
    assert break_even(found) == {"agent": {"line": 30, "free": None}, "line": {"free": None}, "free": {}}


def test_latency_is_taken_item_by_item() -> None:
    seen: list[int] = []
    found = time_alone(seen.append, [3, 4, 5])
    assert seen == [3, 3, 4, 5]  # the first once more, untimed
    assert found["alone_p50_ms"].n == 3
    assert found["alone_p50_ms"].value <= found["alone_p95_ms"].value
    assert time_alone(seen.append, [])["alone_p50_ms"].n == 0


def test_share_within_a_bound() -> None:
    assert of_path.share_within([0.1, 0.2, 0.3], 0.2) == pytest.approx(2 / 3)
    assert np.isnan(of_path.share_within([], 0.2))


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


def test_bootstrap_is_seeded_and_holds_the_value() -> None:
    values = np.arange(100.0)
    a, b = bootstrap.mean(values, seed=1), bootstrap.mean(values, seed=1)
    assert a == b
    assert a.value == 49.5
    assert a.low < 49.5 < a.high
    assert a.high - a.low == pytest.approx(2 * 1.96 * values.std() / 10, rel=0.15)  # the normal approximation
    assert bootstrap.mean(values, seed=2) != a


def test_bootstrap_of_nothing_and_of_unknown_values() -> None:
    assert bootstrap.mean([]).n == 0
    assert bootstrap.mean([np.nan]).as_dict() == {"value": None, "low": None, "high": None, "n": 0}
    assert bootstrap.mean([np.nan, 2.0]) == bootstrap.Estimate(2.0, 2.0, 2.0, 1)
    assert bootstrap.ratio([0.0], [0.0]).n == 0
    assert bootstrap.median([]).n == 0
    assert bootstrap.median([1.0, 2.0, 40.0]).value == 2.0
    assert bootstrap.quantile(np.arange(101.0), 0.95).value == 95.0


def test_bootstrap_of_a_ratio_weighs_items_by_their_steps() -> None:
    found = bootstrap.ratio([1, 9], [1, 10])  # 1 of 1 and 9 of 10 steps: 10 of 11, not the mean of 1 and 0.9
    assert found.value == pytest.approx(10 / 11)


# --- over whole sets of paths ---------------------------------------------------------------------------------------


class Line:
    """A manifold whose data are its codes."""

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return z

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def coordinates(self, z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)


def world(**changes: Any) -> Any:
    parts = {"manifold": Line(), "max_step": 1.0, "task": SimpleNamespace(name="reach", tau=0.9),
             "decode": lambda z, factual: z, "modality": "table"}  # fmt: skip
    return SimpleNamespace(**{**parts, **changes})


INPUT = Factual(torch.tensor([[-1.0, 0.0]]), torch.zeros(1, 0), torch.zeros(1, 0))


def path(z: list[list[float]], predictions: list[list[float]], **changes: Any) -> Any:
    shown = np.array(predictions)
    known = {
        "z": np.array(z, dtype=np.float32), "predictions": shown, "predicted": shown.argmax(1), "source": 0, "target": 1,
        "source_input": np.array([-1.0, 0.0]), "factual": lambda world: INPUT,
        "texts": None, "queries": 5, "success": bool(shown[-1, 1] >= 0.9),
    }  # fmt: skip
    return SimpleNamespace(**{**known, **changes})


REFERENCE = metrics.Reference(
    bank=np.array([[0.0, 0.0], [2.0, 0.0]]), bank_classes=np.array([0, 1]),
    real=np.array([[0.0, 1.0], [2.0, 1.0]]), real_classes=np.array([0, 1]),
)  # fmt: skip


def two_paths() -> list[Any]:
    arrives = path([[0, 0], [1, 0], [2, 0.5]], [[0.9, 0.1], [0.95, 0.05], [0.05, 0.95]])
    fails = path([[0, 0], [0, 3]], [[0.9, 0.1], [0.4, 0.6]], queries=9)
    return [arrives, fails]


def test_a_set_of_two_paths_by_hand() -> None:
    found = metrics.evaluate_paths(world(), two_paths(), REFERENCE)
    value = {name: estimate.value for name, estimate in found.items()}
    assert list(found) == [name for name in metrics.MEASURES if name != "edit_input"]  # of text alone
    assert value["validity"] == 0.5
    assert value["validity_argmax"] == 1.0
    # Over the one that arrived: end (2, 0.5), input (-1, 0), frame 0 (0, 0).
    assert value["l2_input"] == pytest.approx(np.sqrt(9.25))
    assert value["l1_input"] == pytest.approx(3.5)
    assert value["l2_reconstruction"] == pytest.approx(np.sqrt(4.25))
    assert value["l1_reconstruction"] == pytest.approx(2.5)
    assert value["latent_length"] == value["path_length"] == pytest.approx(1 + np.sqrt(1.25))
    # Data are codes here: the curve is the polyline, and the straight line is as long as the ends are apart.
    assert value["pullback_length"] == pytest.approx(1 + np.sqrt(1.25))
    assert value["line_ratio"] == pytest.approx((1 + np.sqrt(1.25)) / np.sqrt(4.25))
    assert value["largest_step_ratio"] == pytest.approx(2 * np.sqrt(1.25) / (1 + np.sqrt(1.25)))
    # By arc length 1 and 1.118: the lead goes -0.8, -0.9, 0.9.
    assert value["cout"] == pytest.approx((-0.85 * 1 + 0.0 * np.sqrt(1.25)) / (1 + np.sqrt(1.25)))
    assert value["validity_90"] == 0.5
    assert all(found[name].n == 0 for name in ("im1", "oracle", "completeness_gap", "detour_ratio"))  # not asked for
    assert value["straightness"] == pytest.approx(np.sqrt(4.25) / (1 + np.sqrt(1.25)))
    assert value["rising_share"] == 0.5
    assert value["tv_ratio"] == pytest.approx(0.85 / 0.95)
    assert value["class_switches"] == 1.0
    assert value["p_end"] == pytest.approx(0.95)
    assert value["frames"] == 3
    # (2, 0.5) is 0.5 from class 1; real items are 1 from theirs. Middle frame (1, 0) is 1 from both: mean of both is 1.
    assert value["knn_ratio"] == pytest.approx(0.5)
    typical = (1 + np.sqrt(5)) / 2  # a real item to both bank items
    worst = max((0 + 2) / 2, (1 + 1) / 2, (np.sqrt(4.25) + 0.5) / 2)
    assert value["worst_knn_ratio"] == pytest.approx(worst / typical)
    # Over both: three steps of 1, 1.118 and 3 with a bound of 1.
    assert value["longest_step"] == 3.0
    assert value["step_bound_share"] == pytest.approx(1 / 3)
    assert value["queries"] == 7.0
    assert found["l2_input"].n == 1


def test_no_path_and_no_valid_path_say_so() -> None:
    assert all(estimate.n == 0 for estimate in metrics.evaluate_paths(world(), [], REFERENCE).values())
    found = metrics.evaluate_paths(world(), two_paths()[1:], REFERENCE)
    assert found["validity"].value == 0.0
    assert found["l2_input"].n == 0
    assert found["rising_share"].n == 0


def test_a_path_of_one_frame_counts_but_has_no_steps() -> None:
    found = metrics.evaluate_paths(world(), [path([[2, 0]], [[0.05, 0.95]], queries=2)], REFERENCE)
    assert found["validity"].value == 1.0
    assert found["frames"].value == 1
    assert found["longest_step"].value == 0.0
    assert found["rising_share"].n == found["step_bound_share"].n == found["straightness"].n == 0


def test_labels_alone_give_no_measure_of_probabilities() -> None:
    seen = path([[0, 0], [2, 0]], [[1, 0], [0, 1]])
    seen.predictions, seen.success = None, True
    found = metrics.evaluate_paths(world(), [seen], REFERENCE)
    assert found["p_end"].n == found["rising_share"].n == found["tv_ratio"].n == 0
    assert found["validity_argmax"].value == 1.0


def test_leaving_a_class_is_judged_by_the_best_other_class() -> None:
    left = path([[0, 0], [2, 0]], [[0.8, 0.1, 0.1], [0.05, 0.0, 0.95]], target=0, success=True)
    np.testing.assert_allclose(metrics.asked_share(left, "leave"), [0.1, 0.95])
    reference = REFERENCE._replace(bank_classes=np.array([0, 2]))
    found = metrics.evaluate_paths(world(task=SimpleNamespace(name="leave", tau=0.9)), [left], reference)
    assert found["validity_argmax"].value == 1.0
    assert found["p_end"].value == pytest.approx(0.95)
    assert found["knn_ratio"].value == 0.0  # on the bank's item of the class that it became


def test_the_worlds_own_reference_leaves_items_out_of_their_own_neighbours() -> None:
    x = torch.tensor([[0.0], [1.0], [3.0], [4.0]])
    reference = SimpleNamespace(x=x, coordinates=x, label=torch.tensor([0, 0, 1, 1]))
    alone = metrics.reference_of(
        SimpleNamespace(reference=reference, held_out=SimpleNamespace(x=x, truth=None))
    )
    assert alone.same
    assert alone.typical_distance(k=1) == 1.0
    held_out = SimpleNamespace(x=torch.tensor([[0.5]]), truth=torch.tensor([0]))
    apart = SimpleNamespace(reference=reference, held_out=held_out, manifold=Line())
    assert metrics.reference_of(apart).typical_distance(k=1) == 0.5
