"""From what the user said of the manifold to a `Manifold`: a shipped one, a saved one, live objects, or one to be fitted."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.assets import ASSETS
from envs.classifiers import Classifier
from envs.config import WorldConfig
from envs.core.reference_data import BATCH
from envs.datasets import TableUnits, Units
from envs.errors import ManifoldError, UnknownNameError
from envs.manifolds import FITS, Generator, Manifold, Pair, TableVAE
from envs.manifolds.cache import fit_key, kept_fit
from envs.modalities.rows import RowUnits
from envs.reading.objects import load_object

FIT_STEPS = 6000  # gradient steps of a VAE fitted on the fly: what the digits take, a few seconds
MAP_DIM = 2
# Arguments of a fit that have another place among those of make_world.
OURS = ("x", "y", "classifier", "classes", "blocks", "low", "high", "held", "modality", "progress", "latent_dim", "seed", "_")


def given_manifold(config: WorldConfig, key: str | None, x: Tensor, units: Units) -> Any:
    """(manifold, start codes or None) of a manifold that stands already, or (kind, None) of one to be fitted.

    Args:
        config: its manifold, latent_dim and fit; data with a shipped manifold get a fitted one where one of the last is set.
        key: the data set that the data are, in the split of the shipped assets; None for any others.
        x: data in data space.
        units: their modality and shape.

    Raises:
        ManifoldError: no such manifold, one of data of another shape, or settings of a fit for what is not fitted.
    """
    manifold, latent_dim, fit, codes = config.manifold, config.latent_dim, config.fit, None
    if manifold is None:
        manifold = key if key in ASSETS and latent_dim is None and not fit else "vae"
    if isinstance(manifold, str | Path) and str(manifold) in FITS:
        return str(manifold), None
    if isinstance(manifold, str) and manifold in ASSETS:
        name = manifold
        manifold, codes = ASSETS[name].manifold()
        codes = codes if ASSETS[name].data == key else None
    elif isinstance(manifold, str) and ":" in manifold and not Path(manifold).is_dir():
        manifold, codes = _live(load_object(manifold), manifold, latent_dim, x, units)
    elif isinstance(manifold, str | Path):
        if not Path(manifold).is_dir():
            known = [*FITS, *ASSETS, "a folder that Manifold.save wrote", "module:object"]
            raise UnknownNameError("manifold", manifold, known)
        manifold = Manifold.load(manifold)
    else:
        manifold, codes = _live(manifold, manifold, latent_dim, x, units)
    if not isinstance(manifold, Manifold):
        raise ManifoldError(
            "manifold= takes a name, a Manifold or a pair of torch modules (encoder, decoder), "
            f"not a {type(manifold).__name__}"
        )
    refuse_fit(manifold, latent_dim, fit)
    if tuple(manifold.data_shape) != tuple(units.data_shape):
        raise ManifoldError(f"the manifold makes data of shape {manifold.data_shape}, the data have {units.data_shape}")
    if units.layouts_differ:
        _refuse_other_layout(manifold)
    return manifold, codes


def _refuse_other_layout(manifold: Manifold) -> None:
    """Refuse the user's own modules where they give colours in an order that would have to be guessed.

    Raises:
        ManifoldError: what they give has not the shape of pictures with channels first.
    """
    module = getattr(manifold, "decoder" if isinstance(manifold, Pair) else "generator", None)
    if not isinstance(manifold, Pair | Generator) or module is None:
        return
    with torch.inference_mode():
        made = tuple(module(torch.zeros(2, manifold.latent_dim)).shape[1:])
    if made != tuple(manifold.data_shape):
        raise ManifoldError(
            f"the decoder gives pictures of shape {made}; the data have their channels last, and a manifold works on pictures "
            f"with channels first: wrap encoder and decoder, so that they take and give {tuple(manifold.data_shape)}"
        )


def refuse_fit(manifold: Manifold, latent_dim: int | None, fit: Mapping[str, Any] | None) -> None:
    """Refuse settings of a fit for a manifold that stands already; its own dimension may be repeated.

    Raises:
        ManifoldError: there are some.
    """
    told = "this manifold stands already and is not fitted"
    kinds = f"leave it out, or have one fitted: manifold={' or '.join(map(repr, FITS))}"
    if latent_dim is not None and latent_dim != manifold.latent_dim:
        raise ManifoldError(f"latent_dim={latent_dim}: {told}; its codes have {manifold.latent_dim} values; {kinds}")
    if fit:
        raise ManifoldError(f"fit={dict(fit)}: {told}; {kinds}")


def fitted_manifold(
    kind: str,
    x: Tensor,
    units: Units,
    config: WorldConfig,
    *,
    classifier: Classifier | None = None,
    cells: Tensor | None = None,
    truth: Tensor | None = None,
    classes: int | None = None,
    progress: bool = False,
) -> Manifold:
    """A manifold of this kind for data x (N, \\*data_shape), from the cache if it was fitted before.

    Args:
        kind: a key of `FITS`.
        config: its latent_dim (default: 2 for a map, else up to 8), fit and seed.
        classifier: the one to be explained. A joint manifold learns its labels (one query a row), an embedding is its own.
        cells: (N, C) of the data, see `envs.core.factual.Factual`: what the classifier is asked about.
        truth, classes: class indices (N,) and how many there are, for a joint manifold without a classifier.

    Raises:
        ManifoldError: a setting that the fit has not, or whatever the fit refuses.
    """
    latent_dim, fit, seed = config.latent_dim, config.fit, config.seed
    maker: Any = FITS[kind]
    batch_size = 32
    if isinstance(units, TableUnits) and kind == "vae":
        maker, batch_size = TableVAE, 128
    own = inspect.signature(maker.fit).parameters
    for name in fit or {}:
        if name not in own or name in OURS:
            raise UnknownNameError(f"setting of the {kind} fit", name, [known for known in own if known not in OURS])
    size = len(units.columns) if isinstance(units, TableUnits) else int(np.prod(units.data_shape))
    usual = MAP_DIM if kind == "umap" else min(8, size if size < 4 else max(2, size // 2))
    settings = {
        "latent_dim": latent_dim if latent_dim is not None else usual,
        "modality": units.modality,
        "epochs": int(np.clip(FIT_STEPS * batch_size / len(x), 10, 600)),
        "seed": seed,
        **(fit or {}),
    }
    sees: dict[str, Tensor | None] = {"x": x}
    more: dict[str, Any] = {}
    if kind == "joint":
        sees["y"] = more["y"] = _labels(x, classifier, truth, cells if isinstance(units, RowUnits) else None)
        settings["classes"] = classes if classifier is None else len(classifier.class_names)
    elif maker is TableVAE:
        assert isinstance(units, TableUnits)
        settings["blocks"] = units.blocks
        more = {"low": units.low, "high": units.high, "held": units.held}
        sees |= more
    elif kind == "embedding":
        assert classifier is not None
        more["classifier"] = classifier
        sees["features"] = torch.cat([classifier.features(part) for part in x.split(BATCH)])
    try:
        key = fit_key(kind, settings, sees)
    except TypeError as error:
        raise ManifoldError(f"the settings of a fit are numbers, names and lists: {error}") from error
    return kept_fit(key, lambda: maker.fit(x, **more, **settings, progress=progress))


def _labels(x: Tensor, classifier: Classifier | None, truth: Tensor | None, cells: Tensor | None = None) -> Tensor:
    """What the head of a joint manifold learns: the classifier's labels, or else the true classes."""
    if classifier is not None:
        parts = x.split(BATCH)
        own = [None] * len(parts) if cells is None else cells.split(BATCH)
        return torch.cat([classifier.predict_proba(*pair).argmax(1) for pair in zip(parts, own, strict=True)])
    if truth is None:
        raise ManifoldError(
            "a joint manifold is trained with the classes: pass truth= (class indices; an array 'truth' in the .npz file), "
            "or a classifier= whose labels it learns"
        )
    return truth


