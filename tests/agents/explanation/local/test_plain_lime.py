"""Plain LIME by its own library, against classifiers whose answer is known."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import envs
from agents.explain import explain
from agents.explanation.local.plain_lime import plain_lime, plain_lime_at, segments_of
from envs.errors import ManifoldError

pytest.importorskip("lime", reason="the [lime] extra is not installed")


def world_of(modality: str, prediction: Any, **parts: Any) -> Any:
    """A world with two classes; `prediction` gives p(class 1) of a batch."""
    classifier = SimpleNamespace(queries=0)

    def predict_proba(x: torch.Tensor) -> torch.Tensor:
        classifier.queries += len(x)
        p = prediction(x)
        return torch.stack([1 - p, p], dim=1)

    classifier.predict_proba = predict_proba
    return SimpleNamespace(
        modality=modality, label_only=False, classes=2, class_names=["no", "yes"], classifier=classifier, **parts
    )


@pytest.mark.parametrize("shape", [(6, 6), (1, 6, 6), (6, 6, 3), (3, 6, 6)])
def test_the_pixel_that_counts_is_found(shape: tuple[int, ...]) -> None:
    place = {(6, 6): (2, 3), (1, 6, 6): (0, 2, 3), (6, 6, 3): (2, 3, 1), (3, 6, 6): (1, 2, 3)}[shape]
    world = world_of("image", lambda x: 0.1 + 0.8 * x[(slice(None), *place)])
    found = plain_lime(world, np.ones(shape, dtype=np.float32), 1, samples=400)
    assert found.weights.shape == shape
    assert found.weights[place] == found.weights.max()
    assert found.r2 > 0.8
    assert found.queries == 400
    assert found.words is None
    rest = found.weights.copy().reshape(-1)
    assert np.median(np.abs(rest)) < 0.05 * found.weights.max()


def test_the_column_that_counts_is_found() -> None:
    draws = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    world = world_of("table", lambda x: torch.sigmoid(3 * x[:, 2]), reference=SimpleNamespace(x=draws))
    found = plain_lime(world, np.array([0.0, 0.0, 2.0, 0.0]), 1)
    assert np.abs(found.weights).argmax() == 2
    assert found.weights[2] > 5 * np.abs(np.delete(found.weights, 2)).max()


def test_the_word_that_counts_is_found() -> None:
    known = ["<unk>", "a", "fine", "day"]

    def inward(texts: list[str]) -> torch.Tensor:
        rows = [[known.index(w) if w in known else 0 for w in text.split()] for text in texts]
        return torch.tensor([row + [0] * (4 - len(row)) for row in rows])

    world = world_of(
        "text", lambda x: 0.1 + 0.8 * (x == 2).any(1).float(), units=SimpleNamespace(inward=inward),
        render=lambda x: " ".join(known[i] for i in x if i),
    )  # fmt: skip
    found = plain_lime(world, np.array([1, 2, 3, 0]), 1, samples=200)
    assert found.words == ["a", "fine", "day"]
    assert found.weights.argmax() == 1
    assert found.r2 > 0.8


def test_small_pictures_have_a_patch_a_pixel_and_large_ones_squares() -> None:
    assert segments_of((8, 8)).max() == 63
    large = segments_of((28, 28))
    assert large.max() + 1 <= 196
    assert len(np.unique(large)) == large.max() + 1
    assert large[0, 0] == large[1, 1]
    assert large[0, 0] != large[0, 2]
    uneven = segments_of((15, 20))
    assert len(np.unique(uneven)) == uneven.max() + 1


def test_at_frames_of_a_path(capfd: pytest.CaptureFixture[str]) -> None:
    world = envs.make_world(data="digits", max_step=1 / 6)
    path = explain(world, 4, walker="line")
    found = plain_lime_at(path, world, samples=100)
    assert list(found) == sorted({0, path.steps // 2, path.steps})
    again = plain_lime_at(path, world, [path.steps], samples=100)[path.steps]
    np.testing.assert_array_equal(again.weights, found[path.steps].weights)
    other = plain_lime_at(path, world, [path.steps], samples=100, seed=1)[path.steps]
    assert not np.array_equal(other.weights, again.weights)
    assert capfd.readouterr().err == ""  # no bar
    with pytest.raises(ManifoldError, match=f"frame 99: this path has frames 0 to {path.steps}"):
        plain_lime_at(path, world, [99])


def test_bad_input_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of("image", lambda x: x.flatten(1).mean(1))
    with pytest.raises(ManifoldError, match="class 2: this world has the classes 0 to 1"):
        plain_lime(world, np.zeros((2, 2)), 2)
    world.label_only = True
    with pytest.raises(ManifoldError, match="only labels"):
        plain_lime(world, np.zeros((2, 2)), 1)
    world.label_only = False
    monkeypatch.setitem(sys.modules, "lime", None)
    monkeypatch.setitem(sys.modules, "lime.lime_image", None)
    with pytest.raises(ManifoldError, match=r"pip install 'manifold-traversal\[lime\]'"):
        plain_lime(world, np.zeros((2, 2)), 1)


def test_lime_of_a_saved_sentence_path_names_its_words(tmp_path):
    from agents.explain import explain
    from agents.explanation.local.lime_figure import save_lime
    from envs import make_world

    world = make_world(data="sentences")
    path = explain(world, 0, walker="line")
    file = save_lime([path], [tmp_path / "line-0000.npz"], world, "plain")[0]
    with np.load(file) as kept:
        words, slopes, frames = kept["words"], kept["slopes"], kept["frames"].tolist()
    for row, weights, t in zip(words, slopes, frames, strict=True):
        said = path.texts[t + 1].split()
        assert [word for word in row if word] == said
        assert not weights[len(said) :].any()
    lines = (tmp_path / "lime" / "line-0000.txt").read_text().splitlines()
    assert [int(line.split()[1]) for line in lines] == frames
    assert all(word in lines[-1] for word in path.texts[-1].split())
