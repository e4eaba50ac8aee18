"""Explore a latent manifold in the browser: ``manifold-traversal app RUN_OR_ID``, or :meth:`agents.Explainer.app`.

The page is served on this machine alone, unless ``--host`` says otherwise. It loads nothing from elsewhere, and works without
a network.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agents.console.cli import DataConfig, UserError, described_world, option, parse_config, prepare_process, program

if TYPE_CHECKING:
    from agents.runs.run import Run
    from envs.core.world import World

HOST = "127.0.0.1"
DEFAULT = "Manifold/Digits-v0"
NEEDS_EXTRA = "the explorer needs Starlette and uvicorn: python -m pip install 'manifold-traversal[app]'"


@dataclass(kw_only=True)
class AppConfig(DataConfig):
    """Explore a latent manifold by hand, in the browser."""

    source: str | None = option(
        None, f"a run folder, 'latest', or an environment id (default: {DEFAULT})", positional=True, metavar="RUN_OR_ID"
    )
    port: int = option(0, "port of the page (default: any free one)", "-p", metavar="N", low=0, high=65535)
    host: str = option(HOST, "address to bind; any other than this machine's own lets others use the page", metavar="ADDRESS")
    open: bool = option(False, "open the page in the browser")
    budget: int = option(20_000, "classifier queries of each session, in rows", metavar="N", low=1)
    checkpoint: int | None = option(None, "steps of the run's checkpoint (default: the last)", metavar="STEPS", low=0)
    log_folder: str = option("runs", "where runs are looked up", "-f", metavar="DIR")


def main(argv: Sequence[str] | None = None) -> int:
    """The command, see `AppConfig`."""
    config = parse_config(AppConfig, argv, program("app"))
    _require()
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

        return load_run(config.source, config.checkpoint, trust=config.trust, root=config.log_folder)
    with trusting(config.trust):
        return make_world_named(config.source if by_id else described or DEFAULT, kwargs, True)


def serve(
    source: Any,
    host: str = HOST,
    port: int = 0,
    budget: int = 20_000,
    *,
    open_page: bool = False,
    ready: Callable[[str, Any], None] | None = None,
) -> None:
    """Serve the page until it is interrupted.

    Args:
        source: a world, a run, or the folder of a run.
        host: address to bind.
        port: 0: any free one.
        budget: classifier queries a session, in rows.
        open_page: open the page in the browser.
        ready: called with the address and the server, instead of printing the address.

    Raises:
        UserError: the extra is not installed, or the address cannot be bound.
    """
    _require()
    import socket

    import uvicorn

    from agents.app.explorer import Explorer
    from agents.app.security import LOOPBACK
    from agents.app.server import application

    explorer = Explorer(source, budget)
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise UserError(f"cannot listen on {host} port {port}: {error.strerror or error}; choose another with --port") from None
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listening.getsockname()[1]}/"
    if host not in LOOPBACK:
        print(
            f"warning: everybody who can reach {host} can use this page, query the classifier, and see the held-out data; "
            "there is no password and no encryption. Leave --host out to serve this machine alone.",
            file=sys.stderr,
        )
    settings = uvicorn.Config(
        application(explorer, host), log_level="warning", access_log=False, server_header=False, ws="none", lifespan="off",
        timeout_graceful_shutdown=2, limit_concurrency=200,
    )  # fmt: skip
    server = uvicorn.Server(settings)
    if ready is None:
        print(f"exploring on {address}  (Ctrl-C ends it)", flush=True)
    else:
        ready(address, server)
    if open_page:
        import webbrowser

        webbrowser.open(address)
    with listening:
        server.run(sockets=[listening])


def _require() -> None:
    """Check that the extra is installed.

    Raises:
        UserError: it is not.
    """
    from importlib.util import find_spec

    if any(find_spec(name) is None for name in ("starlette", "uvicorn")):
        raise UserError(NEEDS_EXTRA)
