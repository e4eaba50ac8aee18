"""Faces of 64x64, shapes of 32x32 in colour, tinted clothes: does the convolutional VAE hold, and what does a pixel cost?

    python -m tests.benchmarks.pictures_large                          # all data, two folds, and the cost
    python -m tests.benchmarks.pictures_large --data faces --seeds 0 1 2 3 4

A seed is a fold of the faces (images k, k + 5 of every person are held out), and the draw of the other data. The explained
classifier is a small network, the oracle a support vector machine on the true classes of the same pictures. Held-out pictures
walk to a random other class until p >= 0.9. The nearest unlike neighbour is the nearest training picture that the classifier
predicts as the target with p >= 0.9. Hues are drawn independently of the class. Where the fit has a loss of edges, the same
fit is measured without it. The figure shows pictures of the first seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.harness.experiment import RESULTS, Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.runs import Run
from tests.benchmarks.harness.tables import spread, table
from tests.benchmarks.pictures.large import DATA, SOURCES, WAYS, cost, pictures_of, walked, without_edges

AGENT_STEPS = 8_000
TITLES = {WAYS[-1]: "nearest of the target class"}
SIZES = ((8, 8), (16, 16), (32, 32), (64, 64), (3, 64, 64))

# ---- run --------------------------------------------------------------------------------------------------------------


def measure(options: Options) -> Iterator[Record]:
    """Every data set and seed, then the cost; what is not measured now stays."""
    record: Record = {"data": dict(options.before.get("data", {})), "cost": dict(options.before.get("cost", {}))}
    for name in options.data:
        cells = {cell["seed"]: cell for cell in record["data"].get(name, [])}
        for seed in options.seeds:
            key = {"pictures_large": name, "seed": seed, "agent_steps": options.agent_steps}
            run = Run(key, partial(walked, name, seed, options.agent_steps, options.cache), SOURCES)
            cells[seed] = cells.get(seed, {}) | options.runner.one(run, f"{name}, {seed}")
            if options.edges:
                plain = Run({**key, "edges": False}, partial(without_edges, name, seed, options.cache), SOURCES)
                cells[seed] |= options.runner.one(plain, f"{name}, {seed}, without edges")
            record["data"][name] = [cells[k] for k in sorted(cells)]
            yield record
    if options.data:
        files = [pictures_of(name, options.seeds[0], options.cache) for name in options.data]
        draw(files, (options.out or RESULTS.parent / "images" / "pictures_large").with_suffix(".png"))
    for decoder in ("mlp", "conv") if options.cost else ():
        runs = [Run({"pictures_large": "cost", "shape": shape, "decoder": decoder}, partial(cost, shape, decoder), SOURCES)
                for shape in SIZES]  # fmt: skip
        record["cost"][decoder] = options.runner(runs, f"cost, {decoder}")
        yield record


def draw(files: list[Path], to: Path) -> None:
    """Inputs, reconstructions and ends of each data set, a panel each."""
    from agents.explanation.figures.style import figure_png, pyplot_figure

    panels = [dict(np.load(file)) for file in files]
    figure = pyplot_figure(9.5, 1.5 + 1.4 * len(panels))
    for axes, rows in zip(np.atleast_1d(figure.subplots(len(panels), 1)), panels, strict=True):
        tiles = [np.concatenate(list(framed(row)), axis=1) for row in rows.values()]
        axes.imshow(np.concatenate(tiles), interpolation="nearest")
        side = tiles[0].shape[0]
        axes.set_yticks([side * (k + 0.5) for k in range(len(rows))], [TITLES.get(row, row) for row in rows], fontsize=7)
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    to.write_bytes(figure_png(figure))


def framed(pictures: np.ndarray) -> np.ndarray:
    """Pictures (N, H, W) or (N, 3, H, W) as (N, H + 2, W + 2, 3) with a white border."""
    colours = np.moveaxis(pictures, 1, -1) if pictures.ndim == 4 else np.repeat(pictures[..., None], 3, -1)
    return np.pad(colours.clip(0, 1), ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=1)


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """A table a data set, and the cost against the pixels."""
    sections = []
    for name, cells in record["data"].items():

        def over(key: str, digits: int, cells: list[dict[str, Any]] = cells, way: str | None = None) -> str:
            return spread([(cell if way is None else cell["ways"][way]).get(key) for cell in cells], digits, always=False)

        facts = (
            f"Seeds {', '.join(str(cell['seed']) for cell in cells)}; {cells[0]['train']} pictures to fit to, "
            f"{cells[0]['items']} explained. Accuracy of the classifier {over('accuracy', 3)}, of the oracle "
            f"{over('oracle', 3)}. Class kept by the reconstructions of held-out pictures: {_counted(cells)}; the oracle "
            f"sees the true class in {over('kept_oracle', 3)} of them. Their sharpness is {over('sharp', 2)} of that of the "
            f"pictures. Fit {over('seconds', 0)} CPU s."
        )
        if cells[0]["training_seconds"] is not None:
            facts += f" Training of the agent {over('training_seconds', 0)} CPU s."
        if all("plain_kept" in cell for cell in cells):
            facts += (
                f" Without the loss of edges the class is kept by {_counted(cells, 'plain_kept')}, and sharpness is "
                f"{over('plain_sharp', 2)}."
            )
        if cells[0]["hue_of_pairs"] is not None:
            facts += (
                f" Hues of two random pictures differ by {over('hue_of_pairs', 0)} degrees, those of a picture and its "
                f"reconstruction by {over('hue_of_reconstructions', 1)}."
            )
        columns = {"valid": ("valid", 3), "oracle": ("oracle", 3), "l2": ("L2", 2), "hue": ("hue, degrees", 1),
                   "queries": ("queries", 1), "cpu_ms": ("CPU ms", 1)}  # fmt: skip
        shown = [way for way in WAYS if way in cells[0]["ways"]]
        rows = [[TITLES.get(way, way), *(over(key, digits, way=way) for key, (_, digits) in columns.items())] for way in shown]
        sections.append(f"## {DATA[name][0]}\n\n{facts}\n\n{table(['', *(title for title, _ in columns.values())], rows)}")
    if record["cost"]:
        sections.append(f"## Cost\n\n{_costs(record['cost'])}")
    return render("pictures_large", command=record["command"], sections="\n\n".join(sections))


def _counted(cells: list[dict[str, Any]], key: str = "kept") -> str:
    """Successes of all trials of all seeds, with their Wilson interval."""
    from scipy.stats import binomtest

    kept, trials = (sum(cell[part] for cell in cells) for part in (key, "held_out"))
    low, high = binomtest(kept, trials).proportion_ci(method="wilson")
    return f"{kept} of {trials} ({kept / trials:.3f} [{low:.3f}, {high:.3f}])"


def _costs(costs: dict[str, list[dict[str, Any]]]) -> str:
    """CPU ms by size; the exponent is the slope of log cost over log pixels from 16x16 on."""
    parts = []
    for decoder, cells in costs.items():
        names = ("fit", "decode", "step", "explain")
        rows = [[f"{cell['pixels']:,}", *(f"{1000 * cell[name]:.3f}" for name in names)] for cell in cells]
        pixels = np.log([cell["pixels"] for cell in cells[1:]])
        rows.append(
            ["exponent", *(f"{np.polyfit(pixels, np.log([cell[name] for cell in cells[1:]]), 1)[0]:.2f}" for name in names)]
        )
        head = ["values of a picture", "fit, a row and epoch", "decode, a row", "step", "explanation"]
        parts.append(f"Decoder `{decoder}`, CPU ms:\n\n{table(head, rows, 'rr')}")
    return "\n\n".join(parts)


EXPERIMENT = Experiment(
    "pictures_large", __doc__, measure, page,
    flags={
        "--data": {**one_of(tuple(DATA)), "nargs": "*"}, "--seeds": whole_numbers(0, 1),
        "--agent-steps": {"type": int, "default": AGENT_STEPS, "metavar": "N", "help": "of the training; 0: no agent"},
        "--no-edges": {"dest": "edges", "action": "store_false", "help": "without the same fits without the loss of edges"},
        "--no-cost": {"dest": "cost", "action": "store_false", "help": "without the cost against the pixels"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
