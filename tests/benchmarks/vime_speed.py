"""What does VIME cost: a score, a step of its fit, and the whole of it on top of PPO; one thread, process time.

    python -m tests.benchmarks.vime_speed

In one run, repeats interleaved, medians over them (with the least and the largest):

* the information gain of 2,048 transitions at 4 draws: the closed form against the original's loop, one transition and
  one autograd gradient at a time (curiosity/original_loop.py; both must agree), and against torch's vmap;
* a step of the fit, against the same step written without Pyro;
* PPO with `--curiosity vime` and with none, everything else as shipped (the number of steps too), 128 and 32 environments;
  where the difference goes; and how much of the newest, not yet learned transitions the dynamics network explained
  meanwhile: of what a step *changes* (curiosity/r2), and of the next frame (r2_next), beside what "nothing changes"
  explains of it (r2_persistence), and how often it predicted the classifier's next label.

Seconds are process time: what a shared machine gives to others does not count; wall time is beside it where the aim is
about it.
"""

from __future__ import annotations

import copy
import json
import platform
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces

from agents.train import train
from agents.training.vec_env import LatentVecEnv
from tests.benchmarks.curiosity.original_loop import fit_without_pyro, gain_by_loop, gain_by_vmap
from tests.benchmarks.harness.experiment import Experiment, Options, Record, render
from tests.benchmarks.harness.runs import Run, cpu_seconds
from tests.benchmarks.harness.tables import judged, table
from tests.benchmarks.harness.walks import ALGO
from tests.benchmarks.speed.watched import watched
from vime import VIME
from vime.bonuses.base import Bonus
from vime.information_gain import closed_form_gain, draw_noise, linearized_gain
from vime.sb3.rollout_callback import CuriosityCallback
from vime.sb3.vec_env_wrapper import CuriosityVecEnvWrapper

ROWS, DRAWS = 2048, 4
ENVS = ("Manifold/DigitsLabelOnly-v0", "Manifold/Digits-v0")
WIDTHS = {128: "", 32: ", 32 environments"}  # environments side by side, and how a row says it
AGREEMENT = 1e-3  # largest difference between loop and closed form, relative to the gain: both are float32


class Case(NamedTuple):
    """Sizes of a dynamics network: observation, action (together the inputs), targets, and further arguments of VIME."""

    obs: int
    action: int
    targets: int
    options: dict[str, Any]


CASES = {
    "18 -> 16": Case(16, 2, 16, {}),
    "18 -> 16, fixed noise": Case(16, 2, 16, {"noise": 0.5}),
    "18 -> 16, 64-64 hidden": Case(16, 2, 16, {"hidden": (64, 64)}),
    "6 -> 4": Case(4, 2, 4, {}),
    "26 -> 22, the digits' own": Case(18, 8, 22, {"noise": 0.3, "hidden": (64, 64), "draws": 2}),
}
CHIEF = "18 -> 16"
EXPLAINED = {
    "r2": "held-out R2 of the change",
    "r2_fitted": "R2 of the same changes, fitted",
    "r2_next": "held-out R2 of the next frame",
    "r2_persistence": "R2 of the next frame if nothing changed",
    "prediction_accuracy": "next labels predicted",
    "prediction_persistence": "next labels that are the present one",
}
AIMS = {
    f"gain, {CHIEF}: loop / closed form": (">=", 60.0),
    f"gain, {CHIEF}: microseconds a transition": ("<=", 25.0),
    f"gain, {CHIEF}: microseconds a transition, linearised": ("<=", 4.0),
    **{f"{env}: added by VIME, process time": ("<=", 0.25) for env in ENVS},
    **{f"{env}: added by VIME, wall time": ("<=", 0.25) for env in ENVS},
    **{f"{env}, 32 environments: added by VIME, wall time": ("<=", 0.60) for env in ENVS},
    **{f"{env}: held-out R2 of the change meanwhile": (">=", 0.90) for env in ENVS},
}


# ---- run: scores and fits ---------------------------------------------------------------------------------------------


def learned(case: Case, pool: int = 8192) -> tuple[Any, Any]:
    """A VIME that has learned smooth made-up dynamics, and 2,048 transitions of them that it has not seen."""
    draw = np.random.default_rng(0)
    box = [spaces.Box(-np.inf, np.inf, (size,), np.float32) for size in (case.obs, case.action)]
    wider = torch.randn(case.obs, case.targets, generator=torch.Generator().manual_seed(0)) / case.obs**0.5
    predict = None if case.targets == case.obs else lambda rows: torch.tanh(rows @ wider)
    bonus = VIME(box[0], box[1], predict=predict, **{"draws": DRAWS, **case.options})
    through = draw.normal(size=(case.obs + case.action, case.obs)) / np.sqrt(case.obs + case.action)

    def transitions(count: int) -> Any:
        obs, action = draw.normal(size=(count, case.obs)), draw.uniform(-1, 1, size=(count, case.action))
        change = np.tanh(np.concatenate([obs, action], axis=1) @ through)
        return bonus.encode(obs, action, obs + change + 0.05 * draw.normal(size=change.shape))

    bonus.add_transitions(transitions(pool))
    for _ in range(10):
        bonus.fit()
    return bonus, transitions(ROWS)


