"""How fast the environments walk: rows asked of the classifier per second, resets counted, starts cached, one thread.

    python -m tests.benchmarks.throughput

In one run, repeats interleaved, medians over them:

* the raw forward: decode and classify 256 latents, nothing else;
* the native vector environment of 256, euclidean moves, a trained policy's actions (recorded beforehand, so that no
  policy's time is measured and walks end as often as they do in training);
* a step written by hand for this world alone, without checks or infos: the ceiling of such a step in Python
  (tests/benchmarks/throughput_fused.py);
* stable-baselines3's DummyVecEnv of 16 single environments, with actions recorded in the same way;
* pullback moves, against the Jacobian they need;
* the recipe's own world (agents/training/hyperparameters/ppo.yml), whatever its moves and observations;
* the environment's share of a PPO training's wall time, for euclidean moves and for the recipe's world.

Seconds are process time: what a shared machine gives to others is not ours. Writes docs/results/throughput.json and
.md.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from agents.cli import prepare_process
from tests.benchmarks.digits_cells import ALGO, ENV, ROOT
from tests.benchmarks.results import as_json

BATCH, MANY, SINGLES, STEPS = 256, 1024, 16, 200
AIMS = {
    "vector env / raw forward": (">=", 0.60),
    "vector env / DummyVecEnv of 16": (">=", 25.0),
    "environment's share of PPO": ("<=", 0.15),
}


def recorded(world: Any, model: Any, n: int, steps: int, seed: int = 0) -> Any:
    """The policy's deterministic actions (steps, n, d) in a vector environment of n, seeds `seed` and on."""
    import numpy as np

    env = vector_env(world, n)
    observation, _ = env.reset(seed=seed)
    actions = []
    for _ in range(steps):
        action, _ = model.predict(observation, deterministic=True)
        actions.append(action)
        observation, *_ = env.step(action)
    return np.stack(actions)


def vector_env(world: Any, n: int) -> Any:
    """The native vector environment, reset within the step as stable-baselines3 wants it."""
    from gymnasium.vector import AutoresetMode

    from envs import LatentVectorEnv

    return LatentVectorEnv(n, world=world, autoreset_mode=AutoresetMode.SAME_STEP)


def rows_per_second(world: Any, work: Callable[[], Any]) -> float:
    """Rows that `work` asks of the world's classifier in a second of process time."""
    before, started = world.classifier.queries, time.process_time()
    work()
    return (world.classifier.queries - before) / (time.process_time() - started)


def walk_vector(world: Any, actions: Any) -> Callable[[], None]:
    """All recorded steps in the native vector environment."""

    def work() -> None:
        env = vector_env(world, actions.shape[1])
        env.reset(seed=0)
        for action in actions:
            env.step(action)

    return work


def walk_fused(world: Any, actions: Any) -> Callable[[], None]:
    """All recorded steps by hand; walks begin with the random numbers of a generator of its own."""
    import numpy as np

    from tests.benchmarks.throughput_fused import FusedWalks

    draws = np.random.default_rng(0).random((actions.shape[1], len(actions) + 1, 2))

    def work() -> None:
        walks = FusedWalks(world, draws)
        for action in actions:
            walks.step(action)

    return work


def walk_singles(world: Any, actions: Any) -> Callable[[], None]:
    """All recorded steps in a DummyVecEnv of single environments, each with Gymnasium's own TimeLimit."""
    from gymnasium.wrappers import TimeLimit
    from stable_baselines3.common.vec_env import DummyVecEnv

    from envs import LatentEnv

    def single() -> Any:
        return TimeLimit(LatentEnv(world=world), world.max_episode_steps)

    def work() -> None:
        env = DummyVecEnv([single] * actions.shape[1])
        env.seed(0)
        env.reset()
        for action in actions:
            env.step(action)

    return work


def forward(world: Any, n: int, steps: int) -> Callable[[], None]:
    """Decode and classify n latents, `steps` times."""
    import torch

    z = world.reference.z[torch.arange(n) % len(world.reference.z)]

    def work() -> None:
        with torch.inference_mode():
            for _ in range(steps):
                world.classifier.predict_proba(world.manifold.decode(z))

    return work


def jacobians(world: Any, n: int, steps: int) -> Callable[[], None]:
    """The decoder's Jacobian of n latents, `steps` times; nobody is asked, so time is taken by `seconds`."""
    import torch

    z = world.reference.z[torch.arange(n) % len(world.reference.z)]

    def work() -> None:
        with torch.inference_mode():
            for _ in range(steps):
                world.manifold.jacobian(z)

    return work


def seconds(work: Callable[[], Any]) -> float:
    """Process time of `work`."""
    started = time.process_time()
    work()
    return time.process_time() - started


def training_share(n_timesteps: int, world: Any = None) -> tuple[float, Any]:
    """The share of a PPO training's wall time that its environment takes (None: the recipe's own world), and the run."""
    import tempfile

    from agents.train import train
    from agents.training.vec_env import LatentVecEnv

    spent = [0.0]
    step = LatentVecEnv.step_wait

    def timed(self: Any) -> Any:
        started = time.perf_counter()
        try:
            return step(self)
        finally:
            spent[0] += time.perf_counter() - started

    LatentVecEnv.step_wait = timed  # type: ignore[method-assign]
    try:
        with tempfile.TemporaryDirectory() as folder:
            where: dict[str, Any] = {"env": ENV} if world is None else {"world": world}
            run = train(**where, algo=ALGO, n_timesteps=n_timesteps, log_folder=folder, save_freq=0, eval_episodes=0)
    finally:
        LatentVecEnv.step_wait = step  # type: ignore[method-assign]
    return spent[0] / run.progress["seconds"], run


