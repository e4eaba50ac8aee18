"""How difficult are the exploration ids? The success of walks that learn nothing, measured for each rung.

    python -m tests.benchmarks.ladder

Three walks: independent normal actions (an untrained PPO's), one random direction an episode, and the straight latent line to
the nearest reference input of the target class, which no explorer knows. On the way of that line, classes other than source
and target are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode

import envs
from envs.building.world import make_world_named
from envs.registration import CONTROL
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render
from tests.benchmarks.harness.runs import Run, timed
from tests.benchmarks.harness.tables import DASH, table

STD = 0.5  # of the actions: PPO's exp(log_std_init), as training sets it
AVERAGED = 8  # pairs of neighbouring ranks that a rung with a pair averages over
PAIR, SLIP, WALLS = (f"Manifold/Digits{name}-v0" for name in ("OnePair", "Slip", "Walls"))
MNIST = {"data": "mnist_decoded", "task": "one_pair", "label_only": True, "step": 0.05, "max_episode_steps": 80}
IRIS = {**MNIST, "data": "iris"}
RUNGS: dict[str, tuple[str, dict[str, Any]]] = {
    "any other class, probabilities": ("Manifold/Digits-v0", {}),
    "label only": ("Manifold/DigitsLabelOnly-v0", {}),
    "label only, small steps": ("Manifold/DigitsLabelOnlyLong-v0", {}),
    "one pair, rank 1200": (PAIR, {"pair": 1190}),
    "one pair, rank 900": (PAIR, {"pair": 900}),
    "one pair, rank 600": (PAIR, {"pair": 600}),
    "one pair, rank 300": (PAIR, {"pair": 300}),
    "one pair, rank 0": (PAIR, {"pair": 0}),
    "rank 600, step 0.125": (PAIR, {"pair": 600, "step": 0.125}),
    "rank 600, step 0.25": (PAIR, {"pair": 600, "step": 0.25}),
    "rank 600, slip 0.25": (SLIP, {"pair": 600}),
    "rank 600, slip 0.75": (SLIP, {"pair": 600, "slip": 0.75}),
    "rank 600, a wall": (WALLS, {"pair": 600}),
    "rank 0, a wall": (WALLS, {"pair": 0}),
    "MNIST, rank 1000": ("Manifold/Custom-v0", {**MNIST, "pair": 1000}),
    "iris, rank 50": ("Manifold/Custom-v0", {**IRIS, "pair": 50}),
    "Deep Sea 10": ("VIME/DeepSea-v0", {"size": 10}),
    "Deep Sea 20": ("VIME/DeepSea-v0", {"size": 20}),
    "mountain car": ("VIME/SparseMountainCar-v0", {}),
    "swing-up": ("VIME/SparseCartPoleSwingUp-v0", {}),
    "pendulum": ("VIME/SparsePendulum-v0", {}),
}
Policy = Callable[[Any, int], np.ndarray]


# ---- run --------------------------------------------------------------------------------------------------------------


def successes(env: Any, policy: Policy, seed: int) -> np.ndarray:
    """Whether the first episode of each environment succeeds, (n,)."""
    env.reset(seed=seed)
    won, over, step = np.zeros(env.num_envs, bool), np.zeros(env.num_envs, bool), 0
    while not over.all():
        _, _, terminated, truncated, infos = env.step(policy(env, step))
        shown = infos["is_success"].astype(bool)
        if "final_info" in infos:
            shown = np.where(terminated | truncated, infos["final_info"]["is_success"], shown)
        won |= shown & ~over
        over |= terminated | truncated
        step += 1
    return won


def isotropic(draw: np.random.Generator, env: Any, step: int) -> np.ndarray:
    """Independent normal actions, or uniform numbers."""
    if isinstance(env.single_action_space, gym.spaces.Discrete):
        return draw.integers(0, env.single_action_space.n, env.num_envs)
    return np.clip(STD * draw.normal(size=env.action_space.shape), -1, 1).astype(np.float32)


class Persistent:
    """One random direction for the whole episode."""

    def __init__(self, draw: np.random.Generator) -> None:
        self.draw = draw

    def __call__(self, env: Any, step: int) -> np.ndarray:
        if step == 0:
            shape = env.action_space.shape
            way = self.draw.normal(size=shape) if len(shape) > 1 else self.draw.integers(0, 2, shape)
            self.way = way / np.linalg.norm(way, axis=-1, keepdims=True) if len(shape) > 1 else way
        return np.asarray(self.way, np.float32 if self.way.ndim > 1 else np.int64)


class Straight:
    """The latent line to the nearest reference input of the target class; notes the labels on the way."""

    def __init__(self, world: envs.World) -> None:
        self.world = world
        self.seen: list[np.ndarray] = []

    def __call__(self, env: Any, step: int) -> np.ndarray:
        state, reference = env.state, self.world.reference
        if step == 0:
            ends = [
                reference.z[reference.label == k][torch.cdist(z[None], reference.z[reference.label == k])[0].argmin()]
                for z, k in zip(state.z, state.target, strict=True)
            ]
            self.ends, self.between = torch.stack(ends), (state.source.numpy(), state.target.numpy())
        self.seen.append(state.prediction.argmax(1).numpy())
        way = (self.ends - state.z) / self.world.step_length
        return (way / way.norm(dim=1, keepdim=True).clamp_min(1.0)).numpy()

    @property
    def crossed(self) -> float:
        """Mean number of other classes on the way."""
        rows = np.stack(self.seen)
        return float(np.mean([len(set(rows[:, i]) - {a, b}) for i, (a, b) in enumerate(zip(*self.between, strict=True))]))


def batch(env_id: str, settings: dict[str, Any], n: int) -> Any:
    """n environments in a batch that hands over what ended."""
    if env_id in CONTROL:
        return gym.make_vec(env_id, num_envs=n, autoreset_mode=AutoresetMode.SAME_STEP, **settings).unwrapped
    world = make_world_named(env_id, settings)
    return envs.LatentVectorEnv(n, world=world, autoreset_mode=AutoresetMode.SAME_STEP)


def figures_of(name: str, episodes: int, seed: int) -> dict[str, Any]:
    """Success of the three walks on one rung."""
    env_id, settings = RUNGS[name]
    wanted = [{**settings, "pair": settings["pair"] + i} for i in range(AVERAGED)] if "pair" in settings else [settings]
    found: dict[str, list[float]] = {"isotropic": [], "persistent": [], "straight": [], "crossed": []}
    for own in wanted:
        env, draw = batch(env_id, own, max(episodes // len(wanted), 1)), np.random.default_rng(seed)
        found["isotropic"].append(float(successes(env, partial(isotropic, draw), seed).mean()))
        found["persistent"].append(float(successes(env, Persistent(draw), seed).mean()))
        if env_id not in CONTROL:
            straight = Straight(env.world)
            found["straight"].append(float(successes(env, straight, seed).mean()))
            found["crossed"].append(straight.crossed)
    return {key: float(np.mean(values)) if values else None for key, values in found.items()} | {"episodes": episodes}


def measure(options: Options) -> Iterator[Record]:
    """Rung -> figures."""
    found: Record = {}
    sources = ("envs/core/*.py", "envs/gym/*.py", "envs/control/*.py")
    for name in options.rungs:
        key = {"ladder": name, "settings": RUNGS[name], "episodes": options.episodes, "seed": options.seed}
        run = Run(key, partial(figures_of, name, options.episodes, options.seed), sources)
        found[name] = options.runner.one(timed(run), name)
        yield {"rungs": found}


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """One table."""
    rows = []
    for name, one in record["rungs"].items():
        env_id, settings = RUNGS[name]
        own = ", ".join(f"{key}={value!r}" for key, value in settings.items() if key not in ("task", "max_episode_steps"))
        shares = [DASH if one[key] is None else f"{one[key]:.1%}" for key in ("isotropic", "persistent", "straight")]
        rows.append([name, f"`{env_id}`" + (f", `{own}`" if own else ""), *shares,
                     DASH if one["crossed"] is None else f"{one['crossed']:.1f}"])  # fmt: skip
    titles = ["rung", "id and settings", "normal actions", "one direction", "straight line", "classes on the line"]
    episodes = next(iter(record["rungs"].values()))["episodes"]
    return render("ladder", command=record["command"], std=STD, episodes=episodes, averaged=AVERAGED,
                  table=table(titles, rows, "llr"))  # fmt: skip


def whole(default: int) -> dict[str, Any]:
    """Arguments of a flag that takes a whole number."""
    return {"type": int, "default": default}


EXPERIMENT = Experiment(
    "ladder", __doc__, measure, page,
    flags={"--rungs": one_of(list(RUNGS)), "--episodes": whole(1024), "--seed": whole(0)},
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
