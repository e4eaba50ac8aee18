"""What a training would cost, estimated from a few measured steps."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from envs.core.world import World
from envs.registration import CUSTOM

FEW = 8  # environments that are timed first; all of them only if that was quick
PATIENCE = 2.0  # seconds that timing all of them may take
STEPS = 4  # of all environments that are timed
UPDATES = 3.0  # time of a training, as a multiple of its environment steps alone: 2.8 to 4.1 were measured


class Estimate(NamedTuple):
    """The cost of a training with the default settings.

    Attributes:
        steps: environment steps.
        rows: classifier queries: one a step, and those of a teacher that the policy imitates first.
        seconds: of one thread.
        queries: rows that this estimate queried.

    Example:
        >>> from envs import make_world
        >>> training_cost(make_world()).steps
        60000
    """

    steps: int
    rows: int
    seconds: float
    queries: int


def training_cost(world: World, algo: str = "ppo") -> Estimate:
    """Estimate the cost of a training, from the speed of a few environment steps with random actions."""
    from agents.training.algorithms import load_hyperparameters
    from agents.training.environments import laid_over, trained_walk
    from agents.training.warm_start import TEACHERS

    before, walked_in = world.classifier.queries, trained_walk(world)
    settings = {**load_hyperparameters(algo, CUSTOM), **laid_over(algo, walked_in, None)}
    steps, count = int(settings["n_timesteps"]), int(settings["n_envs"])
    each = _seconds_a_step(walked_in, FEW, 1)
    if each * count * (STEPS + 2) < PATIENCE:
        each = UPDATES * _seconds_a_step(walked_in, count, STEPS)
    teacher = TEACHERS.get(settings.get("warm_start", ""))
    teaching = 0 if teacher is None else teacher.count(steps) * walked_in.max_episode_steps
    return Estimate(steps, steps + teaching, each * steps, world.classifier.queries - before)


def _seconds_a_step(world: World, count: int, steps: int) -> float:
    """Wall time of a step of one of `count` environments, over so many steps of all."""
    from envs.gym.latent_vector_env import LatentVectorEnv

    batch = LatentVectorEnv(count, world=world)
    batch.reset(seed=0)
    shape = batch.single_action_space.shape or ()
    actions = np.random.default_rng(0).uniform(-1, 1, (steps + 1, count, *shape)).astype(np.float32)
    batch.step(actions[0])  # the first step computes what is kept
    started = time.perf_counter()
    for action in actions[1:]:
        batch.step(action)
    return (time.perf_counter() - started) / (steps * count)
