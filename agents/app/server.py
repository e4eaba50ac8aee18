"""The server of the explorer: one page, its files, and an API of JSON. It executes nothing that a visitor sends, and serves
no file but its own."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agents.app import HOST
from agents.app.answers import about, card_of, explained, gain_picture, regions, said_answer, whole
from agents.app.errors import RequestError
from agents.app.explorer import Explorer
from agents.app.inputs import form, uploaded
from agents.app.security import Guard, TooLarge
from agents.app.session import Session, Sessions
from agents.errors import UserError
from agents.explanation.report.export import FORMATS, export
from agents.explanation.tensorboard import log_paths
from agents.training.event_files import EventWriter
from envs.errors import ManifoldError
from envs.reading.files import parse_json, read_bytes

FILES = Path(__file__).parent / "static"
STYLES = Path(__file__).parents[1] / "explanation" / "report" / "templates" / "style"  # the report's colours, buttons and bars
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
MEDIA = {"png": "image/png", "pdf": "application/pdf", "gif": "image/gif", "json": "application/json"}
TOKEN = "x-session"
DRAWING = threading.Lock()  # matplotlib draws one figure at a time

Body = dict[str, Any]
Call = Callable[[Session, Body], dict[str, Any] | None]


def _state(session: Session, body: Body) -> None:
    """Nothing changes."""


def _input(session: Session, body: Body) -> dict[str, Any]:
    session.enter(body.get("kind"), body.get("value"), body.get("target"))
    return _entered(session)


def _entered(session: Session) -> dict[str, Any]:
    """What the page keeps of the input, so that the walk can be walked again if the server is started again."""
    walk = session.walking
    return {"kept": walk.entered.record[1], "map": regions(session.explorer, walk)}


def _target(session: Session, body: Body) -> dict[str, Any]:
    session.aim_for(body.get("target"))
    return {"map": regions(session.explorer, session.walk)}


def _restore(session: Session, body: Body) -> dict[str, Any]:
    session.restore(*(body.get(name) for name in ("kind", "value", "target", "actions", "by", "cursor")))
    return _entered(session)


def _drive(session: Session, body: Body) -> dict[str, Any]:
    return {"steps": session.drive(body.get("walker"))}


def _map(session: Session, body: Body) -> dict[str, Any]:
    return {"map": regions(session.explorer, session.walk)}


def _slice(session: Session, body: Body) -> dict[str, Any]:
    return {"map": regions(session.explorer, session.walking, session.slice())}


def _gain(session: Session, body: Body) -> dict[str, Any]:
    return {"gain": gain_picture(session)}


def _explain(session: Session, body: Body) -> dict[str, Any]:
    return {"explained": explained(session)}


def _what_if(session: Session, body: Body) -> dict[str, Any]:
    """The prediction for an edited row, beside the walk."""
    world = session.explorer.world if session.walk is None else session.walk.world
    entered = form(world, body.get("value"))
    with session.explorer.asking(session):
        found = world.predictions(entered.x, world.factual_of(entered.x, cells=entered.cells))[0]
    return {"whatIf": [round(float(p), 4) for p in found], "whatIfAnswer": said_answer(world, found.numpy())}


def _save(session: Session, body: Body) -> dict[str, Any]:
    run = session.explorer.run
    if run is None:
        raise RequestError("this page explores no run: download the path instead")
    path = card_of(session)[0].path
    file = run.folder.add_trajectory(path)
    with EventWriter(run.folder.root / "explored") as writer:
        log_paths(writer, session.walking.aim.world, [path], run.steps)
    return {"saved": file.name}


#: name -> what a request changes and what it adds to the answer, which is always the whole session.
CALLS: dict[str, Call] = {
    "state": _state,
    "input": _input,
    "target": _target,
    "restore": _restore,
    "map": _map,
    "slice": _slice,
    "gain": _gain,
    "drive": _drive,
    "explain": _explain,
    "what_if": _what_if,
    "save": _save,
    "move": lambda session, body: session.move_on_map(body.get("x"), body.get("y")),
    "along": lambda session, body: session.move_along(body.get("right"), body.get("up")),
    "direction": lambda session, body: session.move_direction(body.get("direction"), body.get("value")),
    "goto": lambda session, body: session.goto(body.get("frame")),
    "line": lambda session, body: session.draw(body.get("walker")),
}


def application(explorer: Explorer, host: str = HOST, framed: bool = False, sessions: Sessions | None = None) -> Any:
    """The ASGI application.

    Args:
        explorer: what is explored.
        host: that the server is bound to; requests that name another are refused.
        framed: whether pages of this machine, such as a notebook's, may show the page in a frame.
        sessions: that are open already; None: none.
    """
    sessions = Sessions(explorer) if sessions is None else sessions
    served = [*FILES.iterdir(), STYLES / "page.css", STYLES / "card.css"]
    files = {file.name: (read_bytes(file), TYPES[file.suffix]) for file in served if file.suffix in TYPES}

    def page(request: Request) -> Response:
        content, kind = files["index.html"]
        return Response(content, media_type=kind)

    def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in files:
            return JSONResponse({"error": "no such file"}, 404)
        return Response(files[name][0], media_type=files[name][1])

    def session_of(request: Request) -> Session:
        return sessions.find(request.headers.get(TOKEN, ""))

    async def open_session(request: Request) -> Response:
        world = await run_in_threadpool(about, explorer)
        return JSONResponse({"token": sessions.new().token, "world": world})

    async def world(request: Request) -> Response:
        session_of(request)
        return JSONResponse({"world": await run_in_threadpool(about, explorer)})

    async def call(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in CALLS:
            return JSONResponse({"error": f"no such call: {name[:40]}"}, 404)
        session, body = session_of(request), await _body(request)
        return JSONResponse(await run_in_threadpool(_do, session, partial(CALLS[name], session, body)))

    async def picture(request: Request) -> Response:
        session, content = session_of(request), await request.body()

        def begin() -> dict[str, Any]:
            session.begin(uploaded(explorer.world, content))
            return _entered(session)

        return JSONResponse(await run_in_threadpool(_do, session, begin))

    async def download(request: Request) -> Response:
        session, kind = session_of(request), request.path_params["kind"]
        content, media, name = await run_in_threadpool(_file_of, session, kind)
        return Response(content, media_type=media, headers={"content-disposition": f'attachment; filename="{name}"'})

    routes = [
        Route("/", page),
        Route("/static/{name}", file),
        Route("/api/session", open_session, methods=["POST"]),
        Route("/api/world", world, methods=["POST"]),
        Route("/api/picture", picture, methods=["POST"]),
        Route("/api/download/{kind}", download, methods=["POST"]),
        Route("/api/{name}", call, methods=["POST"]),
    ]
    handlers: Any = {
        ManifoldError: _named,
        UserError: _named,
        TooLarge: _too_large,
        ClientDisconnect: _gone,
        Exception: _failed,
    }
    return Guard(Starlette(routes=routes, exception_handlers=handlers), host, framed)


def _do(session: Session, call: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
    """One call of one session, and the session after it."""
    with session.lock:
        more = call() or {}
        return {**whole(session), **more}


async def _body(request: Request) -> Body:
    """The JSON object that a request holds.

    Raises:
        RequestError: it holds none.
    """
    try:
        text = (await request.body()).decode()
    except UnicodeDecodeError:
        raise RequestError("the request is not JSON") from None
    body = parse_json(text or "{}", "the request", error=RequestError)
    if not isinstance(body, dict):
        raise RequestError("the request is not a JSON object")
    return body


def _file_of(session: Session, kind: str) -> tuple[bytes, str, str]:
    """Content, media type and name of a file of the walk: the path (``npz``) or its card in a format of `FORMATS`."""
    if kind != "npz" and kind not in FORMATS:
        raise RequestError(f"kind {kind!r:.40}: files are npz, {', '.join(FORMATS)}")
    with session.lock:
        card, _ = card_of(session)
        stem = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in card.path.name)
        if kind != "npz":
            with DRAWING:
                return export(card, kind), MEDIA[kind], f"{stem}.{kind}"
        with tempfile.TemporaryDirectory() as folder:
            return read_bytes(card.path.save(Path(folder) / "path.npz")), "application/octet-stream", f"{stem}.npz"


async def _named(request: Request, error: Exception) -> Response:
    status = getattr(error, "status", 400)
    return JSONResponse({"error": str(error), "gone": status == 404}, status)


async def _too_large(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the request is too large: choose a smaller file"}, 413)


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=499)


async def _failed(request: Request, error: Exception) -> Response:
    """What the page says; the server prints the traceback."""
    return JSONResponse({"error": f"the classifier or the manifold failed: {type(error).__name__}: {str(error)[:300]}"}, 500)
