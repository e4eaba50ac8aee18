"""Explanations with other targets than one class: scores, labels, groups, ordered classes, and an answer that abstains."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console
from sklearn.linear_model import LogisticRegression

from agents import Explainer, Trajectory
from agents.explain import explain
from agents.explanation.contributions.compute import contributions
from agents.explanation.figures.path import film_strip
from agents.explanation.figures.terminal import PathScreen
from agents.explanation.metrics.evaluate import evaluate_paths
from agents.explanation.report.card import Card
from agents.explanation.report.export import export
from agents.explanation.report.page import render_report
from agents.replay import compare
from agents.trajectories.file import TrajectoryError, as_text, read_parts, write_parts
from agents.trajectories.goal import in_goal_of
from envs import ManifoldError, UnknownNameError, make_world
from envs.goals import AnyOf, Change, FlipLabel, ScoreGoal

ROWS = np.random.default_rng(1).normal(size=(160, 3)).round(3)
QUICK = {"data": ROWS, "columns": ["a", "b", "c"], "manifold": "pca", "latent_dim": 3, "progress": False}


def price(rows):
    return 30 * rows[:, 0] + 10 * np.sin(rows[:, 1])


@pytest.fixture(scope="module")
def world():
    return make_world(classifier=price, outputs="score", **QUICK)


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        (">= 20", lambda s, end: end >= 20),
        ("<= -10", lambda s, end: end <= -10),
        ("-5..5", lambda s, end: -5 <= end <= 5),
        ("+10 %", lambda s, end: end >= s + 0.1 * abs(s)),
        ("-5", lambda s, end: end <= s - 5),
        (ScoreGoal(low=20.0), lambda s, end: end >= 20),
        (Change(8.0), lambda s, end: end >= s + 8),
    ],
    ids=lambda one: "" if callable(one) else str(one),
)
def test_walks_end_where_the_score_is_at_the_goal(world, target, wanted):
    paths = explain(world, range(12), target, walker="line", skip_present=True)
    assert paths
    assert all(path.success for path in paths)
    for path in paths:
        own, end = price(ROWS[[path.index]])[0], path.scores[-1]
        rows = path.to_pandas(path.world)[["a", "b", "c"]].to_numpy(dtype=float)
        assert path.scores == pytest.approx(price(rows), rel=1e-4, abs=1e-3)  # the score itself, frame by frame
        assert wanted(own, end), (own, end)


def test_the_queries_of_relative_targets_count(world):
    first = world.classifier.queries
    paths = explain(world, None, "+9", rows=[3, 4, 5], walker="line")
    assert sum(path.queries for path in paths) == world.classifier.queries - first


def test_several_targets_keep_the_order_of_the_inputs(world):
    targets = ["+9", ">= 20", "<= -10", "-9", ">= 20", "+9"]
    paths = explain(world, range(6), targets, walker="line", skip_present=True)
    assert [path.index for path in paths] == sorted(path.index for path in paths)
    assert {path.requested for path in paths} <= set(targets)
    assert [path.requested for path in paths] == [targets[path.index] for path in paths]


def test_contributions_divide_the_change_of_the_score(world):
    path = explain(world, 3, "+9", walker="line", sparse=False)
    found = contributions(path, world)  # the path's own goal is found
    assert found.start == pytest.approx(price(ROWS[[3]])[0], rel=1e-4)
    assert found.end == pytest.approx(path.scores[-1], rel=1e-6)
    assert found.total >= 9
    assert sum(part.value for part in found.parts) == pytest.approx(found.total, abs=1e-6)


def test_what_is_shown_is_the_score(world):
    path = explain(world, 3, "+9", walker="line")
    path.contributions()
    start, end = path.shown.text(path.scores[0]), path.shown.text(path.scores[-1])
    assert path.headline.startswith(f"Predicted {start} → {end}, the goal {path.class_names[1]} (+9) is reached at step ")
    assert f"score rises {start} → {end}" in path.summary()
    rows = path.table()
    assert [row["score"] for row in rows] == path.scores.tolist()
    assert "p_target" not in rows[0]
    assert path.plot().get_ylabel().startswith("score (goal >= ")
    assert "score" in path.to_pandas(world).columns
    console = Console(width=100, record=True, file=io.StringIO())
    PathScreen(path, path.world, console).show()
    assert path.shown.exact(path.scores[-1]) in console.export_text()
    card = Card(1, path, path.world, mapped=False)
    assert card.caption(2) == f"end, step {path.steps}, score {end}"
    assert card.data["said"][-1] == end
    assert max(card.data["p"]) <= 1
    page = render_report([path], world)
    assert f"score from {start} to {end}" in page
    assert "probability" not in page.partition("<svg")[2].partition("</svg>")[0]
    assert film_strip(path, world)[:4] == export(card, "png")[:4] == b"\x89PNG"


def test_files_keep_the_goal_and_the_reader_checks_it(world, tmp_path):
    path = explain(world, 3, "+10 %", walker="line")
    path.contributions()
    again = Trajectory.load(path.save(tmp_path / "path.npz"))
    assert again == path
    assert again.goal == path.goal
    assert again.requested == "+10 %"
    assert compare(again, world).reproduced
    arrays, fields = read_parts(tmp_path / "path.npz")
    for goal, match in ((">= 7", "has the outcomes"), (">= much", "is damaged"), (7, "is damaged"), ("+9", "is damaged")):
        broken = json.loads(json.dumps(fields))
        broken["environment"]["config"]["goal"] = goal
        write_parts(tmp_path / "broken.npz", arrays, as_text(broken))
        with pytest.raises(TrajectoryError, match=match):
            Trajectory.load(tmp_path / "broken.npz")


def test_paths_with_their_own_goals_are_measured_and_reported_together(world):
    paths = explain(world, range(4), "+9", walker="line") + explain(world, range(4), "-5..5", walker="line", skip_present=True)
    measured = evaluate_paths(world, paths, resamples=10)
    assert measured["validity"].value == 1
    assert np.isfinite(measured["knn_ratio"].value)
    assert np.isnan(measured["validity_90"].value), "shares of a goal are not probabilities"
    assert in_goal_of(paths[0], world) is in_goal_of(paths[0], world)
    assert "8 of 8" in render_report(paths, world) or len(paths) < 8


@pytest.mark.parametrize(
    ("target", "match"),
    [
        (">= 900", r"row 3: no reference row is at the goal '>= 900': their scores lie from"),
        (">= 20 euros", "ends in 'euros'"),
        ("high", "not a goal on a score"),
        (17.5, "target 17.5: say on which side of it the score should be, such as '>= 17.5'"),
        ({"a"}, "is a group of classes; this world has a score"),
        (FlipLabel("a"), "target 'flip a, hold others' is a goal on labels, and this world has a score"),
    ],
)
def test_targets_that_do_not_fit_a_score_are_refused(world, target, match):
    with pytest.raises(ManifoldError, match=match):
        explain(world, 3, target, walker="line")


def test_inputs_whose_goal_is_out_of_reach_are_left_out_of_a_batch_with_a_warning(world):
    top = int(np.argmax(price(ROWS)))
    with pytest.warns(UserWarning, match=f"left out 1 of 2 inputs: row {top}: no reference row"):
        paths = explain(world, [top, 3], "+9", walker="line", skip_present=True)
    assert [path.index for path in paths] == [3]


# ---- labels -------------------------------------------------------------------------------------------------------------


def weather(rows):
    return 1 / (1 + np.exp(-3 * rows[:, :2] @ np.array([[1.0, 0.6], [0.0, 1.0]])))  # wet comes with warm


def test_a_label_flips_while_others_hold():
    world = make_world(classifier=weather, outputs="labels", class_names=["warm", "wet"], **QUICK)
    for target, held in (("flip warm", False), ("flip warm, hold others", True), (FlipLabel("warm", ["wet"]), True)):
        paths = explain(world, range(20), target, walker="line")
        assert np.mean([path.success for path in paths]) >= 0.9
        for path in (path for path in paths if path.success):
            own, end = weather(path.to_pandas(path.world)[["a", "b", "c"]].to_numpy(float))[[0, -1]] >= 0.5
            assert own[0] != end[0]
            assert not held or own[1] == end[1]
    assert path.requested == "flip warm, hold wet"
    assert path.shown.name.startswith("p(")
    with pytest.raises(UnknownNameError, match="unknown label 'cold'"):
        explain(world, 0, "flip cold", walker="line")


# ---- classes ------------------------------------------------------------------------------------------------------------


def sized(rows):
    names = np.digitize(rows[:, 0], [-0.5, 0.5])
    return np.eye(3)[names] * 0.8 + 0.2 / 3


SIZES = {
    "classifier": sized,
    "class_names": ["small", "medium", "large"],
    "class_order": ["small", "medium", "large"],
    **QUICK,
}


@pytest.mark.parametrize(
    ("target", "ends"),
    [
        (">= medium", {"medium", "large"}),
        ("any of small, large", {"small", "large"}),
        ({"small", "large"}, {"small", "large"}),
        (AnyOf(["large"]), {"large"}),
    ],
    ids=lambda one: str(sorted(one) if isinstance(one, set) else one),
)
@pytest.mark.parametrize("settings", [{}, {"tau": 0.6}], ids=["flip", "reach"])
def test_a_group_of_classes_is_reached_by_any_of_them(target, ends, settings):
    world = make_world(**SIZES, **settings)
    paths = explain(world, range(30), target, walker="line", skip_present=True)
    assert paths
    assert np.mean([path.success for path in paths]) >= 0.8
    if len(ends) == 1:  # the same as that class
        plain = explain(world, range(30), *ends, walker="line", skip_present=True)
        assert [path.success for path in paths] == [path.success for path in plain]
    paths = [path for path in paths if path.success]
    assert {path.class_names[path.target] for path in paths} <= ends
    assert all(path.class_names[path.source] not in ends and path.target == path.predicted[-1] for path in paths)
    assert all(compare(path, world).reproduced for path in paths[:3])
    nearer = [p for p in paths if p.class_names[p.source] == "small"]
    assert all(p.class_names[p.target] == "medium" for p in nearer) or "medium" not in ends  # the nearest class of the group


def test_groups_and_classes_in_one_list():
    world = make_world(**SIZES)
    rows = [int(np.flatnonzero(ROWS[:, 0] < -0.6)[k]) for k in range(3)]
    paths = explain(world, None, [">= medium", "large", "own"], rows=rows, walker="line")
    assert [path.class_names[path.target] for path in paths] == ["medium", "large", "small"]
    assert [path.requested for path in paths] == ["any of medium, large", None, None]


def test_groups_that_do_not_fit_are_refused():
    world = make_world(**{**SIZES, "class_order": None})
    with pytest.raises(ManifoldError, match="have no order"):
        explain(world, 0, ">= medium", walker="line")
    with pytest.raises(ManifoldError, match="is a goal on a score or on labels; this world has the classes"):
        explain(world, 0, ScoreGoal(low=1.0), walker="line")
    own = explain(world, [0], None, walker="line")[0]
    with pytest.raises(ManifoldError, match="is what the classifier already says of row 0: ask for another target"):
        explain(world, 0, {own.class_names[own.source], "huge"} - {"huge"}, walker="line")


def test_abstention_is_a_class_like_others():
    model = LogisticRegression().fit(ROWS, ROWS[:, 0] > 0)

    def unsure(rows):
        p = model.predict_proba(rows)
        p = np.concatenate([p, np.where(p.max(1, keepdims=True) < 0.8, 3.0, 0.0)], axis=1)
        return p / p.sum(1, keepdims=True)

    world = make_world(classifier=unsure, class_names=["no", "yes", "abstain"], **QUICK)
    to = explain(world, range(20), "abstain", walker="line", skip_present=True)
    away = explain(world, range(20), "any of no, yes", walker="line", skip_present=True)
    assert to
    assert away
    assert all(path.success for path in [*to, *away])
    assert {path.class_names[path.source] for path in away} == {"abstain"}


def test_constraints_hold_on_the_way_to_a_goal(world):
    paths = Explainer(world, walker="line").explain(ROWS[:6], "+6", features_to_vary=["a"], skip_present=True)
    assert np.mean([path.success for path in paths]) >= 0.8
    for path in paths:
        rows = path.to_pandas()[["b", "c"]].to_numpy(float)
        assert (rows == rows[0]).all()
        assert compare(path, path.world).reproduced
