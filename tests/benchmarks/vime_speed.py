"""What VIME costs: a score, a step of its fit, and the whole of it on top of PPO; one thread, process time.

    python -m tests.benchmarks.vime_speed

In one run, repeats interleaved, medians over them (with the least and the largest):

* the information gain of 2,048 transitions at 4 draws: the closed form against the original's loop, one transition and
  one autograd gradient at a time (tests/benchmarks/vime_original_loop.py; both must agree), and against torch's vmap;
* a step of the fit, against the same step written without Pyro;
* PPO with `--curiosity vime` and with none, everything else as shipped (the number of steps too), 128 environments;
  where the difference goes; and how much of the newest, not yet learned transitions the dynamics network explained
  meanwhile: of what a step *changes* (curiosity/r2), and of the next frame (r2_next), beside what "nothing changes"
  explains of it (r2_persistence), and how often it foretold the classifier's next label.

Seconds are process time: what a shared machine gives to others is not ours; wall time is beside it where the aim is
about it. Finished trainings are kept (--cache), so an interrupted benchmark goes on. Writes docs/results/vime_speed.json
and .md.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from agents.cli import prepare_process
from agents.training.algorithms import HYPERPARAMETER_FOLDER
from tests.benchmarks.digits_cells import ALGO, ROOT
from tests.benchmarks.results import as_json

ROWS, DRAWS, N_ENVS = 2048, 4, 128
ENVS = ("Manifold/DigitsLabelOnly-v0", "Manifold/Digits-v0")
AGREEMENT = 1e-3
"""Largest difference between loop and closed form, relative to the gain: both are float32."""


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
    **{f"{env}: added by VIME, process time": ("<=", 0.50) for env in ENVS},
    **{f"{env}: added by VIME, wall time": ("<=", 0.50) for env in ENVS},
    **{f"{env}: held-out R2 of the change meanwhile": (">=", 0.90) for env in ENVS},
}


# ---- scores and fits ------------------------------------------------------------------------------------------------


def learned(case: Case, pool: int = 8192) -> tuple[Any, Any]:
    """A VIME that has learned smooth made-up dynamics, and 2,048 transitions of them that it has not seen."""
    import numpy as np
    import torch
    from gymnasium import spaces

    from vime import VIME

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
    import torch

    from tests.benchmarks.vime_original_loop import gain_by_loop, gain_by_vmap
    from vime.information_gain import closed_form_gain, draw_noise

    layers, head = bonus.bnn.frozen_posterior(), bonus.bnn.head
    noise = draw_noise(layers, bonus.draws, 1, torch.Generator().manual_seed(0), antithetic=True)
    inputs, targets = bonus.whitened(batch)
    mask = bonus.target_whitener.varies.float()
    return {
        "closed form": lambda: closed_form_gain(layers, head, inputs, targets, noise, mask=mask),
        "loop": lambda: gain_by_loop(layers, head, inputs, targets, noise, mask),
        "vmap": lambda: gain_by_vmap(layers, head, inputs, targets, noise, mask),
        "VIME.score_transitions": lambda: bonus.score_transitions(batch),
    }


def disagreement(one: Any, other: Any) -> float:
    """Largest difference of two batches of gains, relative to the gain."""
    return float(((one - other).abs() / one.abs().clamp(min=1e-6)).max())


def fit_tasks(bonus: Any) -> dict[str, Callable[[], Any]]:
    """A fit as it is and the same steps without Pyro, on a network of their own each (the sizes are what matters)."""
    import copy

    import torch

    from tests.benchmarks.vime_original_loop import fit_without_pyro

    plain = copy.deepcopy(bonus)
    optimizer = torch.optim.Adam(plain.bnn.parameters(), lr=plain.learning_rate, fused=True)
    return {
        "VIME.fit": lambda: bonus.fit(),
        "without Pyro": lambda: fit_without_pyro(plain, optimizer, plain.updates),
    }


def seconds(work: Callable[[], Any]) -> float:
    """Process time of `work`."""
    started = time.process_time()
    work()
    return time.process_time() - started


def measure_parts(repeats: int, bar: Any) -> tuple[dict[str, Any], dict[str, Any]]:
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
        bar.update(1)
    for repeat in range(repeats + 1):
        for where, way, work, parts in tasks:
            took = seconds(work) / parts
            if repeat:  # the first round warms up
                where[way].append(took)
        bar.update(1)
    return gains, steps


# ---- trainings ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def watched(parts: dict[str, tuple[type, str]]) -> Iterator[dict[str, float]]:
    """Process time spent in methods, by name; a method called inside another one of them counts there alone."""
    spent = dict.fromkeys(parts, 0.0)
    inside: list[float] = []
    before = [(owner, method, owner.__dict__[method]) for owner, method in parts.values()]

    def timing(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.process_time()
            inside.append(0.0)
            try:
                return method(*args, **kwargs)
            finally:
                took = time.process_time() - started
                spent[name] += took - inside.pop()
                if inside:
                    inside[-1] += took

        return timed

    try:
        for name, (owner, attribute) in parts.items():
            setattr(owner, attribute, timing(name, owner.__dict__[attribute]))
        yield spent
    finally:
        for owner, attribute, method in before:
            setattr(owner, attribute, method)


def training(env: str, curiosity: str, seed: int, n_timesteps: int | None) -> dict[str, Any]:
    """One training as shipped: its seconds, where VIME's went, and what its network explained of unseen transitions."""
    from agents.train import train
    from agents.training.vec_env import LatentVecEnv
    from vime.bonuses.base import Bonus
    from vime.sb3.rollout_callback import CuriosityCallback
    from vime.sb3.vec_env_wrapper import CuriosityVecEnvWrapper

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
            env=env,
            algo=ALGO,
            n_timesteps=n_timesteps,
            n_envs=N_ENVS,
            seed=seed,
            curiosity=curiosity,
            log_folder=folder,
            save_freq=0,
            eval_episodes=0,
            pictures=False,
        )
        lines = [json.loads(line) for line in (run.folder.root / "metrics.jsonl").read_text().splitlines()]
    figures = {"steps": run.steps, "process": run.progress["cpu_seconds"], "wall": run.progress["seconds"]}
    fits = [line for line in lines if "curiosity/r2" in line]
    if curiosity == "none":
        return figures | {"parts": {"environment": spent["environment"]}}
    return figures | {
        "parts": spent,
        "explained": {name: [line[f"curiosity/{name}"] for line in fits] for name in EXPLAINED},
    }


