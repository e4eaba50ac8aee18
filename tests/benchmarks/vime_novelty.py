"""Do scores tell what was never visited from what was, and do they leave a noisy television? No agent is trained.

    python -m tests.benchmarks.vime_novelty

* The car: ten rollouts of 2,048 transitions of VIME's mountain car under random forces that are held for a while,
  scored, added and fitted in the order of a training. Then transitions from states spread evenly over all positions and
  speeds are scored: AUC of cells (40 x 40) that the stream never visited against those that it did.
* The television: smooth made-up dynamics whose second half of targets is pure noise where the first action is positive; median
  score with the noise on, divided by the median with it off.

Every bonus is made as the table of arms says, else with its own defaults, on the network seeds 0 to 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from gymnasium import spaces
from scipy.stats import rankdata

from envs.control.mountain_car import MAX_SPEED, POSITION, SparseMountainCar
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render
from tests.benchmarks.harness.runs import Run, cpu_seconds
from tests.benchmarks.harness.tables import table
from vime import make_bonus

LINEARIZED: dict[str, Any] = {"estimator": "linearized", "noise": "heteroscedastic"}
SECOND_ORDER: dict[str, Any] = {"estimator": "second_order", "noise": "heteroscedastic"}
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "vime, second order, learned noise": ("vime", SECOND_ORDER),
    "vime, second order, noise 0.3": ("vime", SECOND_ORDER | {"noise": 0.3}),
    "vime, linearised, learned noise": ("vime", LINEARIZED),
    "vime, linearised, noise 0.3": ("vime", LINEARIZED | {"noise": 0.3}),
    "vime, linearised, noise 0.1": ("vime", LINEARIZED | {"noise": 0.1}),
    "vime, linearised, anchored noise": ("vime", LINEARIZED | {"noise": "anchored"}),
    "vime, last layer, noise 0.1": ("vime", LINEARIZED | {"posterior": "last_layer", "noise": 0.1}),
    "vime, last layer, anchored noise": ("vime", LINEARIZED | {"posterior": "last_layer", "noise": "anchored"}),
    "vime, deep ensemble": ("vime", LINEARIZED | {"posterior": "deep_ensemble"}),
    **{
        f"vime, weight sites ({guide})": (
            "vime",
            LINEARIZED | {"posterior": "weight_sites", "posterior_options": {"guide": guide}, "hidden": (8, 8)},
        )
        for guide in ("AutoNormal", "AutoLowRankMultivariateNormal", "AutoMultivariateNormal")
    },
    "bald, learned noise": ("bald", {"noise": "heteroscedastic"}),
    "bald, noise 0.3": ("bald", {"noise": 0.3}),
    "l2": ("l2", {}),
    "rnd": ("rnd", {}),
    "disagreement": ("disagreement", {}),
    "knn": ("knn", {}),
}
ROLLOUTS, ENVS, STEPS, HORIZON, CELLS, PROBES = 10, 16, 128, 200, 40, 4000


# ---- run --------------------------------------------------------------------------------------------------------------


def cells(states: np.ndarray) -> np.ndarray:
    """Number of the cell (B,) of states (B, 2)."""
    low, high = np.array([POSITION[0], -MAX_SPEED]), np.array([POSITION[1], MAX_SPEED])
    place = np.clip(((states - low) / (high - low) * CELLS).astype(int), 0, CELLS - 1)
    return np.asarray(place[:, 0] * CELLS + place[:, 1])


def car_stream(seed: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Rollouts of states (2,048, 2), actions (2,048, 1) and next states."""
    task, draw = SparseMountainCar(), np.random.default_rng(seed)
    state, age, action = task.start(draw.random((ENVS, 1))), np.arange(ENVS) * HORIZON // ENVS, draw.uniform(-1, 1, ENVS)
    rollouts = []
    for _ in range(ROLLOUTS):
        seen = []
        for _ in range(STEPS):
            action = np.where(draw.random(ENVS) < 0.1, draw.uniform(-1, 1, ENVS), action)
            following = task.advance(state, action)
            seen.append((state, action[:, None], following))
            age += 1
            over = task.terminated(following) | (age >= HORIZON)
            state = np.where(over[:, None], task.start(draw.random((ENVS, 1))), following)
            age = np.where(over, 0, age)
        rollouts.append(tuple(np.concatenate(parts) for parts in zip(*seen, strict=True)))
    return rollouts  # type: ignore[return-value]


