"""Where cost grows: explanations, walks at once, fits and searches, every figure a ratio within one run.

    python -m tests.benchmarks.performance --against OTHER_CHECKOUT    # with one explanation alone against older code
    python -m tests.benchmarks.performance --parts walks grid          # some parts; the others stay as they were measured

CPU time of one thread, medians over rounds; what is compared takes turns within a round. The data are synthetic: a smooth
random map of 8 normal factors to 32 columns (or to pixels), with noise; the classifier is a softmax of random linear scores.
Walks are straight lines on a PCA manifold, so that the cost is that of the library, not of a network's size.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode

from agents.explainer import Explainer
from agents.explanation.metrics.evaluate import evaluate_paths
from agents.trajectories import recording
from agents.walkers import policy
from envs import LatentVectorEnv, make_world
from envs.building.manifold import batch_of, epochs_of
from envs.core import dynamics
from envs.core.nearest import nearest
from envs.manifolds import VAE
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.runs import ROOT, cpu_seconds
from tests.benchmarks.harness.tables import table
from tests.benchmarks.speed.watched import watched
from tests.benchmarks.speed.worker import interleaved
from tests.benchmarks.throughput import forward

PARTS = ("alone", "stages", "walks", "grid", "fits", "vae", "searches")
COLUMNS, FACTORS = 32, 8
GRID: dict[str, tuple[int, ...]] = {
    "rows": (1_000, 10_000, 60_000), "latent dimension": (2, 4, 8, 16), "classes": (2, 3, 10, 20), "pixels": (64, 256, 784),
}  # fmt: skip
BASE = {"rows": 10_000, "latent dimension": 8, "classes": 3}
TOGETHER, ALONE, STEPS = 200, 10, 40
SINGLES = 200
#: parts of an explanation by a trained agent; one within another counts there alone
STAGES = {
    "frame 0: code, frame, predictions, default target": (dynamics, "enter"),
    "observations": (dynamics, "observe"),
    "steps": (dynamics, "step"),
    "planning the last step, its own steps excepted": (policy, "plan_last"),
    "the policy and the loop": (policy.PolicyWalker, "_once"),
    "the path: measures, record of its world": (recording, "trajectories_of"),
}
PICTURE = ROOT / "docs" / "images" / "performance.png"


def rows_of(n: int, columns: int = COLUMNS, seed: int = 0) -> np.ndarray:
    """(n, columns) rows."""
    rng, world = np.random.default_rng(seed), np.random.default_rng(1)
    into, out = world.standard_normal((FACTORS, 64)), world.standard_normal((64, columns)) / 8
    parts = [np.tanh(rng.standard_normal((m, FACTORS)) @ into) @ out for m in np.diff([*range(0, n, 100_000), n])]
    return np.concatenate([part + 0.1 * rng.standard_normal(part.shape) for part in parts]).astype(np.float32)


def classifier_of(columns: int, classes: int) -> Callable[[np.ndarray], np.ndarray]:
    """Probabilities (B, classes) of rows."""
    weights = 3 * np.random.default_rng(3).standard_normal((columns, classes)) * (COLUMNS / columns) ** 0.5

    def classify(rows: np.ndarray) -> np.ndarray:
        scores = np.asarray(rows, dtype=np.float64).reshape(len(rows), -1) @ weights
        scores = np.exp(scores - scores.max(1, keepdims=True))
        return scores / scores.sum(1, keepdims=True)

    return classify


def explainer_of(rows: int, latent: int, classes: int, pixels: int = 0, manifold: str = "pca") -> Explainer:
    """An explainer of synthetic data."""
    x = rows_of(rows, pixels or COLUMNS)
    if pixels:
        side = int(pixels**0.5)
        x = (1 / (1 + np.exp(-2 * x))).reshape(-1, side, side)
    world = make_world(
        data=x, classifier=classifier_of(pixels or COLUMNS, classes), class_names=[str(k) for k in range(classes)],
        manifold=manifold, latent_dim=latent, progress=False,
    )  # fmt: skip
    return Explainer(world, walker="line")


def alone(options: Options) -> Record:
    """One explanation alone, in turns with another checkout."""
    if options.against is None:
        return {}
    places = {"before": options.against.resolve(), "now": ROOT}
    found = interleaved(places, ROOT / "runs" / "example", list(range(540)), options.rounds)
    ratios = [median(now["ms"]) / median(old["ms"]) for old, now in zip(found["before"], found["now"], strict=True)]
    whole = {
        name: dict(zip(("valid", "L2", "queries"), np.mean(answers[0]["found"], axis=0).tolist(), strict=True))
        for name, answers in found.items()
    }
    times = {name: median(median(answer["ms"]) for answer in answers) for name, answers in found.items()}
    return {"ratio": median(ratios), "ratios": ratios, "ms": times, "paths": whole}


def stages(options: Options) -> Record:
    """Shares of the time of explanations alone, and what the networks by themselves take of it, row by row."""
    explainer = Explainer.load(ROOT / "runs" / "example")
    manifold, classifier, x = explainer.world.manifold, explainer.world.classifier, explainer.world.held_out.x[:SINGLES]
    paths = [explainer.explain(row) for row in range(SINGLES)]

    def bare() -> None:
        for row, path in enumerate(paths):
            classifier.predict_proba(x[row : row + 1])
            manifold.encode(x[row : row + 1])
            for _ in range(path.queries - 1):
                classifier.predict_proba(manifold.decode(codes[row]))

    with torch.inference_mode():
        codes = manifold.encode(x).split(1)
    shares: dict[str, list[float]] = {name: [] for name in (*STAGES, "all else", "networks")}
    for _ in range(options.rounds):
        with watched(STAGES) as spent:
            whole = cpu_seconds(lambda: [explainer.explain(row) for row in range(SINGLES)])[1]
        with torch.inference_mode():
            networks = cpu_seconds(bare)[1]
        for name, seconds in {**spent, "all else": whole - sum(spent.values()), "networks": networks}.items():
            shares[name].append(seconds / whole)
    return {name: median(values) for name, values in shares.items()}


def walks(options: Options) -> Record:
    """A step of n walks against a decode and a classification of n codes, for the digits with Euclidean moves."""
    world = make_world(data="digits", move="euclidean", task="reach")
    work: dict[str, tuple[Any, Any]] = {}
    for n in options.walks:
        env = LatentVectorEnv(n, world=world, autoreset_mode=AutoresetMode.SAME_STEP)
        env.reset(seed=0)
        goals = world.reference.z[world.reference.prototypes].numpy()

        def stepped(env: Any = env, goals: np.ndarray = goals) -> None:
            for _ in range(STEPS):  # towards the prototypes: walks end as they do in a training
                env.step(np.clip(goals[env.state.target.numpy()] - env.state.z.numpy(), -0.5, 0.5))

        work[str(n)] = (stepped, forward(world, n, STEPS))
    ratios: dict[str, list[float]] = {n: [] for n in work}
    for round_ in range(options.rounds + 1):
        for n, (step, raw) in work.items():
            share = cpu_seconds(raw)[1] / cpu_seconds(step)[1]
            if round_:
                ratios[n].append(share)
    return {n: median(found) for n, found in ratios.items()}


def grid(options: Options) -> Record:
    """Cost of an explanation, in a batch and alone, against the base cell of the same round; one axis at a time."""
    cells: dict[str, Explainer] = {}
    for axis, values in GRID.items():
        for value in (*values, *((options.large,) if axis == "rows" and options.large else ())):
            changed = {"rows": 1_000, "pixels": value} if axis == "pixels" else {axis: value}
            setting = {**BASE, **changed}
            cells[f"{axis} {value}"] = explainer_of(
                setting["rows"], setting["latent dimension"], setting["classes"], setting.get("pixels", 0)
            )
    found: dict[str, Any] = {name: {"batch": [], "alone": []} for name in cells}
    for round_ in range(options.rounds + 1):
        now: dict[str, dict[str, float]] = {}
        for name, explainer in cells.items():
            batch = cpu_seconds(lambda e=explainer: e.explain(rows=range(TOGETHER), skip_present=True))[1] / TOGETHER
            single = cpu_seconds(lambda e=explainer: [e.explain(rows=[row]) for row in range(ALONE)])[1] / ALONE
            now[name] = {"batch": batch, "alone": single}
        for name, costs in now.items():
            for kind, seconds in costs.items():
                if round_:
                    found[name][kind].append(seconds / now["rows 10000"][kind])
    return {name: {kind: median(values) for kind, values in costs.items()} for name, costs in found.items()}


def fits(options: Options) -> Record:
    """A world with the default manifold (a VAE) at growing numbers of rows: CPU time of all, and of the fit's share."""
    os.environ["MANIFOLD_CACHE"] = ""  # fitted here and now
    found: Record = {}
    for n in (10_000, 60_000, *((options.large,) if options.large else ())):
        explainer, seconds = cpu_seconds(lambda n=n: explainer_of(n, FACTORS, 3, manifold="vae"))
        paths, explained = cpu_seconds(lambda e=explainer: e.explain(rows=range(TOGETHER), skip_present=True))
        measures, judged = cpu_seconds(lambda e=explainer, p=paths: evaluate_paths(e.world, p))
        found[str(n)] = {
            "world": seconds, "explain": explained, "evaluate": judged, "valid": measures["validity"].value,
            "MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }  # fmt: skip
    return found


def vae(options: Options) -> Record:
    """The fit of the default VAE of numbers, with minibatches and epochs as a world chooses them."""
    found: Record = {}
    fresh = torch.from_numpy(rows_of(2000, seed=7))
    for n in (60_000, *((options.large,) if options.large else ())):
        x, batch = torch.from_numpy(rows_of(n)), batch_of(n, 32)
        epochs = epochs_of(n, batch)
        fit = partial(VAE.fit, x, latent_dim=FACTORS, modality="table", epochs=epochs, batch_size=batch)
        fitted, seconds = cpu_seconds(fit)
        with torch.no_grad():
            left = (fitted.decode(fitted.encode(fresh)) - fresh).square().mean() / fresh.var()
        found[str(n)] = {"batch": batch, "epochs": epochs, "fit": seconds, "unexplained": float(left)}
    return found


def searches(options: Options) -> Record:
    """Five neighbours of 200 rows at growing numbers of rows: by blocks of products, and by a tree."""
    from sklearn.neighbors import KDTree

    found: Record = {}
    for n in (10_000, 60_000, *((options.large,) if options.large else ())):
        x, query = rows_of(n), rows_of(TOGETHER, seed=9)
        known, asked = torch.from_numpy(x), torch.from_numpy(query)
        tree, built = cpu_seconds(lambda x=x: KDTree(x))
        times: dict[str, list[float]] = {"products": [], "one by one": [], "tree": []}
        for _ in range(options.rounds):
            times["products"].append(cpu_seconds(lambda known=known, asked=asked: nearest(asked, known, 5))[1] / TOGETHER)
            ones = asked[:ALONE].split(1)
            times["one by one"].append(cpu_seconds(lambda k=known, ones=ones: [nearest(one, k, 5) for one in ones])[1] / ALONE)
            times["tree"].append(cpu_seconds(lambda tree=tree, query=query: tree.query(query, 5))[1] / TOGETHER)
        cell: Record = {name: 1000 * median(values) for name, values in times.items()} | {"tree built": built}
        found[str(n)] = cell
    return found


MEASURED: dict[str, Callable[[Options], Record]] = {
    "alone": alone, "stages": stages, "walks": walks, "grid": grid, "fits": fits, "vae": vae,
    "searches": searches,
}  # fmt: skip


def measure(options: Options) -> Iterator[Record]:
    """The chosen parts; the others from the last record."""
    record: Record = {part: options.before.get(part, {}) for part in PARTS}
    commands = dict(options.before.get("commands", {}))
    for part in options.parts:
        record[part] = MEASURED[part](options)
        commands[part] = options.command
        record["commands"] = commands
        yield record
    if record["grid"] and record["walks"]:
        PICTURE.write_bytes(picture(record))


def picture(record: Record) -> bytes:
    """Cost against each axis, as a PNG."""
    from agents.explanation.figures.style import figure_png, pyplot_figure

    figure = pyplot_figure(12, 3)
    axes = figure.subplots(1, len(GRID) + 1)
    for ax, axis in zip(axes, GRID, strict=False):
        points = [(int(name.split()[-1]), cell) for name, cell in record["grid"].items() if name.startswith(axis)]
        for kind, colour in (("batch", "#0072b2"), ("alone", "#8a8f98")):
            ax.plot([n for n, _ in points], [cell[kind] for _, cell in points], "o-", color=colour, label=kind)
        ax.set_xscale("log")
        ax.set_ylim(bottom=0)
        ax.set_xlabel(axis)
    axes[0].set_ylabel("cost, 10,000 rows = 1")
    axes[0].legend(frameon=False)
    axes[-1].plot([int(n) for n in record["walks"]], list(record["walks"].values()), "o-", color="#0072b2")
    axes[-1].set_xscale("log")
    axes[-1].set_ylim(0, 1)
    axes[-1].set_xlabel("walks at once")
    axes[-1].set_ylabel("forward / step")
    figure.tight_layout()
    return figure_png(figure)


def page(record: Record) -> str:
    """A table a part."""
    parts = dict.fromkeys(PARTS, "Not measured.")
    if one := record["alone"]:
        paths = [[name, *(f"{found[key]:.4f}" for key in ("valid", "L2", "queries"))] for name, found in one["paths"].items()]
        parts["alone"] = (
            f"Median CPU time now against before: **{one['ratio']:.2f}** (rounds: "
            f"{', '.join(f'{ratio:.2f}' for ratio in one['ratios'])}); the aim was 0.25.\n\n"
            + table(["540 held-out digits", "valid", "L2", "queries"], paths)
        )
    if found := record["stages"]:
        shares = [[name, f"{share:.2f}"] for name, share in found.items() if name != "networks"]
        networks = (
            f"The networks by themselves take {found['networks']:.2f}: encode, then decode and classify one frame a query."
        )
        parts["stages"] = table(["part", "share"], shares) + f"\n\n{networks}"
    if found := record["walks"]:
        parts["walks"] = table(["walks at once", "forward / step"], [[f"{int(n):,}", f"{r:.2f}"] for n, r in found.items()])
    if found := record["grid"]:
        cells = [[name, f"{cell['batch']:.2f}", f"{cell['alone']:.2f}"] for name, cell in found.items()]
        parts["grid"] = table(["", f"each of {TOGETHER}", "alone"], cells)
    if found := record["fits"]:
        first = next(iter(found.values()))
        titles = ["rows", "CPU-s of the world", "against 10,000", f"explain {TOGETHER}", "evaluate them", "valid", "MB"]
        cells = [
            [
                f"{int(n):,}", f"{cell['world']:.1f}", f"{cell['world'] / first['world']:.1f}",
                f"{cell['explain'] / first['explain']:.1f}", f"{cell['evaluate'] / first['evaluate']:.1f}",
                f"{cell['valid']:.2f}", f"{cell['MB']:,.0f}",
            ]
            for n, cell in found.items()
        ]  # fmt: skip
        parts["fits"] = table(titles, cells)
    if found := record["vae"]:
        titles = ["rows", "minibatch", "epochs", "CPU-s of the fit", "variance left, new rows"]
        cells = [
            [f"{int(n):,}", str(cell["batch"]), str(cell["epochs"]), f"{cell['fit']:.1f}", f"{cell['unexplained']:.3f}"]
            for n, cell in found.items()
        ]
        parts["vae"] = table(titles, cells)
    if found := record["searches"]:
        titles = ["rows", "ms by products", "one by one / it", "tree / it", "tree built, CPU-s"]
        cells = [
            [
                f"{int(n):,}", f"{cell['products']:.3f}", f"{cell['one by one'] / cell['products']:.1f}",
                f"{cell['tree'] / cell['products']:.1f}", f"{cell['tree built']:.1f}",
            ]
            for n, cell in found.items()
        ]  # fmt: skip
        parts["searches"] = table(titles, cells)
    commands = "\n".join(f"    {command}" for command in dict.fromkeys(record["commands"].values()))
    return render("performance", commands=commands, **parts)


EXPERIMENT = Experiment(
    "performance", __doc__, measure, page,
    flags={
        "--parts": one_of(PARTS),
        "--against": {"type": Path, "metavar": "DIR", "help": "another checkout, for the part alone"},
        "--rounds": {"type": int, "default": 5},
        "--walks": whole_numbers(16, 64, 256, 1024, 4096),
        "--large": {"type": int, "default": 0, "metavar": "N", "help": "one more number of rows, such as 1000000"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
