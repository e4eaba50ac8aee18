"""Columns that may vary, and permitted ranges, on a mixed table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents import Explainer, constrained
from envs import ManifoldError, UnknownNameError, make_world

pandas = pytest.importorskip("pandas")


def approves(frame: Any) -> np.ndarray:
    """The classifier: income less what a renter lacks, in classes 0 and 1."""
    good = 1 / (1 + np.exp(-(frame["income"].to_numpy(float) - 40 - 8 * (frame["home"] == "rent").to_numpy()) / 4))
    return np.stack([1 - good, good], axis=1)


@pytest.fixture(scope="module")
def world() -> Any:
    """120 loans: two numbers and a category."""
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {
            "age": rng.integers(20, 70, 120),
            "income": rng.normal(40, 12, 120).round(1),
            "home": rng.choice(["own", "rent", "other"], 120),
        }
    )
    return make_world(data=frame, classifier=approves, class_names=["refused", "approved"], fit={"epochs": 20}, progress=False)


def test_what_may_not_vary_stays_and_ranges_hold_on_every_frame(world: Any) -> None:
    refused = [row for row in range(len(world.held_out.x)) if int(world.reference.label[row]) == 0][:8]
    explainer = Explainer(world)
    free = explainer.explain(rows=refused)
    assert any(path.to_pandas()["home"].nunique() > 1 or path.to_pandas()["age"].nunique() > 1 for path in free)
    for path in explainer.explain(rows=refused, features_to_vary=["income"], permitted_range={"income": (0, 60)}):
        rows = path.to_pandas()
        assert rows["home"].nunique() == rows["age"].nunique() == 1
        assert rows["income"].max() <= max(60, rows["income"].iloc[0])


def test_a_world_without_constraints_is_the_world_itself(world: Any) -> None:
    assert constrained(world) is world
    assert constrained(world, permitted_range={"income": (0, 50)}).manifold is world.manifold


def test_what_cannot_be_constrained_is_refused(world: Any) -> None:
    with pytest.raises(UnknownNameError, match="'home'"):
        constrained(world, ["hom"])
    with pytest.raises(ManifoldError, match="holds categories"):
        constrained(world, permitted_range={"home": (0, 1)})
    with pytest.raises(ManifoldError, match=r"\['income'\]"):
        constrained(world, "income")
    with pytest.raises(ManifoldError, match="for tables"):
        constrained(make_world(data="digits", progress=False), ["age"])
