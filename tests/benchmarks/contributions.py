"""Contributions against other attributions of the same parts, and badges against judges from outside.

    python -m tests.benchmarks.contributions                    # digits, breast cancer, sentences
    python -m tests.benchmarks.contributions --kinds MNIST      # minutes of fitting

For each kind of data the line walks from held-out inputs. Contributions, Kernel SHAP, LIME, latent LIME, leave-one-out and a
random order score the parts that a path changed; deletion and insertion curves compare the scores. Badges are compared with
two judges fitted to true labels of other rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

import envs
from agents.explain import explain
from agents.explanation.badge import KINDS, badge
from agents.explanation.badge.oracles import MOST, SEED
from agents.explanation.contributions import contributions
from agents.explanation.contributions.compute import explained_class
from agents.explanation.contributions.orders import credit, segment
from agents.explanation.local.lime_path import slopes_along
from agents.explanation.metrics.oracle import fit_oracles
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render
from tests.benchmarks.harness.runs import Run
from tests.benchmarks.harness.statistics import interval
from tests.benchmarks.harness.tables import reached, table

WORLDS: dict[str, dict[str, Any]] = {
    "digits": {"data": "digits"}, "breast cancer": {}, "sentences": {"data": "sentences"}, "MNIST": {"data": "mnist"},
}  # fmt: skip
JUDGED = ("digits", "MNIST")
METHODS = ("contributions", "kernel SHAP", "kernel SHAP, captum", "LIME", "latent LIME", "leave-one-out", "random order")
SOURCES = ("agents/explanation/contributions/*.py", "agents/explanation/badge/*.py", "envs/modalities/*.py",
           "tests/benchmarks/contributions.py")  # fmt: skip
PLAIN = (12, 24, 64)  # orders without a surrogate, beside
Switch = Any  # (R, n) bool coalitions -> (R,) probabilities of the explained class


# ---- run --------------------------------------------------------------------------------------------------------------


def world_of(kind: str) -> Any:
    """The world of a kind of data; that of breast cancer has 30 columns and a logistic regression."""
    if kind != "breast cancer":
        return envs.make_world(progress=False, **WORLDS[kind])
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    data = load_breast_cancer()
    order = np.random.default_rng(0).permutation(len(data.data))
    known, new = order[:400], order[400:]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(data.data[known], data.target[known])
    return envs.make_world(
        data=data.data[known], classifier=model, columns=[str(name) for name in data.feature_names],
        held_out=data.data[new], class_names=["malignant", "benign"], progress=False,
    )  # fmt: skip


def kernel_shap(switch: Switch, n: int, queries: int, generator: np.random.Generator) -> np.ndarray:
    """Weighted least squares over coalitions with Shapley's weights, both ends held exactly."""
    sizes = np.arange(1, n)
    weight = (n - 1) / (sizes * (n - sizes))
    rows = np.zeros((max(queries - 2, 2), n), bool)
    if 2**n - 2 <= len(rows):
        rows = (np.arange(1, 2**n - 1)[:, None] >> np.arange(n) & 1).astype(bool)
        from math import comb

        w = np.array([weight[s - 1] / comb(n, s) for s in rows.sum(1)])
    else:
        for k in range(0, len(rows), 2):
            size = generator.choice(sizes, p=weight / weight.sum())
            rows[k, generator.choice(n, size, replace=False)] = True
            if k + 1 < len(rows):
                rows[k + 1] = ~rows[k]
        w = np.ones(len(rows))
    ends = switch(np.array([np.zeros(n, bool), np.ones(n, bool)]))
    x, y = rows.astype(float), switch(rows) - ends[0]
    x0, y0 = x[:, :-1] - x[:, -1:], y - x[:, -1] * (ends[1] - ends[0])  # the last part takes what is left
    root = np.sqrt(w)[:, None]
    found = np.linalg.lstsq(root * x0, root[:, 0] * y0, rcond=None)[0]
    return np.append(found, ends[1] - ends[0] - found.sum())


def captum_shap(switch: Switch, n: int, queries: int, seed: int) -> np.ndarray | None:
    """Captum's Kernel SHAP on switches; None where captum is not installed."""
    try:
        from captum.attr import KernelShap
    except ImportError:
        return None
    torch.manual_seed(seed)
    one = torch.ones(1, n)
    explainer = KernelShap(lambda rows: torch.from_numpy(switch(rows.numpy() > 0.5)).float())
    with torch.enable_grad():
        found = explainer.attribute(one, baselines=torch.zeros(1, n), n_samples=queries, perturbations_per_eval=queries)
    return np.asarray(found[0].detach())