def measure(repeats: int, steps: int, n_timesteps: int, bar: Any) -> dict[str, Any]:
    """Every figure of the table: name -> value."""
    from envs import make_world

    share, recipe = training_share(n_timesteps)
    bar.update(1)
    euclidean, pullback = make_world(data="digits", move="euclidean"), make_world(data="digits", move="pullback")
    plain_share, trained = training_share(n_timesteps, plainly(euclidean))
    actions = recorded(euclidean, trained.model, BATCH, steps)
    few = recorded(euclidean, trained.model, SINGLES, steps)
    theirs = recorded(recipe.world, recipe.model, BATCH, steps)
    bar.update(1)
    work = {
        "raw forward of 256": (euclidean, forward(euclidean, BATCH, steps)),
        "vector env of 256": (euclidean, walk_vector(euclidean, actions)),
        "step fused by hand, 256": (euclidean, walk_fused(euclidean, actions)),
        "DummyVecEnv of 16": (euclidean, walk_singles(euclidean, few)),
        "raw forward of 1,024": (euclidean, forward(euclidean, MANY, steps // 4)),
        "vector env of 1,024": (euclidean, walk_vector(euclidean, recorded(euclidean, trained.model, MANY, steps // 4))),
        "vector env of 256, pullback moves": (pullback, walk_vector(pullback, actions)),
        "vector env of 256, the recipe's world": (recipe.world, walk_vector(recipe.world, theirs)),
    }
    rates: dict[str, list[float]] = {name: [] for name in work}
    bare: list[float] = []
    for repeat in range(repeats + 1):
        for name, (world, task) in work.items():
            rate = rows_per_second(world, task)
            if repeat:  # the first round warms up
                rates[name].append(rate)
        bare.append(BATCH * steps / seconds(jacobians(pullback, BATCH, steps)))
        bar.update(1)
    rates["Jacobian of 256 alone"] = bare[1:]
    middle = {name: median(values) for name, values in rates.items()}
    ratios = {
        "vector env / raw forward": _ratio(rates, "vector env of 256", "raw forward of 256"),
        "step fused by hand / raw forward": _ratio(rates, "step fused by hand, 256", "raw forward of 256"),
        "vector env of 1,024 / raw forward of 1,024": _ratio(rates, "vector env of 1,024", "raw forward of 1,024"),
        "vector env / DummyVecEnv of 16": _ratio(rates, "vector env of 256", "DummyVecEnv of 16"),
        "pullback vector env / its Jacobian": _ratio(
            rates, "vector env of 256, pullback moves", "Jacobian of 256 alone"
        ),
        "recipe's vector env / raw forward": _ratio(
            rates, "vector env of 256, the recipe's world", "raw forward of 256"
        ),
        "environment's share of PPO": plain_share,
        "environment's share of PPO, the recipe's world": share,
    }
    return {"rows_per_second": middle, "all": rates, "ratios": ratios}


def plainly(world: Any) -> Any:
    """The world so that a training leaves its moves and observations as they are, whatever the recipe has."""
    chosen = {"move": "euclidean", "step": world.step, "max_step": 0, "guidance": False, "reward": {"implausibility": 0.0}}
    return world.replace(**chosen)


def _ratio(rates: dict[str, list[float]], above: str, below: str) -> float:
    """Median over the repeats of the ratio within a repeat: what slows a whole repeat down cancels."""
    return median(a / b for a, b in zip(rates[above], rates[below], strict=True))


def markdown(found: dict[str, Any], command: str) -> str:
    """The tables as a page."""
    lines = ["# Throughput", "", f"Made by `{command}`: one thread, process time, medians of interleaved repeats.", ""]
    lines += ["| what | rows per second |", "|---|---:|"]
    lines += [f"| {name} | {rate:,.0f} |" for name, rate in found["rows_per_second"].items()]
    lines += ["", "| ratio | value | aim |", "|---|---:|---|"]
    for name, value in found["ratios"].items():
        lines.append(f"| {name} | {value:.3g} | {judged(name, value)} |")
    return "\n".join(lines) + "\n"


def judged(name: str, value: float) -> str:
    """What a ratio should be and whether it is."""
    if name not in AIMS:
        return ""
    relation, aim = AIMS[name]
    reached = value >= aim if relation == ">=" else value <= aim
    return f"{relation} {aim:g}: {'reached' if reached else 'NOT reached'}"


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--steps", type=int, default=STEPS, help="recorded steps of each environment")
    parser.add_argument("--n-timesteps", type=int, default=100_000, help="of the trainings")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "throughput", metavar="STEM")
    options = parser.parse_args()
    prepare_process()
    from tqdm import tqdm

    with tqdm(total=options.repeats + 3, desc="throughput", dynamic_ncols=True) as bar:
        found = measure(options.repeats, options.steps, options.n_timesteps, bar)
    command = "python -m tests.benchmarks.throughput"
    for name, rate in found["rows_per_second"].items():
        print(f"{name:40s} {rate:12,.0f} rows/s")
    for name, value in found["ratios"].items():
        print(f"{name:40s} {value:12.3g}   {judged(name, value)}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    page = {"command": command, "python": platform.python_version(), "machine": platform.machine(), **found}
    options.out.with_suffix(".json").write_text(as_json(page))
    options.out.with_suffix(".md").write_text(markdown(found, command))
    print(f"wrote {options.out}.json and .md")


if __name__ == "__main__":
    main()
