"""Small worlds whose every number can be worked out by hand."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from envs import World, make_world
from envs.manifolds import Manifold, Prior


class LinearManifold(Manifold):
    """x = centre + W z: the pullback metric is W'W everywhere, and nothing is clamped."""

    modality = "image"

    def __init__(self, weight: torch.Tensor, data_shape: tuple[int, ...], prior: Prior | None = None) -> None:
        super().__init__(weight.shape[1])
        self.data_shape = data_shape
        self.prior = prior or Prior("normal", weight.shape[1])
        self.register_buffer("weight", weight)
        self.register_buffer("inverse", torch.linalg.pinv(weight))

    @property
    def settings(self) -> dict[str, Any]:
        raise NotImplementedError

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return self.prior.project((x.flatten(1) - 0.5) @ self.inverse.T)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return (0.5 + z @ self.weight.T).reshape(-1, *self.data_shape)


class Softmax:
    """A linear classifier of pictures, as a plain function that counts the rows it is asked."""

    def __init__(self, weight: np.ndarray, sharpness: float = 1.0) -> None:
        self.weight = weight
        self.sharpness = sharpness
        self.rows = 0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.rows += len(x)
        logits = self.sharpness * ((x.reshape(len(x), -1) - 0.5) @ self.weight.T).astype(np.float64)
        p = np.exp(logits - logits.max(1, keepdims=True))
        return p / p.sum(1, keepdims=True)


def toy(
    *,
    seed: int = 0,
    d: int = 3,
    classes: int = 3,
    shape: tuple[int, ...] = (3, 4),
    rows: int = 60,
    sharpness: float = 30.0,
    step_length: float | None = None,
    **kwargs: Any,
) -> World:
    """A random linear world: `world.asked` is the counting function behind its classifier."""
    generator = torch.Generator().manual_seed(seed)
    size = int(np.prod(shape))
    weight = 0.05 * torch.randn(size, d, generator=generator)
    z = torch.randn(rows, d, generator=generator)
    x = (0.5 + z @ weight.T).reshape(-1, *shape).clamp(0, 1)
    # The classes are told apart along the manifold, whatever the dice.
    directions = torch.linalg.qr(torch.randn(max(d, classes), max(d, classes), generator=generator))[0][:classes, :d]
    function = Softmax((directions @ torch.linalg.pinv(weight)).numpy(), sharpness)
    kwargs = {
        "manifold": LinearManifold(weight, shape),
        "class_names": [f"class {k}" for k in range(classes)],
        **kwargs,
    }
    world = make_world(data=x.numpy(), classifier=kwargs.pop("classifier", function), **kwargs)
    if step_length is not None:
        world = world.replace(step_length=step_length)
    world.asked = function  # type: ignore[attr-defined]
    return world


@pytest.fixture(scope="session")
def toy_world() -> Callable[..., World]:
    """The factory above."""
    return toy


@pytest.fixture(scope="session")
def linear_manifold() -> type[LinearManifold]:
    return LinearManifold


@pytest.fixture(scope="session")
def digits() -> World:
    """The world of Manifold/Digits-v0, shared: don't change it."""
    return make_world(data="digits")


@pytest.fixture(scope="session")
def iris() -> World:
    """The world of Manifold/Custom-v0, shared: don't change it."""
    return make_world(data="iris")


@pytest.fixture(scope="session")
def environments_page() -> Any:
    """The module that writes docs/environments.md."""
    path = Path(__file__).with_name("environments_page.py")
    spec = importlib.util.spec_from_file_location("environments_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
