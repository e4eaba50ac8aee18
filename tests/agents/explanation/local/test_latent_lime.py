"""Latent LIME against functions whose slopes are known."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import envs
from agents import explain as script
from agents.console.cli import run_main
from agents.explain import explain
from agents.explanation.local.latent_lime import in_data_space, latent_slopes
from agents.explanation.local.lime_figure import lime_figure
from agents.explanation.local.lime_path import asked_column, lime_along, slopes_along
from agents.trajectories.trajectory import Trajectory, TrajectoryError
from envs.core.factual import Factual
from envs.errors import ManifoldError


@pytest.fixture(scope="module")
def digits() -> Any:
    return envs.make_world(data="digits", max_step=1 / 6)


@pytest.fixture(scope="module")
def paths(digits: Any) -> Any:
    return explain(digits, [0, 1, 2], walker="line")


class Linear:
    """A world whose data are its codes through a matrix, and whose probability is linear in the data."""

    label_only = False
    latent_dim = 2
    step_length = 0.1

    def __init__(self) -> None:
        self.matrix = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
        self.by_data = torch.tensor([0.05, 0.02, 0.7])
        self.asked = 0
        self.manifold = SimpleNamespace(
            decode=lambda z: z @ self.matrix.T, jacobian=lambda z: self.matrix.expand(len(z), 3, 2), data_shape=(3,)
        )
        self.classifier = SimpleNamespace(predict_proba=self.predict_proba)
        self.reference = SimpleNamespace(z=torch.zeros(4, 2))

    def factual_of(self, x: torch.Tensor) -> Factual:
        return Factual(x, x[:, :0], x[:, :0])

    def decode(self, z: torch.Tensor, factual: Factual) -> torch.Tensor:
        return self.manifold.decode(z)

    def predictions(self, frame: torch.Tensor, factual: Factual) -> torch.Tensor:
        return self.classifier.predict_proba(frame)

    def move(self, manifold: Any, z: torch.Tensor, action: torch.Tensor, length: float) -> torch.Tensor:
        return z + length * action

    def predict_proba(self, x: torch.Tensor) -> torch.Tensor:
        self.asked += len(x)
        p = 0.4 + x @ self.by_data
        return torch.stack([p, (1 - p) * 0.75, (1 - p) * 0.25], dim=1)


def test_a_linear_answer_is_fitted_exactly() -> None:
    world: Any = Linear()
    z = torch.tensor([[0.0, 0.0], [1.0, -1.0]])
    found = latent_slopes(world, z, z, torch.tensor([0, 0]), samples=20)
    torch.testing.assert_close(found.latent, torch.tensor([[0.05, 0.04]]).expand(2, 2), rtol=5e-3, atol=1e-6)
    torch.testing.assert_close(found.intercept, 0.4 + z @ torch.tensor([0.05, 0.04]), rtol=1e-4, atol=1e-5)
    assert found.r2.min() > 0.999
    assert found.queries == world.asked == 40


def test_each_frame_is_fitted_to_its_own_class() -> None:
    world: Any = Linear()
    z = torch.zeros(3, 2)
    found = latent_slopes(world, z, z, torch.tensor([0, 1, -1]), samples=20)
    torch.testing.assert_close(found.latent[1], -0.75 * found.latent[0], rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(found.latent[2], -0.75 * found.latent[0], rtol=1e-3, atol=1e-6)  # the best class but 0 is 1


def test_pixels_get_what_the_manifold_can_move_and_nothing_else() -> None:
    world: Any = Linear()
    found = in_data_space(world, torch.zeros(1, 2), torch.tensor([[0.05, 0.04]]))
    # The third value never changes on this manifold: its slope of 0.7 cannot be seen.
    torch.testing.assert_close(found, torch.tensor([[0.05, 0.02, 0.0]]), rtol=1e-3, atol=1e-6)


def test_what_is_even_around_the_frame_cancels() -> None:
    world: Any = Linear()
    bowl = lambda x: torch.stack([0.3 + 50 * x.square().sum(1), 0.7 - 50 * x.square().sum(1)], dim=1)  # noqa: E731
    world.classifier = SimpleNamespace(predict_proba=bowl)
    found = latent_slopes(world, torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor([0]), samples=20)
    assert float(found.latent.abs().max()) < 1e-5  # pairs of opposite draws; without them it would be noise
    assert float(found.r2) < 0.01


def test_a_constant_answer_has_no_r2() -> None:
    world: Any = Linear()
    world.by_data = torch.zeros(3)
    found = latent_slopes(world, torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor([0]), samples=8)
    assert torch.isnan(found.r2).all()
    assert float(found.latent.abs().max()) == pytest.approx(0.0, abs=1e-6)


def test_along_a_path(digits: Any, paths: Any) -> None:
    path = paths[0]
    before, own = digits.classifier.queries, path.queries
    slopes, r2 = lime_along(path, digits, samples=100)
    assert slopes.shape == (len(path.z), 8, 8)
    assert r2.shape == (len(path.z),)
    assert digits.classifier.queries - before == 100 * len(path.z)
    assert path.queries == own
    assert np.nanmean(r2) > 0.7
    again = lime_along(path, digits, samples=100)
    np.testing.assert_array_equal(slopes, again.slopes)
    assert not np.array_equal(slopes, lime_along(path, digits, samples=100, seed=1).slopes)


def test_slopes_point_where_the_answer_rises(digits: Any, paths: Any) -> None:
    for path, found in zip(paths, slopes_along(paths, digits), strict=True):
        z = torch.from_numpy(path.z)
        with torch.inference_mode():
            ahead = digits.manifold.decode(z + 0.02 * torch.nn.functional.normalize(torch.from_numpy(found.latent), dim=1))
            risen = digits.classifier.predict_proba(ahead)[:, path.target].numpy() - path.predictions[:, path.target]
        assert (risen > -1e-6).all()
        told = (found.slopes.reshape(len(z), -1) * np.diff(path.frames(digits).reshape(len(z), -1), axis=0, append=0)).sum(1)
        by_code = (found.latent * np.diff(path.z, axis=0, append=0)).sum(1)
        np.testing.assert_allclose(told[:-1], by_code[:-1], atol=0.05)  # g . dx is beta . dz, to first order


def test_a_batch_of_paths_is_each_path(digits: Any, paths: Any) -> None:
    for path, found in zip(paths, slopes_along(paths, digits), strict=True):
        alone = slopes_along([path], digits)[0]
        np.testing.assert_allclose(found.latent, alone.latent, atol=1e-5)
        assert found.queries == alone.queries == 200 * len(path.z)
    assert slopes_along([], digits) == []


def test_what_is_asked_hangs_on_the_task() -> None:
    path: Any = SimpleNamespace(source=2, target=2, z=np.zeros((3, 1)))
    assert asked_column(path, "leave").tolist() == [-3, -3, -3]
    assert asked_column(path, "reach").tolist() == [2, 2, 2]


def test_explain_keeps_and_draws_them(tmp_path: Path) -> None:
    asked = ["--env", "Manifold/Custom-v0", "--walker", "line", "--index", "0", "7", "--format", "npz"]
    assert run_main(script.main, [*asked, "--out", str(tmp_path), "--lime", "latent"]) == 0
    files = sorted(tmp_path.glob("*.npz"))
    assert len(files) == 2
    for file in files:
        steps = Trajectory.load(file).steps
        with np.load(tmp_path / "lime" / file.name, allow_pickle=False) as archive:
            assert archive["slopes"].shape == (steps + 1, 4)
            assert archive["latent"].shape == (steps + 1, 2)
            assert archive["frames"].tolist() == list(range(steps + 1))
            assert int(archive["queries"]) == 200 * (steps + 1)
        with Image.open(tmp_path / "lime" / f"{file.stem}.png") as image:
            assert image.width > 200


def test_pictures_are_drawn_with_their_slopes(digits: Any, paths: Any) -> None:
    found = slopes_along(paths[:1], digits)[0]
    drawn = lime_figure(paths[0], digits, range(len(found.r2)), found.slopes, found.r2)
    with Image.open(io.BytesIO(drawn)) as image:
        assert image.height > 200


def test_bad_input_is_named(digits: Any, paths: Any) -> None:
    labels = envs.make_world(data="digits", task="reach_label", label_only=True)
    with pytest.raises(ManifoldError, match="only labels"):
        lime_along(explain(labels, 0, walker="line"), labels)
    for samples in (7, 4):
        with pytest.raises(ManifoldError, match=f"samples {samples}: an even number above the 8"):
            lime_along(paths[0], digits, samples=samples)
    with pytest.raises(TrajectoryError, match="walked on the manifold"):
        lime_along(paths[0], envs.make_world())
