"""Inputs that a visitor of the explorer types."""

from __future__ import annotations

import numpy as np

import envs
from agents.app.inputs import form
from agents.app.views import form_fields


def test_rows_of_a_table_without_column_names_are_typed_by_place() -> None:
    rows = np.random.default_rng(0).normal(size=(60, 3))
    high = lambda x: np.eye(2)[(np.asarray(x)[:, 0] > 0).astype(int)]  # noqa: E731
    world = envs.make_world(data=rows, classifier=high, class_names=["low", "high"], progress=False)
    value = dict(zip([field["name"] for field in form_fields(world)], ["0.5", "-1", "2"], strict=True))
    assert list(value) == ["column 0", "column 1", "column 2"]
    assert world.units.values(form(world, value).cells)[0].tolist() == [0.5, -1.0, 2.0]
