"""Local explanations step back where they do not follow the classifier."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

import envs
from agents.explain import explain
from agents.explanation.local.fidelity import LEAST_R2, agreement_note, fit_note, followed
from agents.explanation.local.lime_figure import lime_figure, lime_words
from agents.explanation.report.extras import columns_slopes, slopes_view


def test_fits_that_do_not_follow_are_named() -> None:
    assert followed(np.array([LEAST_R2, LEAST_R2 - 0.01, np.nan])).tolist() == [True, False, True]
    assert fit_note(np.array([np.nan])) == ""
    assert fit_note(np.array([0.8, 0.9])) == "The fits' R² is 0.80 to 0.90."
    assert fit_note(np.array([0.8, 0.1, 0.3])).endswith(
        "Do not rely on frames 1, 2: their fits are below 0.5, and their weights are withheld."
    )
    assert fit_note(np.array([0.1, 0.3])).endswith(
        "Do not rely on them: every fit is below 0.5, and all weights are withheld."
    )
    assert agreement_note(np.array([1, 1]), np.array([0, 0])) == (
        False, "The tree agrees with the network on 0 of 2 frames: do not rely on its route.",
    )  # fmt: skip


def test_words_of_a_low_fit_have_no_weights() -> None:
    text = lime_words([0, 3], np.array([["a", "b"]] * 2), np.array([[1.0, 2.0], [7.0, 8.0]]), np.array([0.9, 0.2]))
    first, second = text.splitlines()
    assert first == "frame 0  a +1.00 b +2.00  (R2 0.90)"
    assert second == "frame 3  weights withheld: the fit does not follow the classifier  (R2 0.20)"


def test_pictures_of_a_low_fit_are_withheld() -> None:
    world = envs.make_world(data="digits")
    path = explain(world, 11, walker="line")
    slopes = np.random.default_rng(0).normal(size=(path.steps + 1, 8, 8)).astype(np.float32)
    r2 = np.linspace(0.2, 0.9, path.steps + 1)
    view = slopes_view(path, slopes, r2)
    assert "Do not rely on frame" in view.note
    for image, good in zip(view.images, followed(r2), strict=True):
        pixels = np.array(Image.open(io.BytesIO(base64.b64decode(image.partition(",")[2]))).convert("RGBA"))
        assert bool((pixels[..., 3] == 0).all()) != good  # the page shines through
    drawn = lime_figure(path, world, range(path.steps + 1), slopes, np.zeros(path.steps + 1))
    assert drawn != lime_figure(path, world, range(path.steps + 1), slopes, np.ones(path.steps + 1))


@pytest.mark.parametrize("low", [True, False])
def test_columns_of_a_low_fit_have_no_slopes(low: bool) -> None:
    world = envs.make_world(data="iris")
    path = explain(world, 0, walker="line")
    r2 = np.full(path.steps + 1, 0.9)
    r2[0] = 0.1 if low else 0.9
    found = columns_slopes(path, np.ones((path.steps + 1, 4), np.float32), r2, world)
    assert (sum(map(abs, found.values[0])) == 0) == low
    assert sum(map(abs, found.values[1])) > 0
    assert ("Do not rely" in found.note) == low
    lime_figure(path, world, range(path.steps + 1), np.ones((path.steps + 1, 4)), r2)
