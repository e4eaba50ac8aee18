"""Walks until the prediction changes: every black-box walker, with and without a target, refined, replayed and measured."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier

import envs
from agents.evaluate import evaluate
from agents.explain import explain
from agents.replay import compare
from agents.runs.world_record import build_world

ROWS = list(range(0, 178, 4))  # of all three classes


@pytest.fixture(scope="module")
def world() -> envs.World:
    """Wine and a forest whose probabilities seldom reach 0.9."""
    data = load_wine()
    forest = RandomForestClassifier(20, max_depth=2, random_state=0).fit(data.data, data.target)
    return envs.make_world(data=data.data, classifier=forest, manifold="pca", latent_dim=4, max_episode_steps=30)


@pytest.mark.parametrize("walker", ["line", "slerp", "geodesic", "graph", "spheres", "face", "greedy"])
def test_walkers_end_at_the_first_other_answer(world, walker):
    paths = explain(world, ROWS, walker=walker)
    assert any(path.success for path in paths)
    for path in paths:
        if path.success and path.predicted[0] == path.source:
            assert path.predicted[-1] == path.target != path.source
            assert (path.predicted[:-1] == path.source).all()


def test_a_requested_target_is_reached_even_through_another_class(world):
    paths = explain(world, ROWS, target=0, walker="line", skip_present=True)
    assert all(path.predicted[-1] == 0 for path in paths if path.success)
    assert np.mean([path.success for path in paths]) > 0.9


def test_a_walk_that_ended_in_another_class_than_it_headed_for_is_one_to_that_class(world):
    import torch

    from agents.walkers.line import LineWalker
    from agents.walkers.retarget import to_the_end_class
    from envs.core import dynamics

    state, queries = dynamics.enter(world, world.held_out.x)
    elsewhere = 3 - state.source - state.target
    kept = state.prediction.argmax(1) == state.source
    walk = LineWalker().walk(world.untargeted, state, queries, torch.Generator().manual_seed(0))
    wrong = dynamics.refresh(world, state._replace(target=elsewhere))
    asked = world.classifier.queries
    start, again = to_the_end_class(world, wrong, walk)
    assert world.classifier.queries == asked
    end = walk.predictions[walk.length, torch.arange(len(walk.length))].argmax(1)
    assert (start.target == end)[walk.success & kept].all()
    for i in torch.nonzero(walk.success & kept & (walk.length > 0) & (end == state.target)).flatten().tolist():
        torch.testing.assert_close(again.rewards[:, i], walk.rewards[:, i], atol=1e-4, rtol=1e-4)


def test_such_paths_are_reproduced_by_the_world_that_they_describe(world):
    named = envs.make_world(manifold="pca", latent_dim=2)
    for path in explain(named, range(20), walker="line"):
        assert path.environment["settings"]["task"] == "flip"
        rebuilt = build_world(path.environment)
        assert rebuilt.task.name == "flip"
        found = compare(path, rebuilt)
        assert found.reproduced, (path.index, found)
        break
    for path in explain(named, range(20), walker="line"):
        assert compare(path, named).reproduced, path.index


def test_the_last_step_is_refined_to_just_where_the_answer_changes(world):
    from agents.walkers.line import LineWalker

    plain = explain(world, ROWS, walker=LineWalker(refine=0), sparse=False)
    fine = explain(world, ROWS, walker=LineWalker(refine=4), sparse=False)
    both = [(a, b) for a, b in zip(plain, fine, strict=True) if a.success and a.steps and b.success]
    assert np.mean([b.distances[-1] for _, b in both]) < np.mean([a.distances[-1] for a, _ in both])


def test_evaluation_measures_it(world):
    found = evaluate(world, ["line"], targets="nearest", inputs=ROWS, oracles=False, closely=0, alone=0)["line"]
    paths = explain(world, ROWS, walker="line")
    assert found["validity"].value == pytest.approx(np.mean([path.success for path in paths]))
    assert found["class_kept"].value == pytest.approx(np.mean([path.predicted[0] == path.source for path in paths]))
    kept = [path for path in paths if path.keeps_class]
    assert all(path.success == (path.predicted[-1] == path.target) for path in kept)
