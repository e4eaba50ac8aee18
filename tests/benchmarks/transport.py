"""Operations on latent codes, with and without keeping the prior's law: what does a generator make of them?

    python -m tests.benchmarks.transport                                  # digits: GANs of 2 priors, joint, embedding; 3 seeds
    python -m tests.benchmarks.transport --data mnist
    python -m tests.benchmarks.transport --manifold FOLDER --seeds        # a generator that `Manifold.save` wrote, no others

The pattern of table 2 of Agustsson and others, "Optimal Transport Maps for Distribution Preserving Operations on Latent
Spaces of Generative Models", ICLR 2019. Codes are drawn from the prior, combined, and decoded; the samples are judged by
their Frechet distance to the training data in the features of a classifier (its last hidden layer) and by the classifier's
inception score. Everything is done REPEATS times with new codes; the generator and the sample size stay, so the distance's
bias is the same in every row. Equivalence with random codes: the 95 % interval of the mean difference lies within 5 % of
the gap between the linear 4-point mean and random codes. Besides the GANs stand manifolds trained with the network: a joint
VAE and classifier, and a classifier's embedding (both with the prior N(0, I); the embedding's codes are whitened, but their
law is not normal).
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from envs.classifiers import adapt
from envs.classifiers.networks import accuracy, fit_classifier, mlp_classifier
from envs.datasets import DATASETS
from envs.geometry.interpolation import lerp, slerp
from envs.geometry.transport import combine, two_point, vicinity
from envs.manifolds import Embedding, Joint, Manifold
from envs.manifolds.generators import gan as module
from envs.modalities.fitting import fit_units
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.models import FITTING, fitted, fitted_with_network
from tests.benchmarks.harness.runs import Run
from tests.benchmarks.harness.splits import digits_models
from tests.benchmarks.harness.tables import table

REPEATS, SAMPLES, EPSILON, WALK, NETWORK_DIM, MARGIN = 30, 5000, 0.5, 10, 32, 0.05
SOURCES = (*FITTING, "envs/geometry/transport.py", "tests/benchmarks/transport.py", "tests/benchmarks/harness/models.py")
NETWORKS = {"joint": "joint VAE and classifier", "embedding": "classifier's embedding (white box)"}
#: rows that should be as good as random codes, and the linear ones that should be worse
MATCHED = ("2-point matched", "4-point matched", "walk, matched")
LINEAR = ("2-point linear", "4-point linear", "walk, plain")


# ---- run --------------------------------------------------------------------------------------------------------------


class Oracle(NamedTuple):
    """A classifier's probabilities and last hidden layer, and the moments of the training data there."""

    network: Any
    mean: np.ndarray
    covariance: np.ndarray

    def scores(self, x: Any) -> tuple[float, float]:
        """Frechet distance to the training data, and inception score, of samples x (N, \\*data_shape)."""
        with torch.inference_mode():
            hidden = self.network[:-1](x)
            p = self.network[-1](hidden).softmax(1).double()
        moments = _moments(hidden)
        divergence = (p * (p.clamp_min(1e-12).log() - p.mean(0).clamp_min(1e-12).log())).sum(1).mean()
        return frechet(*moments, self.mean, self.covariance), float(divergence.exp())


def _moments(hidden: Any) -> tuple[np.ndarray, np.ndarray]:
    values = hidden.double().numpy()
    return values.mean(0), np.cov(values.T) + 1e-6 * np.eye(values.shape[1])


def frechet(m1: np.ndarray, c1: np.ndarray, m2: np.ndarray, c2: np.ndarray) -> float:
    """|m1 - m2|^2 + tr(c1 + c2 - 2 (c1^(1/2) c2 c1^(1/2))^(1/2)), by eigenvalues: the symmetric form has no complex roots."""
    values, vectors = np.linalg.eigh(c1)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ c2 @ root).clip(0)).sum()
    return float(np.square(m1 - m2).sum() + np.trace(c1) + np.trace(c2) - 2 * cross)


def operations(prior: Any, n: int, generator: Any) -> dict[str, Any]:
    """Name -> codes (n, d)."""
    a, b, c, d = (prior.sample(n, generator) for _ in range(4))
    plain = walked = a
    for _ in range(WALK):
        u = prior.sample(n, generator)
        plain, walked = plain + EPSILON * u, vicinity(prior, walked, u, EPSILON)
    return {
        "random": prior.sample(n, generator),
        "2-point linear": lerp(a, b, 0.5),
        "2-point slerp": slerp(a, b, 0.5),
        "2-point matched": two_point(prior, a, b, 0.5),
        "4-point linear": (a + b + c + d) / 4,
        "4-point matched": combine(prior, [a, b, c, d], [0.25] * 4),
        "walk, plain": plain,
        "walk, matched": walked,
    }


