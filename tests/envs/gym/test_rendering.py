"""Rendered pictures and text have the right form and show the right world."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import envs
from envs import LatentEnv, LatentVectorEnv, ManifoldError, UnknownNameError
from envs.core.latent_map import LatentMap
from envs.gym.rendering import PALETTE, SIDE, Renderer, class_colour

gym.register_envs(envs)


class Map:
    """Where codes lie on the drawn map, from its extent alone: (x, y) from the upper left corner."""

    def __init__(self, world):
        self.map = LatentMap(world)

    def __call__(self, z):
        left, right, bottom, top = self.map.extent
        x, y = self.map.project(z).T
        return np.stack([(x - left) / (right - left), (top - y) / (top - bottom)], 1) * (SIDE - 1)


@pytest.mark.parametrize("name", ["digits", "iris"])
def test_pictures_have_their_shape_and_type_and_change_with_the_walk(request, name):
    env = LatentEnv(world=request.getfixturevalue(name), render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    assert first.shape == (SIDE, 2 * SIDE, 3)
    assert first.dtype == np.uint8
    env.step(np.full(env.action_space.shape, 0.5, np.float32))
    assert not np.array_equal(first, env.render())
    env.reset(seed=0)
    np.testing.assert_array_equal(first, env.render())  # the path so far is forgotten


def test_the_decoded_picture_is_on_the_left(digits):
    env = LatentEnv(world=digits, render_mode="rgb_array")
    env.reset(seed=0)
    picture = Image.fromarray(env.render()[: SIDE - 18, :SIDE])
    want = digits.render(env.state.frame[0])
    assert want.shape == (8, 8, 3)
    assert want.dtype == np.uint8
    for row in range(7):
        for column in range(8):
            assert picture.getpixel((32 * column + 16, 32 * row + 16)) == tuple(want[row, column])


def test_text_says_the_class_and_shows_the_digit(digits):
    env = LatentEnv(world=digits, render_mode="ansi")
    env.reset(seed=0, options={"index": 0, "target": "3"})
    env.step(np.zeros(8, np.float32))
    lines = env.render().splitlines()
    best = int(env.state.prediction.argmax())
    p = float(env.state.prediction.max())
    assert lines[0] == f"step 1: predicted {best} (p {p:.3f}), target 3"
    assert len(lines) == 9
    assert {len(line) for line in lines[1:]} == {16}


def test_text_shows_a_row_in_the_users_units(iris):
    env = LatentEnv(world=iris, render_mode="ansi")
    env.reset(seed=0)
    lines = env.render().splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == iris.units.columns
    values = [float(line.split(":")[1]) for line in lines]
    np.testing.assert_allclose(values, iris.units.outward(env.state.frame[0]), rtol=0.01)


def test_no_render_mode_shows_nothing(digits):
    for env in (LatentEnv(world=digits), LatentVectorEnv(2, world=digits)):
        env.reset(seed=0)
        assert env.render() is None


def test_render_modes_are_those_of_the_metadata(digits):
    for kind in (LatentEnv, LatentVectorEnv):
        assert kind.metadata["render_modes"] == ["rgb_array", "ansi"]
        assert kind.metadata["render_fps"] > 0
    with pytest.raises(ManifoldError, match="render_mode must be one of"):
        LatentEnv(world=digits, render_mode="human")
    with pytest.raises(UnknownNameError, match="did you mean 'ansi'"):
        Renderer(digits).draw("ansii")


def test_the_vector_environment_refuses_unknown_render_modes_at_once(digits):
    with pytest.raises(ManifoldError, match="render_mode"):
        LatentVectorEnv(2, world=digits, render_mode="human")


@pytest.mark.parametrize("mode", ["rgb_array", "ansi"])
def test_the_vector_environment_shows_every_walk_as_a_single_one_would(digits, mode):
    many = LatentVectorEnv(3, world=digits, render_mode=mode, max_episode_steps=9)
    many.reset(seed=5)
    ones = [LatentEnv(world=digits, render_mode=mode) for _ in range(3)]
    for i, one in enumerate(ones):
        one.reset(seed=5 + i)
    for t in range(3):
        action = np.random.default_rng(t).uniform(-1, 1, (3, 8)).astype(np.float32)
        many.step(action)
        for one, its in zip(ones, action, strict=True):
            one.step(its)
    shown = many.render()
    assert len(shown) == 3
    for frame, one in zip(shown, ones, strict=True):
        if mode == "ansi":
            assert frame == one.render()
        else:
            assert (np.abs(frame.astype(int) - one.render()) > 8).mean() < 0.001


def test_a_map_is_drawn_for_each_world_though_they_share_a_manifold(toy_world):
    one = toy_world()
    other = toy_world(seed=0, manifold=one.manifold, classifier=lambda x: one.asked(x)[:, ::-1].copy())
    pictures = []
    for world in (one, other):
        env = LatentEnv(world=world, render_mode="rgb_array")
        env.reset(seed=0)
        pictures.append(env.render()[: SIDE - 20, SIDE:])
    assert (np.abs(pictures[0].astype(int) - pictures[1]).sum(2) > 30).mean() > 0.3


def test_the_map_is_deterministic_and_holds_the_starts(digits):
    first, second = LatentMap(digits), LatentMap(digits)
    np.testing.assert_array_equal(first.reference, second.reference)
    left, right, bottom, top = first.extent
    assert left < first.reference[:, 0].min() < first.reference[:, 0].max() < right
    assert bottom < first.reference[:, 1].min() < first.reference[:, 1].max() < top
    torch.testing.assert_close(first.axes @ first.axes.T, torch.eye(2), atol=1e-5, rtol=0)
    assert first.reference[:, 0].var() >= first.reference[:, 1].var()
    asked = digits.classifier.queries
    winner, share = first.regions(20)
    assert digits.classifier.queries == asked, "drawing asks the classifier nothing"
    assert winner.shape == share.shape == (20, 20)
    assert set(winner.ravel()) <= set(range(10))
    assert (share > 0).all()
    assert (share <= 1).all()


def test_the_map_colours_a_place_by_the_starts_there(toy_world):
    world = toy_world(d=2, rows=400)
    winner, _ = LatentMap(world).regions(40)
    drawn = LatentMap(world)
    left, right, bottom, top = drawn.extent
    column = ((drawn.reference[:, 0] - left) / (right - left) * 39).round().astype(int)
    row = ((drawn.reference[:, 1] - bottom) / (top - bottom) * 39).round().astype(int)
    assert (winner[row, column] == world.reference.label.numpy()).mean() > 0.85


def test_starts_are_drawn_on_ground_of_their_classes_colour(toy_world):
    world = toy_world(d=2, rows=400)
    env = LatentEnv(world=world, render_mode="rgb_array")
    colours = np.array([class_colour(k) for k in range(3)], dtype=float)
    right = 0
    for index in range(0, 400, 8):
        env.reset(options={"index": index, "target": int(world.reference.label[index] + 1) % 3})
        ground, (x, y) = env.render()[:, SIDE:], Map(world)(env.state.z)[0]
        place = ground[int(np.clip(y - 11, 0, SIDE - 1)), int(np.clip(x, 0, SIDE - 1))].astype(float)  # above the marker
        tint = place - place.max()  # the ground is a colour mixed with white
        right += int(
            np.abs(tint / np.abs(tint).max() - [(c - c.max()) / np.abs(c - c.max()).max() for c in colours]).sum(1).argmin()
            == world.reference.label[index]
        )
    assert right > 35


@pytest.mark.parametrize("d", [1, 2])
def test_flat_latent_spaces_have_a_map(toy_world, d):
    env = LatentEnv(world=toy_world(d=d, classes=2), render_mode="rgb_array")
    env.reset(seed=0)
    env.step(np.ones(d))
    assert env.render().shape == (SIDE, 2 * SIDE, 3)


def test_the_palette_tells_ten_classes_apart():
    colours = [class_colour(k) for k in range(10)]
    assert len(PALETTE) == len(set(colours)) == 10
    for i, a in enumerate(colours):
        for b in colours[:i]:
            assert np.abs(np.subtract(a, b)).max() > 25
    assert class_colour(0) == (0xE6, 0x9F, 0x00)
    assert class_colour(10) == class_colour(0)


@pytest.mark.parametrize("names", [["größe", "naïve", "café"], ["猫", "犬", "鳥"]])
def test_class_names_of_any_script_can_be_drawn(toy_world, names):
    env = LatentEnv(world=toy_world(class_names=names), render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().shape == (SIDE, 2 * SIDE, 3)


def test_drawing_needs_no_display_and_leaves_pillow_as_it_was(digits, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    font = ImageDraw.ImageDraw.font
    env = LatentEnv(world=digits, render_mode="rgb_array")
    env.reset(seed=0)
    env.render()
    assert ImageDraw.ImageDraw.font is font


def test_an_environment_that_was_loaded_can_be_shown(digits):
    first = LatentVectorEnv(2, world=digits)
    first.reset(seed=0)
    second = LatentVectorEnv(2, world=digits, render_mode="ansi")
    second.load_state_dict(first.state_dict())
    assert [text.startswith("step 0") for text in second.render()] == [True, True]
