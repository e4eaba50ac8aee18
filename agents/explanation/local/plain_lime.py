"""Plain LIME at chosen frames, by its authors' library: the baseline of latent LIME.

LIME [1]_ switches parts of an input off (patches of a picture, words of a text) or redraws the columns of a row from the data,
queries the classifier on each such neighbour, and fits a weighted ridge regression. Its neighbours need not look like data.
The library (`lime`, [lime] extra) runs with its own kernels and ridge; one batch of queries serves an explanation.

References
----------
.. [1] Ribeiro, Singh, Guestrin, "Why Should I Trust You? Explaining the Predictions of Any Classifier", KDD 2016.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from envs.errors import ManifoldError

if TYPE_CHECKING:
    from agents.trajectories.trajectory import Trajectory
    from envs.core.world import World

SAMPLES = 1000
MOST_SEGMENTS = 196  # pictures of more pixels are cut into square patches
UNKNOWN = "UNKWORDZ"  # lime's own replacement for a word that is switched off


class PlainLime(NamedTuple):
    """One local explanation.

    Attributes:
        weights: of the fit: (*data_shape) for pictures and tables (a pixel has the weight of its patch), one per word for
            text.
        r2: weighted R2 of the fit among the neighbours.
        words: the words that `weights` belong to; None for pictures and tables.
        queries: classifier queries.

    Example:
        >>> PlainLime(np.zeros(2), 0.9, ["good", "film"], queries=1000).words
        ['good', 'film']
    """

    weights: np.ndarray
    r2: float
    words: list[str] | None
    queries: int


def plain_lime(world: World, x: np.ndarray, label: int, *, samples: int = SAMPLES, seed: int = 0) -> PlainLime:
    """Explain p(label) at one input or frame of any modality.

    Args:
        world: its classifier gets `samples` queries; neighbours of a table's row are drawn from its reference inputs.
        x: (*data_shape) in data space.
        label: class index.
        samples: neighbours; the library's own default is 1,000 for pictures and 5,000 for tables and text.
        seed: of the neighbours; each call has a new generator, because the library's explainers share theirs.

    Raises:
        ManifoldError: `lime` is not installed, labels alone are shown, or there is no such class.
    """
    if world.label_only:
        raise ManifoldError("LIME fits probabilities; this classifier returns only labels")
    if not 0 <= label < world.classes:
        raise ManifoldError(f"class {label}: this world has the classes 0 to {world.classes - 1}, {world.class_names}")
    explain = _EXPLAINERS[world.modality]
    before = world.classifier.queries
    with contextlib.redirect_stderr(io.StringIO()):  # the released version prints a bar for every explanation
        weights, r2, words = explain(world, np.asarray(x), label, samples, seed)
    return PlainLime(weights, float(r2), words, world.classifier.queries - before)


def plain_lime_at(
    path: Trajectory, world: World, frames: Sequence[int] | None = None, *, samples: int = SAMPLES, seed: int = 0
) -> dict[int, PlainLime]:
    """Plain LIME of the target's probability at chosen frames of a path (None: first, middle and last), by frame.

    Raises:
        ManifoldError: see `plain_lime`, or a frame that the path does not have.
    """
    chosen = sorted({0, path.steps // 2, path.steps}) if frames is None else list(frames)
    for frame in chosen:
        if not 0 <= frame <= path.steps:
            raise ManifoldError(f"frame {frame}: this path has frames 0 to {path.steps}")
    shown = path.frames(world)
    return {t: plain_lime(world, shown[t], path.target, samples=samples, seed=seed) for t in chosen}


def segments_of(shape: tuple[int, int]) -> np.ndarray:
    """(H, W) index of the patch of each pixel: single pixels for small pictures, else squares, at most 196 patches.

    Quickshift, the library's default, needs colours and sizes of hundreds of pixels.
    """
    height, width = shape
    side = 1
    while -(-height // side) * -(-width // side) > MOST_SEGMENTS:
        side += 1
    rows, columns = np.arange(height) // side, np.arange(width) // side
    return np.asarray(rows[:, None] * (columns[-1] + 1) + columns[None])


def _image(world: World, x: np.ndarray, label: int, samples: int, seed: int) -> tuple[np.ndarray, float, None]:
    explainer = _lime("lime.lime_image").LimeImageExplainer(random_state=seed)
    channels_first = x.ndim == 3 and x.shape[-1] not in (1, 3)
    picture = np.moveaxis(x, 0, -1) if channels_first else x
    grey = picture.ndim == 2 or picture.shape[-1] == 1
    shown = np.repeat(picture.reshape(*picture.shape[:2], 1), 3, axis=2) if grey else picture
    segments = segments_of(picture.shape[:2])

    def back(pictures: np.ndarray) -> np.ndarray:
        own = pictures[..., :1] if grey else pictures
        return (np.moveaxis(own, -1, 1) if channels_first else own).reshape(-1, *x.shape)

    found = explainer.explain_instance(
        shown.astype(np.float64), _asker(world, back), labels=(label,), top_labels=None, hide_color=0, num_samples=samples,
        batch_size=samples, segmentation_fn=lambda _: segments,
    )  # fmt: skip
    by_patch = np.zeros(segments.max() + 1)
    for patch, weight in found.local_exp[label]:
        by_patch[patch] = weight
    spread = by_patch[segments]
    if x.ndim == 3:
        spread = np.broadcast_to(spread[None] if channels_first else spread[..., None], x.shape)
    return spread.astype(np.float32), float(found.score), None


def _table(world: World, x: np.ndarray, label: int, samples: int, seed: int) -> tuple[np.ndarray, float, None]:
    known = world.reference.x.flatten(1).numpy().astype(np.float64)
    explainer = _lime("lime.lime_tabular").LimeTabularExplainer(
        known, class_names=world.class_names, mode="classification", random_state=seed
    )
    ask = _asker(world, lambda rows: rows.reshape(-1, *x.shape))
    found = explainer.explain_instance(
        x.ravel().astype(np.float64), ask, labels=(label,), num_features=x.size, num_samples=samples
    )
    weights = np.zeros(x.size, dtype=np.float32)
    for column, weight in found.local_exp[label]:
        weights[column] = weight
    return weights.reshape(x.shape), float(found.score), None


def _text(world: World, x: np.ndarray, label: int, samples: int, seed: int) -> tuple[np.ndarray, float, list[str]]:
    # bow=False: an unknown word replaces one that is switched off, so that no text is empty and places stay distinct.
    explainer = _lime("lime.lime_text").LimeTextExplainer(
        class_names=world.class_names, random_state=seed, bow=False, mask_string=UNKNOWN, split_expression=r"\s+"
    )
    text = str(world.render(x))
    ask = _asker(world, lambda texts: world.units.inward(list(texts)).numpy())
    found = explainer.explain_instance(text, ask, labels=(label,), num_features=len(text.split()), num_samples=samples)
    words = text.split()
    weights = np.zeros(len(words), dtype=np.float32)
    for place, weight in found.local_exp[label]:
        weights[place] = weight
    return weights, float(found.score[label] if isinstance(found.score, dict) else found.score), words


#: modality -> how the library is called.
_EXPLAINERS: dict[str, Callable[..., tuple[np.ndarray, float, list[str] | None]]] = {
    "image": _image, "table": _table, "text": _text, "series": _table,
}  # fmt: skip


def _asker(world: World, back: Callable[[Any], np.ndarray]) -> Callable[[Any], np.ndarray]:
    """The function that the library calls: its neighbours -> probabilities (n, K), through data space."""
    import torch

    def ask(neighbours: Any) -> np.ndarray:
        rows = np.ascontiguousarray(back(neighbours))
        kept = rows if rows.dtype.kind in "iu" else rows.astype(np.float32)
        return world.classifier.predict_proba(torch.from_numpy(kept)).numpy().astype(np.float64)

    return ask


def _lime(module: str) -> Any:
    """Import a module of the library.

    Raises:
        ManifoldError: it is not installed.
    """
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as error:
        raise ManifoldError(
            "plain LIME needs the lime library: pip install 'manifold-traversal[lime]' (latent LIME does not)"
        ) from error
