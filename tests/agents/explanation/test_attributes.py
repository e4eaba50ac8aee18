"""Attributes along a path, and their changes in words."""

from __future__ import annotations

import envs
from agents.explain import explain
from agents.explanation.attributes import attribute_changes, attribute_table
from agents.explanation.headline import headline
from envs.geometry.strokes import STROKES, Attribute


def test_attributes_are_measured_along_the_path() -> None:
    digits = envs.make_world(data="digits")
    path = explain(digits, 11, walker="line")
    values = attribute_table(path, digits)
    assert list(values) == ["loops", "thickness", "slant"]
    assert all(len(column) == path.steps + 1 for column in values.values())
    told = attribute_changes(path, digits)
    assert ("loop closed" in told) == (values["loops"][-1] > values["loops"][0])
    assert headline(path, attributes=STROKES).endswith(f" From frame 0 to the end: {', '.join(told)}.")
    own = Attribute("ink", lambda x: x.flatten(1).sum(1), "units", "{} more ink", "{} less ink", 0.0)
    assert "ink" in attribute_changes(path, digits, [own])[0]
    assert attribute_changes(path, digits, [own._replace(least=1e9)]) == []


def test_tables_have_none() -> None:
    iris = envs.make_world(data="iris")
    flower = explain(iris, 0, walker="line")
    assert attribute_table(flower, iris) == {}
    assert attribute_changes(flower, iris) == []
