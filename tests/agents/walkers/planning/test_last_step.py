"""The last step, refined or planned: it still arrives, stays within the bounds, and counts its queries."""

from __future__ import annotations

from typing import Any

import torch

from agents.walkers.base import Recorder, select
from agents.walkers.planning.last_step import PlanSettings
from agents.walkers.planning.refine import refine_last
from agents.walkers.planning.surrogate import Surrogate
from envs.core import dynamics
from tests.agents.walkers.test_walkers import N, begin, policy, walked

# --- the finer last step --------------------------------------------------------------------------------------------


def test_a_finer_last_step_still_arrives_and_costs_what_it_says(digits: Any) -> None:
    _, whole = walked(digits, "line", refine=0)
    for k in (1, 2, 4):
        _, fine = walked(digits, "line", refine=k)
        assert fine.success.equal(whole.success)
        assert fine.length.equal(whole.length)
        extra = fine.queries - whole.queries
        assert ((extra >= 0) & (extra <= k)).all()
        before = int(whole.length[0])
        assert torch.equal(fine.z[:before, 0], whole.z[:before, 0])
        p = [walk.predictions[-1].gather(1, begin(digits)[0].target[:, None])[:, 0] for walk in (whole, fine)]
        assert (p[1] >= 0.9).all()
        assert float(p[1].mean()) < float(p[0].mean())
    assert float(p[1].mean()) < 0.906  # four questions: almost at the threshold


def test_a_finer_last_step_by_halving_where_only_labels_are_seen(labels: Any) -> None:
    _, whole = walked(labels, "line", refine=0)
    _, fine = walked(labels, "line", refine=3)
    shorter = (fine.z[-1] - fine.z[-2]).norm(dim=1) <= (whole.z[-1] - whole.z[-2]).norm(dim=1) + 1e-5
    assert fine.success.equal(whole.success)
    assert shorter.all()
    assert ((fine.queries - whole.queries) <= 3).all()


def test_nothing_is_refined_without_steps_or_success(digits: Any) -> None:
    state, queries = begin(digits, 4)
    recorder = Recorder(digits, state, queries)
    assert (refine_last(recorder, 3) == 1).all()
    assert recorder.queries.equal(queries)


# --- the planned last step ------------------------------------------------------------------------------------------


def test_a_planned_last_step_is_cheaper_bounded_and_counted(digits: Any, surrogate: Surrogate) -> None:
    state, queries = begin(digits)
    whole = policy(digits, refine=0).walk(digits, state, queries, torch.Generator())
    before = digits.classifier.queries
    planned = policy(digits, surrogate=surrogate).walk(digits, state, queries, torch.Generator())
    assert int(planned.queries.sum()) == digits.classifier.queries - before + 2 * N
    extra = planned.queries - whole.queries
    assert ((extra >= 0) & (extra <= 2)).all()
    assert planned.success.equal(whole.success)
    assert planned.length.equal(whole.length)
    changed = (planned.z[-1] != whole.z[-1]).any(dim=1)
    assert changed.float().mean() > 0.5
    with torch.inference_mode():
        ends = [digits.manifold.decode(walk.z[-1]) for walk in (planned, whole)]
        cost = [
            (end - state.factual).flatten(1).norm(dim=1)
            + PlanSettings().implausibility * digits.class_neighbours(end.flatten(1), state.target).distance
            for end in ends
        ]
    assert (cost[0][changed] < cost[1][changed]).all()
    assert (cost[0][~changed] == cost[1][~changed]).all()


def test_a_planned_walk_is_reproduced_by_its_actions(digits: Any, surrogate: Surrogate) -> None:
    state, queries = begin(digits, 6)
    walk = policy(digits, surrogate=surrogate).walk(digits, state, queries, torch.Generator())
    for i in range(6):
        now = select(state, torch.tensor([i]))
        for t in range(int(walk.length[i])):
            now, info = dynamics.step(digits, now, walk.actions[t, i : i + 1])
            assert float(info.step_length) <= digits.max_step * (1 + 1e-5)
        torch.testing.assert_close(now.z[0], walk.z[-1, i], atol=1e-5, rtol=0)
        assert bool(info.is_success[0]) == bool(walk.success[i])


def test_nothing_is_planned_where_only_labels_are_seen(labels: Any, surrogate: Surrogate) -> None:
    state, queries = begin(labels, 6)
    plain = policy(labels, refine=0).walk(labels, state, queries, torch.Generator())
    planned = policy(labels, surrogate=surrogate).walk(labels, state, queries, torch.Generator())
    assert planned.z.equal(plain.z)
    assert planned.queries.equal(plain.queries)
