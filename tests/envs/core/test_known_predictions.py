"""Known predictions: a world is rebuilt without its queries, and a classifier that changed is detected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import envs
from envs import ManifoldError
from envs.core.known_predictions import CHECKED, KnownPredictions, predictions_of

SETTINGS = {"manifold": "pca", "latent_dim": 2}


@pytest.fixture(scope="module")
def world() -> envs.World:
    return envs.make_world(**SETTINGS)


@pytest.fixture(scope="module")
def kept(world: envs.World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("run") / "known_predictions.safetensors"
    file.write_bytes(predictions_of(world).to_bytes())
    return file


def test_a_world_is_built_again_without_its_queries(world: envs.World, kept: Path) -> None:
    assert world.classifier.queries == len(world.reference.x)  # walks on tables begin at the inputs themselves
    again = envs.make_world(**SETTINGS, known_predictions=kept)
    assert again.classifier.queries == CHECKED
    for old, new in zip(world.reference, again.reference, strict=True):
        torch.testing.assert_close(old, new, rtol=0, atol=0)
    assert again.config == world.config  # a world does not remember the file


def test_a_classifier_that_changed_is_detected_and_queried_again() -> None:
    rows = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)

    def make(sign: float, file: Path | None = None) -> envs.World:
        def classifier(x: np.ndarray) -> np.ndarray:
            p = 1 / (1 + np.exp(-sign * 3 * x[:, 0]))
            return np.stack([p, 1 - p], axis=1)

        return envs.make_world(
            data=rows, classifier=classifier, class_names=["a", "b"], manifold="pca", latent_dim=2, known_predictions=file
        )

    old = make(1.0)
    known = predictions_of(old)

    def changed(sign: float) -> str | None:
        new = make(sign)
        return known.changed(
            lambda x, rows: new.predictions(x[rows], new.reference.factual.chosen(rows)), old.reference.x, old.reference.frame
        )

    assert changed(1.0) is None
    assert "of 32 labels" in str(changed(-1.0))
    assert "0 of 32 labels" in str(changed(1.1))


def test_what_changed_is_said_and_queried_again(tmp_path: Path) -> None:
    file = tmp_path / "known.safetensors"
    rows = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    kind = {"class_names": ["a", "b"], "manifold": "pca", "latent_dim": 2}

    def classifier(x: np.ndarray) -> np.ndarray:
        return np.stack([(x[:, 0] > 0).astype(float), (x[:, 0] <= 0).astype(float)], axis=1)

    def other(x: np.ndarray) -> np.ndarray:
        return 1 - classifier(x)

    world = envs.make_world(data=rows, classifier=classifier, **kind)
    file.write_bytes(predictions_of(world).to_bytes())
    with pytest.warns(UserWarning, match=r"predictions have changed since .* all 100 reference rows are queried again"):
        again = envs.make_world(data=rows, classifier=other, known_predictions=file, **kind)
    assert again.classifier.queries == 2 * 100 + CHECKED
    assert (again.reference.label != world.reference.label).all()
    with pytest.warns(UserWarning, match="belong to other data"):
        envs.make_world(data=rows + 1, classifier=classifier, known_predictions=file, **kind)


def test_a_damaged_file_is_named(tmp_path: Path, kept: Path) -> None:
    file = tmp_path / "known.safetensors"
    with pytest.raises(ManifoldError, match="cannot be read"):
        KnownPredictions.read(file)
    file.write_bytes(kept.read_bytes()[:40])
    with pytest.raises(ManifoldError, match="remove the file"):
        KnownPredictions.read(file)


def test_pictures_are_built_again_without_their_queries(tmp_path: Path) -> None:
    pictures = (np.random.default_rng(0).random((60, 4, 4)) * 255).astype(np.uint8)

    def classifier(x: np.ndarray) -> np.ndarray:
        p = (x[:, 0, 0] > 127).astype(float)
        return np.stack([1 - p, p], axis=1)

    given = {"data": pictures, "classifier": classifier, "class_names": ["a", "b"], "manifold": "pca", "latent_dim": 2}
    world = envs.make_world(**given)
    file = tmp_path / "known.safetensors"
    file.write_bytes(predictions_of(world).to_bytes())
    again = envs.make_world(**given, known_predictions=file)
    assert again.classifier.queries == CHECKED  # the comparison with the user's own rows is not made again, either
    torch.testing.assert_close(again.reference.prediction, world.reference.prediction, rtol=0, atol=0)


def test_other_values_of_the_same_categories_are_other_data(tmp_path: Path) -> None:
    rows = np.array([[" a", 1.0], ["b", 2.0]] * 20, dtype=object)
    kind = {"columns": {"letter": {"kind": "category"}, "n": {"kind": "number"}}, "manifold": "pca", "latent_dim": 2}

    def classifier(x: np.ndarray) -> np.ndarray:
        p = np.array([{" a": 0.9, "a": 0.6}.get(value, 0.2) for value in x[:, 0]])
        return np.stack([1 - p, p], axis=1)

    file = tmp_path / "known.safetensors"
    world = envs.make_world(data=rows, classifier=classifier, class_names=["no", "yes"], **kind)
    file.write_bytes(predictions_of(world).to_bytes())
    bare = np.array([["a", 1.0], ["b", 2.0]] * 20, dtype=object)
    with pytest.warns(UserWarning, match="belong to other data"):
        envs.make_world(data=bare, classifier=classifier, class_names=["no", "yes"], known_predictions=file, **kind)
