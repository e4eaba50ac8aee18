"""The explorer in a notebook: the page in one document, its requests without a server, and the widget's channel."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import envs
from agents.app import notebook
from agents.errors import UserError
from agents.explain import explain
from agents.explainer import Explainer
from agents.replay import compare
from agents.trajectories.trajectory import Trajectory
from envs.core.world import World
from tests.agents.chromium import needs_chromium

pytest.importorskip("starlette", reason="the extra [app] is not installed")


@pytest.fixture(scope="module")
def world() -> World:
    return envs.make_world(data="digits")


@pytest.fixture(scope="module")
def path(world: World) -> Trajectory:
    found: Trajectory = explain(world, 3, walker="line")
    return found


class Cell:
    """A widget, and what it sends to the page."""

    def __init__(self, widget: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.widget = widget
        self.sent: list[tuple[dict[str, Any], list[bytes]]] = []
        monkeypatch.setattr(widget, "send", lambda content, buffers=(): self.sent.append((content, list(buffers))))

    def post(self, call: str, **body: Any) -> dict[str, Any]:
        message = {"id": "7", "path": f"/api/{call}", "token": self.widget.session.token}
        self.widget._handle_custom_msg(message, [memoryview(json.dumps(body).encode())])  # as ipywidgets' comm calls it
        content, buffers = self.sent[-1]
        assert (content["id"], content["status"]) == ("7", 200), buffers
        answer: dict[str, Any] = json.loads(buffers[0])
        return answer


@pytest.fixture
def cell(path: Trajectory, monkeypatch: pytest.MonkeyPatch) -> Cell:
    pytest.importorskip("anywidget", reason="the extra [app] is not installed")
    return Cell(path.widget(), monkeypatch)


def test_a_path_is_shown_and_walked_on_by_messages(cell: Cell, path: Trajectory, world: World) -> None:
    answer = cell.post("map")
    assert answer["walk"]["by"] == ["", *["line"] * path.steps]
    assert answer["used"] == 2, "the input and frame 0; the steps are known"
    assert answer["walk"]["cursor"] == path.steps
    np.testing.assert_allclose(cell.widget.trajectory.z, path.z)
    cell.post("goto", frame=3)
    answer = cell.post("along", right=1, up=0)
    assert answer["walk"]["by"][-1] == "hand"
    assert answer["used"] == 3
    assert cell.widget.trajectory.walker == "line+hand"
    assert compare(cell.widget.trajectory, world).reproduced


def test_what_fails_is_answered_in_words(cell: Cell) -> None:
    for message, status in (
        ({"id": "1", "path": "/api/nothing", "token": cell.widget.session.token}, 404),
        ({"id": "1", "path": "/api/map", "token": "another"}, 404),
        ({"id": "1", "path": "/static/../../secret", "token": cell.widget.session.token}, 404),
    ):
        cell.widget._handle_custom_msg(message, [b"{}"])
        assert cell.sent[-1][0]["status"] == status
    cell.widget._handle_custom_msg({"id": "1", "path": "/api/move", "token": cell.widget.session.token}, [b"{"])
    assert cell.sent[-1][0]["status"] == 400
    predict = cell.widget.session.explorer.world.classifier
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predict, "predict_proba", lambda *rows: 1 / 0)
        cell.widget._handle_custom_msg(
            {"id": "1", "path": "/api/along", "token": cell.widget.session.token}, [b'{"right": 1, "up": 0}']
        )
    assert cell.sent[-1][0]["status"] == 500
    assert b"ZeroDivisionError" in cell.sent[-1][1][0]
    for wrong in ("text", {}, {"id": 1, "path": "/api/map", "token": "x"}, {"id": "1", "path": "/" * 99, "token": "x"}):
        with pytest.raises(UserError, match="an id, a path and a token"):
            cell.widget._answer(cell.widget, wrong, [])


def test_an_explainer_has_a_widget_and_downloads_reach_the_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("anywidget", reason="the extra [app] is not installed")
    cell = Cell(Explainer(world, "line").widget(budget=9), monkeypatch)
    assert cell.post("world")["world"]["budget"] == 9
    cell.post("input", kind="row", value=3)
    cell.post("along", right=1, up=0)
    cell.widget._handle_custom_msg({"id": "2", "path": "/api/download/npz", "token": cell.widget.session.token}, [b"{}"])
    content, buffers = cell.sent[-1]
    assert "attachment" in content["headers"]["content-disposition"]
    assert buffers[0].startswith(b"PK")


@pytest.mark.parametrize("data", ["iris", "sentences", "oscillator"])
def test_paths_of_other_data_are_walked_again(data: str) -> None:
    from agents.app.hand_walk import HandWalk

    world = envs.make_world(data=data, progress=False)
    path = explain(world, 3, walker="line")
    again = HandWalk.of_path(path, world)
    np.testing.assert_allclose(again.trajectory().z, path.z, atol=1e-6)
    assert again.trajectory().held == path.held
    assert again.arrived == path.success


def test_without_the_extra_or_a_world_an_error_says_what_to_do(
    path: Trajectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Trajectory.load(path.save(tmp_path / "path.npz"))
    with pytest.raises(UserError, match=r"path\.widget\(world\)"):
        loaded.widget()
    monkeypatch.setattr(notebook, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"manifold-traversal\[app\]"):
        path.widget()


def test_the_page_is_one_document_whose_script_alone_may_run() -> None:
    from agents.app.in_frame import page

    text = page('a"token')
    assert 'data-token="a&quot;token"' in text
    assert "/static/" not in text
    assert not re.search(r"^\s*(import|export) ", text, re.MULTILINE)
    assert re.search(r"script-src 'sha256-[\w+/=]+'", text)
    assert text.count("<script") == 1


HOST_PAGE = """<!doctype html><meta charset="utf-8"><div id="cell"></div><script type="module">
const widget = (await import(URL.createObjectURL(new Blob([SOURCE], { type: "text/javascript" })))).default;
const listeners = [];
const model = {
  get: (name) => (VALUES)[name],
  on: (_, call) => listeners.push(call),
  off: () => {},
  send: async (content, _, [body]) => {
    const { bytes, ...answer } = await kernel(content, [...new Uint8Array(body)]);
    const found = new Uint8Array(bytes);
    listeners.forEach((call) => call(answer, [new DataView(found.buffer)]));
  },
};
widget.render({ model, el: document.querySelector("#cell") });
</script>"""


@needs_chromium
def test_the_widget_s_page_walks_in_a_sandboxed_frame(browser: Any, world: World, path: Trajectory) -> None:
    from agents.app.explorer import Explorer
    from agents.app.hand_walk import HandWalk
    from agents.app.in_frame import answered, page
    from agents.app.server import FILES, application
    from agents.app.session import Sessions

    explorer = Explorer(world)
    sessions = Sessions(explorer)
    session = sessions.new()
    session.walk = HandWalk.of_path(path, world)
    served = application(explorer, sessions=sessions)

    def kernel(content: dict[str, Any], body: list[int]) -> dict[str, Any]:
        found = answered(served, content["path"], content["token"], bytes(body))
        return {"id": content["id"], "status": found.status, "headers": found.headers, "bytes": list(found.content)}

    tab, problems = browser.new_page(reduced_motion="reduce"), []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    tab.on("request", lambda asked: problems.append(asked.url) if asked.url.startswith("http") else None)
    tab.expose_function("kernel", kernel)
    values = {"page": page(session.token), "height": 900}
    sources: tuple[tuple[str, Any], ...] = (("SOURCE", (FILES / "widget.js").read_text()), ("VALUES", values))
    text = HOST_PAGE
    for name, value in sources:
        text = text.replace(name, json.dumps(value).replace("</", "<\\/"))
    tab.set_content(text)
    frame = tab.frame_locator("iframe")
    frame.locator("#view img").first.wait_for()
    assert frame.locator("#frame").get_attribute("max") == str(path.steps)
    frame.locator("#undo").click()
    frame.locator(f"#frame[aria-valuetext^='frame {path.steps - 1} ']").wait_for()
    frame.locator("#map").press("ArrowRight")
    frame.locator(f"#frame[aria-valuetext^='frame {path.steps} ']").wait_for()
    assert session.walking.trajectory().walker == "line+hand"
    with tab.expect_download() as download:
        frame.locator("#kind").select_option("npz")
        frame.locator("#download").click()
    assert download.value.suggested_filename.startswith("line_hand-0003")
    assert problems == []
    tab.close()
