"""How fast do the environments walk: rows that the classifier answers a second, resets counted, starts cached, one thread.

    python -m tests.benchmarks.throughput

In one run, repeats interleaved, medians over them:

* the raw forward: decode and classify 256 latents, nothing else;
* the native vector environment of 256, euclidean moves, a trained policy's actions (recorded beforehand, so that no
  policy's time is measured and walks end as often as they do in training);
* a step written by hand for this world alone, without checks or infos: the ceiling of such a step in Python (speed/fused.py);
* stable-baselines3's DummyVecEnv of 16 single environments, with actions recorded in the same way;
* pullback moves, against the Jacobian they need;
* the recipe's own world (agents/training/hyperparameters/ppo.yml), whatever its moves and observations;
* the environment's share of a PPO training's wall time, for euclidean moves and for the recipe's world.

Seconds are process time: what a shared machine gives to others does not count.
"""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import TimeLimit
from stable_baselines3.common.vec_env import DummyVecEnv

from agents.train import train
from agents.training.vec_env import LatentVecEnv
from envs import LatentEnv, LatentVectorEnv, make_world
from tests.benchmarks.harness.experiment import Experiment, Options, Record, render
from tests.benchmarks.harness.runs import cpu_seconds
from tests.benchmarks.harness.tables import judged, table
from tests.benchmarks.harness.walks import ALGO, ENV
from tests.benchmarks.speed.fused import FusedWalks
from tests.benchmarks.speed.watched import watched

BATCH, MANY, SINGLES, STEPS = 256, 1024, 16, 200
AIMS = {
    "vector env / raw forward": (">=", 0.60),
    "vector env / DummyVecEnv of 16": (">=", 25.0),
    "environment's share of PPO": ("<=", 0.15),
}


# ---- run --------------------------------------------------------------------------------------------------------------


def vector_env(world: Any, n: int, seed: int = 0) -> Any:
    """The native vector environment at its first step, reset within the step as stable-baselines3 wants it."""
    env = LatentVectorEnv(n, world=world, autoreset_mode=AutoresetMode.SAME_STEP)
    env.reset(seed=seed)
    return env


def single_envs(world: Any, n: int) -> Any:
    """A DummyVecEnv of single environments, each with Gymnasium's own TimeLimit."""
    env = DummyVecEnv([lambda: TimeLimit(LatentEnv(world=world), world.max_episode_steps)] * n)
    env.seed(0)
    env.reset()
    return env


def recorded(world: Any, model: Any, n: int, steps: int, seed: int = 0) -> Any:
    """The policy's deterministic actions (steps, n, d) in a vector environment of n, seeds `seed` and on."""
    env = vector_env(world, n)
    observation, _ = env.reset(seed=seed)
    actions = []
    for _ in range(steps):
        actions.append(model.predict(observation, deterministic=True)[0])
        observation, *_ = env.step(actions[-1])
    return np.stack(actions)


def rows_per_second(world: Any, work: Callable[[], Any]) -> float:
    """Rows that `work` queries the world's classifier for in a second of process time."""
    before = world.classifier.queries
    _, seconds = cpu_seconds(work)
    return float((world.classifier.queries - before) / seconds)


def walk(make: Callable[[], Any], actions: Any) -> Callable[[], Any]:
    """All recorded steps in what `make` gives."""

    def work() -> None:
        env = make()
        for action in actions:
            env.step(action)

    return work


def walk_vector(world: Any, actions: Any) -> Callable[[], Any]:
    """All recorded steps in the native vector environment."""
    return walk(lambda: vector_env(world, actions.shape[1]), actions)


def repeated(world: Any, n: int, steps: int, function: Callable[[Any], Any]) -> Callable[[], Any]:
    """`function` of n codes of starts, `steps` times."""
    z = world.reference.z[torch.arange(n) % len(world.reference.z)]
    return torch.inference_mode()(lambda: [function(z) for _ in range(steps)])


def forward(world: Any, n: int, steps: int) -> Callable[[], Any]:
    """Decode and classify n latents, `steps` times."""
    return repeated(world, n, steps, lambda z: world.classifier.predict_proba(world.manifold.decode(z)))


def training_share(n_timesteps: int, world: Any = None) -> tuple[float, Any]:
    """The share of a PPO training's wall time that its environment takes (None: the recipe's own world), and the run."""
    part = {"environment": (LatentVecEnv, "step_wait")}
    with tempfile.TemporaryDirectory() as folder, watched(part, time.perf_counter) as spent:
        where: dict[str, Any] = {"env": ENV} if world is None else {"world": world}
        run = train(**where, algo=ALGO, n_timesteps=n_timesteps, log_folder=folder, save_freq=0, eval_episodes=0)
    return spent["environment"] / run.progress["seconds"], run


