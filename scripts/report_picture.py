"""Makes docs/images/report_card.png, a card of the example run's report: `python scripts/report_picture.py` (half a minute).

It needs playwright and a Chromium.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

CARD = 3  # of runs/example: a path whose end holds
COLOURS = 200  # of the picture's palette, which keeps it small


def main() -> None:
    """Write the report, open it, take the picture."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    from agents.report import main as report

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    target = ROOT / "docs" / "images" / "report_card.png"
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as driver:
        page_file = Path(scratch) / "report.html"
        report([str(ROOT / "runs" / "example"), "--out", str(page_file)])
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1180, "height": 800}, reduced_motion="reduce", color_scheme="light")
        page.goto(page_file.as_uri())
        card = page.locator(f"#path-{CARD}")
        card.scroll_into_view_if_needed()
        box = card.bounding_box()
        clip = {"x": box["x"] - 14, "y": box["y"] + 4, "width": box["width"] + 28, "height": box["height"] - 8}
        page.screenshot(path=str(target), clip=clip, full_page=False)
        browser.close()
    with Image.open(target) as taken:
        small = taken.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(target, optimize=True)
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
