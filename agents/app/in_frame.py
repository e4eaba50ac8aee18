"""The explorer without a server: its page as one document for a frame, and a request that is answered in this process."""

from __future__ import annotations

import asyncio
import re
import threading
from html import escape
from typing import Any, NamedTuple

from agents.app import HOST
from agents.app.security import Application, Message
from agents.app.server import FILES, STYLES, TOKEN
from agents.explanation.report.templating import digest
from envs.reading.files import read_bytes

MODULES = ("bridge", "dom", "api", "map", "inputs", "frame", "app")  # each after those that it imports
IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";$', re.MULTILINE)
EXPORT = re.compile(r"^export ((?:async )?(?:function|const) (\w+))", re.MULTILINE)
SHEET = re.compile(r'<link rel="stylesheet" href="/static/([\w.]+)">')
SCRIPT = '<script type="module" src="/static/app.js"></script>'


class Answer(NamedTuple):
    """An answer of the application.

    Attributes:
        status: of HTTP.
        headers: by name in lower case.
        content: its bytes.

    Example:
        >>> Answer(200, {}, b"{}").status
        200
    """

    status: int
    headers: dict[str, str]
    content: bytes


def page(token: str) -> str:
    """The page with its scripts and styles in one document, for a frame that may not load anything.

    Args:
        token: of the session that it shows.
    """
    script = "const modules = {};\n" + "\n".join(map(_module, MODULES))
    policy = (
        f"default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'sha256-{digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    found = SHEET.sub(lambda link: f"<style>\n{_sheet(link[1])}</style>", _text(FILES / "index.html"))
    found = found.replace(SCRIPT, f'<meta http-equiv="Content-Security-Policy" content="{policy}">')
    found = found.replace("<body>", f'<body data-token="{escape(token)}">')
    return found.replace("</body>", f"<script>{script}</script>\n</body>")


def answered(application: Application, path: str, token: str, body: bytes) -> Answer:
    """What the application answers to a request of its own page; it runs in a thread, beside the event loop of a notebook.

    Args:
        application: of `agents.app.server.application`.
        path: such as ``/api/move``.
        token: of the session.
        body: of the request.
    """
    headers = {"host": HOST, TOKEN: token, "content-length": str(len(body))}
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http", "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "client": None, "server": None,
        "headers": [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()],
    }  # fmt: skip
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    def run() -> None:
        try:
            asyncio.run(application(scope, receive, send))  # type: ignore[arg-type]
        except Exception:
            if not sent:  # Starlette answers with what failed, and raises it again for the server's log
                raise

    thread = threading.Thread(target=run, name="manifold-traversal widget")
    thread.start()
    thread.join()
    head = {name.decode("latin-1"): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], head, b"".join(message.get("body", b"") for message in sent[1:]))


def _module(name: str) -> str:
    """A module of the page as an expression, since a frame without an address cannot import modules."""
    text = _text(FILES / f"{name}.js")
    names = ", ".join(found[2] for found in EXPORT.finditer(text))
    text = EXPORT.sub(r"\1", IMPORT.sub(r"const {\1} = modules.\2;", text))
    return f"modules.{name} = (() => {{\n{text}\nreturn {{ {names} }};\n}})();"


def _sheet(name: str) -> str:
    return _text((FILES if (FILES / name).is_file() else STYLES) / name)


def _text(file: Any) -> str:
    return read_bytes(file).decode()
