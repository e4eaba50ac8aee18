"""A served explorer, and a client of its API without a browser."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

import envs


class Visitor:
    """One session by HTTP."""

    def __init__(self, address: str) -> None:
        self.address = urlsplit(address)
        self.token = ""
        self.token = self.post("session")["token"]

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(str(self.address.hostname), self.address.port or 80, timeout=60)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"X-Session": self.token, **sent})
        answer = connection.getresponse()
        found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        connection.close()
        return found

    def ask(self, call: str, body: Any = None) -> tuple[int, dict[str, Any]]:
        status, _, content = self.send("POST", f"/api/{call}", json.dumps(body or {}).encode())
        return status, json.loads(content)

    def post(self, call: str, **body: Any) -> dict[str, Any]:
        status, answer = self.ask(call, body)
        assert status == 200, answer
        return answer


@pytest.fixture(scope="session")
def served() -> Iterator[Callable[..., str]]:
    """From a name of a data set (or a source) to the address of its page."""
    pytest.importorskip("starlette", reason="the extra [app] is not installed")
    pytest.importorskip("uvicorn", reason="the extra [app] is not installed")
    from agents.app.serving import start

    made: dict[str, Any] = {}

    def page(data: Any, **settings: Any) -> str:
        key = f"{data}{settings}"
        if key not in made:
            made[key] = start(envs.make_world(data=data) if isinstance(data, str) else data, **settings)
        return str(made[key].address)

    yield page
    for one in made.values():
        one.stop()


@pytest.fixture
def visitor(served: Callable[..., str]) -> Visitor:
    return Visitor(served("digits"))
