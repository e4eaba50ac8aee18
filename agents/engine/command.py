"""`agents.explain` with ``--engine``: many rows, in parts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agents.console.cli import UserError, query_options
from agents.engine.dataset import explain_dataset
from agents.engine.parts import MANIFEST
from agents.engine.work import LEFT_OUT
from agents.explanation.explain import world_and_run
from agents.walkers import default_walker

if TYPE_CHECKING:
    from agents.runs.run import Run
    from envs.core.world import World


def explain_parts(config: Any, source: Run | World) -> int:
    """Explain the rows of ``--input`` into the folder ``--out``, and print what was found.

    Args:
        config: an `agents.explain.ExplainConfig`.
        source: the run or the world.

    Raises:
        UserError: flags that are missing, or that belong to single explanations.
    """
    if config.input is None or config.out is None:
        raise UserError("--engine explains the rows of a file into a folder: name both, with --input FILE and --out DIR")
    if config.lime != "none":
        raise UserError(f"--lime {config.lime} is for single explanations: leave it or --engine out")
    query = query_options(config)
    if "budget" in query and (config.jobs > 1 or config.engine == "ray"):
        raise UserError(
            "--classifier-budget with several workers: each would count its own queries. Explain in one process (--engine "
            "local, without --jobs), or limit the rows"
        )
    world, run = world_and_run(source)
    walker = default_walker(world) if config.walker is None and run is None else config.walker
    parts = explain_dataset(
        source, config.input, config.out, engine=config.engine or "local", jobs=config.jobs, address=config.address,
        progress=config.progress, target=config.target, walker=walker, fallback=config.fallback,
        max_steps=config.max_steps, seed=config.seed, batch_size=config.part_size, frames=config.keep_frames,
        checkpoint=config.checkpoint, trust=tuple(config.trust), query=tuple(query.items()),
    )  # fmt: skip
    found = parts.statuses
    if config.json:
        print(json.dumps({"folder": str(parts.folder), "statuses": found}))
        return 0
    print(f"{sum(found.values()):,} rows in {parts.count} parts, in {parts.folder} ({MANIFEST})")
    for status, count in sorted(found.items(), key=lambda pair: -pair[1]):
        print(f"  {count:>9,}  {status}{'; the column reason says why' if status == LEFT_OUT else ''}")
    return 0
