"""A running TensorBoard in a browser, on real event files: what is logged can be seen, and its numbers are the path's."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch.utils.tensorboard.summary import hparams
from torch.utils.tensorboard.writer import SummaryWriter

import envs
from agents.explain import explain
from agents.explanation import tensorboard
from agents.explanation.metrics.evaluate import evaluate_paths
from agents.trajectories.trajectory import Trajectory
from tests.agents.chromium import needs_chromium

# The projector needs WebGL: drawn by software where there is no graphics card.
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking", "--use-angle=swiftshader",
         "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]  # fmt: skip
POINTS = 60  # starts in the projector: drawn by software, more of them keep its page from answering
PATIENCE = 60_000  # ms; TensorBoard's page is large, and CI's machine busy

# The projector is a page of its own inside TensorBoard's, and its elements hide in shadow roots.
COUNTS = """() => {
    const found = [];
    const look = (root) => { for (const e of root.querySelectorAll('*')) {
        if (e.matches('span.numDataPoints')) found.push(e.innerText.trim());
        if (e.shadowRoot) look(e.shadowRoot);
    } };
    look(document);
    return found;
}"""

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(scope="module")
def paths() -> list[Trajectory]:
    found: list[Trajectory] = explain(envs.make_world(data="digits"), [0, 4], walker="line")
    return found


@pytest.fixture(scope="module")
def logged(paths: list[Trajectory], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A folder as `make demo` leaves it, and the scalars in it."""
    folder, world = tmp_path_factory.mktemp("a run"), envs.make_world(data="digits")
    with SummaryWriter(str(folder)) as writer:
        scalars = tensorboard.log_metrics(writer, evaluate_paths(world, paths), 7)
        tensorboard.log_paths(writer, world, paths, 7, most=1)
        chosen = {name: scalars[name] for name in ("explain/validity", "explain/queries")}
        for summary in hparams({"algo": "line", "seed": 0}, chosen):  # as stable-baselines3 logs them
            writer.file_writer.add_summary(summary)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensorboard, "PROJECTED", POINTS)
        tensorboard.log_projector(folder / "latent_space", world, paths, 7)
    return folder, scalars


@pytest.fixture(scope="module")
def address(logged: tuple[Path, dict[str, float]]) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logged[0]), "--port", str(port), "--load_fast=false"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                if len(urllib.request.urlopen(f"{url}/data/runs").read()) > 4:
                    break
            except OSError:
                pass
            time.sleep(0.5)
        yield url
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def tab(browser: Any, address: str, tmp_path: Path) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(PATIENCE)
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))

    def open_tab(name: str) -> Any:
        page.goto(f"{address}/#{name}")
        return page

    yield open_tab
    page.screenshot(path=str(tmp_path / "tab.png"))
    assert page.problems == []
    page.close()


def test_cards_and_film_strips_are_loaded(tab: Any, paths: list[Trajectory]) -> None:
    page = tab("images")
    page.locator("tf-tag-filterer input").first.fill("card|film_strip")
    page.get_by_text(f"film_strip/{paths[0].name}").first.wait_for()
    page.wait_for_function(
        """() => {
            const found = [];
            const look = (root) => { for (const e of root.querySelectorAll('*')) {
                if (e.tagName === 'IMG' && e.src.includes('individualImage')) found.push(e);
                if (e.shadowRoot) look(e.shadowRoot);
            } };
            look(document);
            return found.length >= 2 && found.every((image) => image.complete && image.naturalWidth > 100);
        }"""
    )


def test_the_table_of_steps_holds_the_path_s_numbers(tab: Any, paths: list[Trajectory]) -> None:
    page, path = tab("text"), paths[0]
    assert path.predictions is not None
    table = page.locator("table", has_text="p target").first
    table.wait_for()
    rows = [row.split("\t") for row in table.inner_text().splitlines() if "\t" in row]
    place = rows[0].index("p target")
    told = [row[place].strip() for row in rows[1:]]
    assert told == [f"{p:.3f}" for p in path.predictions[:, path.target]]


def test_hparams_stand_beside_the_measures(tab: Any, logged: tuple[Path, dict[str, float]]) -> None:
    page = tab("hparams")
    page.get_by_text("explain/validity").first.wait_for()
    page.get_by_text("algo").first.wait_for()
    value = f"{logged[1]['explain/queries']:.5g}"
    page.get_by_text(value, exact=False).first.wait_for()


def test_the_projector_shows_the_starts_and_the_paths(tab: Any, address: str, paths: list[Trajectory]) -> None:
    found = json.loads(urllib.request.urlopen(f"{address}/data/plugin/projector/runs").read())
    assert found == ["latent_space"]
    about = json.loads(urllib.request.urlopen(f"{address}/data/plugin/projector/info?run=latent_space").read())
    assert "sprite" not in about["embeddings"][0]
    world, page = envs.make_world(data="digits"), tab("projector")
    stride = -(-len(world.reference.z) // POINTS)
    points = len(world.reference.z[::stride]) + sum(path.steps + 1 for path in paths)
    waited = 0
    while str(points) not in [text for frame in page.frames for text in frame.evaluate(COUNTS)]:
        page.wait_for_timeout(500)
        waited += 500
        assert waited < PATIENCE
    page.wait_for_timeout(1500)  # for the screenshot alone
