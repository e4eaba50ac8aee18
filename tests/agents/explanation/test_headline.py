"""The headline of every kind of path and data."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import envs
from agents.explain import explain
from agents.explanation.contributions import Contributions, Part
from agents.explanation.headline import headline, turning_point
from agents.trajectories.trajectory import Trajectory
from envs.core.world import World


@pytest.fixture(scope="module")
def path(digits: World) -> Trajectory:
    return explain(digits, 11, walker="line")


def made(*parts: tuple[str, str, float], start: float = 0.02, end: float = 0.93) -> Contributions:
    """Contributions of these parts: name, change, value."""
    found = [Part(name, change, {"column": 0}, value, 0.0) for name, change, value in parts]
    return Contributions(found, 8, start, end, 0.98, 9, [-1, 3], 12, True, 0)


def test_it_names_the_parts_that_matter_and_their_share(path: Trajectory) -> None:
    bar, top, other = ("the left bar", "is removed", 0.4), ("the top", "is closed", 0.47), ("the right bar", "is drawn", 0.04)
    assert headline(path, made(bar, top, other)) == (
        "Predicted 5 (0.98). The prediction becomes 8 (0.91) at step 3: "
        "the top is closed and the left bar is removed (0.96 of the rise)."
    )
    against = made(("the top", "is closed", 1.0), ("the left bar", "is drawn", -0.09))
    assert headline(path, against).endswith(": the top is closed (all of the rise).")
    falls = made(("the top", "is closed", -0.3), ("the left bar", "is drawn", 0.1), start=0.3, end=0.1)
    assert headline(path, falls).endswith(": the top is closed (all of the fall).")
    assert headline(path, made(start=0.5, end=0.5)).endswith("at step 3.")


def test_long_names_and_markup_stay_in_one_line(path: Trajectory) -> None:
    said = headline(path, made(("<b>\nx" * 80, "40 → 48", 0.91)))
    assert "\n" not in said
    assert len(said) < 200
    assert "<b> x<b> x" in said


def test_where_the_prediction_turns(path: Trajectory) -> None:
    assert turning_point(np.array([4, 9, 4, 9, 9]), 9) == 3
    assert turning_point(np.array([9, 9]), 9) == 0
    early = np.eye(10)[[5, 8, 8, 8]] * 0.91 + 0.009
    assert "becomes 8 at step 1 (0.92 at the end, step 3)" in headline(dataclasses.replace(path, predictions=early))
    unfaithful = headline(dataclasses.replace(path, predictions=early[[1, 1, 1, 1]]))
    assert "Frame 0, the reconstruction, is predicted as 8 (0.92 at the end, step 3)" in unfaithful
    failed = headline(dataclasses.replace(path, predictions=early[[0, 0, 0, 0]], success=False))
    assert failed == "Predicted 5. The prediction does not become 8 (p = 0.01 at the end)."


def test_tables_say_whether_anything_else_changes() -> None:
    iris = envs.make_world(data="iris")
    flower = explain(iris, 4, walker="line", sparse=False)
    whole = flower.contributions()
    assert flower.headline.endswith(", petal width in cm 1.40 → 1.44, and 2 more columns (0.95 of the rise).")
    alone = dataclasses.replace(whole, parts=whole.parts[:1])
    assert "; nothing else changes (" in headline(flower, alone)


def test_text_is_told_by_word_pairs() -> None:
    world = envs.make_world(data="sentences")
    said = explain(world, 0, walker="line")
    said.contributions()
    assert " → “" in said.headline or "is inserted" in said.headline or "is removed" in said.headline


def test_labels_alone_have_no_probabilities() -> None:
    world = envs.make_world(data="iris", label_only=True)
    path = explain(world, 0, walker="line")
    path.contributions()
    assert "(" not in path.headline.replace("(cm)", "")


def test_a_path_from_a_file_is_told_without_a_world(path: Trajectory, tmp_path) -> None:
    back = Trajectory.load(dataclasses.replace(path).save(tmp_path / "path"))
    assert back.headline == "Predicted 5. The prediction becomes 8 (0.91) at step 3."
    assert headline(back, world=path.world) == headline(dataclasses.replace(path), world=path.world)


def test_walks_without_another_target_are_told() -> None:
    world = envs.make_world(data="digits", task="leave")
    left = explain(world, 11, walker="line")
    assert left.headline.startswith("Predicted 5. The prediction ")
