"""One training of one arm in the benchmarks of curiosity, and its figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from agents.runs.config import CuriosityConfig
from agents.runs.random_state import fenced_random_state
from agents.training.algorithms import make_model
from agents.training.environments import add_curiosity, curiosity_of, make_vec_env, make_world_of
from agents.training.evaluation import evaluate_in_world
from envs.registration import CONTROL
from tests.benchmarks.curiosity.variants import VARIANTS, bonus_of
from tests.benchmarks.curiosity.witness import CELLS, Witness
from tests.benchmarks.harness.runs import Run, timed

LATENT_SOURCES = (
    *(f"envs/core/{name}.py" for name in ("dynamics", "tasks", "moves", "world", "step_size")),
    *(f"envs/gym/{name}.py" for name in ("coverage", "episodes")),
    "envs/manifolds/distracted.py",
    "agents/training/prediction_target.py",
)
EVALUATION_SEED = 10_000  # added to the training's own


@dataclass(frozen=True)
class Training:
    """What is trained.

    Attributes:
        env: the environment's id.
        algo: the algorithm.
        arm: the bonus, a variant of it (variants.py), or ``none``.
        steps: of all environments together.
        seed: of everything random in the training.
        settings: the algorithm's hyperparameters, n_envs among them.
        eta: weight of the bonus.
        options: further arguments of the bonus or of its wrapper.
        env_kwargs: of the environment.

    Example:
        >>> Training("VIME/SparsePendulum-v0", "ppo", "vime", 100, 3, {"n_envs": 2}, eta=0.1).name
        'SparsePendulum-ppo-vime-0.1-seed3'
    """

    env: str
    algo: str
    arm: str
    steps: int
    seed: int
    settings: dict[str, Any]
    eta: float | None = None
    options: dict[str, Any] = field(default_factory=dict)
    env_kwargs: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For people and for the file: readable, but not unique."""
        eta = "" if self.eta is None else f"-{self.eta:g}"
        own = "".join(f"-{name}{value}" for name, value in self.env_kwargs.items() if isinstance(value, int | float | str))
        arm = self.arm.replace(":", ".")
        return f"{self.env.split('/')[1].removesuffix('-v0')}{own}-{self.algo}-{arm}{eta}-seed{self.seed}"

    @property
    def sources(self) -> tuple[str, ...]:
        """Code that the figures depend on: that of its own task, and vime/ where there is a bonus."""
        own = LATENT_SOURCES
        if self.env in CONTROL:
            own = ("envs/control/vector_env.py", f"envs/control/{CONTROL[self.env][0]}.py")
        if self.arm in VARIANTS:
            own = (*own, "tests/benchmarks/curiosity/variants.py")
        return own if self.arm == "none" else (*own, "vime/**/*.py")

    def run(self, figures: Callable[[Training], dict[str, Any]]) -> Run:
        """It as a run that is kept."""
        return timed(Run(asdict(self), partial(figures, self), self.sources, self.name))


def trained(one: Training, world: Any = None) -> tuple[Any, Witness]:
    """Train the agent: the model, and the witness of the training."""
    with fenced_random_state():
        monitored = make_vec_env(one.env, dict(one.env_kwargs), world, one.settings["n_envs"])
        env: Any = Witness(monitored, CELLS.get(one.env))
        witness = env
        if one.arm != "none":
            bonus, variant = bonus_of(one.arm)
            curiosity = CuriosityConfig(name=bonus, eta=one.eta, options={**one.options, **variant})
            env = add_curiosity(env, curiosity, one.seed, world)
        model = make_model(one.algo, env, dict(one.settings), one.seed, "cpu")
        curious = curiosity_of(env)
        model.learn(one.steps, callback=None if curious is None else curious.callback())
    return model, witness


def control_figures(one: Training) -> dict[str, Any]:
    """Figures of a control task: what was found on the way, and how well the policy does at the end."""
    model, witness = trained(one)
    found = {
        "first_reward": witness.first_reward,
        "coverage": len(witness.visited),
        "curve": witness.curve(one.steps),
        "training_success": last_fifth(witness, one.steps),
    }
    for name, deterministic in (("sampled", False), ("deterministic", True)):
        found[name] = evaluated(model, one, deterministic)
    return found


def last_fifth(witness: Witness, steps: int) -> dict[str, float]:
    """Mean return and success rate of the episodes that ended in the training's last fifth."""
    rows = [row for row in witness.episodes if row[0] > 0.8 * steps]
    if not rows:
        return {"return": 0.0, "success": 0.0, "episodes": 0}
    return {
        "return": float(np.mean([r for _, r, _ in rows])),
        "success": float(np.mean([s for _, _, s in rows])),
        "episodes": len(rows),
    }


def evaluated(model: Any, one: Training, deterministic: bool, episodes: int = 50) -> dict[str, float]:
    """Mean return and success rate of one episode in each of `episodes` fresh environments."""
    with fenced_random_state():
        torch.manual_seed(EVALUATION_SEED + one.seed)
        env = make_vec_env(one.env, dict(one.env_kwargs), None, episodes)
        env.seed(EVALUATION_SEED + one.seed)
        obs, returns, won = env.reset(), np.full(episodes, np.nan), np.zeros(episodes)
        while np.isnan(returns).any():
            action, _ = model.predict(obs, deterministic=deterministic)
            obs, _, dones, infos = env.step(action)
            for i in np.flatnonzero(dones & np.isnan(returns)):
                returns[i], won[i] = infos[i]["episode"]["r"], infos[i]["is_success"]
        env.close()
    return {"return": float(returns.mean()), "success": float(won.mean())}


def manifold_figures(one: Training) -> dict[str, Any]:
    """Figures of a task on the digits' manifold; the classifier answers one row a step."""
    world = make_world_of(one.env, dict(one.env_kwargs))
    assert world is not None
    model, witness = trained(one, world)
    found: dict[str, Any] = {
        "first_reward": witness.first_reward,
        "curve": witness.curve(one.steps),
        "training_success": last_fifth(witness, one.steps),
    }
    if witness.covered:
        found["covered"] = witness.covered[:: max(1, len(witness.covered) // 20)] + witness.covered[-1:]
    elif world.task.name == "reach_label":
        found["validity"] = evaluate_in_world(model, world, 300, EVALUATION_SEED)["success_rate"]
    return found
