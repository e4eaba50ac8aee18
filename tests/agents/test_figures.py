"""Figures: that they can be drawn for every kind of path, and that what they are made of is right."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import envs
from agents.explain import explain
from agents.explanation import sentences as figures_words
from agents.explanation.figures import gif as figures_gif
from agents.explanation.figures import map as figures_map
from agents.explanation.figures import path as figures
from agents.explanation.figures import style as figures_style
from agents.explanation.figures import table as figures_table
from agents.trajectories.trajectory import Trajectory
from agents.trajectories.world import decode
from envs.core.world import World

KINDS = {
    "digits": {"data": "digits"},
    "labels": {"data": "digits", "task": "reach_label", "label_only": True},
    "table": {"data": "iris"},
    "leave": {"data": "digits", "task": "leave"},
}


@pytest.fixture(scope="module")
def walked() -> dict[str, tuple[World, Trajectory]]:
    """kind -> a world and its longest path of a few."""
    found = {}
    for kind, settings in KINDS.items():
        world = envs.make_world(**settings)  # type: ignore[arg-type]
        found[kind] = world, max(explain(world, [0, 2, 4], walker="line"), key=lambda p: p.steps)
    return found


def opened(image: bytes) -> Image.Image:
    return Image.open(io.BytesIO(image))


@pytest.mark.parametrize("kind", KINDS)
def test_strip_curves_and_map_are_drawn_for_every_kind_of_path(walked: dict[str, tuple[World, Trajectory]], kind: str) -> None:
    world, path = walked[kind]
    names = [f"$a_{i}^ <b>" for i in range(len(path.class_names))]  # matplotlib must not read these as formulas
    odd = replace(path, class_names=names)
    drawn = (figures.film_strip(path, world), figures.probability_curves(odd), figures_map.map_figure([path], world))
    for image in drawn:
        assert opened(image).format == "PNG"
        assert min(opened(image).size) > 100


@pytest.mark.parametrize("kind", KINDS)
def test_a_gif_shows_the_input_and_every_frame(walked: dict[str, tuple[World, Trajectory]], kind: str) -> None:
    world, path = walked[kind]
    gif = opened(figures_gif.gif_bytes(path, world))
    assert gif.format == "GIF"
    assert gif.n_frames == path.steps + 2  # type: ignore[attr-defined]


def test_longer_paths_have_wider_strips_until_they_go_on_in_a_second_band(
    walked: dict[str, tuple[World, Trajectory]],
) -> None:
    world, path = walked["digits"]
    assert path.predictions is not None
    repeat = np.repeat(np.arange(len(path.z)), 4)[:16]
    long = replace(
        path, z=path.z[repeat], predictions=path.predictions[repeat], actions=np.zeros((15, 8)), rewards=np.zeros(15),
        step_lengths=np.zeros(15), information_gain=np.full(15, np.nan), typicality=None, distances=None,
    )  # fmt: skip
    short, tall = opened(figures.film_strip(path, world)), opened(figures.film_strip(long, world))
    assert tall.height > 1.6 * short.height


def test_the_difference_is_orange_where_it_became_more_and_blue_where_less() -> None:
    start, end = np.full((1, 3), 0.5), np.array([[0.5, 1.0, 0.0]])
    same, more, less = figures_style.difference(end, start, 0.5)[0].astype(int)
    assert same.min() > 240
    assert more[0] > more[2] + 100
    assert less[2] > less[0] + 100


def test_the_path_s_own_map_has_the_colours_of_its_ends(walked: dict[str, tuple[World, Trajectory]]) -> None:
    world, path = walked["digits"]
    asked = world.classifier.queries
    area = figures_map.path_map(path, world)
    assert world.classifier.queries - asked == area.queries == figures_map.RESOLUTION**2
    places = area.places(path.z)
    assert ((places > 0) & (places < 1)).all()
    n = len(area.classes)
    column, row = (places[[0, -1]] * n).astype(int).T
    assert area.classes[n - 1 - row, column].tolist() == path.predicted[[0, -1]].tolist()


def test_the_map_of_the_starts_asks_nothing(walked: dict[str, tuple[World, Trajectory]]) -> None:
    world, path = walked["digits"]
    asked = world.classifier.queries
    figures_map.map_figure([path], world, reference=True)
    assert world.classifier.queries == asked


def test_a_path_s_plane_holds_both_its_ends(walked: dict[str, tuple[World, Trajectory]]) -> None:
    world, path = walked["digits"]
    area = figures_map.path_map(path, world, resolution=4)
    ends = path.z[[0, -1]].astype(float)
    flat = area.centre + ((ends - area.centre) @ area.axes.T) @ area.axes
    assert np.allclose(flat, ends, atol=1e-5)
    assert np.allclose(area.axes @ area.axes.T, np.eye(2), atol=1e-9)


def test_table_cells_are_in_the_user_s_units_and_marked_by_what_changed(
    walked: dict[str, tuple[World, Trajectory]],
) -> None:
    world, path = walked["table"]
    names, texts = figures_table.row_texts(world, [path.source_input])
    raw = world.units.outward(world.held_out.x[path.index or 0])
    assert [float(t) for t in texts[:, 0]] == pytest.approx(np.asarray(raw).ravel().tolist(), abs=0.006)
    assert names == list(world.units.columns)
    frames = decode(world, path.z, path.factual(world))
    changed = figures_table.changed_cells(world, np.stack([frames[0], frames[0], frames[-1]]))
    assert not changed[:, :2].any()
    assert changed[:, 2].any()
    against_input = figures_table.changed_cells(world, frames, path.factual(world))
    assert not against_input[:, 0].any()  # frame 0 is the input
    assert (against_input[:, -1] >= changed[:, 2]).all()


def test_curves_and_words_of_a_label_only_path_show_no_probability(
    walked: dict[str, tuple[World, Trajectory]],
) -> None:
    _, path = walked["labels"]
    words = path.summary() + figures_words.frame_sentence(path, path.table()[0])
    assert "probability" not in words
    assert "p(" not in words


def test_a_path_that_leaves_its_class_is_told_so(walked: dict[str, tuple[World, Trajectory]]) -> None:
    _, path = walked["leave"]
    assert path.target == path.source
    assert path.summary().startswith("Away from" if path.success else path.class_names[path.source])


def test_drawing_loads_no_display_and_importing_loads_no_plotting_library() -> None:
    code = (
        "import sys, agents.explanation, agents.explanation.figures.path, agents.explanation.report.page\n"
        "print([m for m in ('matplotlib', 'torch', 'jinja2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
