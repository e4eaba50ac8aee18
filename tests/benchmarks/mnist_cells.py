"""Cells of the comparison on MNIST: the bed of `mnist_paths`, agents of its recipe, rivals on as many images as they allow.

World and split are the shipped ones, so the seed draws targets and trains the agent. Searches that ask hundreds of rows for
every item (spheres, greedy) and white-box descents are dear: they get the first `DEAR_ITEMS` of the same test images.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from agents.explanation.metrics.evaluate import Reference
from envs.core.world import World
from tests.benchmarks.digits_bed import Bed, random_targets
from tests.benchmarks.digits_cells import ALGO, MOST_STEPS, RIVALS, agent_walker, kept, measured, source_digest
from tests.benchmarks.mnist_paths import ENV, mnist_world

ITEMS, DEAR_ITEMS = 500, 100
DEAR = ("spheres", "greedy", "geodesic", "gradient (white box)", "pullback gradient (white box)")
BANK = slice(0, None, 15)  # of the training images: distances of every frame to all 60,000 would take hours


@lru_cache(maxsize=1)
def world() -> World:
    """All 60,000 training images as starts, the shipped VAE and CNN."""
    found: World = mnist_world()
    return found


def make_bed(seed: int, items: int = ITEMS, **settings: Any) -> Bed:
    """The first `items` test images towards random other classes of this seed; steps bounded as the agents'."""

    plain = world()
    here = plain.replace(**{**settings, "tau": 0.9, "max_step": 1 / 6})
    x, truth = here.held_out.x[:items], here.held_out.truth
    assert truth is not None
    with torch.inference_mode():
        seen = here.classifier.predict_proba(x).argmax(1)
    reference = Reference(
        here.reference.x[BANK].numpy(), here.reference.label[BANK].numpy(), here.held_out.x[:2000].numpy(), truth[:2000].numpy()
    )
    facts = {"class_distance": here.class_distance, "step_bound": here.class_distance / 6}
    return Bed(here, x, random_targets(seen, 10, seed), reference, facts)


def rival_cell(name: str, seed: int, cache: Path, fresh: bool = False) -> dict[str, Any]:
    """The figures of a rival."""
    from agents.walkers import make_walker

    kind, settings = RIVALS.get(name, (name, {}))
    items = DEAR_ITEMS if name in DEAR else ITEMS

    def found() -> dict[str, Any]:
        bed = make_bed(seed, items)
        return measured(bed, bed.world, make_walker(kind, **settings), MOST_STEPS, cache=cache)

    return kept(cache, {"mnist": name, "settings": settings, "bed": seed, "items": items}, found, fresh)


def agent_cell(seed: int, cache: Path, fresh: bool = False, ends: str = "near") -> dict[str, Any]:
    """The figures of an agent of MNIST's recipe, its ends planned by one of `agents.walkers.planning.last_step.PLANS`."""

    def found() -> dict[str, Any]:
        run = _trained(seed, cache)
        bed = make_bed(seed)
        cell = measured(bed, run, agent_walker(run, ends=ends), None, seed, cache)
        cell["training_queries"] = run.queries + 2 * len(run.world.reference.x)
        return {**cell, "training_cpu_seconds": run.progress["cpu_seconds"]}

    key = {"mnist": "agent", "bed": seed, "items": ITEMS, **({} if ends == "near" else {"ends": ends})}
    return kept(cache, key, found, fresh)


def _trained(seed: int, cache: Path) -> Any:
    """The run, from the cache if it was trained before."""
    from agents.runs.run import load_run
    from agents.train import train
    from agents.training.algorithms import load_hyperparameters

    settings = load_hyperparameters(ALGO, ENV)
    kwargs, steps = settings.pop("env_kwargs", {}), int(settings.pop("n_timesteps"))
    place = cache / f"run-mnist-{seed}-{source_digest()}"
    note = place / "run.json"
    if note.is_file():
        return load_run(place / json.loads(note.read_text()), world=world())
    run = train(
        world=world(), algo=ALGO, seed=seed, n_timesteps=steps, hyperparams=settings, env_kwargs=kwargs,
        log_folder=str(place), save_freq=0, eval_episodes=0,
    )  # fmt: skip
    note.write_text(json.dumps(str(run.folder.root.relative_to(place))))
    return run
