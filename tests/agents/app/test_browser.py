"""The explorer in headless Chromium: a walk from start to a saved path by mouse, and by keyboard alone."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import envs
from agents.replay import compare
from agents.runs.run import load_run
from agents.trajectories.trajectory import Trajectory
from tests.agents.chromium import needs_chromium

EXAMPLE = Path(__file__).resolve().parents[3] / "runs" / "example"

pytestmark = needs_chromium


class Tab:
    """One tab of the page."""

    def __init__(self, browser: Any, address: str, width: int = 1200) -> None:
        self.page = browser.new_page(viewport={"width": width, "height": 900}, reduced_motion="reduce")
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda said: self.problems.append(said.text) if said.type == "error" else None)
        inside = ("data:", "blob:", address)
        self.page.on("request", lambda asked: None if asked.url.startswith(inside) else self.problems.append(asked.url))
        self.page.goto(address)
        self.settle()

    def wait(self, condition: str, argument: Any = None) -> None:
        """Wait for a condition. Playwright's own way evaluates texts in the page, which the page's policy forbids."""
        for _ in range(600):
            if self.page.evaluate(condition, argument):
                return
            self.page.wait_for_timeout(25)
        raise AssertionError(f"in vain: {condition}")

    def settle(self) -> None:
        """Wait for the first frame."""
        self.wait("() => Number(document.body.dataset.ready) > 0")

    def does(self, act: Callable[[], Any]) -> None:
        """Do something that sends a request, and wait for the answer."""
        before = self.page.evaluate("Number(document.body.dataset.ready)")
        act()
        self.wait("before => Number(document.body.dataset.ready) > before", before)

    def press(self, key: str) -> None:
        self.does(lambda: self.page.keyboard.press(key))

    def click(self, selector: str) -> None:
        self.does(lambda: self.page.locator(selector).click())

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).inner_text())

    @property
    def frame(self) -> tuple[int, int]:
        """The frame that is shown, and the last one."""
        found = self.page.locator("#frame")
        return int(found.input_value()), int(found.get_attribute("max"))

    def save(self, selector: str, folder: Path) -> Trajectory:
        """Download the path."""
        self.page.locator("#kind").select_option("npz")
        with self.page.expect_download() as download:
            self.page.locator(selector).press("Enter")
        download.value.save_as(folder / "path.npz")
        return Trajectory.load(folder / "path.npz")


@pytest.fixture
def tab(browser: Any, served: Callable[..., str]) -> Iterator[Tab]:
    opened = Tab(browser, served("digits"))
    yield opened
    assert opened.problems == []
    opened.page.close()


def test_from_start_to_a_saved_walk_by_mouse(tab: Tab, tmp_path: Path) -> None:
    tab.page.locator("#row").fill("3")
    tab.click("#by-row button:not([type=button])")
    assert "row 3, called 6" in tab.text("#position")
    tab.does(lambda: tab.page.locator("#target").select_option("8"))
    for x, y in ((100, 120), (160, 160), (200, 200)):
        tab.does(lambda x=x, y=y: tab.page.locator("#map").click(position={"x": x, "y": y}))  # type: ignore[misc]
    assert tab.frame == (3, 3)
    tab.click("#undo")
    assert tab.frame == (2, 3)
    tab.does(lambda: tab.page.locator("#direction-1").click(position={"x": 5, "y": 8}))
    assert tab.frame == (3, 3)
    tab.click("#explain")
    assert tab.text("#headline").startswith("Predicted 6")
    path = tab.save("#download", tmp_path)
    assert (path.walker, path.steps, path.index, path.target) == ("hand", 3, 3, 8)
    assert path.saved_contributions is not None
    assert compare(path, envs.make_world(data="digits")).reproduced


def test_from_start_to_a_saved_walk_by_keyboard_alone(tab: Tab, tmp_path: Path) -> None:
    def reach(selector: str) -> None:
        for _ in range(60):
            if tab.page.evaluate("selector => document.activeElement?.matches(selector)", selector):
                return
            tab.page.keyboard.press("Tab")
        raise AssertionError(f"no Tab reaches {selector}")

    reach("#row")
    tab.page.keyboard.press("ControlOrMeta+A")
    tab.page.keyboard.type("3")
    tab.press("Enter")
    reach("#target")
    tab.press("8")
    reach("#map")
    for key in ("ArrowRight", "ArrowUp", "ArrowUp", "z", "ArrowLeft"):
        tab.press(key)
    assert tab.frame == (3, 3)
    reach("#direction-0")
    tab.press("ArrowRight")
    assert tab.frame == (4, 4)
    tab.page.keyboard.press("Shift+Tab")
    for _ in range(4):
        if tab.page.evaluate("document.activeElement.id") == "download":
            break
        tab.page.keyboard.press("Shift+Tab")
    path = tab.save(":focus", tmp_path)
    assert path.steps == 4
    assert path.class_names[path.target] == "8"
    assert compare(path, envs.make_world(data="digits")).reproduced


def test_the_agent_goes_on_is_taken_over_and_goes_on_again(browser: Any, served: Callable[..., str], tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE, tmp_path / "run")
    run = load_run(tmp_path / "run")
    tab = Tab(browser, served(run))
    assert tab.page.locator("#walker").input_value() == "policy"
    tab.page.locator("#map").focus()
    tab.press("ArrowRight")
    tab.press(" ")
    tab.wait("() => !document.querySelector('#go').hidden")
    shown, last = tab.frame
    assert shown == last > 2
    tab.does(lambda: tab.page.locator("#frame").fill("2"))
    tab.page.locator("#map").focus()
    tab.press("ArrowUp")
    assert tab.frame == (3, 3)
    tab.press(" ")
    tab.wait("() => !document.querySelector('#go').hidden")
    assert "Arrived" in tab.text("#frame-title")
    tab.click("#save")
    files = {file.stem for file in (tmp_path / "run" / "paths").glob("*.npz")}
    name = next(name for name in files if name.startswith("hand_policy-0000"))
    path = Trajectory.load(tmp_path / "run" / "paths" / f"{name}.npz")
    assert path.success
    assert path.walker == "hand+policy"
    assert compare(path, run.world).reproduced
    assert list((tmp_path / "run" / "explored").glob("events.out.tfevents*"))
    assert name in tab.text("#status")
    assert tab.problems == []
    tab.page.close()


def test_two_tabs_are_two_sessions_and_a_reload_keeps_the_walk(browser: Any, served: Callable[..., str]) -> None:
    first, second = (Tab(browser, served("digits")) for _ in range(2))
    for tab, key in ((first, "ArrowRight"), (second, "ArrowLeft"), (first, "ArrowRight")):
        tab.page.locator("#map").focus()
        tab.press(key)
    assert first.frame == (2, 2)
    assert second.frame == (1, 1)
    assert first.text("#used").startswith("4 of")
    assert second.text("#used").startswith("3 of")
    way = first.page.locator("#way").get_attribute("points")
    first.page.reload()
    first.settle()
    assert first.page.locator("#way").get_attribute("points") == way
    assert first.text("#used").startswith("4 of"), "nothing is queried again"
    assert first.problems == second.problems == []
    first.page.close()
    second.page.close()


@pytest.mark.slow
def test_a_server_that_was_killed_and_started_again_goes_on(browser: Any, served: Callable[..., str]) -> None:
    from agents.app.serving import start

    served("digits")  # the extra is installed
    world = envs.make_world()
    page = start(world)
    tab = Tab(browser, page.address)
    tab.page.locator("#map").focus()
    tab.press("ArrowRight")
    way = tab.page.locator("#way").get_attribute("points")
    page.stop()
    tab.press("ArrowRight")
    assert "The server does not answer. The walk is kept" in tab.text("#error")
    again = start(world, port=int(page.address.rsplit(":", 1)[1].strip("/")))
    tab.page.reload()
    tab.settle()
    assert tab.page.locator("#way").get_attribute("points") == way
    again.stop()
    tab.page.close()


def test_wrong_files_are_refused_in_words_and_right_ones_walked(tab: Tab) -> None:
    huge, fine = io.BytesIO(), io.BytesIO()
    Image.fromarray(np.zeros((2500, 2500), np.uint8)).save(huge, "PNG")
    Image.fromarray(np.full((32, 32), 99, np.uint8)).save(fine, "PNG")
    for content, words in ((b"text", "no PNG, JPEG or BMP"), (huge.getvalue(), "2,500 x 2,500")):
        file = {"name": "x.png", "mimeType": "image/png", "buffer": content}
        tab.does(lambda file=file: tab.page.locator("#picture").set_input_files(file))  # type: ignore[misc]
        assert words in tab.text("#error")
    tab.does(
        lambda: tab.page.locator("#picture").set_input_files(
            {"name": "x.png", "mimeType": "image/png", "buffer": fine.getvalue()}
        )
    )
    assert "your picture" in tab.text("#position")
    assert not tab.page.locator("#error").is_visible()
    tab.problems[:] = [said for said in tab.problems if "status of 400" not in said]  # the browser's own words of a refusal


@pytest.mark.slow
def test_a_drag_walks_on_and_old_regions_say_so(tab: Tab) -> None:
    tab.click("#slice")
    assert "on a plane through one frame (576 queries)" in tab.text("#map-note")
    assert not tab.page.locator("#map-moved").is_visible()
    box = tab.page.locator("#map").bounding_box()
    tab.page.mouse.move(box["x"] + 100, box["y"] + 100)
    tab.does(tab.page.mouse.down)
    tab.page.mouse.move(box["x"] + 120, box["y"] + 120, steps=3)
    tab.wait("() => Number(document.querySelector('#frame').max) >= 3")
    tab.page.mouse.up()
    assert tab.page.locator("#map-moved").is_visible()
    tab.click("#slice")
    assert "reference inputs" in tab.text("#map-note")


def test_a_digit_is_drawn_by_mouse(tab: Tab) -> None:
    tab.page.locator("#draw summary").click()
    box = tab.page.locator("#canvas").bounding_box()
    tab.page.mouse.move(box["x"] + 160, box["y"] + 110)
    tab.page.mouse.down()
    for turn in np.linspace(0, 2 * np.pi, 24):
        tab.page.mouse.move(box["x"] + 110 + 50 * np.cos(turn), box["y"] + 110 + 80 * np.sin(turn))
    tab.page.mouse.up()
    tab.click("#drawn")
    assert "your drawing, called 0" in tab.text("#position")


@pytest.mark.parametrize(
    "data", ["digits", *(pytest.param(name, marks=pytest.mark.slow) for name in ("iris", "sentences", "oscillator"))]
)
def test_a_phone_needs_no_sideways_scrolling_and_axe_finds_nothing(
    browser: Any, served: Callable[..., str], data: str
) -> None:
    for width in (390, 1200):
        tab = Tab(browser, served(data), width)
        tab.page.locator("#map").focus()
        tab.press("ArrowRight")
        tab.click("#draw-line")
        tab.click("#explain")
        assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert tab.page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        axe = pytest.importorskip("axe_core_python.sync_playwright", reason="axe-core-python is not installed")
        tab.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        found = axe.Axe().run(tab.page)["violations"]
        assert [(one["id"], [node["html"][:90] for node in one["nodes"]]) for one in found] == []
        assert tab.problems == []
        tab.page.close()


@pytest.mark.slow
def test_the_page_says_that_it_waits_for_a_slow_model(browser: Any, served: Callable[..., str]) -> None:
    world = envs.make_world()
    tab, predict = Tab(browser, served(world)), world.classifier.predict_proba
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.classifier, "predict_proba", lambda *rows: (time.sleep(1.6), predict(*rows))[1])
        tab.page.locator("#map").focus()
        tab.page.keyboard.press("ArrowRight")
        tab.wait("() => document.querySelector('#status').textContent.startsWith('The model is still answering')")
        tab.wait("() => document.querySelector('#frame').value === '1'")
        assert tab.text("#status") == ""
        patch.setattr(world.classifier, "predict_proba", lambda *rows: 1 / 0)
        tab.press("ArrowRight")
        assert "ZeroDivisionError" in tab.text("#error")
        assert tab.frame == (1, 1), "the walk is kept"
    tab.page.close()


def test_a_goal_on_a_score_is_typed_and_reached(browser: Any, served: Callable[..., str]) -> None:
    rows = np.random.default_rng(0).normal(5, 1, (80, 3))
    world = envs.make_world(
        data=rows, classifier=lambda x: 10 * x[:, 0] - x[:, 1], outputs="score", manifold="pca", progress=False
    )
    tab = Tab(browser, served(world))
    assert "a score" in tab.text("#world")
    assert not tab.page.locator("#target").is_visible()
    tab.page.locator("#goal").fill("+10 %")
    tab.does(lambda: tab.page.locator("#goal").press("Enter"))
    assert "on the way to +10 %" in tab.text("#position")
    tab.page.locator("#map").focus()
    tab.press(" ")
    tab.wait("() => !document.querySelector('#go').hidden")
    assert "(score " in tab.text("#frame-title")
    assert "Arrived" in tab.text("#frame-title")
    assert tab.text("#answers h3") == "The model's score"
    assert tab.page.locator("#answers tbody tr").count() == 3
    tab.click("#explain")
    assert "adds to score, from" in tab.text("#rise")
    tab.page.locator("#goal").fill("about 7")
    tab.does(lambda: tab.page.locator("#goal").press("Enter"))
    assert "is not a goal on a score" in tab.text("#error")
    way = tab.page.locator("#way").get_attribute("points")
    tab.page.reload()
    tab.settle()
    assert tab.page.locator("#way").get_attribute("points") == way
    assert tab.page.locator("#goal").input_value() == "+10 %"
    tab.problems[:] = [said for said in tab.problems if "status of 400" not in said]
    assert tab.problems == []
    tab.page.close()


def test_a_series_shows_what_changed_over_the_input(browser: Any, served: Callable[..., str]) -> None:
    tab = Tab(browser, served("oscillator"))
    tab.page.locator("#map").focus()
    for _ in range(3):
        tab.press("ArrowRight")
    assert "of 96 points changed" in tab.text("#position")
    assert tab.page.locator(".trio.pair img").count() == 2
    assert tab.page.locator(".trio.pair .now img").bounding_box()["width"] > 200
    tab.click("#explain")
    assert tab.page.locator(".now .rings").count() == 1
    tab.click("#curiosity")
    assert "take 5 more" in tab.text("#error")
    tab.problems[:] = [said for said in tab.problems if "status of 400" not in said]
    assert tab.problems == []
    tab.page.close()


@pytest.mark.slow
def test_a_table_s_form_asks_and_begins_anew(browser: Any, served: Callable[..., str]) -> None:
    tab = Tab(browser, served("iris"))
    tab.page.locator("#what-if summary").click()
    tab.page.locator("#field-2").fill("6.5")
    tab.page.locator("#field-3").fill("2.3")
    tab.click("#ask")
    assert "the model says virginica" in tab.text("#answer")
    tab.page.locator("#field-3").fill("")
    tab.click("#ask")
    assert tab.page.locator("#error").is_visible()
    tab.page.locator("#field-3").fill("2.3")
    tab.click("#begin")
    assert "your row, called virginica" in tab.text("#position")
    tab.page.close()
