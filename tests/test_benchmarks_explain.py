"""What the side-by-side benchmark says follows from its figures."""

from __future__ import annotations

import math

import pytest
import torch

from envs import make_world
from tests.benchmarks.explain.optimum import least_l2, optima
from tests.benchmarks.explain.verdict import AXES, _gap, break_even, dominates, means, sentences

AGENT = {"validity": 1.0, "l2_input": 1.9, "knn_ratio": 1.0, "queries": 9.0, "training_queries": 1000.0, "oracle": 0.9}


def test_dominance_needs_every_axis_and_one_gain() -> None:
    assert not dominates(AGENT, AGENT, AXES)
    assert dominates({**AGENT, "l2_input": 1.8}, AGENT, AXES)
    assert not dominates({**AGENT, "l2_input": 1.8, "queries": 10.0}, AGENT, AXES)
    assert dominates({"validity": 1.0, "l2_input": 1.8}, AGENT, AXES)  # only what both were measured in


@pytest.mark.parametrize(
    ("rival", "told"),
    [((10.0, 0.0), "after 1,000"), ((9.0, 0.0), "never"), ((8.0, 0.0), "never"), ((9.0, 2000.0), "from the first"),
     ((8.0, 2000.0), "up to 1,000")],
)  # fmt: skip
def test_break_even_by_hand(rival: tuple[float, float], told: str) -> None:
    assert break_even(AGENT, {"queries": rival[0], "training_queries": rival[1]}) == told


def test_lost_comparisons_are_said() -> None:
    rows = {
        "agent": [AGENT, {**AGENT, "l2_input": 2.1}],
        "line": [{**AGENT, "l2_input": 1.95, "knn_ratio": 0.9, "queries": 12.0}],
        "spheres": [{**AGENT, "l2_input": 2.2, "knn_ratio": 1.2, "queries": 900.0}],
        "pullback gradient (white box)": [{**AGENT, "l2_input": 1.0, "knn_ratio": 0.5}],
    }
    assert means(rows["agent"])["l2_input"] == pytest.approx(2.0)
    text = "\n".join(sentences(rows, []))
    assert "against line: **NOT ahead**" in text
    assert "against spheres: ahead" in text
    assert "(line): **worse**" in text
    assert "No rival dominates the agent in everything" in text  # the line asks more
    assert "dominated by line** in quality alone" in text
    assert "pullback" not in text  # white boxes are no rivals
    assert "l2_input 2.000, best 1.950 (line; better: 1)" in text


def test_the_least_l2_is_read_between_the_points_of_a_front() -> None:
    front = [{"knn_ratio": 1.2, "l2_input": 1.7}, {"knn_ratio": 1.0, "l2_input": 1.9}]
    assert least_l2(front, 1.1) == pytest.approx(1.8)
    assert least_l2(front, 1.5) == pytest.approx(1.7)
    assert math.isnan(least_l2(front, 0.9))


def test_ends_more_typical_than_the_front_are_said_so() -> None:
    front = [{"knn_ratio": 1.0, "l2_input": 2.0}, {"knn_ratio": 1.2, "l2_input": 1.6}]
    told = lambda ratio: _gap({"knn_ratio": ratio, "l2_input": 2.2}, [front])  # noqa: E731
    assert "lies 10.0 % above it" in told(1.0)
    assert "more typical, 0.900" in told(0.9)


def test_the_white_box_optimum_is_no_worse_than_a_straight_line() -> None:
    from agents.explain import explain
    from agents.explanation.metrics.evaluate import reference_of

    world = make_world(data="digits")
    x = world.held_out.x[:12]
    seen = world.classifier.predict_proba(x).argmax(1)
    targets = (seen + 3) % 10
    front = optima(world, x, targets, reference_of(world), weights=(0.3,), steps=150)
    paths = explain(world, list(range(12)), targets.tolist(), "line", max_steps=60)
    ends = torch.stack([torch.from_numpy(path.frames(world)[-1]) for path in paths])
    line = float((ends - x).flatten(1).norm(dim=1).mean())
    assert front[0]["arrived"] == 1.0
    assert front[0]["l2_input"] < line
