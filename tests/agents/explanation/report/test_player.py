"""The player of a path in a notebook: self-contained, without a server, a query or a request."""

from __future__ import annotations

import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import pytest

import envs
from agents.explain import explain
from agents.trajectories.trajectory import Trajectory

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.parametrize("data", ["digits", "iris", "sentences"])
def test_a_notebook_shows_a_player_that_queries_nothing(data: str) -> None:
    world = envs.make_world(data=data)
    path = explain(world, 1, walker="line")
    asked = world.classifier.queries
    html = path._repr_html_()
    assert world.classifier.queries == asked
    frame = re.search(r'<iframe [^>]*sandbox="allow-scripts"[^>]*srcdoc="([^"]*)"', html)
    assert frame is not None
    page = unescape(frame[1])
    assert "default-src 'none'" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert len(html) < 400_000


def test_names_with_markup_stay_text() -> None:
    names = ["<img src=x onerror=alert(1)>", "</script><b>", "'\""]
    path = explain(envs.make_world(data="iris", class_names=names), 1, walker="line")
    html = path._repr_html_()
    assert "<img src=x" not in html
    assert "<img src=x" not in unescape(html)


def test_a_path_without_a_world_shows_its_curves(tmp_path: Path) -> None:
    path = Trajectory.load(explain(envs.make_world(), 1, walker="line").save(tmp_path / "path.npz"))
    assert "<iframe" not in path._repr_html_()
    assert "data:image/png;base64," in path._repr_html_()


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_the_player_plays_in_a_saved_page(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="chromium is not installed for playwright")
    path = max(explain(envs.make_world(data="digits"), [0, 4], walker="line"), key=lambda path: path.steps)
    (tmp_path / "saved.html").write_text(f"<!doctype html><meta charset=utf-8>{path._repr_html_()}", encoding="utf-8")
    problems: list[Any] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(reduced_motion="reduce")
        page.on("console", lambda said: problems.append(said.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda asked: problems.append(asked.url) if asked.url.startswith("http") else None)
        page.goto((tmp_path / "saved.html").as_uri())
        inside = page.frame_locator("iframe")
        inside.locator("input[type=range]").press("Home")
        first = inside.locator("[data-picture]").get_attribute("src")
        inside.locator("input[type=range]").press("End")
        assert inside.locator("[data-picture]").get_attribute("src") != first
        browser.close()
    assert problems == []
