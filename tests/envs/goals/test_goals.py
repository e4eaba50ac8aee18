"""Goals on scores, labels and groups of classes: progress by hand, monotone, there and back, and every refusal."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.errors import ManifoldError, UnknownNameError
from envs.goals import AnyOf, Change, FlipLabel, LabelGoal, ScoreGoal, read_goal, read_group, read_request
from envs.goals.classes import ordered

LABELS = ["cat", "dog", "car"]
GOALS = [ScoreGoal(low=0.7), ScoreGoal(high=3.0, spread=2.0), ScoreGoal(low=2.0, high=4.0), ScoreGoal(low=1.0, strict=True)]
numbers = st.floats(-1e6, 1e6)


def column(*scores):
    return np.array(scores, dtype=np.float64)[:, None]


def test_progress_by_hand():
    # one spread of 2 short of the limit: 1 / (2 (1 + 1)); one beyond it: 1 - 1 / (2 (1 + 1))
    goal = ScoreGoal(low=5.0, spread=2.0)
    assert goal.progress(column(3.0, 7.0, 5.0)).tolist() == pytest.approx([0.25, 0.75, 0.5], abs=1e-6)
    assert goal.shares(column(3.0)).tolist() == [[0.75, 0.25]]
    down = ScoreGoal(high=5.0, spread=2.0)
    assert down.shares(column(7.0)).tolist() == [[0.25, 0.75]]
    inside = ScoreGoal(low=2.0, high=4.0)
    assert inside.shares(column(1.0, 3.0, 6.0)).round(4).tolist() == [[0.75, 0.25, 0], [0.25, 0.75, 0], [0, 0.1667, 0.8333]]


@pytest.mark.parametrize("goal", GOALS, ids=str)
@given(a=numbers, b=numbers)
def test_nearer_the_range_never_scores_less_and_the_wanted_outcome_wins_exactly_at_the_goal(goal, a, b):
    rows = column(a, b)
    progress, there = goal.progress(rows), goal.reached(rows)
    away = [max(goal.low - s, s - goal.high) for s in (a, b)]
    assert away[0] == away[1] or (progress[0] >= progress[1]) == (away[0] < away[1]) or progress[0] == progress[1]
    shares = goal.shares(rows).astype(np.float32)
    assert np.allclose(shares.sum(1), 1)
    assert (shares >= 0).all()
    assert ((shares.argmax(1) == goal.wanted) == there).all()


@pytest.mark.parametrize("goal", GOALS, ids=str)
@given(score=numbers)
def test_the_score_comes_back_from_float32_shares(goal, score):
    back = goal.scores(goal.shares(column(score)).astype(np.float32))[0]
    assert back == pytest.approx(score, rel=1e-5, abs=1e-5 * goal.spread)


@pytest.mark.parametrize("limit", [0.7, 1e9, -3.0])
def test_the_limit_itself_is_at_the_goal_unless_it_is_strict(limit):
    rows = column(limit, np.nextafter(limit, -math.inf))
    assert ScoreGoal(low=limit).reached(rows).tolist() == [True, False]
    assert ScoreGoal(low=limit).shares(rows).astype(np.float32).argmax(1).tolist() == [1, 0]
    assert ScoreGoal(high=limit).reached(rows).tolist() == [True, True]
    assert ScoreGoal(low=limit, strict=True).shares(rows).astype(np.float32).argmax(1).tolist() == [0, 0]


@pytest.mark.parametrize("goal", [*GOALS, ScoreGoal(high=0.1 + 0.2), LabelGoal(LABELS, "dog", hold={"cat": True})], ids=str)
def test_a_goal_is_read_back_from_its_text(goal):
    found = read_goal(goal.text, goal.kind, LABELS)
    assert (found.text, found.names, found.wanted) == (goal.text, goal.names, goal.wanted)


def test_changes_are_taken_from_the_inputs_own_score():
    assert read_request("+10 %", "score").of(np.array([50.0])) == ScoreGoal(low=55.0)
    assert read_request("-10%", "score").of(np.array([-50.0])) == ScoreGoal(high=-55.0)
    assert read_request("-5", "score").of(np.array([12.0]), ScoreGoal(low=0, spread=3.0)) == ScoreGoal(high=7.0, spread=3.0)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (">= 0.7 kg", "ends in 'kg': goals on a score are numbers in the score's own unit"),
        ("+10 $", "ends in"),
        ("4..2", r"the range 4\.\.2 is empty: give the lower limit first"),
        ("much", "not a goal on a score: '>= 0.7'"),
        ("0.7", "not a goal on a score"),
        ("+0", "changes nothing"),
    ],
)
def test_what_is_no_goal_on_a_score_is_refused(text, match):
    with pytest.raises(ManifoldError, match=match):
        read_request(text, "score")


def test_other_refusals():
    with pytest.raises(ManifoldError, match="has no limit"):
        ScoreGoal()
    with pytest.raises(ManifoldError, match="spread is the unit"):
        ScoreGoal(low=1.0, spread=0.0)
    with pytest.raises(ManifoldError, match="of a score of 0 is 0"):
        Change(10, percent=True).of(np.array([0.0]))
    with pytest.raises(ManifoldError, match="less than floating point shows"):
        Change(1e-9).of(np.array([1e12]))
    with pytest.raises(ManifoldError, match=r"goal='\+10 %' depends on the input"):
        read_goal("+10 %", "score")


def test_labels_by_hand():
    goal = LabelGoal(LABELS, "dog", hold={"cat": True, "car": False})
    rows = np.array([[0.9, 0.8, 0.3], [0.9, 0.2, 0.3], [0.4, 0.8, 0.3], [0.5, 0.5, 0.49], [0.5, 0.5, 0.5]])
    assert goal.reached(rows).tolist() == [True, False, False, True, False]
    assert goal.progress(rows).round(4).tolist() == [0.7, 0.2, 0.4, 0.5, 0.5]
    assert goal.shares(rows).astype(np.float32).argmax(1).tolist() == [1, 0, 0, 1, 0]
    off = LabelGoal(LABELS, "dog", on=False)
    assert (off.names, off.wanted, off.reached(rows).tolist()) == (["no dog", "dog"], 0, [False, True, False, False, False])


def test_a_flip_holds_what_the_input_has():
    world = LabelGoal(LABELS, "cat")
    assert read_request("flip dog, hold cat", "labels", LABELS) == FlipLabel("dog", ["cat"])
    assert FlipLabel("dog", ["cat"]).of(np.array([0.9, 0.8, 0.1]), world).text == "dog=no, cat=yes"
    assert read_request("flip dog, hold others", "labels", LABELS).of(np.array([0.9, 0.2, 0.1]), world).text == (
        "dog=yes, cat=yes, car=no"
    )
    assert read_request("flip dog", "labels", LABELS).of(np.array([0.9, 0.2, 0.1]), world).hold == {}
    for text in ("flip cow", "flip dog, hold cow"):
        with pytest.raises(UnknownNameError, match="unknown label 'cow'"):
            read_request(text, "labels", LABELS).of(np.array([0.9, 0.2, 0.1]), world)
    with pytest.raises(ManifoldError, match="flipped and held"):
        LabelGoal(LABELS, "dog", hold={"dog": True})
    with pytest.raises(ManifoldError, match=r"not a goal on labels.*the labels are cat, dog, car"):
        read_request("dog", "labels", LABELS)


def test_groups_and_ordered_classes():
    sizes, order = ["large", "medium", "small"], ["small", "medium", "large"]
    assert read_group("any of small, large", sizes).names == ("small", "large")
    assert read_group("any of small or large", sizes).names == ("small", "large")
    assert read_group({"small"}, sizes).names == ("small",)
    found = {text: read_group(f"{text} medium", sizes, order).names for text in (">=", ">", "<=", "<", "≤", "≥")}
    assert found == {
        ">=": ("medium", "large"), ">": ("large",), "<=": ("small", "medium"), "<": ("small",),
        "≤": ("small", "medium"), "≥": ("medium", "large"),
    }  # fmt: skip
    assert read_group(">= 9", ["9", "10", "8"]).names == ("9", "10")  # numbers have an order of their own
    assert read_group("small", sizes) is None
    assert read_group(None, sizes) is None
    assert read_group("< medium", [*sizes, "< medium"]) is None  # a class of that name
    assert ordered(["b", "a"], None) is None


@pytest.mark.parametrize(
    ("target", "order", "match"),
    [
        ("any of small, huge", None, "unknown class in the target 'any of small, huge' 'huge'"),
        (AnyOf([]), None, "names no class"),
        ({"small", "medium", "large"}, None, "names every class"),
        (">= medium", None, "have no order: declare it.*class_order"),
        (">= medium", ["small", "medium"], "must hold each class once"),
        ("> large", ["small", "medium", "large"], "names no class"),
    ],
)
def test_groups_that_are_refused(target, order, match):
    with pytest.raises(ManifoldError, match=match):
        read_group(target, ["large", "medium", "small"], order)


def test_what_displays_ask_of_a_goal() -> None:
    score, labels = ScoreGoal(low=2.0, high=4.0), LabelGoal(["a", "b"], "a")
    assert (score.scored, score.limits, ScoreGoal(high=3.0).limits) == (True, (2.0, 4.0), (3.0,))
    assert (labels.scored, labels.limits) == (False, ())
    assert (score.share_name("2..4"), labels.share_name("a")) == ("the share of 2..4", "p(a)")
    assert (score.in_units_of(3.0).spread, labels.in_units_of(3.0)) == (3.0, labels)
