"""The planned walk over edits of a sentence."""

from __future__ import annotations

import pytest

from agents.explain import explain
from agents.training.environments import trained_walk
from agents.walkers.edits import EditsWalker
from envs.building.world import make_world
from envs.errors import ManifoldError
from envs.modalities.alignment import edit_distance
from tests.benchmarks.sentences_edits import spans


@pytest.fixture(scope="module")
def world():
    """The world of Manifold/SentenceEdits-v0, shared: don't change it."""
    return make_world(data="sentences", manifold="sentences_edits", progress=False)


@pytest.fixture(scope="module")
def paths(world):
    """Paths of the first sentences."""
    return explain(world, range(12), walker="edits")


def test_sentences_flip_by_few_edits_and_few_queries(paths):
    assert sum(path.success for path in paths) >= 11
    for path in paths:
        assert path.queries == 1 + path.steps
        assert path.texts[0] == path.texts[1]
        if path.success:
            assert edit_distance(path.texts[0], path.texts[-1]) <= 5


def test_neighbouring_frames_differ_by_one_span(paths):
    for path in paths:
        assert all(spans(a, b) == 1 for a, b in zip(path.texts[1:], path.texts[2:], strict=False))


def test_an_item_has_the_same_path_alone_and_in_a_batch(world, paths):
    alone = explain(world, 3, walker="edits")
    assert alone.texts == paths[3].texts


def test_contributions_sum_to_the_rise_and_name_words(world, paths):
    path = next(path for path in paths if path.success and path.steps > 1)
    found = path.contributions()
    assert sum(part.value for part in found.parts) == pytest.approx(
        float(path.predictions[-1, path.target] - path.predictions[0, path.target]), abs=1e-5
    )


def test_labels_alone_are_enough(world):
    labelled = make_world(data="sentences", manifold="sentences_edits", label_only=True, task="reach_label", progress=False)
    found = explain(labelled, range(4), walker="edits")
    assert sum(path.success for path in found) >= 3
    assert all(path.predictions is None for path in found)


def test_another_manifold_is_refused_with_a_way_out():
    with pytest.raises(ManifoldError, match="manifold='edits'"):
        explain(make_world(data="iris", progress=False), 0, walker=EditsWalker())


def test_a_training_keeps_steps_as_long_as_an_edit(world):
    trained = trained_walk(world)
    assert trained.step_length == pytest.approx(world.step_length, rel=1e-3)
    assert trained.max_step is None
    assert trained.guidance


def test_without_a_run_edits_are_walked_by_their_own_search_and_other_worlds_by_the_line(world):
    from agents.explainer import Explainer
    from agents.walkers import default_walker

    assert default_walker(world) == Explainer(world).walker == "edits"
    assert default_walker(make_world(data="iris", progress=False)) == "line"