def auc(above: np.ndarray, below: np.ndarray) -> float:
    """Probability that a score of ``above`` exceeds one of ``below``; equal scores count half."""
    ranks = rankdata(np.concatenate([above, below]))[: len(above)]
    return float((ranks.sum() - len(above) * (len(above) + 1) / 2) / (len(above) * len(below)))


def car_figures(name: str, options: dict[str, Any], seed: int) -> dict[str, Any]:
    """AUC, median and largest score, and the CPU seconds of the whole stream."""
    box = spaces.Box(-np.inf, np.inf, (2,), np.float64)
    bonus = make_bonus(name, box, SparseMountainCar().action_space, seed=seed, **options)

    def learn() -> np.ndarray:
        visited = np.zeros(CELLS**2, bool)
        for state, action, following in car_stream(seed):
            batch = bonus.encode(state, action, following)
            if bonus.ready:
                bonus.score_rollout(batch)
            bonus.add_transitions(batch)
            bonus.fit()
            visited[cells(state)] = visited[cells(following)] = True
        return visited

    visited, seconds = cpu_seconds(learn)
    task, draw = SparseMountainCar(), np.random.default_rng(1000 + seed)
    probes = draw.uniform((POSITION[0], -MAX_SPEED), (POSITION[1], MAX_SPEED), (PROBES, 2))
    actions = draw.uniform(-1, 1, (PROBES, 1))
    following = task.advance(probes, actions[:, 0])
    scores = bonus.score(probes, actions, following).numpy()
    known = visited[cells(probes)] & visited[cells(following)]
    never = ~visited[cells(probes)] & ~visited[cells(following)]
    found = {"never": int(never.sum()), "known": int(known.sum()), "cpu_seconds": seconds}
    return found | {
        "auc": auc(scores[never], scores[known]),
        "median": float(np.median(scores)),
        "largest": float(scores.max()),
    }


def television(name: str, options: dict[str, Any], seed: int) -> float:
    """Median score with the noise on over the median with it off, after 5,000 transitions and 600 updates."""
    draw = np.random.default_rng(seed)
    first, second = draw.normal(size=(6, 16)) / 2, draw.normal(size=(16, 4)) / 3

    def transitions(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        obs, action = draw.normal(size=(count, 4)), draw.uniform(-1, 1, size=(count, 2))
        change = np.tanh(np.concatenate([obs, action], 1) @ first) @ second + 0.05 * draw.normal(size=(count, 4))
        change[:, 2:] = np.where(action[:, :1] > 0, draw.normal(size=(count, 2)), change[:, 2:])
        return obs, action, obs + change

    boxes = [spaces.Box(-np.inf, np.inf, (size,), np.float32) for size in (4, 2)]
    bonus = make_bonus(name, boxes[0], boxes[1], seed=seed, **options)
    bonus.add(*transitions(5000))
    bonus.fit(600)
    probe = transitions(2000)
    scores, on = bonus.score(*probe).numpy(), probe[1][:, 0] > 0
    return float(np.median(scores[on]) / np.median(scores[~on]))


def figures_of(arm: str, seed: int) -> dict[str, Any]:
    """Every figure of one arm and seed."""
    name, options = ARMS[arm]
    return car_figures(name, options, seed) | {"television": television(name, options, seed)}


def measure(options: Options) -> Iterator[Record]:
    """Arm -> a list of figures, one for each seed."""
    found: Record = {}
    for arm in options.arms:
        runs = [
            Run(
                {"vime_novelty": ARMS[arm], "seed": seed},
                partial(figures_of, arm, seed),
                ("vime/**/*.py", "envs/control/*.py"),
            )
            for seed in range(options.seeds)
        ]
        found[arm] = list(options.runner(runs, arm))
        yield {"arms": found}


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """One table: medians over seeds, with the least and the largest of the two figures that have an aim."""

    def spread(values: list[float]) -> str:
        return f"{median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"

    rows = [
        [arm, spread([one["auc"] for one in found]), spread([one["television"] for one in found]),
         f"{median(one['median'] for one in found):.3g}",
         f"{median(one['largest'] for one in found):.3g}", f"{median(one['cpu_seconds'] for one in found):.1f}"]
        for arm, found in record["arms"].items()
    ]  # fmt: skip
    titles = ["bonus", "AUC", "television", "median score", "largest score", "CPU s"]
    return render(
        "vime_novelty", command=record["command"], seeds=len(next(iter(record["arms"].values()))), table=table(titles, rows)
    )


EXPERIMENT = Experiment(
    "vime_novelty", __doc__, measure, page,
    flags={"--arms": one_of(list(ARMS)), "--seeds": {"type": int, "default": 5, "help": "network seeds and streams"}},
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
