"""One cell of the benchmarks of curiosity: one training of one arm, measured. Finished cells are kept.

A cell is known by what went into it: everything in its `Cell` and the source of what its figures hang on, but for the
other tasks. An interrupted benchmark goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from agents.files import write_whole
from tests.benchmarks.vime_witness import CELLS, Witness

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "runs" / "benchmarks" / "vime"
LATENT_SOURCES = ("envs/core/dynamics.py", "envs/core/tasks.py", "envs/core/moves.py", "envs/core/world.py", "envs/gym/coverage.py")
EVALUATION_SEED = 10_000  # added to the cell's own


@dataclass(frozen=True)
class Cell:
    """What is trained.

    Attributes:
        env, env_kwargs: the environment.
        algo, settings: the algorithm and its hyperparameters, n_envs among them.
        arm: the bonus, or ``none``.
        eta, options: of the bonus: weight, and further arguments of the bonus or of the wrapper.
        steps: of all environments together.
        seed: of everything random in the training.
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
        pair = f"-pair{self.env_kwargs['pair']}" if "pair" in self.env_kwargs else ""
        return f"{self.env.split('/')[1].removesuffix('-v0')}{pair}-{self.algo}-{self.arm}{eta}-seed{self.seed}"


def source_digest(cell: Cell) -> str:
    """Of the code that the cell's figures hang on: its own task, and vime/ where there is a bonus."""
    from envs.registration import CONTROL

    if cell.env in CONTROL:
        patterns = ["envs/control/vector_env.py", f"envs/control/{CONTROL[cell.env][0]}.py"]
    else:
        patterns = list(LATENT_SOURCES)
    if cell.arm != "none":
        patterns.append("vime/**/*.py")
    digest = hashlib.sha256()
    for file in sorted(file for pattern in patterns for file in ROOT.glob(pattern)):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def kept(cell: Cell, measure: Callable[[Cell], dict[str, Any]] | None, cache: Path = CACHE) -> dict[str, Any] | None:
    """The cell's figures from its file, or measured now and written whole; None where there is neither file nor `measure`."""
    key = asdict(cell)
    source = source_digest(cell)
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]
    file = cache / f"{cell.name}-{digest}.json"
    if file.is_file():
        found = json.loads(file.read_text())
        if found["source"] == source:
            return dict(found["found"])
    if measure is None:
        return None
    started = time.process_time()
    found = measure(cell)
    found["cpu_seconds"] = time.process_time() - started
    found["torch"] = version("torch")
    cache.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps({"cell": key, "source": source, "found": found}, indent=1))
    return found


def trained(cell: Cell, world: Any = None) -> tuple[Any, Witness]:
    """Train the cell's agent: the model, and who watched it."""
    from agents.runs.config import CuriosityConfig
    from agents.runs.random_state import fenced_random_state
    from agents.training.algorithms import make_model
    from agents.training.environments import add_curiosity, curiosity_of, make_vec_env

    with fenced_random_state():
        monitored = make_vec_env(cell.env, dict(cell.env_kwargs), world, cell.settings["n_envs"])
        env: Any = Witness(monitored, CELLS.get(cell.env))
        witness = env
        if cell.arm != "none":
            curiosity = CuriosityConfig(name=cell.arm, eta=cell.eta, options=dict(cell.options))
            env = add_curiosity(env, curiosity, cell.seed, world)
        model = make_model(cell.algo, env, dict(cell.settings), cell.seed, "cpu")
        curious = curiosity_of(env)
        model.learn(cell.steps, callback=None if curious is None else curious.callback())
    return model, witness


def control_cell(cell: Cell) -> dict[str, Any]:
    """Figures of a control task: what was found on the way, and how well the policy does at the end."""
    model, witness = trained(cell)
    found = {
        "first_reward": witness.first_reward,
        "coverage": len(witness.visited),
        "curve": witness.curve(cell.steps),
        "training_success": last_fifth(witness, cell.steps),
    }
    for name, deterministic in (("sampled", False), ("deterministic", True)):
        found[name] = evaluated(model, cell, deterministic)
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


def evaluated(model: Any, cell: Cell, deterministic: bool, episodes: int = 50) -> dict[str, float]:
    """Mean return and success rate of one episode in each of `episodes` fresh environments."""
    import torch

    from agents.runs.random_state import fenced_random_state
    from agents.training.environments import make_vec_env

    with fenced_random_state():
        torch.manual_seed(EVALUATION_SEED + cell.seed)
        env = make_vec_env(cell.env, dict(cell.env_kwargs), None, episodes)
        env.seed(EVALUATION_SEED + cell.seed)
        obs, returns, won = env.reset(), np.full(episodes, np.nan), np.zeros(episodes)
        while np.isnan(returns).any():
            action, _ = model.predict(obs, deterministic=deterministic)
            obs, _, dones, infos = env.step(action)
            for i in np.flatnonzero(dones & np.isnan(returns)):
                returns[i], won[i] = infos[i]["episode"]["r"], infos[i]["is_success"]
        env.close()
    return {"return": float(returns.mean()), "success": float(won.mean())}


def manifold_cell(cell: Cell) -> dict[str, Any]:
    """Figures of a task on the digits' manifold; the classifier is asked one row a step."""
    from agents.training.environments import make_world_of
    from agents.training.evaluation import evaluate_in_world

    world = make_world_of(cell.env, dict(cell.env_kwargs))
    assert world is not None
    model, witness = trained(cell, world)
    found: dict[str, Any] = {
        "first_reward": witness.first_reward,
        "curve": witness.curve(cell.steps),
        "training_success": last_fifth(witness, cell.steps),
    }
    if witness.covered:
        found["covered"] = witness.covered[:: max(1, len(witness.covered) // 20)] + witness.covered[-1:]
    elif world.task.name == "reach_label":
        found["validity"] = evaluate_in_world(model, world, 300, EVALUATION_SEED)["success_rate"]
    return found
