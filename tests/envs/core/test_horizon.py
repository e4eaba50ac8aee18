"""Lengths of decoded straight lines, and the step limit that follows from them."""

from __future__ import annotations

import pytest
import torch

from agents.training.environments import trained_walk
from agents.training.warm_start import straight_action
from envs import make_world
from envs.building.world import make_world_named
from envs.core import dynamics
from envs.core.horizon import ROOM, measured_horizon, straight_steps
from envs.registration import MAX_EPISODE_STEPS


@pytest.fixture(scope="module")
def linear():
    return make_world(data="digits", manifold="pca", latent_dim=6, max_step=1 / 6)


@pytest.fixture(scope="module")
def umap():
    return make_world_named("Manifold/DigitsUMAP-v0", {})


def test_ends_are_the_codes_that_convince_or_all_of_a_class_where_none_does(linear):
    label = linear.reference.label
    sure = linear.reference.end_predictions.gather(1, label[:, None])[:, 0] >= linear.task.tau
    hopeless = [k for k in range(10) if not sure[label == k].any()]
    assert 0 < len(hopeless) < 10  # six components are few: both cases occur
    z, target = linear.reference.z[:40], (label[:40] + 1) % 10
    codes = [linear.reference.z[(sure | (k in hopeless)) & (label == k)] for k in target.tolist()]
    expected = torch.stack([(c - row).norm(dim=1).min() for c, row in zip(codes, z, strict=True)])
    torch.testing.assert_close(linear.end_codes(z, target).distance, expected, atol=1e-3, rtol=1e-3)


def test_on_a_plane_a_line_is_as_long_as_the_gap_between_its_ends(linear):
    steps = straight_steps(linear, walks=50, seed=3)
    generator = torch.Generator().manual_seed(3)
    index = torch.randint(len(linear.reference.z), (50,), generator=generator)
    target = (linear.reference.label[index] + torch.randint(1, 10, (50,), generator=generator)) % 10
    near = linear.end_codes(linear.reference.z[index], target)
    end = linear.reference.z[index] - near.distance[:, None] * near.gradient
    # the decoder is affine but where pixels are clipped to [0, 1]
    gap = (linear.manifold.decode(end) - linear.manifold.decode(linear.reference.z[index])).flatten(1).norm(dim=1)
    assert (steps * linear.max_step >= gap - 1e-3).all()  # no line is shorter than that
    assert (steps * linear.max_step / gap).median() < 1.1
    torch.testing.assert_close(straight_steps(linear.replace(max_step=1 / 12), 50, 3), 2 * steps)


def test_measuring_costs_no_query(linear):
    before = linear.classifier.queries
    straight_steps(linear)
    assert linear.classifier.queries == before


def test_a_map_is_long_and_spaces_of_many_dimensions_are_not(umap, linear):
    bounded = umap.replace(max_step=1 / 6)
    limit = measured_horizon(bounded)
    assert limit is not None
    assert limit == -(-float(straight_steps(bounded).max()) * ROOM // 1)
    assert 60 <= limit <= 95
    assert measured_horizon(linear) is None
    assert measured_horizon(make_world(data="digits").replace(max_step=1 / 6)) is None


def test_training_sets_the_limit_by_the_lines_unless_it_was_given(umap, linear):
    own = trained_walk(umap.replace(max_episode_steps=None))
    assert own.max_episode_steps == own.config.max_episode_steps == measured_horizon(own) > 2 * MAX_EPISODE_STEPS
    assert trained_walk(umap).max_episode_steps == 80
    assert trained_walk(linear).config.max_episode_steps is None


def test_straight_walks_arrive_within_the_ids_limit_and_not_within_the_usual_one(umap):
    index = torch.arange(0, 600, 3)
    state = dynamics.start(umap, index, (umap.reference.label[index] + 3) % 10)
    there, early = dynamics.arrived(umap, state), None
    for step in range(umap.max_episode_steps):
        state, info = dynamics.step(umap, state, straight_action(umap, state))
        there |= info.is_success
        early = there.float().mean() if step + 1 == MAX_EPISODE_STEPS else early
    assert there.float().mean() > 0.95
    assert early is not None
    assert early < 0.9