def kept(cache: Path, env: str, curiosity: str, seed: int, n_timesteps: int | None) -> dict[str, Any]:
    """:func:`training`, or what it gave before with the same settings and the same vime."""
    told = [(HYPERPARAMETER_FOLDER / name).read_text() for name in ("ppo.yml", "walks.yml", "curiosity.yml")]
    if curiosity != "none":
        told += [file.read_text() for file in sorted((ROOT / "vime").rglob("*.py"))]
    about = json.dumps([env, curiosity, seed, n_timesteps, *told])
    file = cache / "vime_speed" / f"{hashlib.sha256(about.encode()).hexdigest()[:16]}.json"
    if not file.is_file():
        found = training(env, curiosity, seed, n_timesteps)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found))
    cell: dict[str, Any] = json.loads(file.read_text())
    return cell


def measure_trainings(seeds: int, n_timesteps: int | None, cache: Path, bar: Any) -> dict[str, Any]:
    """env -> none and vime -> a training for each seed; which of the two goes first alternates."""
    found: dict[str, Any] = {env: {"none": [], "vime": []} for env in ENVS}
    training(ENVS[0], "vime", 0, 8192)  # warms up
    bar.update(1)
    for seed in range(seeds):
        for env in ENVS:
            for curiosity in ("none", "vime") if seed % 2 == 0 else ("vime", "none"):
                bar.set_postfix_str(f"{env} {curiosity} seed {seed}")
                found[env][curiosity].append(kept(cache, env, curiosity, seed, n_timesteps))
                bar.update(1)
    return found