def lime_of(switch: Switch, n: int, queries: int, generator: np.random.Generator) -> np.ndarray:
    """The library's regression: uniform switches around the end, cosine distance, width 0.25, ridge of 1."""
    from sklearn.linear_model import Ridge

    rows = generator.random((queries, n)) < 0.5
    rows[0] = True
    cosine = np.sqrt(rows.sum(1) / n)  # between a row and the row of ones
    weight = np.sqrt(np.exp(-((1 - cosine) ** 2) / 0.25**2))
    return np.asarray(Ridge(1.0).fit(rows.astype(float), switch(rows), weight).coef_)


def latent_lime_of(path: Any, world: Any, masks: list[torch.Tensor], queries: int) -> np.ndarray | None:
    """The slopes of latent LIME at every frame times the steps between frames, summed over each part."""
    if world.modality == "text" or world.label_only:
        return None
    samples = max(2 * (queries // len(path.z) // 2), 2 * (world.latent_dim // 2 + 1))
    slopes = slopes_along([path], world, samples=samples)[0].slopes
    frames = path.frames(world)
    moved = (0.5 * (slopes[1:] + slopes[:-1]) * np.diff(frames, axis=0)).sum(0)
    return np.array([moved[mask.numpy()].sum() for mask in masks])


def curves(switch: Switch, scores: np.ndarray) -> float:
    """Mean probability while parts are inserted by score, less the same while they are deleted."""
    n = len(scores)
    on = np.zeros((n + 1, n), bool)
    for k, part in enumerate(np.argsort(-scores, kind="stable")):
        on[k + 1 :, part] = True
    return float(switch(on).mean() - switch(~on).mean())


def compared(path: Any, world: Any, seed: int) -> dict[str, Any] | None:
    """The figures of one path; None where fewer than two parts changed."""
    found = contributions(path, world, seed=seed)
    n = len(found.parts)
    if n < 2:
        return None
    factual, c = path.factual(world), explained_class(path)
    frames = torch.cat([factual.x, torch.from_numpy(path.frames(world)[-1:]).to(factual.x.dtype)])
    keys = [t + 1 for t in found.frames]
    every = torch.cat([factual.x, torch.from_numpy(path.frames(world)).to(factual.x.dtype)])[keys]
    components = world.units.components(every, factual)
    generator = np.random.default_rng([seed, path.index or 0])

    def switch(on: np.ndarray) -> np.ndarray:
        rows = world.units.composed(frames, components, torch.from_numpy(on.astype(np.int64)))
        home = factual.chosen(torch.zeros(len(rows), dtype=torch.int64))
        with torch.inference_mode():
            return world.predictions(rows, home)[:, c].double().numpy()

    where = {str(part.where): part.value for part in found.parts}
    own = np.array([where[str(component.where)] for component in components])
    p = np.clip(switch(np.concatenate([np.ones((1, n), bool), ~np.eye(n, dtype=bool)])), 1e-6, 1 - 1e-6)
    cost = np.log(p[0] / (1 - p[0])) - np.log(p[1:] / (1 - p[1:]))
    scores = {
        "contributions": own, "kernel SHAP": kernel_shap(switch, n, found.queries, generator),
        "kernel SHAP, captum": captum_shap(switch, n, found.queries, seed),
        "LIME": lime_of(switch, n, found.queries, generator),
        "latent LIME": latent_lime_of(path, world, [part.mask for part in components], found.queries),
        "leave-one-out": p[0] - p[1:], "random order": generator.random(n),
    }  # fmt: skip
    costly = np.argsort(-cost)[:2]
    plain = {}
    for orders in PLAIN:
        coalitions = segment(n, orders, np.random.default_rng(seed))
        plain[str(orders)] = bool(credit(coalitions, switch(coalitions.switched)).mean(0).argmax() in costly)
    again = contributions(path, world, seed=seed + 1)
    other = {str(part.where): part.value for part in again.parts}
    return {
        "curves": {name: None if score is None else curves(switch, score) for name, score in scores.items()},
        "parts": n, "queries": found.queries, "error": found.efficiency_error,
        "top": bool(own.argmax() in costly), "plain": plain,
        "seeds": float(np.mean([abs(where[k] - other[k]) for k in where])),
    }  # fmt: skip


def measured(kind: str, count: int, seed: int) -> list[dict[str, Any]]:
    """The figures of every path of a kind that arrives and changes two parts or more."""
    world = world_of(kind)
    walked = explain(world, range(count), walker="line", seed=seed, sparse=False)  # with all changes there are many parts
    paths = [path for path in walked if path.success and path.steps]
    return [found for path in paths if (found := compared(path, world, seed)) is not None]


def badges(kind: str, count: int) -> dict[str, Any]:
    """How many ends get each badge, and in how many of those that hold each judge does not see the target."""
    from sklearn.svm import SVC

    from envs.datasets import DATASETS

    world = world_of(kind)
    order = torch.randperm(len(world.reference.x), generator=torch.Generator().manual_seed(SEED))[: 2 * MOST]
    rows = order[len(order) // 2 :]
    x, truth = world.reference.x[rows].numpy(), np.asarray(DATASETS[WORLDS[kind]["data"]]().truth)[rows.numpy()]
    machine = SVC(C=10, gamma="scale").fit(x.reshape(len(x), -1), truth)
    oracles = fit_oracles(x, truth, world.classes)
    paths = explain(world, range(count), walker="line")
    found = badge(paths)
    ends, target = np.stack([path.frames(world)[-1] for path in paths]), np.array([explained_class(path) for path in paths])
    sees = {"support vectors": machine.predict(ends.reshape(len(ends), -1)) == target,
            "convolutions": oracles.sees(ends) == target}  # fmt: skip
    kinds = np.array([each.kind for each in found])
    return {
        "paths": len(paths), "kinds": {name: float((kinds == name).mean()) for name in KINDS},
        "wrong": {judge: float(1 - right[kinds == "holds"].mean()) for judge, right in sees.items()},
        "wrong of all": {judge: float(1 - right.mean()) for judge, right in sees.items()},
    }  # fmt: skip


def measure(options: Options) -> Iterator[Record]:
    """Every kind of data, then the badges."""
    record: Record = {"count": options.count, "seed": 0, "kinds": {}, "badges": {}}
    for kind in options.kinds:
        run = Run({"contributions": kind, "count": options.count}, partial(wrapped, measured, kind, options.count, 0), SOURCES)
        record["kinds"][kind] = options.runner.one(run, kind)["found"]
        yield record
    for kind in [kind for kind in JUDGED if kind in options.kinds]:
        run = Run({"badges": kind, "count": options.count}, partial(wrapped, badges, kind, options.count), SOURCES)
        record["badges"][kind] = options.runner.one(run, f"badges of {kind}")["found"]
        yield record


def wrapped(function: Any, *arguments: Any) -> dict[str, Any]:
    """A run's result as a dictionary."""
    return {"found": function(*arguments)}


# ---- analyse ----------------------------------------------------------------------------------------------------------


def within(values: list[float]) -> str:
    """Mean and interval."""
    value, low, high = interval(np.array(values))
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _agreement(many: list[dict[str, Any]]) -> list[str | None]:
    """In which share of paths the top part agrees: with the surrogate, and without it by number of orders."""
    if not many:
        return [None, None]
    top = float(np.mean([path["top"] for path in many]))
    plain = [f"{np.mean([path['plain'][str(orders)] for path in many]):.2f}" for orders in PLAIN]
    return [f"{top:.2f} of {len(many)}, {reached(top, '>=', 0.9)}", " / ".join(plain)]


def page(record: Record) -> str:
    """The curves of all methods, what the top part is, and the badges."""
    curves, tops = [], []
    for kind, paths in record["kinds"].items():
        for method in METHODS:
            pairs = [(p["curves"]["contributions"], p["curves"][method]) for p in paths if p["curves"][method] is not None]
            if not pairs:
                continue
            apart = "" if method == "contributions" else within([a - b for a, b in pairs])
            curves.append([kind, method, within([b for _, b in pairs]), apart])
        tops.append([
            kind, len(paths), f"{np.mean([p['parts'] for p in paths]):.1f}", f"{np.mean([p['queries'] for p in paths]):.0f}",
            f"{max(p['error'] for p in paths):.0e}", f"{np.mean([p['seeds'] for p in paths]):.3f}",
            *_agreement([p for p in paths if p["parts"] >= 4]),
        ])  # fmt: skip
    badge_rows = [
        [kind, found["paths"], *(f"{found['kinds'][name]:.2f}" for name in KINDS),
         *(f"{share:.3f}" for share in found["wrong"].values()),
         " / ".join(f"{share:.3f}" for share in found["wrong of all"].values())]
        for kind, found in record["badges"].items()
    ]  # fmt: skip
    return render(
        "contributions", command=record["command"], count=record["count"], seed=record["seed"],
        curves=table(["data", "method", "insertion less deletion", "difference"], curves, "ll"),
        top=table(["data", "paths", "parts", "queries", "error of the sum", "change with the seed", "top part agrees",
                   f"plain, {' / '.join(map(str, PLAIN))} orders"], tops),
        badges=table(["data", "paths", *KINDS, "wrong: support vectors", "wrong: convolutions", "of all ends"], badge_rows),
    )  # fmt: skip


EXPERIMENT = Experiment(
    "contributions", __doc__, measure, page,
    flags={
        "--kinds": one_of(tuple(WORLDS), "digits", "breast cancer", "sentences"),
        "--count": {"type": int, "default": 50, "metavar": "N"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
