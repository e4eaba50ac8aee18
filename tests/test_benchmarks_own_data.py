"""The benchmark of own data: its cases, what must be refused, and the rivals without a walk."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pytest
import torch

import envs
from envs.errors import ManifoldError
from tests.benchmarks import goals, own_data, own_sizes
from tests.benchmarks.own import goals as asked_goals
from tests.benchmarks.own import refusals, sizes
from tests.benchmarks.own.cases import Case, Entry
from tests.benchmarks.own.measured import agreement, measured
from tests.benchmarks.own.unlike import asked, differing, nearest_unlike, put_back

FAST: dict[str, Any] = {"manifold": "pca", "latent_dim": 2, "progress": False}


@pytest.mark.parametrize("name", refusals.CASES)
def test_what_must_be_refused_is_refused_by_name(name: str) -> None:
    entry = refusals.CASES[name]
    with pytest.raises(ManifoldError) as refused:
        envs.make_world(**entry.make(0).settings, **FAST)
    assert entry.must_refuse is not None
    assert entry.must_refuse in str(refused.value)


@pytest.mark.parametrize("name", ["wine, forest, text classes", "iris, bool classes", "colour, channels last, uint8",
                                  "breast cancer, frame in another order", "odd columns, forest by column name"])  # fmt: skip
def test_the_world_asks_the_classifier_of_the_case(name: str) -> None:
    case = own_data.CASES[name].make(0)
    found = agreement(envs.make_world(**case.settings, **FAST), case)
    assert found["agreement"] == 1
    assert found["largest"] < 1e-5


def test_columns_are_put_back_only_where_the_class_stays_another() -> None:
    case = own_data.CASES["wine, forest, text classes"].make(0)
    world = envs.make_world(**case.settings, **FAST)
    x, cells = world.held_out.x[:20], world.held_out.cells[:20]  # type: ignore[index]
    source = world.classifier.predict_proba(x, cells).argmax(1)
    plain = nearest_unlike(world, x, source)
    back = put_back(world, cells, source, plain.cells)
    assert (asked(world, plain.cells) != source).all()
    assert (asked(world, back.cells) != source).all()
    assert (differing(cells, back.cells).sum(1) <= differing(cells, plain.cells).sum(1)).all()
    assert bool((back.queries == differing(cells, plain.cells).sum(1)).all())


def test_missing_cells_are_alike() -> None:
    nan = float("nan")
    found = differing(torch.tensor([[nan, nan, 1.0]]), torch.tensor([[nan, 1.0, 2.0]]))
    assert found.tolist() == [[False, True, True]]


def test_a_missing_package_and_a_traceback_are_figures_too() -> None:
    def broken(seed: int) -> Case:
        raise RuntimeError("the user's own fault")

    assert measured(Entry(broken, None, "no_such_package"), 0, 1, 1)["skipped"] == "no_such_package"
    assert "the user's own fault" in measured(Entry(broken), 0, 1, 1)["traceback"]


def test_the_page_names_what_is_missed() -> None:
    figures = {"found": 0.5, "agent_found": 0.4, "line_found": 0.5, "agreement": 1.0, "flips": 0.5, "train_seconds": 3.0}
    refused = [{"refused": "dates", "expected": True}]
    record = {"command": "python", "seeds": [0], "steps": None, "items": 5,
              "cases": {"iris, forest": [{**figures, "queries": 3.0}], "a column of dates without a unit": refused,
                        "20 classes": [{"traceback": "..."}]}}  # fmt: skip
    page = own_data.page(record)
    assert "| iris, forest | 1.000; – | 0.50, 0.40, 0.50 | 0.50 |" in page
    assert "aim >= 0.97: 0 of 1 cases. Missed: iris, forest (0.500)" in page
    assert "Tracebacks: 20 classes." in page
    assert "| a column of dates without a unit | yes | dates |" in page
    assert len(own_data.TITLES) <= 8


def test_rows_are_split_alike_for_data_and_classes() -> None:
    from tests.benchmarks.own.cases import split

    x, later, y, later_y = split(np.arange(20)[:, None], np.arange(20) % 2, 0)
    assert (x[:, 0] % 2 == y).all()
    assert (later[:, 0] % 2 == later_y).all()


def test_the_page_of_sizes_keeps_what_was_measured_before() -> None:
    figures = {"found": 1.0, "line_found": 0.95, "agreement": 1.0, "flips": 0.9, "build_seconds": 3.0, "train_seconds": 2.0}
    cases = {"2 classes": [figures], "500 columns": [{"refused": "too many", "expected": False}]}
    page = own_sizes.page({"seeds": [0], "cases": cases})
    assert "| 2 classes | 1.000 | 1.00, 0.95 | 0.90 |" in page
    assert "Refused: 500 columns (too many)." in page

    def run(runs: Any, name: str) -> list[dict[str, Any]]:
        return [{"found": 0.5} for _ in runs]

    options = argparse.Namespace(seeds=[0], cases=["2 classes"], runner=run, before={"cases": cases})
    assert next(own_sizes.measure(options))["cases"] == {**cases, "2 classes": [{"found": 0.5}]}


@pytest.mark.parametrize(
    "name", ["an ONNX file", "a frame of polars", "constant and duplicate columns, frame", "a noisy classifier"]
)
def test_unusual_data_are_asked_of_the_users_own_classifier(name: str) -> None:
    case = sizes.CASES[name].make(0)
    found = agreement(envs.make_world(**case.settings, **FAST), case)
    assert found["agreement"] >= (0.9 if name == "a noisy classifier" else 1)


@pytest.mark.filterwarnings("ignore")  # of a training that is far too short
def test_a_case_of_sizes_gives_every_figure_of_its_page() -> None:
    case = sizes.CASES["30 rows"].make(0)
    found = own_sizes._figures(case._replace(settings={**case.settings, "manifold": "pca", "latent_dim": 2}), 0, 64, 2)
    assert {"found", "line_found", "flips", "queries", "build_seconds", "train_seconds", "explain_ms"} <= set(found)


@pytest.mark.parametrize("name", asked_goals.CASES)
def test_the_model_of_a_goal_knows_where_it_is_reached(name: str) -> None:
    case = asked_goals.CASES[name](0)
    if isinstance(case.settings["data"], str):  # digits
        return
    start = case.outputs(case.settings["held_out"])
    there = case.holds(start, start)
    assert there.shape == (len(start),)
    assert there.any() != name.startswith(("labels: flip", "a score: +10")), "an input is not at a change of itself"


@pytest.mark.filterwarnings("ignore")  # of a training that is far too short
def test_a_goal_gives_every_figure_of_its_page(monkeypatch: pytest.MonkeyPatch) -> None:
    case = asked_goals.CASES["labels: flip a, hold others"](0)
    fast = case._replace(settings={**case.settings, "manifold": "pca", "latent_dim": 4})
    monkeypatch.setattr(goals, "CASES", {"labels": lambda seed: fast})
    found = goals.figures("labels", 0, 64, 2)
    line = found["ways"]["line"]
    assert line["reached"] == line["own"] == 1
    page = goals.page({"command": "python", "seeds": [0], "cases": {"labels": [found]}})
    assert f"| labels | {found['asked']} | line | 1.000 | 1.000 |" in page
    assert len(goals.TITLES) <= 8
