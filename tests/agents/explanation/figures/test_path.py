"""Figures: that they can be drawn for every kind of path, and that what they are made of is right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.explanation import sentences as figures_words
from agents.explanation.figures import map as figures_map
from agents.explanation.figures import path as figures
from agents.trajectories.trajectory import Trajectory
from envs.core.world import World
from tests.agents.explanation.figures.kinds import KINDS, opened


@pytest.mark.parametrize("kind", KINDS)
def test_strip_curves_and_map_are_drawn_for_every_kind_of_path(walked: dict[str, tuple[World, Trajectory]], kind: str) -> None:
    world, path = walked[kind]
    names = [f"$a_{i}^ <b>" for i in range(len(path.class_names))]  # matplotlib must not read these as formulas
    odd = replace(path, class_names=names)
    drawn = (figures.film_strip(path, world), figures.probability_curves(odd), figures_map.map_figure([path], world))
    for image in drawn:
        assert opened(image).format == "PNG"
        assert min(opened(image).size) > 100


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


def test_curves_and_words_of_a_label_only_path_show_no_probability(
    walked: dict[str, tuple[World, Trajectory]],
) -> None:
    _, path = walked["labels"]
    words = path.summary() + figures_words.frame_sentence(path, path.table()[0])
    assert "probability" not in words
    assert "p(" not in words