def gain_tasks(bonus: Any, batch: Any) -> dict[str, Callable[[], Any]]:
    """The four ways to the same 2,048 gains, under the same draws but for the last, which is what a user calls."""
    layers, head = bonus.bnn.frozen_posterior(), bonus.bnn.head
    noise = draw_noise(layers, bonus.draws, 1, torch.Generator().manual_seed(0), antithetic=True)
    inputs, targets = bonus.whitened(batch)
    mask = bonus.target_whitener.varies.float()
    return {
        "closed form": lambda: closed_form_gain(layers, head, inputs, targets, noise, mask=mask),
        "linearised": lambda: linearized_gain(layers, head, inputs, targets, mask=mask),
        "loop": lambda: gain_by_loop(layers, head, inputs, targets, noise, mask),
        "vmap": lambda: gain_by_vmap(layers, head, inputs, targets, noise, mask),
        "VIME.score_transitions": lambda: bonus.score_transitions(batch),
    }


def disagreement(one: Any, other: Any) -> float:
    """Largest difference of two batches of gains, relative to the gain."""
    return float(((one - other).abs() / one.abs().clamp(min=1e-6)).max())


def fit_tasks(bonus: Any) -> dict[str, Callable[[], Any]]:
    """A fit as it is and the same steps without Pyro, on a network of their own each (the sizes are what matters)."""
    plain = copy.deepcopy(bonus)
    optimizer = torch.optim.Adam(plain.bnn.parameters(), lr=plain.learning_rate, fused=True)
    return {
        "VIME.fit": lambda: bonus.fit(),
        "without Pyro": lambda: fit_without_pyro(plain, optimizer, plain.updates),
    }


