"""The report in a browser: headless Chromium opens it from disk and drives it by mouse and keyboard."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

import envs
from agents.explain import explain
from agents.explanation.figures.table_cells import changed_cells, row_texts
from agents.explanation.report.page import write_report
from agents.trajectories.trajectory import Trajectory

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def paths() -> list[Trajectory]:
    world = envs.make_world(data="digits")
    found: list[Trajectory] = explain(world, [0, 4], walker="line")
    return found


@pytest.fixture(scope="module")
def report(paths: list[Trajectory], tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("a folder with spaces") / "report.html"
    return write_report(file, paths, envs.make_world(data="digits")).as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="chromium is not installed for playwright")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, report: str) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda message: page.problems.append(message.text))
    page.on("request", lambda asked: page.problems.append(asked.url) if asked.url.startswith("http") else None)
    page.goto(report)
    yield page
    assert page.problems == []
    page.close()


def shown(section: Any) -> int:
    return int(section.locator("[data-frame]").first.inner_text())


def test_all_pictures_are_there_and_a_phone_needs_no_sideways_scrolling(page: Any) -> None:
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_mouse_and_keyboard_walk_the_frames_and_the_numbers_are_the_path_s(page: Any, paths: list[Trajectory]) -> None:
    path, section = paths[1], page.locator("#path-2")
    assert path.predictions is not None
    section.locator("[data-step=on]").click()
    assert shown(section) == 1
    section.locator("input[type=range]").press("ArrowRight")
    assert shown(section) == 2
    section.locator("[data-go='0']").press("End")
    assert shown(section) == path.steps
    section.locator("[data-go='1']").click()
    told = section.locator(".predictions .target output").inner_text()
    assert told == f"{path.predictions[1, path.target]:.3f}"
    assert section.locator("[data-number=step_length]").inner_text() == f"{path.step_lengths[0]:.3f}"
    assert "Frame 1 of" in section.locator("[aria-live]").inner_text()
    assert section.locator("[aria-current]").get_attribute("data-go") == "1"
    assert shown(page.locator("#path-1")) == 0  # the other path has not moved


def test_a_table_fits_a_phone_and_marks_what_changed(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    world = envs.make_world(data="iris")
    path = max(explain(world, [0, 20, 40], walker="line"), key=lambda p: p.steps)
    file = write_report(tmp_path_factory.mktemp("table") / "report.html", [path], world)
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not page.locator("[data-cell]").first.is_visible()  # frame 0 has a column already
    page.locator("[data-step=last]").click()
    _, texts = row_texts(world, [path.frames(world)[-1]])
    assert page.locator("[data-cell]").all_inner_texts() == texts[:, 0].tolist()
    assert page.locator("td.changed").count() == sum(marks(world, path))
    page.close()


def marks(world: Any, path: Trajectory) -> list[bool]:
    return changed_cells(world, path.frames(world), path.factual(world))[:, -1].tolist()


def test_playing_ends_at_the_last_frame(page: Any, paths: list[Trajectory]) -> None:
    section = page.locator("#path-1")
    section.locator("[data-step=last]").click()
    section.locator("[data-step=back]").click()
    section.locator("[data-play]").click()
    section.locator("[data-play][aria-pressed=true]").wait_for(state="detached")
    assert shown(section) == paths[0].steps
