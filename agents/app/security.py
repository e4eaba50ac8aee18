"""What every request passes before it reaches the explorer: where it comes from, its size, and what the answer allows."""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from agents.app import LOOPBACK

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

LARGEST_BODY = 8_000_000  # bytes of a request
#: The page runs its own scripts and loads its own styles alone, and talks to its own server alone.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors "
)
FRAMES = {False: "'none'", True: "http://localhost:* http://127.0.0.1:*"}  # pages that may show the page in a frame
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class Guard:
    """Refuses requests of other origins and to other hosts, and those that are too large; adds its headers to every answer.

    A page elsewhere that names this server by a name of its own (DNS rebinding) sends that name as Host, and one that sends
    requests to this address sends its own Origin: both are refused.

    Args:
        application: what is guarded.
        host: that the server is bound to.
        framed: whether pages of this machine may show the page in a frame.

    Example:
        >>> guard = Guard(print, "127.0.0.1")
        >>> guard.serves("127.0.0.1:8080"), guard.serves("elsewhere.example:8080")
        (True, False)
    """

    def __init__(self, application: Any, host: str, framed: bool = False) -> None:
        self.application: Application = application
        self.headers = (*HEADERS, (b"content-security-policy", (POLICY + FRAMES[framed]).encode()))
        self.names = {*LOOPBACK, host}
        self.shared = host not in LOOPBACK
        if self.shared:
            self.names |= {socket.gethostname(), socket.getfqdn()}

    def serves(self, address: str) -> bool:
        """Whether a Host header names this server: by a loopback name, or where it is shared, by its name or an address."""
        name = urlsplit(f"//{address}").hostname or ""
        if name in self.names:
            return True
        if not self.shared:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.application(scope, receive, send)
            return  # no WebSockets
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self.headers]
            await send(message)

        if refusal := self._refusal(headers):
            await _answer(guarded, *refusal)
            return
        await self.application(scope, _limited(receive), guarded)

    def _refusal(self, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not _safe(host) or not self.serves(host):
            return 421, f"this server has another name than {host[:80]!r}: open the address that it printed"
        origin = headers.get("origin")
        if origin is not None and origin.split("://", 1)[-1] != host:
            return 403, "requests of other pages are refused"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            return 413, f"the request is larger than {LARGEST_BODY:,} bytes: choose a smaller file"
        return None


class TooLarge(Exception):
    """A body without a length that grew beyond `LARGEST_BODY`.

    Example:
        >>> isinstance(TooLarge(), Exception)
        True
    """


def _limited(receive: Receive) -> Receive:
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > LARGEST_BODY:
            raise TooLarge
        return message

    return limited


def _safe(host: str) -> bool:
    try:
        urlsplit(f"//{host}").port  # noqa: B018  a port that is not a number raises
    except ValueError:
        return False
    return bool(host) and not set(host) & set("/\\@?# ")


async def _answer(send: Send, status: int, text: str) -> None:
    body = ('{"error": ' + json.dumps(text) + "}").encode()
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})
