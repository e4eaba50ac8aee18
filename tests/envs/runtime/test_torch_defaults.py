"""A process with other defaults of torch gets the same worlds and walks, and keeps its defaults."""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from agents.explain import explain
from agents.explanation.atlas.mine import embedded
from agents.train import train
from envs import LatentEnv, ManifoldError, make_world
from envs.classifiers.networks import fit_classifier, mlp_classifier
from envs.manifolds import PCA, VAE, ConvVAE, UMAPMap
from envs.runtime.torch_defaults import owners_torch, threads_kept, usual_torch

SMALL = {"policy_kwargs": {"net_arch": [8]}, "n_steps": 8, "n_epochs": 1}


@contextlib.contextmanager
def default_dtype() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextlib.contextmanager
def default_device() -> Iterator[None]:
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


SWITCHES: dict[str, Any] = {
    "float64": default_dtype,
    "device": default_device,
    "device context": lambda: torch.device("meta"),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
}


def state() -> tuple[Any, ...]:
    return (torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled(), torch.is_inference_mode_enabled(),
            torch.get_num_threads())  # fmt: skip


@pytest.fixture(params=SWITCHES)
def switched(request: pytest.FixtureRequest) -> Iterator[None]:
    with SWITCHES[request.param]():
        before = state()
        yield
        assert state() == before


def walked() -> tuple[Any, ...]:
    world = make_world(manifold="vae", latent_dim=2, fit={"epochs": 1, "hidden": [4]}, move="pullback", guidance=True)
    env = LatentEnv(world=world)
    first = env.reset(seed=0)[0]
    path = explain(world, 3, walker="line")
    return world.reference.z.numpy(), first, env.step(np.ones(2, dtype=np.float32))[0], path.z, path.predictions


@pytest.fixture(scope="module")
def usual() -> tuple[Any, ...]:
    assert torch.get_default_dtype() is torch.float32
    return walked()


def test_worlds_and_walks_are_the_same(usual, switched):
    for found, want in zip(walked(), usual, strict=True):
        assert found.dtype == want.dtype
        np.testing.assert_allclose(found, want, atol=1e-5, rtol=1e-5)  # last bits differ with where arrays lie


def test_trainings_run(switched, tmp_path):
    run = train(world=make_world(), n_timesteps=64, n_envs=8, hyperparams=SMALL, eval_episodes=4, log_folder=str(tmp_path))
    assert run.steps == 64
    assert next(run.model.policy.parameters()).dtype == torch.float32
    assert explain(run, 0).steps > 0


@pytest.mark.parametrize("kind", [PCA, VAE, ConvVAE, UMAPMap])
def test_fits_called_directly_run(kind, switched):
    with owners_torch(), usual_torch():
        x = torch.rand(40, 8, 8, generator=torch.Generator().manual_seed(0))
    manifold = kind.fit(x, latent_dim=2, modality="image", epochs=1)
    assert next(iter(manifold.state_dict().values())).device.type == "cpu"
    assert not any(weight.dtype == torch.float64 for weight in manifold.parameters())


def test_a_classifiers_fit_runs(switched):
    with usual_torch():
        x, y, module = torch.rand(40, 4), torch.arange(40) % 2, mlp_classifier((4, 3, 2))
    assert not fit_classifier(module, x, y, epochs=1).training


def test_the_users_own_code_finds_the_users_own_defaults():
    seen = []

    def classifier(x: np.ndarray) -> np.ndarray:
        seen.append(torch.get_default_dtype())
        p = (torch.from_numpy(x).mean(1) > 3.4).to(torch.get_default_dtype())
        return torch.stack([1 - p, p], 1).numpy()

    with default_dtype():
        make_world(data=np.random.default_rng(0).normal(3.4, 1, (30, 4)), classifier=classifier, class_names=["a", "b"],
                   manifold="pca", latent_dim=2)  # fmt: skip
    assert set(seen) == {torch.float64}


def test_defaults_come_back_after_an_error(switched):
    with pytest.raises(ManifoldError, match="unknown data set"):
        make_world(data="no such data")


class ChangesThreads:
    """In place of umap-learn: numba's OpenMP sets torch's threads, too."""

    def __init__(self, n_components: int = 2, **_: Any) -> None:
        self.size = n_components

    def fit_transform(self, rows: np.ndarray) -> np.ndarray:
        import numba

        numba.set_num_threads(1)
        torch.set_num_threads(2 if torch.get_num_threads() != 2 else 1)
        return np.random.default_rng(0).normal(size=(len(rows), self.size))


def test_a_umap_fit_puts_the_numbers_of_threads_back(monkeypatch):
    numba = pytest.importorskip("numba")
    fake = types.ModuleType("umap")
    fake.UMAP = ChangesThreads  # type: ignore[attr-defined]
    fake.__spec__ = types.SimpleNamespace()  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "umap", fake)
    before = torch.get_num_threads(), numba.get_num_threads()
    UMAPMap.fit(torch.rand(40, 5), modality="table", epochs=1)
    assert (torch.get_num_threads(), numba.get_num_threads()) == before
    assert embedded(np.random.default_rng(0).normal(size=(40, 5)), "umap", 0)[1] == "UMAP"
    assert (torch.get_num_threads(), numba.get_num_threads()) == before


def test_numbers_of_threads_come_back_after_an_error():
    before = torch.get_num_threads()
    with contextlib.suppress(KeyError), threads_kept():
        torch.set_num_threads(before + 1)
        raise KeyError
    assert torch.get_num_threads() == before
