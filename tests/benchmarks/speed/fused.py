"""How fast a step could be in Python: one written by hand for a single world, as the vector environment's ceiling.

It walks the digits' world with euclidean moves as `LatentVectorEnv` does (same rewards, same observations, resets within
the step) and leaves out all that makes the environment general: other moves, tasks and priors, the checks of actions and of
the classifier's rows, infos, copies that protect earlier states. numpy throughout, one packed table of starts. A test holds
that it walks as the environment does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from envs.core.tasks import FLOOR, LOG_RANGE


class FusedWalks:
    """n walks of the digits' euclidean world, begun with the random numbers that the vector environment draws.

    Args:
        world: reach task, normal prior, euclidean moves, without guidance, step bound and cost for implausibility.
        draws: (n, episodes, 2) uniform numbers, what `envs.gym.episodes.Draws` gives each walk.
    """

    def __init__(self, world: Any, draws: np.ndarray) -> None:
        self.world, self.draws = world, draws
        self.weights = world.task.weights
        reference = world.reference
        self.far = np.float32(self.weights.distance / world.class_distance)
        x, frame = reference.x.flatten(1).numpy(), reference.frame.flatten(1).numpy()
        cost = np.linalg.norm(x - frame, axis=1) * self.far
        self.table = np.concatenate((reference.z.numpy(), x, self.log(reference.prediction.numpy()), cost[:, None]), axis=1)
        self.cuts = np.cumsum((world.latent_dim, x.shape[1], world.classes))
        self.label = reference.label.numpy()
        self.one_hot = np.eye(world.classes, dtype=np.float32)
        n = len(draws)
        self.row, self.steps, self.episode = np.arange(n), np.zeros(n, np.int64), np.zeros(n, np.int64)
        begun, self.target = self.begin(self.row)
        self.z, self.x, log, cost = (part.copy() for part in np.split(begun, self.cuts, axis=1))
        self.z0, self.cost = self.z.copy(), cost[:, 0]
        self.potential = log[self.row, self.target] * np.float32(self.weights.progress)

    @staticmethod
    def log(p: np.ndarray) -> np.ndarray:
        """log max(p, floor), scaled to [-1, 0]."""
        return np.log(np.maximum(p, FLOOR)) * np.float32(1 / LOG_RANGE)

    def begin(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Packed starts and targets of the next episodes of the walks `rows`."""
        u = self.draws[rows, self.episode[rows]]
        self.episode[rows] += 1
        index = (u[:, 0] * len(self.table)).astype(np.int64)
        target = (u[:, 1] * (len(self.one_hot) - 1)).astype(np.int64)
        return self.table[index], target + (target >= self.label[index])

    def step(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Observations (n, 2 d + 2 K), rewards (n,) and which walks ended (n,), for actions (n, d)."""
        world, weights = self.world, self.weights
        radius = np.float32(world.manifold.prior.radius)
        length = np.maximum(np.sqrt(np.einsum("ij,ij->i", action, action)), 1)
        z = action * (np.float32(world.step_length) / length)[:, None]
        z += self.z
        z *= (radius / np.maximum(np.sqrt(np.einsum("ij,ij->i", z, z)), radius))[:, None]
        with torch.inference_mode():
            decoded = world.manifold.decode(torch.from_numpy(z))
            prediction = world.classifier.predict_proba(decoded).numpy()
        gap = decoded.flatten(1).numpy() - self.x
        cost = np.sqrt(np.einsum("ij,ij->i", gap, gap)) * self.far
        log = self.log(prediction)
        arrived = prediction[self.row, self.target] >= world.task.tau
        potential = log[self.row, self.target] * np.float32(weights.progress)
        reward = np.where(arrived, np.float32(weights.success), potential * np.float32(world.gamma))
        reward -= self.potential
        reward -= cost
        reward += self.cost
        reward -= np.float32(weights.step)
        self.steps += 1
        over = arrived | (self.steps >= world.max_episode_steps)
        rows = np.flatnonzero(over)
        if len(rows):
            begun, target = self.begin(rows)
            z[rows], self.x[rows], log[rows], first = np.split(begun, self.cuts, axis=1)
            self.z0[rows], cost[rows], self.target[rows] = z[rows], first[:, 0], target
            potential[rows] = log[rows, target] * np.float32(weights.progress)
            self.steps[rows] = 0
        self.z, self.cost, self.potential = z, cost, potential
        return np.concatenate((z / radius, self.z0 / radius, log, self.one_hot[self.target]), axis=1), reward, over