# ---- tables ---------------------------------------------------------------------------------------------------------


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and largest."""
    return {"median": median(values), "least": min(values), "largest": max(values)}


def ratio(above: list[float], below: list[float], minus: float = 0.0) -> dict[str, float]:
    """Of the ratio within a repeat: what slows a whole repeat down cancels."""
    return spread([a / b - minus for a, b in zip(above, below, strict=True)])


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
            table[f"gain, {name}: {text}"] = spread([s / ROWS * 1e6 for s in took[way]])
        table[f"gain, {name}: loop / closed form"] = ratio(took["loop"], took["closed form"])
    for name, case in steps.items():
        took = case["seconds"]
        table[f"fit, {name}: milliseconds a step"] = spread([s * 1e3 for s in took["VIME.fit"]])
        table[f"fit, {name}: milliseconds a step, without Pyro"] = spread([s * 1e3 for s in took["without Pyro"]])
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
        table[f"{env}: of this, a dearer environment (other walks)"] = spread(
            [(v["parts"]["environment"] - n["parts"]["environment"]) / n["process"] for v, n in zip(vime, none, strict=True)]
        )
        table[f"{env}: seconds of {none[0]['steps']:,} steps without"] = spread([r["process"] for r in none])
        for name, told in EXPLAINED.items():
            table[f"{env}: {told} meanwhile"] = spread([later_half(r["explained"][name]) for r in vime])
        table[f"{env}: held-out R2 of the change at the last fit"] = spread([r["explained"]["r2"][-1] for r in vime])
    return table


def judged(name: str, value: float) -> str:
    """What a figure should be and whether it is."""
    if name not in AIMS:
        return ""
    relation, aim = AIMS[name]
    reached = value >= aim if relation == ">=" else value <= aim
    return f"{relation} {aim:g}: {'reached' if reached else 'NOT reached'}"


def markdown(found: dict[str, Any], command: str) -> str:
    """The tables as a page."""
    lines = [
        "# What VIME costs",
        "",
        f"Made by `{command}`: one thread, process time, medians (least to largest) of interleaved repeats.",
        _gains_told(found["gains"]),
        _trainings_told(),
        "",
        "| what | median | least | largest | aim |",
        "|---|---:|---:|---:|---|",
    ]
    for name, value in found["table"].items():
        numbers = " | ".join(f"{value[key]:.3g}" for key in ("median", "least", "largest"))
        lines.append(f"| {name} | {numbers} | {judged(name, value['median'])} |")
    return "\n".join(lines) + "\n"


def _gains_told(gains: dict[str, Any]) -> str:
    differs = max(case["largest relative difference"] for case in gains.values())
    return (
        f"Gains are of {ROWS:,} transitions at {DRAWS} draws; loop, closed form and vmap agree to {differs:.1g} of the gain. "
        "Networks are 32-32 and heteroscedastic unless said."
    )


def _trainings_told() -> str:
    return (
        f"Trainings are {ALGO.upper()} as shipped with {N_ENVS} environments, a pair a seed; what VIME adds, and the parts of "
        "it, are shares of the time without it. R2 is of the newest transitions before they are learned from, over the "
        "principal components of the decoded frame; `meanwhile` is the median of the second half of a training's fits. The "
        "aim's R2 is taken as that of the change, the harder one: of the next frame, standing still explains nearly all."
    )


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="of the scores and the fits")
    parser.add_argument("--seeds", type=int, default=3, help="pairs of trainings in each environment")
    parser.add_argument("--n-timesteps", type=int, help="of the trainings [as shipped]")
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "benchmark-cache", help="where trainings are kept")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "vime_speed", metavar="STEM")
    options = parser.parse_args()
    prepare_process()
    from tqdm import tqdm

    total = len(CASES) + options.repeats + 1 + 1 + 2 * len(ENVS) * options.seeds
    with tqdm(total=total, desc="vime_speed", dynamic_ncols=True) as bar:
        gains, steps = measure_parts(options.repeats, bar)
        trainings = measure_trainings(options.seeds, options.n_timesteps, options.cache, bar)
    table = figures_of(gains, steps, trainings)
    aims = {name: judged(name, table[name]["median"]) for name in AIMS}
    command = f"python -m tests.benchmarks.vime_speed{_told(parser, options)}"
    found = {"table": table, "aims": aims, "gains": gains, "fits": steps, "trainings": trainings}
    for name, value in table.items():
        numbers = f"{value['median']:10.3g}  ({value['least']:.3g} to {value['largest']:.3g})"
        print(f"{name:88s} {numbers:34s} {judged(name, value['median'])}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    page = {"command": command, "python": platform.python_version(), "machine": platform.machine(), **found}
    options.out.with_suffix(".json").write_text(as_json(page))
    options.out.with_suffix(".md").write_text(markdown(found, command))
    print(f"wrote {options.out}.json and .md")


def _told(parser: argparse.ArgumentParser, options: argparse.Namespace) -> str:
    """The flags that differ from the defaults, as they would be typed."""
    names = ("repeats", "seeds", "n_timesteps")
    told = [(name, getattr(options, name)) for name in names if getattr(options, name) != parser.get_default(name)]
    return "".join(f" --{name.replace('_', '-')} {value}" for name, value in told)


if __name__ == "__main__":
    main()