def repeated(manifold: Any, judge: Oracle, samples: int, repeats: int) -> dict[str, dict[str, list[float]]]:
    """Operation -> measure -> one value a repeat."""
    generator = torch.Generator().manual_seed(0)
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(repeats):
        for name, z in operations(manifold.prior, samples, generator).items():
            with torch.inference_mode():
                x = manifold.decode(z)
            distance, score = judge.scores(x)
            row = found.setdefault(name, {"distance": [], "score": []})
            row["distance"].append(distance)
            row["score"].append(score)
    return found


def judge_of(x: Any, truth: Any, seed: int) -> tuple[Oracle, float]:
    """A classifier fitted to the data, and the share of training items that it classifies rightly."""
    size = math.prod(x.shape[1:])
    sizes = (size, 64, 10) if size <= 64 else (size, 128, 64, 10)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = mlp_classifier(sizes)
    epochs = max(4, min(60, round(75_000 / len(x))))
    fit_classifier(network, x, truth, epochs=epochs, batch_size=64 if size <= 64 else 256, learning_rate=2e-3, seed=seed)
    with torch.inference_mode():
        mean, covariance = _moments(network[:-1](x))
    return Oracle(network, mean, covariance), accuracy(network, x, truth)


@lru_cache(maxsize=1)
def material(data: str) -> tuple[Any, Oracle, dict[str, float]]:
    """Training data (N, *data_shape), their judge, and what it says of the data themselves: one half against the other."""
    known = DATASETS[data]()
    x, truth = torch.from_numpy(np.asarray(known.x)).float(), torch.as_tensor(np.asarray(known.truth)).long()
    judge, right = judge_of(x, truth, 0)
    half = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        first, second = (_moments(judge.network[:-1](x[part])) for part in half.chunk(2))
    return x, judge, {"distance": frechet(*first, *second), "score": judge.scores(x[half[:SAMPLES]])[1], "accuracy": right}


def measured(data: str, which: dict[str, Any], samples: int, repeats: int, cache: Path) -> dict[str, Any]:
    """What the page says of one generator."""
    x, judge, _ = material(data)
    made = generator_of(data, x, cache, **which)
    values = repeated(made, judge, samples, repeats)
    with torch.inference_mode():
        z = made.prior.sample(samples, torch.Generator().manual_seed(99))
        drawn = judge.network(made.decode(z)).argmax(1)
    found: dict[str, Any] = {what: compared(values, what) for what in ("distance", "score")}
    found["class shares"] = [round(float(share), 4) for share in torch.bincount(drawn, minlength=10) / len(drawn)]
    return found


def generator_of(data: str, x: Any, cache: Path, folder: str = "", prior: str = "", kind: str = "", seed: int = 0,
                 dim: int = 64, steps: int = 0, **_: Any) -> Any:  # fmt: skip
    """A generator: a saved one (`folder`), a GAN of a `prior`, or a manifold of a `kind` that is trained with the network."""
    if folder:
        return Manifold.load(folder)
    if prior:
        place = cache / f"transport-{data}-{prior}-{dim}d-{steps}-{seed}"
        return fitted(place, partial(_gan, x, prior, seed, dim, steps))[0]
    if data == "mnist":
        return fitted_with_network(kind, seed, cache, latent_dim=dim)
    module = digits_models(0)[0]
    if kind == "joint":
        return Joint.fit(x, module(x).argmax(1), classes=10, latent_dim=dim, seed=seed)
    return Embedding.fit(x, adapt(module, units=fit_units(x.numpy())), latent_dim=dim, seed=seed)


def _gan(x: Any, prior: str, seed: int, dim: int, steps: int) -> Any:
    module.REMEMBERED = 64  # the codes of real data are not used here
    recipe = module.Recipe(steps=steps, encoder_steps=200)
    try:
        return module.GAN.fit(x, latent_dim=dim, prior=prior, recipe=recipe, seed=seed, progress=True)
    except module.CollapsedError as error:
        print(f"{prior}, seed {seed}: {error}", file=sys.stderr)
        return error.manifold


def generators(options: Options) -> dict[str, dict[str, Any]]:
    """Title -> what tells a generator apart: arguments of `generator_of`."""
    found: dict[str, dict[str, Any]] = {}
    for folder in options.manifold:
        content = (folder / "manifold.safetensors").read_bytes()
        found[folder.name] = {"folder": str(folder), "content": hashlib.sha256(content).hexdigest()}
    for prior in options.priors:
        for seed in options.seeds:
            title = f"GAN, {prior} prior, d = {options.latent_dim}, seed {seed}"
            found[title] = {"prior": prior, "seed": seed, "dim": options.latent_dim, "steps": options.steps}
    for kind in options.networks:
        for seed in options.seeds:
            found[f"{NETWORKS[kind]}, d = {NETWORK_DIM}, seed {seed}"] = {"kind": kind, "seed": seed, "dim": NETWORK_DIM}
    return found


