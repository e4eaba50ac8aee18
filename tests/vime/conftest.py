"""A small world with known dynamics, and a VIME bonus fitted to it once for the whole folder."""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from dataclasses import dataclass  # noqa: E402

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from gymnasium import spaces  # noqa: E402

torch.set_num_threads(1)


@dataclass
class ToyWorld:
    """s' = s + tanh([s, a] W) V + noise, with 4 state and 2 action dimensions."""

    noise: float = 0.05
    noisy_half: bool = False
    """A television: where the first action is positive, two of the four changes are pure noise."""

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        self._w = rng.normal(size=(6, 16)) / 2
        self._v = rng.normal(size=(16, 4)) / 3

    observation_space = spaces.Box(-np.inf, np.inf, (4,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def draw(self, count: int, seed: int, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        obs = rng.normal(size=(count, 4)) * scale
        action = rng.uniform(-1, 1, size=(count, 2))
        change = np.tanh(np.concatenate([obs, action], 1) @ self._w) @ self._v
        change += self.noise * rng.normal(size=change.shape)
        if self.noisy_half:
            on = action[:, 0] > 0
            change[on, 2:] = rng.normal(size=(int(on.sum()), 2))
        return obs.astype(np.float32), action.astype(np.float32), (obs + change).astype(np.float32)


@pytest.fixture(scope="session")
def toy() -> ToyWorld:
    return ToyWorld()


@pytest.fixture(scope="session")
def noisy_toy() -> ToyWorld:
    return ToyWorld(noisy_half=True)


def _fitted(toy: ToyWorld, **options):
    from vime import VIME

    bonus = VIME(toy.observation_space, toy.action_space, seed=1, learning_rate=1e-2, **options)
    bonus.add(*toy.draw(5000, seed=10))
    bonus.fit(600)
    return bonus


@pytest.fixture(scope="session")
def fitted_state(toy):
    return _fitted(toy).state_dict()


@pytest.fixture
def fitted(toy, fitted_state):
    """A VIME bonus that knows the toy world (R2 about 0.98); each test gets its own."""
    from vime import VIME

    bonus = VIME(toy.observation_space, toy.action_space, seed=99, learning_rate=1e-2)
    bonus.load_state_dict(fitted_state)
    return bonus


@pytest.fixture(scope="session")
def make_fitted():
    return _fitted
