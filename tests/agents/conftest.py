"""Worlds that tests share and do not change, and a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import envs
from envs.core.world import World
from tests.agents.chromium import CHROMIUM, FLAGS


@pytest.fixture(scope="module")
def digits() -> World:
    """The world of Manifold/Digits-v0."""
    return envs.make_world(data="digits")


@pytest.fixture(scope="module")
def iris() -> World:
    """The world of Manifold/Custom-v0."""
    return envs.make_world(data="iris")


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Chromium, with the module's own FLAGS if it has any."""
    playwright = pytest.importorskip("playwright.sync_api", reason="chromium is not installed for playwright")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=getattr(request.module, "FLAGS", FLAGS))
        yield opened
        opened.close()
