"""Draw the picture at the top of README.md: ``MANIFOLD_DATA=DIR python -m tests.benchmarks.readme_picture``.

A short training on MNIST (under a minute on one core), one explained test image, and two files in docs/images:
``mnist_path.gif`` builds the path up step by step, ``mnist_path.png`` shows the whole path.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from agents.console.cli import prepare_process

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
STEP_MS, END_MS = 600, 4000


def trained_run(folder: str, steps: int) -> Any:
    """An agent of seed 0 on the full MNIST."""
    from agents.train import train

    return train(data="mnist", env="Manifold/Custom-v0", n_timesteps=steps, seed=0, eval_episodes=0, log_folder=folder)


def turning_point(path: Any) -> int:
    """The first frame that the classifier puts into the target class."""
    return int(np.argmax(path.predicted == path.target))


def sentence(path: Any, world: Any) -> str:
    """The path's headline, with the shares of what changed."""
    path.contributions(world)
    return str(path.headline)


def draw(path: Any, world: Any, shown: int) -> Image.Image:
    """The path up to frame `shown`: input and frames, change since step 0, and the probability of the target."""
    from agents.explanation.figures.style import FAINT, INK, SOURCE, TARGET, pyplot_figure

    frames = path.frames(world).reshape(path.steps + 1, 28, 28)
    p, turn, count = path.predictions[:, path.target], turning_point(path), path.steps + 2
    figure = pyplot_figure(13, 5.6, dpi=100)
    grid = figure.add_gridspec(
        3, count, height_ratios=[1, 1, 0.95], left=0.07, right=0.985, top=0.83, bottom=0.09, wspace=0.08, hspace=0.12
    )
    figure.text(0.012, 0.945, sentence(path, world), fontsize=17, color=INK)
    for column in range(count):
        t = column - 1
        above = figure.add_subplot(grid[0, column])
        colour = TARGET if t >= turn else SOURCE
        visible = t <= shown
        pixels = path.source_input.reshape(28, 28) if t < 0 else frames[t]
        above.imshow(1 - pixels if visible else np.ones((28, 28)), cmap="gray", vmin=0, vmax=1)
        if visible:
            predicted = path.class_names[path.source if t < 0 else int(path.predicted[t])]
            above.text(1, 26.5, predicted, fontsize=19, color=colour, weight="bold")
        above.set_title("input" if t < 0 else f"step {t}", fontsize=13, color=INK)
        _frame(above, colour if visible else FAINT)
        if t >= 0:
            below = figure.add_subplot(grid[1, column])
            change = frames[t] - frames[0] if visible else np.zeros((28, 28))
            below.imshow(change, cmap="PRGn", vmin=-1, vmax=1)
            _frame(below, FAINT)
    middle = figure.add_subplot(grid[1, 0])
    middle.axis("off")
    middle.text(0.5, 0.5, "change\nsince step 0\n\ngreen: ink added\npurple: removed", fontsize=11, ha="center", va="center",
                transform=middle.transAxes, color=INK)  # fmt: skip
    axes = figure.add_subplot(grid[2, 1:])
    target = path.class_names[path.target]
    axes.set_xlim(-0.5, path.steps + 0.5)
    axes.set_ylim(-0.06, 1.12)
    axes.axhline(0.9, color="#8a8f98", linewidth=1, linestyle="--")
    axes.text(-0.45, 0.93, "goal: 0.9", fontsize=10, color="#555b64")
    axes.plot(range(shown + 1), p[: shown + 1], color=TARGET, linewidth=3, marker="o", markersize=8)
    if shown >= turn:
        axes.axvspan(turn - 1, turn, color=FAINT, zorder=0)
        axes.text(turn - 1.06, 0.45, "the prediction changes here", fontsize=13, ha="right", color=INK)
    axes.set_ylabel(f"p({target})", fontsize=13, color=INK)
    axes.set_xticks(range(path.steps + 1))
    axes.set_yticks([0, 0.5, 1])
    axes.tick_params(labelsize=11)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return Image.open(stream).convert("RGB")


def _frame(axes: Any, colour: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(colour)
        spine.set_linewidth(2.5)


def main() -> None:
    """Train, explain one test image, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", type=int, default=17, help="row of the test images (default: %(default)s)")
    parser.add_argument("--target", default="9", help="target class (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=250_000, help="training steps (default: %(default)s)")
    parser.add_argument("--run", help="a trained run folder to use instead of training")
    parser.add_argument("--out", type=Path, default=IMAGES / "mnist_path", help="files to write, without suffix")
    options = parser.parse_args()
    prepare_process()
    from agents.explain import explain
    from agents.runs.run import load_run

    with TemporaryDirectory() as folder:
        run = load_run(options.run) if options.run else trained_run(folder, options.steps)
        path = explain(run, options.index, target=options.target)
        pictures = [draw(path, run.world, t) for t in range(path.steps + 1)]
    pictures[-1].quantize(128, dither=Image.Dither.NONE).save(options.out.with_suffix(".png"), optimize=True)
    palette = [picture.quantize(64, dither=Image.Dither.NONE) for picture in pictures]
    durations = [STEP_MS] * (len(palette) - 1) + [END_MS]
    palette[0].save(options.out.with_suffix(".gif"), save_all=True, append_images=palette[1:], duration=durations, loop=0)
    print(f"{sentence(path, run.world)}\nwrote {options.out.with_suffix('.gif')} and .png")


if __name__ == "__main__":
    main()
