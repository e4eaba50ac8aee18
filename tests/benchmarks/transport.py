"""Operations on latent codes, with and without keeping the prior's law: what a generator makes of them.

    python -m tests.benchmarks.transport                                  # GANs on digits: 2 priors, 3 seeds
    python -m tests.benchmarks.transport --data mnist --seeds 0
    python -m tests.benchmarks.transport --manifold FOLDER --seeds        # a generator that `Manifold.save` wrote, no GANs

The pattern of table 2 of Agustsson and others, "Optimal Transport Maps for Distribution Preserving Operations on Latent
Spaces of Generative Models", ICLR 2019. Codes are drawn from the prior, combined, and decoded; the samples are judged by
their Frechet distance to the training data in the features of a classifier (its last hidden layer) and by the classifier's
inception score. Everything is done REPEATS times with new codes; the generator and the sample size stay, so the distance's
bias is the same in every row. Equivalence with random codes: the 95 % interval of the mean difference lies within 5 % of
the gap between the linear 4-point mean and random codes. Writes docs/results/transport_DATA.md and .json. Fitted GANs are
kept in --cache.
"""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.cli import prepare_process
from tests.benchmarks.digits_cells import ROOT

REPEATS, SAMPLES, EPSILON, WALK = 30, 5000, 0.5, 10
MARGIN = 0.05
#: rows that should be as good as random codes, and the linear ones that should be worse
MATCHED = ("2-point matched", "4-point matched", "walk, matched")
LINEAR = ("2-point linear", "4-point linear", "walk, plain")


class Judge(NamedTuple):
    """A classifier's probabilities and last hidden layer, and the moments of the training data there."""

    network: Any
    mean: np.ndarray
    covariance: np.ndarray

    def scores(self, x: Any) -> tuple[float, float]:
        """Frechet distance to the training data, and inception score, of samples x (N, \\*data_shape)."""
        import torch

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
    from envs.geometry.interpolation import lerp, slerp
    from envs.geometry.transport import combine, two_point, vicinity

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


