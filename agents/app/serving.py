"""Serving the explorer: until it is interrupted (`serve`), or beside a notebook or a test (`start`)."""

from __future__ import annotations

import socket
import sys
import threading
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from agents.app import BUDGET, HOST, LOOPBACK
from agents.errors import UserError

HEIGHT = 900  # pixels of the page in a notebook
PATIENCE = 10.0  # seconds that `Served.stop` waits
NEEDS_EXTRA = "the explorer needs Starlette and uvicorn: python -m pip install 'manifold-traversal[app]'"


@dataclass
class Served:
    """A page that is served by a thread of this process.

    Attributes:
        address: of the page.
        server: uvicorn's.
        thread: in which it runs.

    Example:
        >>> Served("http://127.0.0.1:8000/", None, threading.Thread()).address
        'http://127.0.0.1:8000/'
    """

    address: str
    server: Any
    thread: threading.Thread

    def stop(self) -> None:
        """End the server."""
        self.server.should_exit = True
        self.thread.join(PATIENCE)

    def _repr_html_(self) -> str:
        """For notebooks on this machine: the page in a frame, and a link to it."""
        link = f'<a href="{self.address}" target="_blank" rel="noopener">{self.address}</a>'
        look = f"width:100%;height:{HEIGHT}px;border:0"
        return f'<iframe title="Explore by hand" src="{self.address}" style="{look}"></iframe>{link}'


def serve(source: Any, host: str = HOST, port: int = 0, budget: int = BUDGET, *, open_page: bool = False) -> None:
    """Serve the page until it is interrupted, and print its address.

    Args:
        source: a world, a run, or the folder of a run.
        host: address to bind; a warning is printed for any other than this machine's own.
        port: 0: any free one.
        budget: classifier queries a session, in rows.
        open_page: open the page in the browser.

    Raises:
        UserError: the extra is not installed, or the address cannot be bound.
    """
    server, listening, address = _prepared(source, host, port, budget, framed=False)
    print(f"exploring on {address}  (Ctrl-C ends it)", flush=True)
    if open_page:
        import webbrowser

        webbrowser.open_new_tab(address)
    with listening:
        server.run(sockets=[listening])


def start(source: Any, host: str = HOST, port: int = 0, budget: int = BUDGET) -> Served:
    """Serve the page in a thread of this process; arguments and errors as in `serve`. Notebooks of this machine show it in a
    frame."""
    server, listening, address = _prepared(source, host, port, budget, framed=True)

    def run() -> None:
        with listening:
            server.run(sockets=[listening])

    thread = threading.Thread(target=run, name="manifold-traversal app", daemon=True)
    thread.start()
    return Served(address, server, thread)


def _prepared(source: Any, host: str, port: int, budget: int, framed: bool) -> tuple[Any, socket.socket, str]:
    """The server, its listening socket and its address."""
    require_extra()
    import uvicorn

    from agents.app.explorer import Explorer
    from agents.app.server import application

    # With the protocol, asyncio sends every answer at once (TCP_NODELAY); without it, answers wait 40 ms for the visitor.
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)  # a visitor who comes before the server runs waits
    except OSError as error:
        listening.close()
        raise UserError(f"cannot listen on {host} port {port}: {error.strerror or error}; choose another --port") from None
    if host not in LOOPBACK:
        print(
            f"warning: everybody who can reach {host} can use this page, query the classifier, and see the held-out data; "
            "there is no password and no encryption. Leave --host out to serve this machine alone.",
            file=sys.stderr,
        )
    explorer = Explorer(source, budget)
    explorer.prepare()
    settings = uvicorn.Config(
        application(explorer, host, framed), log_level="warning", access_log=False, server_header=False, ws="none",
        lifespan="off", timeout_graceful_shutdown=2, limit_concurrency=200,
    )  # fmt: skip
    name = f"[{host}]" if ":" in host else host
    return uvicorn.Server(settings), listening, f"http://{name}:{listening.getsockname()[1]}/"


def require_extra() -> None:
    """Check that Starlette and uvicorn are installed.

    Raises:
        UserError: they are not.
    """
    if any(find_spec(name) is None for name in ("starlette", "uvicorn")):
        raise UserError(NEEDS_EXTRA)
