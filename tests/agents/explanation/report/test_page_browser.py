"""The report in a browser: headless Chromium opens it from disk and drives it by mouse and keyboard."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import envs
from agents import audit
from agents.explain import explain
from agents.explanation.alternatives import several_ways
from agents.explanation.badge.result import Badge
from agents.explanation.figures.table_cells import changed_cells, row_texts
from agents.explanation.report.card import turning_point
from agents.explanation.report.page import write_report
from agents.trajectories.trajectory import Trajectory
from tests.agents.chromium import needs_chromium

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def paths() -> list[Trajectory]:
    world = envs.make_world(data="digits")
    found: list[Trajectory] = explain(world, [0, 4], walker="line")
    badges = Badge("holds", ["Other classifiers give the end p = 0.83."]), Badge("flips this model only", ["Others do not."])
    return [replace(path, saved_badge=badge) for path, badge in zip(found, badges, strict=True)]


@pytest.fixture(scope="module")
def report(paths: list[Trajectory], tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("a folder with spaces") / "report.html"
    return write_report(file, paths, envs.make_world(data="digits")).as_uri()


@pytest.fixture
def page(browser: Any, report: str) -> Iterator[Any]:
    """The report on a phone whose user wants no motion; nothing may be loaded, and nothing may fail."""
    page = browser.new_page(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda message: page.problems.append(message.text))
    page.on("request", lambda asked: page.problems.append(asked.url) if asked.url.startswith("http") else None)
    page.goto(report)
    yield page
    assert page.problems == []
    page.close()


def step_shown(card: Any) -> str:
    return card.locator("[data-when]").inner_text()


def fits(page: Any) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_a_phone_shows_a_whole_card_and_no_sideways_scrolling(page: Any) -> None:
    assert fits(page)
    for card in page.locator(".card").all():
        card.scroll_into_view_if_needed()
        assert card.bounding_box()["height"] <= 844


def test_a_card_opens_at_the_turning_point_and_fits_a_screen(browser: Any, report: str, paths: list[Trajectory]) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    page.goto(f"{report}#path-2")
    card = page.locator("#path-2")
    assert step_shown(card) == f"turning point · step {turning_point(paths[1])}"
    box = card.bounding_box()
    assert box["y"] >= -1
    assert box["y"] + box["height"] <= 800
    assert page.evaluate("document.activeElement.id") == "path-2"
    page.close()


def test_slider_and_keys_walk_the_frames_and_the_numbers_are_the_path_s(page: Any, paths: list[Trajectory]) -> None:
    path, card = paths[1], page.locator("#path-2")
    assert path.predictions is not None
    card.locator("input[type=range]").press("Home")
    assert step_shown(card) == "step 0"
    card.locator("input[type=range]").press("ArrowRight")
    assert card.locator(".stage [data-p]").inner_text() == f"{path.predictions[1, path.target]:.2f}"
    assert "Frame 1 of" in card.locator("input[type=range]").get_attribute("aria-valuetext")
    card.locator("h2 a").press("ArrowRight")
    assert step_shown(card) == "step 2"
    assert not card.locator("[data-rings]").is_visible()  # the rings are those of the turning point
    card.locator("[data-turn]").click()
    assert step_shown(card) == f"turning point · step {turning_point(path)}"
    assert card.locator("[data-rings]").is_visible()
    assert step_shown(page.locator("#path-1")).startswith("turning point")  # the other path has not moved


def test_j_and_k_lead_from_card_to_card(page: Any) -> None:
    page.locator("#path-1 h2 a").press("j")
    assert page.evaluate("location.hash") == "#path-2"
    page.locator("#path-2").press("k")
    page.wait_for_function("document.activeElement.id === 'path-1'")


def test_filters_and_order_concern_index_and_cards(page: Any, paths: list[Trajectory]) -> None:
    page.locator("#order").select_option("steps")
    numbers = [int(card.get_attribute("data-steps")) for card in page.locator(".card").all()]
    assert numbers == sorted(numbers)
    page.locator("#badge").select_option("holds")
    assert page.locator(".card:visible").count() == 1
    page.locator("#badge").select_option("")
    pair = page.locator("#path-2").get_attribute("data-pair")
    page.locator("#pair").select_option(pair)
    assert page.locator(".card:visible").count() == page.locator(".index li:visible").count() == 1
    page.evaluate("location.hash = 'path-1'")  # a link to a hidden card shows it again
    page.locator("#path-1").wait_for(state="visible")


def test_layers_open_together(page: Any, paths: list[Trajectory]) -> None:
    assert page.locator("details[open]").count() == 0
    page.locator("input[name=layer][value=analyst]").check()
    assert page.locator(".card [data-layer=analyst][open]").count() == len(paths)
    assert page.locator("[data-layer=researcher][open]").count() == 0
    assert page.locator("#path-1 .curves .tick").first.is_visible()


def test_a_card_plays_once_and_ends_at_the_turning_point(browser: Any, report: str, paths: list[Trajectory]) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="no-preference")
    page.goto(f"{report}#path-1")
    card = page.locator("#path-1")
    card.locator("[data-play][aria-pressed=true]").wait_for()
    card.locator("[data-play][aria-pressed=false]").wait_for()
    assert step_shown(card) == f"turning point · step {turning_point(paths[0])}"
    page.close()


def test_nothing_moves_where_motion_is_unwelcome(page: Any) -> None:
    page.locator("#path-1").scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    assert page.locator("[data-play][aria-pressed=true]").count() == 0


def test_without_a_script_every_card_is_there(browser: Any, report: str, paths: list[Trajectory]) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(report)
    for number in range(1, len(paths) + 1):
        card = page.locator(f"#path-{number}")
        assert card.locator(".still img").count() == 3
        assert card.locator(".headline").is_visible()
        assert card.locator(".contributions").is_visible()
        assert not card.locator(".player").is_visible()
    assert not page.locator("#tools").is_visible()
    page.close()


def test_a_table_shows_what_changed_beside_the_input(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    world = envs.make_world(data="iris")
    path = max(explain(world, [0, 20, 40], walker="line", sparse=False), key=lambda p: p.steps)
    file = write_report(tmp_path_factory.mktemp("table") / "report.html", [path], world, badges=False)
    page = browser.new_page(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    page.goto(file.as_uri())
    assert fits(page)
    page.locator("input[type=range]").press("End")
    _, texts = row_texts(world, [path.frames(world)[-1]])
    assert [text[2:] for text in page.locator("[data-cell]").all_inner_texts()] == texts[:, 0].tolist()
    assert page.locator("[data-cell].changed").count() == sum(marks(world, path))
    page.locator("input[type=range]").press("Home")
    assert page.locator("[data-cell].changed").count() == 0  # step 0 is the input
    page.close()


def marks(world: Any, path: Trajectory) -> list[bool]:
    return changed_cells(world, path.frames(world), path.factual(world))[:, -1].tolist()


def test_dark_colours_are_readable(browser: Any, report: str) -> None:
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme, reduced_motion="reduce")
        page.goto(report)
        colours = page.evaluate(
            """() => [document.body, ...document.querySelectorAll('.headline, .cls, .key span, .when')].map(
                (e) => [getComputedStyle(e).color, getComputedStyle(document.body).backgroundColor])"""
        )
        for ink, ground in colours:
            assert contrast(ink, ground) >= 4.5
        page.close()


def contrast(one: str, other: str) -> float:
    """The contrast of two colours (WCAG 2.2)."""

    def light(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.slow
def test_axe_finds_nothing(browser: Any, report: str) -> None:
    axe = pytest.importorskip("axe_core_python.sync_playwright", reason="axe-core-python is not installed")
    for scheme in ("light", "dark"):
        page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme=scheme, reduced_motion="reduce")
        page.goto(report)
        page.locator("input[name=layer][value=researcher]").check()
        found = axe.Axe().run(page)["violations"]
        assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []
        page.close()


@pytest.mark.slow
@pytest.mark.parametrize("data", ["iris", "digits", "sentences"])
def test_other_paths_of_an_input_fit_a_phone_and_paper(
    browser: Any, data: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    axe = pytest.importorskip("axe_core_python.sync_playwright", reason="axe-core-python is not installed")
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    world, folder = envs.make_world(data=data, progress=False), tmp_path_factory.mktemp("ways")
    found = several_ways(world, 0, n=3, walker="line")
    file = write_report(folder / "report.html", list(found), world, badges=False)
    page = browser.new_page(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    page.goto(file.as_uri())
    assert fits(page)
    assert page.locator(".others li").count() == len(found) - 1
    violations = axe.Axe().run(page)["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in violations] == []
    page.pdf(path=str(folder / "report.pdf"), prefer_css_page_size=True)
    printed = plain(" ".join(each.extract_text() for each in pypdf.PdfReader(folder / "report.pdf").pages))
    assert all(plain(text) in printed for text in page.locator(".others li p").all_inner_texts())
    page.close()


@pytest.mark.slow
@pytest.mark.parametrize("data", ["iris", "digits"])
def test_patterns_and_an_audit_fit_a_phone_and_paper(
    browser: Any, data: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    axe = pytest.importorskip("axe_core_python.sync_playwright", reason="axe-core-python is not installed")
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    world, folder = envs.make_world(data=data, progress=False), tmp_path_factory.mktemp("patterns")
    found = audit(world, ["petal width in cm"], rows=5) if data == "iris" else None
    paths = explain(world, range(6) if data == "iris" else [5, 34], walker="line")  # two of them from 1 to 8
    file = write_report(folder / "report.html", paths, world, badges=False, audit=found)
    for scheme in ("light", "dark"):
        page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme=scheme, reduced_motion="reduce")
        page.goto(file.as_uri())
        assert fits(page)
        assert page.locator(".pattern").count() >= 1
        violations = axe.Axe().run(page)["violations"]
        assert [(each["id"], each["nodes"][0]["html"]) for each in violations] == []
        page.pdf(path=str(folder / "report.pdf"), prefer_css_page_size=True)
        printed = plain(" ".join(each.extract_text() for each in pypdf.PdfReader(folder / "report.pdf").pages))
        assert all(plain(text) in printed for text in page.locator(".pattern h3, .patterns h2").all_inner_texts())
        page.close()
    assert found is None or all(plain(column.sentence) in printed for column in found.columns)


def test_the_print_holds_every_headline_and_two_cards_a_page(
    browser: Any, report: str, paths: list[Trajectory], tmp_path: Path
) -> None:
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    page = browser.new_page(reduced_motion="reduce")
    page.goto(report)
    page.pdf(path=str(tmp_path / "report.pdf"), prefer_css_page_size=True)
    pages = [" ".join(each.extract_text().split()) for each in pypdf.PdfReader(tmp_path / "report.pdf").pages]
    told = [" ".join(card.inner_text().split()) for card in page.locator(".headline").all()]
    assert len(told) == len(paths)
    assert all(any(plain(headline) in plain(text) for text in pages) for headline in told)
    assert len(pages) <= -(-len(paths) // 2)
    page.close()


def plain(text: str) -> str:
    """Text without spaces, which a PDF need not hold, and without ligatures."""
    return unicodedata.normalize("NFKC", "".join(text.split()))
