"""Operations on latent codes, with and without keeping the prior's law: what a generator makes of them.

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
law is not normal). Writes docs/results/transport_DATA.md and .json. What is fitted, and finished generators' figures, are
kept in --cache.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from agents.cli import prepare_process
from tests.benchmarks.digits_cells import ROOT
from tests.benchmarks.gan_cells import FITTING, kept_cell
from tests.benchmarks.results import as_json
from tests.benchmarks.transport_page import compared, markdown

REPEATS, SAMPLES, EPSILON, WALK, NETWORK_DIM = 30, 5000, 0.5, 10, 32
FILES = (*FITTING, "envs/geometry/transport.py", "tests/benchmarks/transport.py", "tests/benchmarks/mnist_models.py")
NETWORKS = {"joint": "joint VAE and classifier", "embedding": "classifier's embedding (white box)"}


class Oracle(NamedTuple):
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


def measure(manifold: Any, judge: Oracle, samples: int, repeats: int) -> dict[str, dict[str, list[float]]]:
    """Operation -> measure -> one value a repeat."""
    import torch

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


def cell(make: Any, judge: Oracle, options: Any) -> dict[str, Any]:
    """What the page says of one generator; `make` gives it."""
    import torch

    made = make()
    values = measure(made, judge, options.samples, options.repeats)
    with torch.inference_mode():
        z = made.prior.sample(options.samples, torch.Generator().manual_seed(99))
        drawn = judge.network(made.decode(z)).argmax(1)
    found: dict[str, Any] = {what: compared(values, what) for what in ("distance", "score")}
    found["class shares"] = [round(float(share), 4) for share in torch.bincount(drawn, minlength=10) / len(drawn)]
    return found


def judge_of(data: str, x: Any, truth: Any, seed: int) -> tuple[Oracle, float]:
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
    return Oracle(network, mean, covariance), accuracy(network, x, truth)


def fitted_gan(data: str, x: Any, prior: str, options: Any, seed: int) -> Any:
    """The GAN of a prior and a seed, from --cache if it was fitted before."""
    from envs.manifolds.base import Manifold
    from envs.manifolds.generators import gan as module

    place = options.cache / f"transport-{data}-{prior}-{options.latent_dim}d-{options.steps}-{seed}"
    if (place / "manifold.json").is_file():
        return Manifold.load(place)
    recipe = module.Recipe(steps=options.steps, encoder_steps=200)
    module.REMEMBERED = 64  # the codes of real data are not used here
    try:
        made = module.GAN.fit(x, latent_dim=options.latent_dim, prior=prior, recipe=recipe, seed=seed, progress=True)
    except module.CollapsedError as error:
        print(f"{prior}, seed {seed}: {error}", file=sys.stderr)
        made = error.manifold
    made.save(place)
    return made


def fitted_with_network(kind: str, data: str, x: Any, options: Any, seed: int) -> Any:
    """A joint VAE and classifier, or a classifier's embedding, of NETWORK_DIM dimensions."""
    from tests.benchmarks.mnist_models import fitted_model

    if data == "mnist":
        return fitted_model(kind, seed, options.cache, latent_dim=NETWORK_DIM)
    from envs.classifiers import adapt
    from envs.datasets import Units
    from envs.manifolds import Embedding, Joint
    from tests.benchmarks.digits_bed import fitted

    module = fitted(0)[0]
    if kind == "joint":
        return Joint.fit(x, module(x).argmax(1), classes=10, latent_dim=NETWORK_DIM, seed=seed)
    return Embedding.fit(x, adapt(module, units=Units.of(x.numpy())), latent_dim=NETWORK_DIM, seed=seed)


def jobs_of(options: Any, x: Any) -> list[tuple[str, dict[str, Any], Any]]:
    """(title, what tells it apart, how to get it) of each generator."""
    from envs.manifolds.base import Manifold

    jobs: list[tuple[str, dict[str, Any], Any]] = []
    for folder in options.manifold:
        content = (folder / "manifold.safetensors").read_bytes()
        jobs.append((folder.name, {"folder": hashlib.sha256(content).hexdigest()}, partial(Manifold.load, folder)))
    for prior in options.priors:
        for seed in options.seeds:
            key = {"prior": prior, "seed": seed, "dim": options.latent_dim, "steps": options.steps}
            title = f"GAN, {prior} prior, d = {options.latent_dim}, seed {seed}"
            jobs.append((title, key, partial(fitted_gan, options.data, x, prior, options, seed)))
    for kind in options.networks:
        for seed in options.seeds:
            key = {"kind": kind, "seed": seed, "dim": NETWORK_DIM}
            title = f"{NETWORKS[kind]}, d = {NETWORK_DIM}, seed {seed}"
            jobs.append((title, key, partial(fitted_with_network, kind, options.data, x, options, seed)))
    return jobs


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
    parser.add_argument(
        "--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS), help="trained with the network"
    )
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "benchmark-cache")
    parser.add_argument("--out", type=Path, metavar="STEM", help="default: docs/results/transport_DATA")
    options = parser.parse_args()
    prepare_process()
    import torch
    from tqdm import tqdm

    from envs.datasets import DATASETS

    data = DATASETS[options.data]()
    x, truth = torch.from_numpy(np.asarray(data.x)).float(), torch.as_tensor(np.asarray(data.truth)).long()
    judge, right = judge_of(options.data, x, truth, 0)
    half = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        first, second = (_moments(judge.network[:-1](x[part])) for part in half.chunk(2))
    floor = {"distance": frechet(*first, *second), "score": judge.scores(x[half[: options.samples]])[1], "accuracy": right}
    generators: dict[str, Any] = {}
    for title, key, made in tqdm(jobs_of(options, x), desc="generators", dynamic_ncols=True):
        whole = {"transport": options.data, "samples": options.samples, "repeats": options.repeats, **key}
        generators[title] = kept_cell(options.cache, whole, FILES, partial(cell, made, judge, options))
    command = shlex.join(["python", "-m", "tests.benchmarks.transport", *told(sys.argv[1:])])
    page = {"command": command, "data": options.data, "samples": options.samples, "repeats": options.repeats,
            "floor": floor, "python": platform.python_version(), "generators": generators}  # fmt: skip
    out = options.out or ROOT / "docs" / "results" / f"transport_{options.data}"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".json").write_text(as_json(page))
    out.with_suffix(".md").write_text(markdown(page))
    print(markdown(page))
    print(f"wrote {out}.json and .md")


if __name__ == "__main__":
    main()
