"""Measures over many paths, against cases worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from agents.explanation.metrics import evaluate as metrics
from envs.core.factual import Factual
from envs.core.tasks import Leave, Task


class Line:
    """A manifold whose data are its codes."""

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return z

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def coordinates(self, z: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)


def world(**changes: Any) -> Any:
    parts = {"manifold": Line(), "max_step": 1.0, "task": Task(tau=0.9),
             "decode": lambda z, factual: z, "modality": "table", "units": SimpleNamespace(anchored=False)}  # fmt: skip
    return SimpleNamespace(**{**parts, **changes})


INPUT = Factual(torch.tensor([[-1.0, 0.0]]), torch.zeros(1, 0), torch.zeros(1, 0))


def path(z: list[list[float]], predictions: list[list[float]], **changes: Any) -> Any:
    shown = np.array(predictions)
    known = {
        "z": np.array(z, dtype=np.float32), "predictions": shown, "predicted": shown.argmax(1), "source": 0, "target": 1,
        "source_input": np.array([-1.0, 0.0]), "factual": lambda world: INPUT,
        "texts": None, "goal": None, "queries": 5, "success": bool(shown[-1, 1] >= 0.9),
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
    assert list(found) == [name for name in metrics.MEASURES if name not in ("edit_input", "changed_columns")]
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
    np.testing.assert_allclose(metrics.pursued_probability(left, towards_target=False), [0.1, 0.95])
    reference = REFERENCE._replace(bank_classes=np.array([0, 2]))
    found = metrics.evaluate_paths(world(task=Leave(tau=0.9)), [left], reference)
    assert found["validity_argmax"].value == 1.0
    assert found["p_end"].value == pytest.approx(0.95)
    assert found["knn_ratio"].value == 0.0  # on the bank's item of the class that it became


def test_the_worlds_own_reference_leaves_items_out_of_their_own_neighbours() -> None:
    x = torch.tensor([[0.0], [1.0], [3.0], [4.0]])
    reference = SimpleNamespace(x=x, coordinates=x, label=torch.tensor([0, 0, 1, 1]))
    alone = metrics.reference_of(SimpleNamespace(reference=reference, held_out=SimpleNamespace(x=x, truth=None)))
    assert alone.same
    assert alone.typical_distance(k=1) == 1.0
    held_out = SimpleNamespace(x=torch.tensor([[0.5]]), truth=torch.tensor([0]))
    apart = SimpleNamespace(reference=reference, held_out=held_out, manifold=Line())
    assert metrics.reference_of(apart).typical_distance(k=1) == 0.5