def parts_measured(repeats: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Seconds of every repeat, case -> way -> list: of the gains of 2,048 transitions, and of a step of the fit."""
    gains: dict[str, Any] = {}
    steps: dict[str, Any] = {}
    tasks: list[tuple[dict[str, list[float]], str, Callable[[], Any], int]] = []
    for name, case in CASES.items():
        bonus, batch = learned(case)
        ways = gain_tasks(bonus, batch)
        found = {way: work() for way, work in ways.items() if way != "VIME.score_transitions"}
        differs = max(disagreement(found["loop"], found[way]) for way in ("closed form", "vmap"))
        if not differs < AGREEMENT:
            raise SystemExit(f"error: {name}: loop and closed form differ by {differs:.2g} of the gain")
        gains[name] = {"seconds": {way: [] for way in ways}, "largest relative difference": differs}
        fits = fit_tasks(bonus)
        steps[name] = {"seconds": {way: [] for way in fits}, "updates": bonus.updates}
        gains[name]["mean nats"] = float(found["loop"].mean())
        tasks += [(gains[name]["seconds"], way, work, 1) for way, work in ways.items()]
        tasks += [(steps[name]["seconds"], way, work, bonus.updates) for way, work in fits.items()]
    for repeat in range(repeats + 1):
        for where, way, work, parts in tasks:
            took = cpu_seconds(work)[1] / parts
            if repeat:  # the first round warms up
                where[way].append(took)
    return gains, steps


# ---- run: trainings ---------------------------------------------------------------------------------------------------


def training(env: str, curiosity: str, seed: int, n_timesteps: int | None, n_envs: int) -> dict[str, Any]:
    """One training as shipped: its seconds, where VIME's went, and what its network explained of unseen transitions."""
    parts: dict[str, tuple[type, str]] = {
        "environment": (LatentVecEnv, "step_wait"),
        "collecting transitions": (CuriosityVecEnvWrapper, "step_wait"),
        "what is seen (decoding the rollout twice)": (Bonus, "with_target"),
        "score": (Bonus, "score_transitions"),
        "pool and whitening": (Bonus, "add_transitions"),
        "fit": (Bonus, "fit"),
        "mixing, advantages again": (CuriosityCallback, "_pay_rollout"),
    }
    with tempfile.TemporaryDirectory() as folder, watched(parts) as spent:
        run = train(
            env=env, algo=ALGO, n_timesteps=n_timesteps, n_envs=n_envs, seed=seed, curiosity=curiosity, log_folder=folder,
            save_freq=0, eval_episodes=0, pictures=False,
        )  # fmt: skip
        lines = [json.loads(line) for line in (run.folder.root / "metrics.jsonl").read_text().splitlines()]
    figures = {"steps": run.steps, "process": run.progress["cpu_seconds"], "wall": run.progress["seconds"]}
    fits = [line for line in lines if "curiosity/r2" in line]
    if curiosity == "none":
        return figures | {"parts": {"environment": spent["environment"]}}
    return figures | {
        "parts": spent,
        "explained": {name: [line[f"curiosity/{name}"] for line in fits] for name in EXPLAINED},
    }


def trainings_measured(options: Options) -> dict[str, Any]:
    """env, with the width if it is not 128 -> none and vime -> a training for each seed; which goes first alternates."""
    found: dict[str, Any] = {env + text: {"none": [], "vime": []} for text in WIDTHS.values() for env in ENVS}
    training(ENVS[0], "vime", 0, 8192, 128)  # warms up
    settings = tuple(f"agents/training/hyperparameters/{name}.yml" for name in (ALGO, "walks", "curiosity"))
    for seed in range(options.seeds):
        for env, n_envs in product(ENVS, WIDTHS):
            for curiosity in ("none", "vime") if seed % 2 == 0 else ("vime", "none"):
                own = {"seed": seed, "n_timesteps": options.n_timesteps, "n_envs": n_envs}
                sources = settings if curiosity == "none" else (*settings, "vime/**/*.py")
                key = {"vime_speed": env, "curiosity": curiosity, **own}
                run = Run(key, partial(training, env, curiosity, **own), sources)
                found[env + WIDTHS[n_envs]][curiosity].append(options.runner.one(run, f"{env} {curiosity} {own}"))
    return found


def measure(options: Options) -> Iterator[Record]:
    """Parts, then trainings."""
    gains, steps = parts_measured(options.repeats)
    trainings = trainings_measured(options)
    lines = figures_of(gains, steps, trainings)
    aims = {name: judged(AIMS, name, lines[name]["median"]) for name in AIMS}
    yield {"machine": platform.machine(), "table": lines, "aims": aims, "gains": gains, "fits": steps, "trainings": trainings}


def ends(values: list[float]) -> dict[str, float]:
    """Median, least and largest."""
    return {"median": median(values), "least": min(values), "largest": max(values)}


def ratio(above: list[float], below: list[float], minus: float = 0.0) -> dict[str, float]:
    """Of the ratio within a repeat: what slows a whole repeat down cancels."""
    return ends([a / b - minus for a, b in zip(above, below, strict=True)])


def later_half(values: list[float]) -> float:
    """Median of the second half of a training's fits: the first fits begin with a network that knows nothing."""
    return median(values[len(values) // 2 :])


def figures_of(gains: dict[str, Any], steps: dict[str, Any], trainings: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Every line of the table: name -> median, least, largest."""
    table = {}
    for name, case in gains.items():
        took = case["seconds"]
        for way in took:
            text = "microseconds a transition" + ("" if way == "closed form" else f", {way}")
            table[f"gain, {name}: {text}"] = ends([s / ROWS * 1e6 for s in took[way]])
        table[f"gain, {name}: loop / closed form"] = ratio(took["loop"], took["closed form"])
    for name, case in steps.items():
        took = case["seconds"]
        table[f"fit, {name}: milliseconds a step"] = ends([s * 1e3 for s in took["VIME.fit"]])
        table[f"fit, {name}: milliseconds a step, without Pyro"] = ends([s * 1e3 for s in took["without Pyro"]])
    for env, runs in trainings.items():
        none, vime = runs["none"], runs["vime"]
        for clock in ("process", "wall"):
            pair = [r[clock] for r in vime], [r[clock] for r in none]
            table[f"{env}: added by VIME, {clock} time"] = ratio(*pair, minus=1.0)
        for part in vime[0]["parts"]:
            if part == "environment":
                continue
            share = [r["parts"][part] for r in vime], [r["process"] for r in none]
            table[f"{env}: of this, {part}"] = ratio(*share)
        table[f"{env}: of this, a dearer environment (other walks)"] = ends(
            [(v["parts"]["environment"] - n["parts"]["environment"]) / n["process"] for v, n in zip(vime, none, strict=True)]
        )
        table[f"{env}: seconds of {none[0]['steps']:,} steps without"] = ends([r["process"] for r in none])
        for name, title in EXPLAINED.items():
            table[f"{env}: {title} meanwhile"] = ends([later_half(r["explained"][name]) for r in vime])
        table[f"{env}: held-out R2 of the change at the last fit"] = ends([r["explained"]["r2"][-1] for r in vime])
    return table


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """One table."""
    rows = [
        [name, *(f"{value[key]:.3g}" for key in ("median", "least", "largest")), judged(AIMS, name, value["median"])]
        for name, value in record["table"].items()
    ]
    differs = max(case["largest relative difference"] for case in record["gains"].values())
    return render(
        "vime_speed", command=record["command"], rows=ROWS, draws=DRAWS, differs=differs, algo=ALGO.upper(),
        table=table(["what", "median", "least", "largest", "aim"], rows, "lrrrl"),
    )  # fmt: skip


EXPERIMENT = Experiment(
    "vime_speed", __doc__, measure, page,
    flags={
        "--repeats": {"type": int, "default": 7, "help": "of the scores and the fits"},
        "--seeds": {"type": int, "default": 3, "help": "pairs of trainings in each environment"},
        "--n-timesteps": {"type": int, "help": "of the trainings [as shipped]"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
