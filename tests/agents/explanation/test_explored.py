"""What an exploration found: regions of one answer, walks to targets unknown before, coverage in TensorBoard and reports."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents.atlas import atlas
from agents.explanation.explored import Explored, answers, explore, found_regions, zero_shot
from agents.explanation.figures.explored import coverage_panels
from agents.train import train
from envs import make_world


@pytest.fixture(scope="module")
def plane():
    """A latent space that is its data, two-dimensional, with a classifier that can be written down."""
    rows = np.random.default_rng(0).uniform(-1, 1, (300, 2)).astype(np.float32)

    def stripes(x):
        inside = (x[:, 0] > -0.5) & (x[:, 0] < 0.5)
        return np.stack([~inside, inside], 1).astype(float)

    world = make_world(
        data=rows, classifier=stripes, class_names=["outside", "inside"], columns=["a", "b"], manifold="pca", latent_dim=2,
        progress=False,
    )  # fmt: skip
    return world


def codes_of(world, x):
    z = world.manifold.encode(world.units.entered(np.asarray(x, np.float32))[0])
    return Explored(z, answers(world, z))


def test_two_stripes_of_one_class_are_two_regions(plane):
    draw = np.random.default_rng(1)
    left, middle, right = ([[centre, b] for b in draw.uniform(-0.9, 0.9, 30)] for centre in (-0.8, 0.0, 0.8))
    found = codes_of(plane, [*left, *middle, *right])
    regions = found_regions(plane, found)
    assert regions.label.tolist() == [0, 0, 1]
    assert regions.main.tolist() == [True, False, True]
    assert [len(set(regions.of[part].tolist())) for part in (slice(30), slice(30, 60), slice(60, 90))] == [1, 1, 1]
    assert regions.of[0] != regions.of[60]
    assert regions.first[regions.of[30]] == 30
    assert regions.queries > 0


def test_far_codes_of_one_region_are_joined_past_their_neighbours(plane):
    """Two dense heaps of one stripe, each code with all its neighbours in its own heap."""
    draw = np.random.default_rng(2)
    heaps = [[[0.0, centre + 0.01 * b] for b in draw.normal(size=20)] for centre in (-0.9, 0.9)]
    regions = found_regions(plane, codes_of(plane, [*heaps[0], *heaps[1]]))
    assert regions.label.tolist() == [1]


def test_an_exploration_is_defined_by_its_seed_and_counted(plane):
    before = plane.classifier.queries
    first, again = (explore(plane, "rnd", queries=2048, seed=3) for _ in range(2))
    assert plane.classifier.queries - before == 2 * 2048
    torch.testing.assert_close(first.z, again.z)
    assert not torch.equal(first.z, explore(plane, "rnd", queries=2048, seed=4).z)
    torch.testing.assert_close(answers(plane, first.z), first.label)


def test_zero_shot_walks_arrive_where_something_was_found():
    world = make_world(data="digits", task="reach", tau=0.5)
    found = Explored(world.reference.z, world.reference.label)
    rows, target = torch.arange(40), (world.answers_held_out(torch.arange(40)).argmax(1) + 1) % 10
    assert zero_shot(world, found, rows, target).float().mean() > 0.5
    without = Explored(found.z[found.label != 3], found.label[found.label != 3])
    assert not zero_shot(world, without, rows, torch.full((40,), 3))[target != 3].any()


def test_the_atlas_names_what_was_found(plane):
    drawn = atlas(plane, "explored", queries=2048, curiosity="rnd")
    assert drawn.image[:4] == b"\x89PNG"
    assert "2,048 queries by rnd" in drawn.note
    assert "outside" in drawn.note


def test_a_training_logs_its_coverage_and_the_report_shows_it(tmp_path):
    run = train(
        env="Manifold/DigitsExplore-v0", n_timesteps=4096, n_envs=32, curiosity="rnd", log_folder=tmp_path, eval_episodes=0,
        progress=False, hyperparams={"n_steps": 16, "batch_size": 512},
    )  # fmt: skip
    lines = [json.loads(line) for line in (run.folder.root / "metrics.jsonl").read_text().splitlines()]
    cells = [line["coverage/cells"] for line in lines if "coverage/cells" in line]
    assert cells == sorted(cells)
    assert cells[-1] > cells[0] > 0
    assert max(line.get("coverage/regions", 0) for line in lines) >= 1
    events = EventAccumulator(str(run.folder.root), {"images": 0}).Reload()
    assert 2 <= len(events.Images("coverage/map")) <= 5
    (panel,) = coverage_panels(run.folder.root)
    assert b"<svg" in panel.drawing
    assert coverage_panels(None) == []


def test_other_trainings_have_no_coverage(tmp_path):
    run = train(
        env="Manifold/Custom-v0", data="iris", manifold="pca", n_timesteps=128, n_envs=2, hyperparams={"n_steps": 64},
        log_folder=tmp_path, eval_episodes=0, pictures=False, progress=False,
    )  # fmt: skip
    assert "coverage" not in (run.folder.root / "metrics.jsonl").read_text()
    assert coverage_panels(run.folder.root) == []
