"""Explanations of series: the interval that decides, words, files, figures, environments."""

from __future__ import annotations

import io
import json

import gymnasium as gym
import numpy as np
import pytest
import torch
from PIL import Image

import envs
from agents import Trajectory
from agents.app.views import shown_of
from agents.explain import explain, main
from agents.explanation.figures.path import film_strip
from agents.explanation.figures.renderer import renderer_for
from agents.explanation.report.card import Card
from agents.explanation.report.export import export
from envs.core import dynamics
from envs.modalities.curves import BLOCKS

DECIDES = slice(24, 36)  # the only points that the classifier looks at


def by_one_interval(x: np.ndarray) -> np.ndarray:
    """p(high) by the mean of one interval alone."""
    p = 1 / (1 + np.exp(-6 * x[:, DECIDES].mean(1)))
    return np.stack([1 - p, p], 1)


@pytest.fixture(scope="module")
def bumps() -> envs.World:
    """Series of three independent bumps, of which the second one decides."""
    rng = np.random.default_rng(0)
    t = np.arange(60)
    shapes = np.stack([np.exp(-(((t - at) / 4) ** 2)) for at in (10, 30, 50)])
    raw = rng.standard_normal((240, 3)) @ shapes * 1.5 + 0.05 * rng.standard_normal((240, 60))
    return envs.make_world(
        data=raw[:200], held_out=raw[200:], modality="series", sampling="0.1 s", classifier=by_one_interval,
        class_names=["low", "high"], latent_dim=4, fit={"epochs": 60}, progress=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def oscillator() -> envs.World:
    return envs.make_world(data="oscillator", progress=False)


def test_a_series_whose_class_is_decided_by_one_interval_is_explained_by_that_interval(bumps):
    paths = explain(bumps, range(20), walker="line")
    assert np.mean([path.success for path in paths]) >= 0.95
    shares, changed = [], []
    for path in paths:
        if path.success and path.steps:
            found = path.contributions()
            inside = sum(part.value for part in found.parts if part.mask[0, 22:38].sum() >= 0.5 * part.mask.sum())
            shares.append(inside / found.total)
            moved = np.abs(path.frames(bumps)[-1] - path.source_input) > 0.1 * bumps.units.spread.numpy()
            changed.append(moved[20:40].sum() / moved.sum())
    assert np.mean(shares) > 0.95
    assert np.mean(changed) > 0.9


def test_the_headline_names_the_interval_in_the_users_units(bumps):
    path = explain(bumps, 0, walker="line")
    path.contributions()
    assert path.modality == "series"
    assert " points 2" in path.headline
    assert " s) " in path.headline
    assert ("rise by" in path.headline) or ("fall by" in path.headline)


def test_frame_0_is_the_input_and_held_points_stay(bumps):
    path = explain(bumps, 1, walker="line")
    frames = path.frames(bumps)
    assert np.array_equal(frames[0], path.source_input)
    held = path.factual(bumps).held[0].numpy()
    assert held.any()
    assert (frames[:, held] == path.source_input[held]).all()


def test_paths_come_back_from_files(bumps, tmp_path):
    path = explain(bumps, 2, walker="line")
    path.contributions()
    again = Trajectory.load(path.save(tmp_path / "path.npz"))
    assert again == path
    assert again.headline == path.headline
    assert np.array_equal(again.frames(bumps), path.frames(bumps))
    assert path.to_pandas().shape[0] == path.steps + 1


def test_the_same_walks_one_by_one_and_at_once(oscillator):
    rows = [0, 4, 5]
    together = explain(oscillator, rows, walker="line")
    for row, path in zip(rows, together, strict=True):
        alone = explain(oscillator, row, walker="line")
        assert np.allclose(alone.z, path.z, atol=1e-5)
        assert alone.queries == path.queries
    assert explain(oscillator, rows, walker="line") == together


def test_the_vector_environment_equals_single_ones():
    many = gym.make_vec("Manifold/Oscillator-v0", num_envs=2)
    singles = [gym.make("Manifold/Oscillator-v0") for _ in range(2)]
    first, _ = many.reset(seed=[3, 4])
    alone = [env.reset(seed=seed)[0] for env, seed in zip(singles, (3, 4), strict=True)]
    assert np.allclose(first, np.stack(alone), atol=1e-5)
    actions = many.action_space.sample()
    after = many.step(actions)
    for env, action, observation, reward in zip(singles, actions, *after[:2], strict=True):
        single = env.step(action)
        assert np.allclose(single[0], observation, atol=1e-5)
        assert abs(single[1] - reward) < 1e-4


def test_it_is_shown_as_curves(oscillator):
    path = explain(oscillator, 0, walker="line")
    path.contributions()
    card = Card(1, path, oscillator)
    for picture in (film_strip(path, oscillator), export(card, "png"), export(card, "gif")):
        assert Image.open(io.BytesIO(picture)).size[0] > 200
    still = card.face.context["stills"][-1]
    assert len(still["rings"]) == len(path.contributions().parts)
    assert renderer_for("series").unit(path) == "L2 over 96 scaled values"
    bodies = renderer_for("series").terminal_bodies(path, oscillator, path.frames(oscillator), False)
    assert len(bodies) == path.steps + 1
    assert set(str(bodies[0]).split()[0]) <= set(BLOCKS)
    state, _ = dynamics.enter(oscillator, torch.from_numpy(path.source_input[None]))
    view = shown_of(oscillator).view(oscillator, state)
    assert view["said"] == "0 of 96 points changed"
    assert view["frame"].startswith("data:image/png")


def test_own_series_are_explained_in_every_layout(oscillator):
    row = np.asarray(oscillator.units.rows(oscillator.held_out.x[:1]))[0]
    for given in (row, row[None], row[None, None], torch.from_numpy(row)):
        found = explain(oscillator, given, "dry friction", walker="line")
        path = found if isinstance(found, Trajectory) else found[0]
        assert path.source_input.shape == (96,)
    with pytest.raises(ValueError, match="1 channel of 96 points"):
        explain(oscillator, np.zeros((3, 95)), walker="line")


def test_the_command_reads_files_of_series(tmp_path, capsys):
    rng = np.random.default_rng(0)
    kind = np.arange(60) % 2
    x = (
        rng.standard_normal((60, 1)) * 0.3
        + np.where(kind[:, None], 1, -1) * np.hanning(16)
        + 0.1 * rng.standard_normal((60, 16))
    )
    lines = ["kind," + ",".join(f"t{k}" for k in range(16))]
    lines += [f"{'ab'[k]},{','.join(map(str, row))}" for k, row in zip(kind, x.tolist(), strict=True)]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    told = [
        "--data",
        str(tmp_path / "x.csv"),
        "--modality",
        "series",
        "--target-column",
        "kind",
        "--env-kwargs",
        "fit:{'epochs':5}",
    ]
    assert main([*told, "--input", str(tmp_path / "x.csv"), "--walker", "line", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["paths"]
    assert len(found) >= 50