def measure(manifold: Any, judge: Judge, samples: int, seed: int) -> dict[str, dict[str, list[float]]]:
    """Operation -> measure -> one value a repeat."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(REPEATS):
        for name, z in operations(manifold.prior, samples, generator).items():
            with torch.inference_mode():
                x = manifold.decode(z)
            distance, score = judge.scores(x)
            row = found.setdefault(name, {"distance": [], "score": []})
            row["distance"].append(distance)
            row["score"].append(score)
    return found


def compared(values: dict[str, dict[str, list[float]]], what: str) -> dict[str, dict[str, Any]]:
    """Operation -> its mean, and its difference from random codes as a share of the gap, with a 95 % interval.

    The gap is 4-point linear less random. Differences are taken repeat by repeat; the gap's own uncertainty is in the
    interval too, by resampling repeats.
    """
    table = {name: np.array(row[what]) for name, row in values.items()}
    generator = np.random.default_rng(0)
    index = generator.integers(0, REPEATS, (2000, REPEATS))
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


def judge_of(data: str, x: Any, truth: Any, seed: int) -> tuple[Judge, float]:
    """A classifier fitted to the data, and the share of training items it tells right."""
    import math

    import torch

    from envs.classifiers.networks import accuracy, fit_classifier, mlp_classifier

    size = math.prod(x.shape[1:])
    sizes = (size, 64, 10) if size <= 64 else (size, 128, 64, 10)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = mlp_classifier(sizes)
    epochs = max(4, min(60, round(75_000 / len(x))))
    fit_classifier(network, x, truth, epochs=epochs, batch_size=64 if size <= 64 else 256, learning_rate=2e-3, seed=seed)
    with torch.inference_mode():
        mean, covariance = _moments(network[:-1](x))
    return Judge(network, mean, covariance), accuracy(network, x, truth)


def fitted(data: str, x: Any, prior: str, options: Any, seed: int) -> Any:
    """The GAN of a prior and a seed, from --cache if it was fitted before."""
    from envs.manifolds.base import Manifold

    if "gan" not in Manifold.kinds:
        raise SystemExit("error: this version has no GAN to fit; name a saved generator with --manifold FOLDER")
    place = options.cache / f"transport-{data}-{prior}-{options.latent_dim}d-{options.steps}-{seed}"
    if (place / "manifold.json").is_file():
        return Manifold.load(place)
    from envs.manifolds import gan as module

    recipe = module.Recipe(steps=options.steps, encoder_steps=200)
    module.REMEMBERED = 64  # the codes of real data are not used here
    try:
        made = module.GAN.fit(x, latent_dim=options.latent_dim, prior=prior, recipe=recipe, seed=seed, progress=True)
    except module.CollapsedError as error:
        print(f"{prior}, seed {seed}: {error}", file=sys.stderr)
        made = error.manifold
    made.save(place)
    return made


def markdown(page: dict[str, Any]) -> str:
    """The tables as a page."""
    floor = page["floor"]
    lines = [f"# Operations on latent codes: {page['data']}", "", f"Made by `{page['command']}`."]
    lines += [f"{page['samples']} samples, {REPEATS} repeats. Frechet distance in classifier features (lower is better),"]
    lines += ["inception score of the classifier (higher is better), each with its standard deviation over repeats."]
    lines += ["*Share of the gap*: the difference from random codes as a share of the gap between 4-point linear and"]
    lines += ["random [95 % interval over repeats]; a row is as random codes where the interval lies within"]
    lines += [f"±{MARGIN:.0%}. Real data: distance {floor['distance']:.2f} (one half of the training data against the other),"]
    lines += [f"score {floor['score']:.2f}."]
    for name, found in page["generators"].items():
        lines += ["", f"## {name}", "", "| codes | distance | share of the gap | score | share of the gap | as random? |"]
        lines += ["|---|---:|---:|---:|---:|---|"]
        for row in found["distance"]:
            d, s = found["distance"][row], found["score"][row]
            cells = [f"{d['mean']:.2f} ± {d['spread']:.2f}", _share(d), f"{s['mean']:.3f} ± {s['spread']:.3f}", _share(s)]
            lines.append(f"| {row} | " + " | ".join(cells) + f" | {_verdict(row, d, s)} |")
    return "\n".join(lines) + "\n"


def _share(found: dict[str, Any]) -> str:
    return f"{found['share']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}]"


def equivalent(found: dict[str, Any]) -> bool:
    """Whether the interval of the difference lies within the margin."""
    return bool(max(abs(found["low"]), abs(found["high"])) <= MARGIN)


def _verdict(row: str, distance: dict[str, Any], score: dict[str, Any]) -> str:
    if row == "random":
        return ""
    told = [name for name, found in (("distance", distance), ("score", score)) if equivalent(found)]
    return "both" if len(told) == 2 else f"{told[0]} only" if told else "no"


def told(arguments: list[str]) -> list[str]:
    """The command line without where things lie on this machine."""
    kept, skip = [], False
    for argument in arguments:
        where = argument.split("=")[0] in ("--cache", "--out")
        if not skip and not where:
            kept.append(argument)
        skip = where and "=" not in argument
    return kept


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits", help="a data set of envs.datasets with true classes")
    parser.add_argument("--manifold", type=Path, nargs="*", default=[], metavar="FOLDER", help="saved generators, too")
    parser.add_argument("--priors", nargs="+", default=["normal", "uniform"])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2], help="of the GANs that are fitted; none: no GANs")
    parser.add_argument("--latent-dim", type=int, default=64)
    parser.add_argument("--steps", type=int, default=3000, help="of the generator")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "benchmark-cache")
    parser.add_argument("--out", type=Path, metavar="STEM", help="default: docs/results/transport_DATA")
    options = parser.parse_args()
    prepare_process()
    import torch
    from tqdm import tqdm

    from envs.datasets import DATASETS
    from envs.manifolds.base import Manifold

    data = DATASETS[options.data]()
    x, truth = torch.from_numpy(np.asarray(data.x)).float(), torch.as_tensor(np.asarray(data.truth)).long()
    judge, right = judge_of(options.data, x, truth, 0)
    half = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    first, second = (_moments(judge.network[:-1](x[part])) for part in half.chunk(2))
    floor = {"distance": frechet(*first, *second), "score": judge.scores(x[half[: options.samples]])[1], "accuracy": right}
    generators: dict[str, Any] = {}
    jobs = [(str(folder.name), folder, 0) for folder in options.manifold]
    jobs += [(prior, None, seed) for prior in options.priors for seed in options.seeds]
    for prior, folder, seed in tqdm(jobs, desc="generators", dynamic_ncols=True):
        made = Manifold.load(folder) if folder is not None else fitted(options.data, x, prior, options, seed)
        values = measure(made, judge, options.samples, seed)
        name = f"{made.kind}, {made.prior.kind} prior, d = {made.latent_dim}"
        name += f", seed {seed}" if folder is None else f" ({prior})"
        with torch.inference_mode():
            z = made.prior.sample(options.samples, torch.Generator().manual_seed(99))
            drawn = judge.network(made.decode(z)).argmax(1)
        share = torch.bincount(drawn, minlength=10) / len(drawn)
        generators[name] = {what: compared(values, what) for what in ("distance", "score")}
        generators[name]["class shares"] = [round(float(value), 4) for value in share]
    command = shlex.join(["python", "-m", "tests.benchmarks.transport", *told(sys.argv[1:])])
    page = {"command": command, "data": options.data, "samples": options.samples, "floor": floor,
            "python": platform.python_version(), "generators": generators}  # fmt: skip
    out = options.out or ROOT / "docs" / "results" / f"transport_{options.data}"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(json.dumps(page, indent=1) + "\n")
    out.with_suffix(".md").write_text(markdown(page))
    print(markdown(page))
    print(f"wrote {out}.json and .md")


if __name__ == "__main__":
    main()
