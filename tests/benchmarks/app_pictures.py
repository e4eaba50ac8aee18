"""Draw the explorer's pictures for the site: ``python -m tests.benchmarks.app_pictures``.

Headless Chromium walks by hand and lets the agent of the example run go on. It writes ``explorer.png`` and ``explorer.gif``.
"""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from agents.console.cli import prepare_process
from tests.benchmarks.harness.runs import ROOT

IMAGES = ROOT / "docs" / "images"
SIZE, SHOWN = (1180, 900), 760  # pixels of the window, and of the film's width
BEAT, END = 450, 2500  # ms of a frame, and of the last one


def film(page: Any) -> list[Image.Image]:
    """The window after every step: three by hand, then the agent's, then what the walk shows."""
    found: list[Image.Image] = []

    def take() -> None:
        page.wait_for_timeout(300)
        found.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))

    take()
    page.locator("#map").focus()
    for key in ("ArrowRight", "ArrowUp", "ArrowUp"):
        page.keyboard.press(key)
        take()
    page.locator("#go").click()
    for _ in range(20):
        take()
        if page.locator("#go").is_visible():
            break
    page.locator("#explain").click()
    page.locator("#explained").wait_for()
    page.locator("#explained").scroll_into_view_if_needed()
    take()
    return found


def save(frames: list[Image.Image], file: Path) -> None:
    """A GIF of few colours."""
    height = round(SHOWN * SIZE[1] / SIZE[0])
    small = [frame.resize((SHOWN, height), Image.Resampling.LANCZOS) for frame in frames]
    small = [frame.quantize(160, kmeans=2, dither=Image.Dither.NONE) for frame in small]
    times = [BEAT] * (len(small) - 1) + [END]
    small[0].save(file, save_all=True, append_images=small[1:], duration=times, loop=0, optimize=True)


def main() -> None:
    """Serve the example run, walk, and write both pictures."""
    prepare_process()
    from playwright.sync_api import sync_playwright

    from agents.app.serving import start

    served = start(str(ROOT / "runs" / "example"))
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        page.goto(served.address)
        page.locator(".now img").wait_for()
        frames = film(page)
        page.screenshot(path=IMAGES / "explorer.png", full_page=True)
        browser.close()
    served.stop()
    whole = Image.open(IMAGES / "explorer.png").convert("RGB")
    whole.quantize(160, kmeans=2, dither=Image.Dither.NONE).save(IMAGES / "explorer.png", optimize=True)
    save(frames, IMAGES / "explorer.gif")
    for name in ("explorer.png", "explorer.gif"):
        print(f"wrote docs/images/{name}: {(IMAGES / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
