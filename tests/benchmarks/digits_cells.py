"""One cell of the benchmark of paths: a walker on a bed. Finished cells are kept, so an interrupted benchmark goes on.

A cell is known by what went into it: bed, walker or recipe, seed, and the source of everything that could change its
figures. Trained agents are kept by their recipe alone, so that variants which differ in how they walk share a training.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.benchmarks.digits_bed import Bed

ROOT = Path(__file__).resolve().parents[2]
ALGO, ENV = "ppo", "Manifold/Digits-v0"
WALKING = {"plan": True, "refine": 2, "retries": 2}
MOST_STEPS = 100  # of the rivals: none is cut off by the agent's own limit
ALONE = 20  # items that are explained one at a time

#: name in the table -> (walker, its settings). All stop at p >= 0.9 and have the same finer last step as the agent.
RIVALS: dict[str, tuple[str, dict[str, Any]]] = {
    "line": ("line", {}),
    "line, plain neighbour": ("line", {"arriving": False}),
    "spheres": ("spheres", {}),
    "greedy": ("greedy", {}),
    "random": ("random", {}),
    "gradient (white box)": ("gradient", {"closeness": 0.0}),
    "pullback gradient (white box)": ("pullback_gradient", {}),
}


def recipe_of(variant: dict[str, Any]) -> dict[str, Any]:
    """The whole recipe of a variant: settings of the algorithm, of the world, the steps, and how to walk."""
    import yaml

    from agents.training.algorithms import HYPERPARAMETER_FOLDER, load_hyperparameters

    unknown = set(variant) - {"hyperparams", "env_kwargs", "walker", "share_of_steps"}
    if unknown:
        raise SystemExit(f"error: digits_variants.yml: unknown keys {sorted(unknown)}")
    settings = load_hyperparameters(ALGO, ENV, variant.get("hyperparams"))
    env_kwargs = {**settings.pop("env_kwargs", {}), **variant.get("env_kwargs", {})}
    env_kwargs.setdefault("gamma", settings.get("gamma", 0.98))
    steps = int(settings.pop("n_timesteps", 200_000) * variant.get("share_of_steps", 1))
    return {
        "hyperparams": settings,
        "env_kwargs": env_kwargs,
        "walks": yaml.safe_load((HYPERPARAMETER_FOLDER / "walks.yml").read_text())["probabilities"],
        "n_timesteps": steps,
        "walker": {**WALKING, **variant.get("walker", {})},
    }


def shipped_recipe() -> dict[str, Any]:
    """What a user gets who asks for nothing: training itself chooses its settings, by the kind of world.

    The files that it chooses from are part of the recipe, so that a cell hangs on them.
    """
    import yaml

    from agents.training.algorithms import HYPERPARAMETER_FOLDER

    files = {file.stem: yaml.safe_load(file.read_text()) for file in sorted(HYPERPARAMETER_FOLDER.glob("walks*.yml"))}
    plain = recipe_of({})
    return {**plain, "env_kwargs": {}, "hyperparams": {}, "chosen_from": {**files, ALGO: plain["hyperparams"]}}


def rival_cell(
    name: str, bed_seed: int, cache: Path, fresh: bool = False, manifold: str = "vae"
) -> dict[str, Any]:
    """The figures of a rival on a bed, or on another manifold of it."""
    from agents.walkers import make_walker
    from tests.benchmarks.digits_bed import make_bed

    kind, settings = RIVALS.get(name, (name, {}))
    key = {"rival": name, "walker": kind, "settings": settings, "bed": bed_seed, "steps": MOST_STEPS, "manifold": manifold}

    def measure() -> dict[str, Any]:
        bed = make_bed(bed_seed, manifold)
        return measured(bed, bed.world, make_walker(kind, **settings), MOST_STEPS, cache=cache)

    return kept(cache, key, measure, fresh)


def agent_cell(
    recipe: dict[str, Any], bed_seed: int, seed: int, cache: Path, fresh: bool = False, manifold: str = "vae"
) -> dict[str, Any]:
    """The figures of an agent of a recipe, trained from a seed on a bed, or on another manifold of it."""
    from tests.benchmarks.digits_bed import make_bed

    key = {"recipe": recipe, "bed": bed_seed, "seed": seed, "manifold": manifold}

    def measure() -> dict[str, Any]:
        bed = make_bed(bed_seed, manifold, **recipe["env_kwargs"])
        run = _trained(bed, recipe, key, cache)
        found = measured(bed, run, agent_walker(run, **recipe["walker"]), None, seed, cache)
        found["training_queries"] = run.queries + 2 * len(bed.world.reference.x)  # the starts were asked for by make_world
        found["training_cpu_seconds"] = run.progress["cpu_seconds"]
        return found

    return kept(cache, key, measure, fresh)


def agent_walker(
    run: Any, plan: bool = True, refine: int = 2, retries: int = 2, ensemble: bool = True, ends: str = "near"
) -> Any:
    """The run's policy as a walker, its last step planned on the run's stand-in (and second opinions) or refined by the
    secant; `ends` is one of `agents.walkers.planning.last_step.PLANS`."""
    from agents.walkers.planning.last_step import PLANS
    from agents.walkers.policy import PolicyWalker

    second = run.ensemble if plan and ensemble else None
    surrogate = run.surrogate if plan else None
    return PolicyWalker(run.model, surrogate, refine=refine, retries=retries, ensemble=second, plan=PLANS[ends])


def _trained(bed: Bed, recipe: dict[str, Any], key: dict[str, Any], cache: Path) -> Any:
    """The trained run, from the cache if this recipe was trained from this seed on this bed and manifold before."""
    from agents.runs.run import load_run
    from agents.train import train

    named = ("hyperparams", "env_kwargs", "walks", "n_timesteps", "chosen_from")
    parts = {name: recipe[name] for name in named if name in recipe}
    which = {name: key[name] for name in ("bed", "seed", "manifold")}
    place = cache / f"run-{_digest({**parts, **which, 'source': source_digest()})}"
    note = place / "run.json"
    if note.is_file():
        return load_run(place / json.loads(note.read_text()), world=bed.world)
    run = train(
        world=bed.world, algo=ALGO, seed=key["seed"], n_timesteps=recipe["n_timesteps"], hyperparams=recipe["hyperparams"],
        log_folder=str(place), save_freq=0, eval_episodes=0,
    )  # fmt: skip
    note.write_text(json.dumps(str(run.folder.root.relative_to(place))))
    return run


def measured(
    bed: Bed, source: Any, walker: Any, max_steps: int | None, seed: int = 0, cache: Path | None = None
) -> dict[str, Any]:
    """Walk all items of the bed and measure, by independent judges too; then some alone, for the latency."""
    from agents.explain import explain
    from agents.explanation.metrics.cost import time_alone
    from agents.explanation.metrics.evaluate import evaluate_paths

    rows, targets = list(range(len(bed.x))), bed.targets.tolist()
    started = time.process_time()
    paths = explain(source, rows, targets, walker, max_steps=max_steps, seed=seed)
    seconds = time.process_time() - started
    found = evaluate_paths(bed.world, paths, bed.reference, oracles=bed_judges(bed, cache))

    def one(row: int) -> None:
        explain(source, row, targets[row], walker, max_steps=max_steps, seed=seed)

    found |= time_alone(one, rows[:ALONE])
    return {
        "measures": {name: value.as_dict() for name, value in found.items()},
        "failed": [path.index for path in paths if not path.success],
        "items": len(paths),
        "cpu_ms": 1000 * seconds / len(paths),
        "training_queries": paths[0].training_queries,
        "training_cpu_seconds": 0.0,
        "bed": bed.facts,
        "frame_0_of_another_class": sum(int(path.predicted[0] != path.source) for path in paths),
    }


def bed_judges(bed: Any, cache: Path | None) -> Any:
    """Judges fitted to the bed's real data (see `agents.explanation.metrics.oracle`), kept beside the cells."""
    from agents.explanation.metrics.oracle import oracles_of

    known = bed.reference
    return oracles_of(known.bank, known.bank_classes, bed.world.classes, None if cache is None else cache / "oracles")


def kept(cache: Path, key: dict[str, Any], measure: Any, fresh: bool) -> dict[str, Any]:
    """The cell's figures from its file, or measured now and written whole."""
    whole = {**key, "source": source_digest()}
    file = cache / f"cell-{_digest(whole)}.json"
    if file.is_file() and not fresh:
        return dict(json.loads(file.read_text())["found"])
    found = measure()
    cache.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".part")
    beside.write_text(json.dumps({"key": whole, "found": found}, indent=1))
    beside.replace(file)
    return dict(found)


def _digest(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def source_digest() -> str:
    """Of all code that a figure hangs on: worlds, walkers, measures, the bed, and the training."""
    digest = hashlib.sha256()
    files = [*ROOT.glob("envs/**/*.py"), *ROOT.glob("agents/walkers/*.py"), *ROOT.glob("agents/train*.py")]
    files += [*ROOT.glob("agents/explanation/metrics*.py"), ROOT / "agents" / "sb3_vec_env.py"]
    files += [ROOT / "agents" / "explain.py", *ROOT.glob("tests/benchmarks/digits_[bc]e*.py")]
    files += [*ROOT.glob("tests/benchmarks/adult_*.py")]
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
