"""Faces, shapes and tinted clothes: their worlds, what walks on them show, and the cost of a pixel. See `pictures_large`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from agents.explain import explain
from envs.building.world import make_world
from envs.classifiers.networks import fit_classifier
from envs.datasets import DATASETS
from envs.manifolds import ConvVAE
from envs.manifolds.fitting import untrained
from tests.benchmarks.harness.models import fitted, trained
from tests.benchmarks.harness.runs import cpu_seconds, digest
from tests.benchmarks.harness.splits import TAU, random_targets
from tests.benchmarks.pictures.colours import SHAPES, coloured_shapes, hue_change, tinted
from tests.benchmarks.pictures.measures import sharpness

ITEMS, STEP = 80, 1 / 6
SHOWN = 8  # pictures of a data set in the figure
WAYS = ("line", "line, convincing", "agent", "agent, convincing", "nearest unlike neighbour")
COST_ROWS, COST_ITEMS = 256, 10
SOURCES = ("envs/**/*.py", "agents/walkers/**/*.py", "agents/train*.py", "tests/benchmarks/pictures/large.py",
           "tests/benchmarks/pictures/colours.py")  # fmt: skip
FITTING = ("envs/manifolds/*.py", "envs/manifolds/networks/*.py", "tests/benchmarks/pictures/colours.py")


class Pictures(NamedTuple):
    """Pictures in [0, 1] with their classes, and the settings of their manifold.

    Attributes:
        x, truth: those that everything is fitted to.
        held_out, held_out_truth: those that are explained.
        names: of the K classes.
        fit: settings of the manifold's fit.
        epochs: of the classifier.

    Example:
        >>> shapes(0).x.shape
        (2400, 3, 32, 32)
    """

    x: np.ndarray
    truth: np.ndarray
    held_out: np.ndarray
    held_out_truth: np.ndarray
    names: Sequence[str]
    fit: dict[str, Any]
    epochs: int


def faces(seed: int) -> Pictures:
    """The Olivetti faces, 64x64 grey; the class is the person, and two images of each are held out."""
    with np.load(Path(os.environ["MANIFOLD_DATA"]) / "olivetti" / "olivetti_faces_64.npz") as file:
        x, person = (file["images"] / 242).astype(np.float32), file["person"].astype(int)
    out = np.arange(len(x)) % 5 == seed % 5
    return Pictures(x[~out], person[~out], x[out], person[out], [f"person {k + 1}" for k in range(40)], FACES, 25)


def shapes(seed: int) -> Pictures:
    """Discs, squares, triangles and rings, 32x32 in colour."""
    x, kind = coloured_shapes(2800, seed)
    return Pictures(x[:2400], kind[:2400], x[2400:], kind[2400:], SHAPES, COLOUR, 10)


def clothes(seed: int) -> Pictures:
    """Fashion-MNIST with a border of two pixels, 32x32, each picture in a hue of its own."""
    data = DATASETS["fashion_mnist"]()
    assert data.truth is not None
    x, truth = tinted(np.pad(data.x[:2800], ((0, 0), (2, 2), (2, 2))), seed), data.truth[:2800]
    return Pictures(x[:2400], truth[:2400], x[2400:], truth[2400:], data.class_names, COLOUR, 10)


FACES = {
    "latent_dim": 64, "decoder": "mlp", "hidden": [256], "beta": 0.05, "epochs": 200, "learning_rate": 1e-3, "detail": 10.0,
    "shift": 1,
}  # fmt: skip
COLOUR = {
    "latent_dim": 16, "decoder": "mlp", "hidden": [256], "epochs": 40, "batch_size": 64, "learning_rate": 1.5e-3,
    "detail": 10.0,
}  # fmt: skip
DATA: dict[str, tuple[str, Callable[[int], Pictures]]] = {
    "faces": ("Faces, 64x64 grey, 40 persons", faces),
    "shapes": ("Shapes, 32x32 colour, 4 classes", shapes),
    "clothes": ("Tinted clothes, 32x32 colour, 10 classes", clothes),
}


def network(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """Three stride-2 convolutions and a linear layer: pictures (B, H, W) or (B, C, H, W) to logits."""
    channels, side = (1, shape[0]) if len(shape) == 2 else (shape[0], shape[1])
    layers: list[nn.Module] = [nn.Unflatten(1, (1, side))] if len(shape) == 2 else []
    for a, b in ((channels, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(a, b, 3, 2, 1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * (-(-side // 8)) ** 2, classes))


def fitted_vae(data: Pictures, seed: int, cache: Path, **changed: Any) -> tuple[Any, float]:
    """The manifold of pictures and the CPU seconds of its fit; `changed` settings replace theirs."""
    settings = {**data.fit, **changed}
    folder = cache / f"vae-large-{digest([data.x.shape, list(data.names), seed, settings], FITTING)}"
    return fitted(folder, lambda: ConvVAE.fit(torch.from_numpy(data.x), seed=seed, **settings))


def classifier_of(data: Pictures, seed: int) -> nn.Module:
    """The explained network."""
    return fit_classifier(
        untrained(lambda: network(data.x.shape[1:], len(data.names)), seed), torch.from_numpy(data.x),
        torch.from_numpy(data.truth), epochs=data.epochs, learning_rate=2e-3, weight_decay=1e-2, cosine=True, seed=seed,
    )  # fmt: skip


def world_of(data: Pictures, seed: int, manifold: Any) -> Any:
    """The world of pictures on a manifold."""
    return make_world(
        data=data.x, held_out=data.held_out, truth=data.truth, classifier=classifier_of(data, seed), modality="image",
        class_names=list(data.names), manifold=manifold, task="reach", max_step=STEP, seed=seed, progress=False,
    )  # fmt: skip


def without_edges(name: str, seed: int, cache: Path) -> dict[str, Any]:
    """Reconstructions of the held-out pictures by the same fit without the loss of edges."""
    data = DATA[name][1](seed)
    vae, seconds = fitted_vae(data, seed, cache, detail=0.0)
    x, classifier = torch.from_numpy(data.held_out), classifier_of(data, seed)
    again = reconstructed(vae, x)
    with torch.inference_mode():
        kept = classifier(x).argmax(1) == classifier(again).argmax(1)
    return {"plain_kept": int(kept.sum()), "plain_sharp": sharper(again, x), "plain_seconds": seconds}


def walked(name: str, seed: int, steps: int, cache: Path) -> dict[str, Any]:
    """All figures of a data set and seed."""
    from sklearn.svm import SVC

    data = DATA[name][1](seed)
    vae, seconds = fitted_vae(data, seed, cache)
    world = world_of(data, seed, vae)
    x = world.held_out.x[:ITEMS]
    with torch.inference_mode():
        again = reconstructed(world.manifold, world.held_out.x)
        source, kept = (world.classifier.predict_proba(rows).argmax(1) for rows in (world.held_out.x, again))
        known = world.classifier.predict_proba(world.reference.x)
    oracle = SVC(C=10, gamma="scale").fit(data.x.reshape(len(data.x), -1), data.truth)
    target = random_targets(source[:ITEMS], world.classes, seed)

    def sees(pictures: np.ndarray, wanted: np.ndarray) -> float:
        return float((oracle.predict(pictures.reshape(len(pictures), -1)) == wanted).mean())

    colour = data.x.ndim == 4
    shuffled = np.random.default_rng(seed).permutation(len(x))
    found: dict[str, Any] = {
        "seed": seed, "train": len(data.x), "items": len(x), "seconds": seconds,
        "accuracy": float((source.numpy() == data.held_out_truth).mean()), "oracle": sees(data.held_out, data.held_out_truth),
        "kept": int((source == kept).sum()), "held_out": len(source), "kept_oracle": sees(again.numpy(), data.held_out_truth),
        "sharp": sharper(again, world.held_out.x),
        "hue_of_pairs": float(hue_change(x.numpy(), x.numpy()[shuffled]).mean()) if colour else None,
        "hue_of_reconstructions": float(hue_change(x.numpy(), again[:ITEMS].numpy()).mean()) if colour else None,
        "ways": {},
    }  # fmt: skip
    shown = {"input": x[:SHOWN], "reconstruction": again[:SHOWN]}
    run, found["training_seconds"] = None, None
    if steps:
        folder = cache / f"run-large-{digest([name, seed, steps], SOURCES)}"
        settings = {"algo": "ppo", "seed": seed, "n_timesteps": steps, "pictures": False, "progress": False}
        run, found["training_seconds"] = cpu_seconds(lambda: trained(folder, world, **settings))
    for way in WAYS[: -1 if steps else 2]:
        walker, by = ("line", world) if way.startswith("line") else ("policy", run)
        sure = "convincing" in way
        walks = partial(explain, by, walker=walker, seed=seed, fallback=False, convincing=sure)
        walks(0, int(target[0]))  # fits what is fitted once
        paths, cost = cpu_seconds(partial(walks, list(range(len(x))), target.tolist()))
        ends = torch.from_numpy(np.stack([path.frames(world)[-1] for path in paths]))
        found["ways"][way] = {
            **_figures(x, ends, np.array([path.success for path in paths]), target, sees),
            "queries": float(np.mean([path.queries for path in paths])), "cpu_ms": 1000 * cost / len(paths),
        }  # fmt: skip
        shown[way] = ends[:SHOWN]
    p = known[:, target].T  # (items, rows)
    apart = torch.cdist(x.flatten(1), world.reference.x.flatten(1)).masked_fill(p < TAU, torch.inf)
    ends, valid = world.reference.x[apart.argmin(1)], torch.isfinite(apart.amin(1))
    found["ways"][WAYS[-1]] = _figures(x, ends, valid.numpy(), target, sees)
    cache.mkdir(parents=True, exist_ok=True)
    np.savez(pictures_of(name, seed, cache), **shown, **{WAYS[-1]: ends[:SHOWN]})
    return found


def reconstructed(manifold: Any, x: Tensor) -> Tensor:
    """Pictures through encoder and decoder."""
    with torch.inference_mode():
        return manifold.decode(manifold.encode(x))


def sharper(made: Tensor, real: Tensor) -> float:
    """Median sharpness of pictures (N, H, W) as a share of that of others; of colours the mean over the channels."""
    a, b = (np.median(sharpness(part if part.ndim == 3 else part.mean(1))) for part in (made, real))
    return float(a / b)


def pictures_of(name: str, seed: int, cache: Path) -> Path:
    """The file of the pictures of the figure."""
    return cache / f"large-{name}-{seed}.npz"


def _figures(
    x: Tensor, ends: Tensor, valid: np.ndarray, target: Tensor, sees: Callable[[np.ndarray, np.ndarray], float]
) -> dict[str, Any]:
    """Validity; of valid ends: what the oracle sees, distance and change of hue."""
    a, b = x.numpy()[valid], ends.numpy()[valid]
    some = bool(valid.any())
    return {
        "valid": float(valid.mean()), "oracle": sees(b, target.numpy()[valid]) if some else None,
        "l2": float(np.linalg.norm((b - a).reshape(len(a), -1), axis=1).mean()) if some else None,
        "hue": float(hue_change(a, b).mean()) if some and x.ndim == 4 else None,
    }  # fmt: skip


def cost(shape: tuple[int, ...], decoder: str) -> dict[str, Any]:
    """CPU seconds of a fit (a row and epoch), a decoded row, a step of one walk and an explanation, for random pictures."""
    generator = torch.Generator().manual_seed(0)
    smooth = torch.rand(COST_ROWS, 1 if len(shape) == 2 else 3, 4, 4, generator=generator)
    x = nn.functional.interpolate(smooth, size=shape[-2:], mode="bilinear").reshape(-1, *shape)
    ConvVAE.fit(x[:32], latent_dim=8, decoder=decoder, epochs=1)
    vae, fit = cpu_seconds(lambda: ConvVAE.fit(x, latent_dim=8, decoder=decoder, epochs=3))
    bright = x.flatten(1).mean(1)
    limit = float(bright.median())

    def classifier(rows: Any) -> Any:
        p = 1 / (1 + np.exp(-40 * (np.asarray(rows).reshape(len(rows), -1).mean(1) - limit)))
        return np.stack([1 - p, p], 1)

    world = make_world(
        data=x.numpy(), classifier=classifier, class_names=["dark", "bright"], manifold=vae, modality="image",
        progress=False, max_step=STEP,
    )  # fmt: skip
    with torch.inference_mode():
        z = world.manifold.encode(x)
        decode = min(cpu_seconds(lambda: world.manifold.decode(z))[1] for _ in range(5))
    explain(world, 0, walker="line")
    paths, explained = cpu_seconds(lambda: [explain(world, row, walker="line") for row in range(COST_ITEMS)])
    return {
        "pixels": int(np.prod(shape)), "fit": fit / 3 / COST_ROWS, "decode": decode / COST_ROWS,
        "step": explained / sum(path.steps + 1 for path in paths), "explain": explained / COST_ITEMS,
    }  # fmt: skip