def measured(repeats: int, steps: int, n_timesteps: int) -> dict[str, Any]:
    """Every figure of the table: name -> value."""
    from tqdm import tqdm

    share, recipe = training_share(n_timesteps)
    euclidean, pullback = (make_world(data="digits", move=move, task="reach") for move in ("euclidean", "pullback"))
    plain_share, trained = training_share(n_timesteps, plainly(euclidean))
    actions = recorded(euclidean, trained.model, BATCH, steps)
    few = recorded(euclidean, trained.model, SINGLES, steps)
    theirs = recorded(recipe.world, recipe.model, BATCH, steps)
    draws = np.random.default_rng(0).random((BATCH, steps + 1, 2))
    jacobians = repeated(pullback, BATCH, steps, pullback.manifold.jacobian)  # the classifier is not queried
    work = {
        "raw forward of 256": (euclidean, forward(euclidean, BATCH, steps)),
        "vector env of 256": (euclidean, walk_vector(euclidean, actions)),
        "step fused by hand, 256": (euclidean, walk(lambda: FusedWalks(euclidean, draws), actions)),
        "DummyVecEnv of 16": (euclidean, walk(lambda: single_envs(euclidean, SINGLES), few)),
        "raw forward of 1,024": (euclidean, forward(euclidean, MANY, steps // 4)),
        "vector env of 1,024": (euclidean, walk_vector(euclidean, recorded(euclidean, trained.model, MANY, steps // 4))),
        "vector env of 256, pullback moves": (pullback, walk_vector(pullback, actions)),
        "vector env of 256, the recipe's world": (recipe.world, walk_vector(recipe.world, theirs)),
    }
    rates: dict[str, list[float]] = {name: [] for name in work}
    bare: list[float] = []
    for repeat in tqdm(range(repeats + 1), desc="throughput", dynamic_ncols=True):
        for name, (world, task) in work.items():
            rate = rows_per_second(world, task)
            if repeat:  # the first round warms up
                rates[name].append(rate)
        bare.append(BATCH * steps / cpu_seconds(jacobians)[1])
    rates["Jacobian of 256 alone"] = bare[1:]
    middle = {name: median(values) for name, values in rates.items()}
    ratios = {
        "vector env / raw forward": _ratio(rates, "vector env of 256", "raw forward of 256"),
        "step fused by hand / raw forward": _ratio(rates, "step fused by hand, 256", "raw forward of 256"),
        "vector env of 1,024 / raw forward of 1,024": _ratio(rates, "vector env of 1,024", "raw forward of 1,024"),
        "vector env / DummyVecEnv of 16": _ratio(rates, "vector env of 256", "DummyVecEnv of 16"),
        "pullback vector env / its Jacobian": _ratio(rates, "vector env of 256, pullback moves", "Jacobian of 256 alone"),
        "recipe's vector env / raw forward": _ratio(rates, "vector env of 256, the recipe's world", "raw forward of 256"),
        "environment's share of PPO": plain_share,
        "environment's share of PPO, the recipe's world": share,
    }
    return {"rows_per_second": middle, "all": rates, "ratios": ratios}


def plainly(world: Any) -> Any:
    """The world as a training must keep it: its moves and observations, whatever the recipe has."""
    chosen = {"move": "euclidean", "step": world.step, "max_step": 0, "guidance": False, "reward": {"implausibility": 0.0}}
    return world.replace(**chosen)


def _ratio(rates: dict[str, list[float]], above: str, below: str) -> float:
    """Median over the repeats of the ratio within a repeat: what slows a whole repeat down cancels."""
    return median(a / b for a, b in zip(rates[above], rates[below], strict=True))


def measure(options: Options) -> Iterator[Record]:
    """Everything in one run."""
    yield {"machine": platform.machine(), **measured(options.repeats, options.steps, options.n_timesteps)}


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """Rates, and ratios with their aims."""
    rates = [[name, f"{rate:,.0f}"] for name, rate in record["rows_per_second"].items()]
    ratios = [[name, f"{value:.3g}", judged(AIMS, name, value)] for name, value in record["ratios"].items()]
    return render(
        "throughput", command=record["command"], rates=table(["what", "rows per second"], rates),
        ratios=table(["ratio", "value", "aim"], ratios, "lrl"),
    )  # fmt: skip


EXPERIMENT = Experiment(
    "throughput", __doc__, measure, page,
    flags={
        "--repeats": {"type": int, "default": 7},
        "--steps": {"type": int, "default": STEPS, "help": "recorded steps of each environment"},
        "--n-timesteps": {"type": int, "default": 100_000, "help": "of the trainings"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