def measure(options: Options) -> Iterator[Record]:
    """Every generator."""
    about = {"data": options.data, "samples": options.samples, "repeats": options.repeats}
    sizes = (options.samples, options.repeats, options.cache)
    found = {}
    for title, which in generators(options).items():
        run = Run({"transport": options.data, **about, **which}, partial(measured, options.data, which, *sizes), SOURCES)
        found[title] = options.runner.one(run, title)
        yield {**about, "floor": material(options.data)[2], "generators": found}


def compared(values: dict[str, dict[str, list[float]]], what: str) -> dict[str, dict[str, Any]]:
    """Operation -> its mean, and its difference from random codes as a share of the gap, with a 95 % interval.

    The gap is 4-point linear less random. Differences are taken repeat by repeat; the gap's own uncertainty is in the
    interval too, by resampling repeats.
    """
    table = {name: np.array(row[what]) for name, row in values.items()}
    generator = np.random.default_rng(0)
    repeats = len(table["random"])
    index = generator.integers(0, repeats, (2000, repeats))
    random, worst = table["random"], table["4-point linear"]
    gap = worst[index].mean(1) - random[index].mean(1)
    found = {}
    for name, column in table.items():
        share = (column[index].mean(1) - random[index].mean(1)) / gap
        low, high = np.quantile(share, [0.025, 0.975])
        spread = float(column.std(ddof=1))
        value = float((column.mean() - random.mean()) / (worst.mean() - random.mean()))
        found[name] = {"mean": float(column.mean()), "spread": spread, "share": value, "low": float(low), "high": float(high)}
    return found


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """A table over all generators, then one for each."""
    sections = []
    for name, found in record["generators"].items():
        rows = []
        for row in found["distance"]:
            d, s = found["distance"][row], found["score"][row]
            cells = [f"{d['mean']:.2f} ± {d['spread']:.2f}", _share(d), f"{s['mean']:.3f} ± {s['spread']:.3f}", _share(s)]
            rows.append([row, *cells, _verdict(row, d, s)])
        titles = ["codes", "distance", "share of the gap", "score", "share of the gap", "as random?"]
        sections += ["", f"## {name}", "", table(titles, rows, "lrrrrl")]
    values = {**record, "margin": MARGIN, "summary": summary(record["generators"]), "sections": "\n".join(sections)}
    return render("transport", **values)


def summary(generators: dict[str, Any]) -> str:
    """Bounds of the matched rows, and which linear rows are measurably worse than random."""
    titles = ["generator", "gap, distance", *(f"{row}: distance, score" for row in MATCHED), "worse than random"]
    rows = []
    for name, found in generators.items():
        gap = found["distance"]["4-point linear"]["mean"] - found["distance"]["random"]["mean"]
        cells = [f"{bound(found['distance'][row]):.1%}, {bound(found['score'][row]):.1%}" for row in MATCHED]
        worse = [row for row in LINEAR if found["distance"][row]["low"] > MARGIN and gap > 0]
        rows.append([name, f"{gap:.2f}", *cells, ", ".join(worse) or "none"])
    every = [found[what][row] for found in generators.values() for what in ("distance", "score") for row in MATCHED]
    count = f"Matched rows that are as random: {sum(map(equivalent, every))} of {len(every)}."
    return table(titles, rows, "lr" + "r" * len(MATCHED) + "l") + "\n\n" + count


def bound(found: dict[str, Any]) -> float:
    """The end of the interval of a difference that lies further from 0."""
    return max(abs(found["low"]), abs(found["high"]))


def _share(found: dict[str, Any]) -> str:
    return f"{found['share']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}]"


def equivalent(found: dict[str, Any]) -> bool:
    """Whether the interval of the difference lies within the margin."""
    return bool(bound(found) <= MARGIN)


def _verdict(row: str, distance: dict[str, Any], score: dict[str, Any]) -> str:
    if row == "random":
        return ""
    good = [name for name, found in (("distance", distance), ("score", score)) if equivalent(found)]
    return "both" if len(good) == 2 else f"{good[0]} only" if good else "no"


EXPERIMENT = Experiment(
    "transport", __doc__, measure, page, files=("transport_digits", "transport_mnist"),
    file_of=lambda options: f"transport_{options.data}",
    flags={
        "--data": {"default": "digits", "help": "a data set of envs.datasets with true classes"},
        "--manifold": {"type": Path, "nargs": "*", "default": [], "metavar": "FOLDER", "help": "saved generators, too"},
        "--priors": {"nargs": "+", "default": ["normal", "uniform"]},
        "--seeds": whole_numbers(0, 1, 2, nargs="*", help="of the generators that are fitted; none: no generators"),
        "--latent-dim": {"type": int, "default": 64},
        "--steps": {"type": int, "default": 3000, "help": "of the generator"},
        "--networks": one_of(list(NETWORKS), nargs="*", help="trained with the network"),
        "--samples": {"type": int, "default": SAMPLES},
        "--repeats": {"type": int, "default": REPEATS},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
