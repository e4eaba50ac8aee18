"""Worlds of a score or of labels: default goals, other goals without a query, what is kept, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from envs import ManifoldError, WorldConfig, make_world
from envs.core.known_predictions import KnownPredictions, predictions_of
from envs.goals import ScoreGoal

ROWS = np.random.default_rng(1).normal(size=(80, 3)).round(3)
MODEL = LinearRegression().fit(ROWS, 30 * ROWS[:, 0] + 10 * ROWS[:, 1])
QUICK = {"data": ROWS, "manifold": "pca", "progress": False}
SCORES = MODEL.predict(ROWS)


@pytest.fixture(scope="module")
def world():
    return make_world(classifier=MODEL, **QUICK)


def test_the_default_goal_is_the_median_in_units_of_the_spread(world):
    assert world.config.goal == f">= {float(f'{np.median(SCORES):.4g}'):g}"
    assert world.config.spread == pytest.approx(SCORES.std(), rel=1e-6)
    assert world.stop_rule == f"the goal {world.config.goal}"
    assert "score, goal" in repr(world)
    assert abs(float((world.reference.label == 1).double().mean()) - 0.5) < 0.03


def test_another_goal_takes_no_query_and_keeps_the_unit(world):
    before = world.classifier.queries
    other = world.replace(goal=">= 20")
    assert other.reference.label.tolist() == (SCORES >= 20).astype(int).tolist()
    assert other.class_names == ["< 20", ">= 20"]
    assert other.config.spread == world.config.spread
    assert world.replace(goal=ScoreGoal(low=-5, high=5)).classes == 3
    assert other.replace(goal=None).config.goal == world.config.goal
    assert world.classifier.queries == before
    elsewhere = world.reference.end_predictions  # queried once for all goals
    asked = world.classifier.queries
    assert other.reference.end_predictions.shape == elsewhere.shape
    assert world.classifier.queries == asked


def test_a_world_is_built_again_from_its_config(world):
    again = make_world(world.config.replace(goal="<= -4"))
    assert WorldConfig.from_json(world.config.to_json()).goal == world.config.goal
    assert again.reference.label.tolist() == world.replace(goal="<= -4").reference.label.tolist()


def test_kept_outputs_serve_every_goal(world, tmp_path):
    file = tmp_path / "known.safetensors"
    file.write_bytes(predictions_of(world).to_bytes())
    assert KnownPredictions.read(file).outputs["own"][:, 0] == pytest.approx(SCORES)
    again = make_world(classifier=MODEL, goal=">= 20", known_predictions=file, **QUICK)
    assert again.classifier.queries <= 32
    assert again.reference.label.tolist() == (SCORES >= 20).astype(int).tolist()


def test_labels_have_a_goal_of_their_own():
    sides = [LogisticRegression().fit(ROWS, ROWS[:, j] > 0) for j in range(2)]

    def both(rows):
        return np.stack([side.predict_proba(rows)[:, 1] for side in sides], axis=1)

    world = make_world(classifier=both, outputs="labels", class_names=["warm", "wet"], **QUICK)
    assert world.config.goal == "warm=yes"
    assert world.class_names == ["no warm", "warm"]
    held = world.replace(goal="wet=no, warm=yes")
    p = both(ROWS)
    wanted = (p[:, 0] >= 0.5) & (p[:, 1] < 0.5)
    assert (held.reference.label == held.goal.wanted).tolist() == wanted.tolist()


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"goal": ">= 1000"}, r"no reference row is at the goal '>= 1000': their scores lie from -\d+.* to \d+"),
        ({"goal": ">= -1000"}, "every reference row is at the goal"),
        ({"goal": "+10 %"}, "depends on the input"),
        ({"tau": 0.9}, "tau=0.9 is for classes; this world's walks end at the goal"),
        ({"task": "reach"}, "the task 'reach' ends at a probability, and this world has a score: use task='flip'"),
        ({"goal": 3}, "goal is a text"),
        ({"spread": 0.0}, "spread is 0.0"),
    ],
)
def test_goals_that_do_not_fit_are_refused(world, settings, match):
    with pytest.raises(ManifoldError, match=match):
        world.replace(**settings)
    with pytest.raises(ManifoldError, match=match):
        make_world(classifier=MODEL, **QUICK, **settings)


def test_a_goal_is_not_for_classes():
    with pytest.raises(
        ManifoldError, match="is for models with outputs='score' or 'labels'; for classes, pass it as the target"
    ):
        make_world(data="iris", goal=">= 2", progress=False)
    with pytest.raises(ManifoldError, match="is for models with outputs='score'"):
        make_world(data="iris", progress=False).replace(goal=">= 2")


def test_a_constant_score_is_refused():
    with pytest.raises(ManifoldError, match="predicts the score 1 for every reference row"):
        make_world(classifier=lambda rows: np.ones(len(rows)), outputs="score", **QUICK)


def numbers_file(folder, cell="", different=60):
    value = 30 * ROWS[:, 0] + 10 * ROWS[:, 1] if different > 60 else np.arange(80) % different
    lines = [f"{a},{b},{c},{v}" for (a, b, c), v in zip(ROWS, value, strict=True)]
    lines[7] = lines[7].rpartition(",")[0] + f",{cell}" if cell else lines[7]
    (folder / "numbers.csv").write_text("a,b,c,cost\n" + "\n".join(lines) + "\n")
    return {"data": str(folder / "numbers.csv"), "target_column": "cost", "progress": False, "manifold": "pca"}


def test_a_network_is_fitted_to_a_column_of_numbers(tmp_path):
    world = make_world(**numbers_file(tmp_path, different=80), outputs="score")
    assert world.units.columns == ["a", "b", "c"]
    assert world.held_out.truth is None
    rows = np.array([[float(cell) for cell in row] for row in world.units.values(world.held_out.cells)])
    score = world.classifier.outputs(world.held_out.x, world.held_out.cells)[:, 0]
    assert np.corrcoef(score, 30 * rows[:, 0] + 10 * rows[:, 1])[0, 1] > 0.9
    again = make_world(**numbers_file(tmp_path, different=80), outputs="score")
    assert again.reference.outputs["own"].tolist() == world.reference.outputs["own"].tolist()


def test_numbers_of_a_target_column_are_not_taken_for_classes_in_silence(tmp_path):
    with pytest.raises(ManifoldError, match=r"too many for classes.*outputs='score' \(--outputs score\)"):
        make_world(**numbers_file(tmp_path, different=80))
    with pytest.warns(UserWarning, match="'cost' holds 30 different numbers, and each is a class.*outputs='score'"):
        make_world(**numbers_file(tmp_path, different=30))
    for cell, match in (("dear", "line 9, column 'cost': 'dear' is not a number"), ("nan", "line 9.*missing or infinite")):
        with pytest.raises(ManifoldError, match=match):
            make_world(**numbers_file(tmp_path, cell, different=80), outputs="score")