def _live(found: Any, named: Any, latent_dim: int | None, x: Tensor, units: Units) -> tuple[Any, Tensor | None]:
    """(manifold, start codes or None) of an object of the user's, which may have been `named` as ``module:object``."""
    if isinstance(found, Manifold):
        return found, None
    function = callable(found) and not isinstance(found, torch.nn.Module) and not hasattr(found, "decoder")
    if function and latent_dim is not None:  # a function that makes a generator, or something else
        made = found()
        if isinstance(made, Manifold):
            return made, None
        found = made if isinstance(made, torch.nn.Module) and not hasattr(made, "decoder") else found
    pair = isinstance(found, tuple | list) or (hasattr(found, "encoder") and hasattr(found, "decoder"))
    if pair or (callable(found) and not isinstance(found, torch.nn.Module)):  # or a function that makes one
        return Pair.of(named, x, modality=units.modality), None
    if not isinstance(found, torch.nn.Module):
        return found, None
    if latent_dim is None:
        raise ManifoldError(f"pass latent_dim=: how many values a code of {type(found).__name__} has")
    output = "unit" if units.modality == "image" else "plain"
    generator = Generator(found, latent_dim, units.data_shape, modality=units.modality, output=output)
    with torch.no_grad():
        codes = torch.cat([generator.invert(part).z for part in x.split(BATCH)])
    generator.remember_codes(codes)
    return generator, codes
