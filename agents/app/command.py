"""Explore a latent manifold in the browser: ``manifold-traversal app RUN_OR_ID``, or :meth:`agents.Explainer.app`.

The page is served on this machine alone, unless ``--host`` says otherwise. It loads nothing from elsewhere, and works without
a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.app import BUDGET, HOST
from agents.app.serving import require_extra, serve
from agents.console.cli import (
    DataConfig,
    UserError,
    described_world,
    option,
    parse_config,
    prepare_process,
    program,
    query_options,
)

if TYPE_CHECKING:
    from agents.runs.run import Run
    from envs.core.world import World

DEFAULT = "Manifold/Digits-v0"


@dataclass(kw_only=True)
class AppConfig(DataConfig):
    """Explore a latent manifold by hand, in the browser."""

    source: str | None = option(
        None, f"a run folder, 'latest', or an environment id (default: {DEFAULT})", positional=True, metavar="RUN_OR_ID"
    )
    port: int = option(0, "port of the page (default: any free one)", "-p", metavar="N", low=0, high=65535)
    host: str = option(HOST, "address to bind; any other than this machine's own lets others use the page", metavar="ADDRESS")
    open: bool = option(False, "open the page in the browser")
    budget: int = option(BUDGET, "classifier queries of each session, in rows", metavar="N", low=1)
    checkpoint: int | None = option(None, "steps of the run's checkpoint (default: the last)", metavar="STEPS", low=0)
    log_folder: str = option("runs", "where runs are looked up", "-f", metavar="DIR")


def main(argv: Sequence[str] | None = None) -> int:
    """The command, see `AppConfig`."""
    config = parse_config(AppConfig, argv, program("app"))
    require_extra()
    prepare_process(config.num_threads)
    serve(open_source(config), config.host, config.port, config.budget, open_page=config.open)
    return 0


def open_source(config: AppConfig) -> Run | World:
    """The run or the world that the command line names.

    Raises:
        UserError: a run or id, and flags of a world, together.
    """
    from envs.building.world import make_world_named
    from envs.reading.trust import trusting

    described, kwargs = described_world(config)
    by_id = config.source is not None and config.source.startswith("Manifold/")
    if config.source is not None and described is not None:
        raise UserError(f"{config.source!r} has its own data and classifier: leave out either it or the flags of a world")
    if config.source is not None and not by_id:
        from agents.runs.run import load_run

        return load_run(
            config.source, config.checkpoint, trust=config.trust, root=config.log_folder, query=query_options(config)
        )
    env_id = config.source if by_id and config.source else described or DEFAULT
    with trusting(config.trust):
        return make_world_named(env_id, kwargs, True)
