"""From the config to a `Manifold`: a shipped one, a saved one, live objects, or one that is fitted to the data."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.assets import ASSETS
from envs.classifiers import Classifier
from envs.config import WorldConfig
from envs.core.reference_data import BATCH
from envs.datasets import SeriesUnits, TableUnits, Units
from envs.errors import ManifoldError, UnknownNameError
from envs.manifolds import FITS, MANIFOLDS, VAE, Generator, Manifold, Pair, SeriesVAE, TableVAE
from envs.manifolds.cache import fit_key, kept_fit
from envs.modalities.rows import RowUnits
from envs.reading.objects import load_object

FIT_STEPS = 6000  # gradient steps of a fitted manifold: what the digits take, a few seconds
LEAST_EPOCHS, LARGEST_BATCH = 10, 1024  # passes over many rows, in minibatches of at most so many
MOST_FIT_STEPS = 20_000  # from here on minibatches grow with the data; MNIST's 60,000 rows are below
MOST_DIM = 8  # of a fitted manifold by default
KEPT = 0.98  # share of the variance of small tables that the default number of latent dimensions must be able to hold
#: Kinds that have a kind of their own for mixed tables, and for series.
OWN_KINDS: dict[type[Units], dict[type[Manifold], type[Manifold]]] = {
    TableUnits: {VAE: TableVAE},
    SeriesUnits: {VAE: SeriesVAE},
}
PARTS = (("encoder", "decoder"), ("encode", "decode"))  # what objects with both parts of a pair call them
# Arguments of a fit that are not settings of `WorldConfig.fit`.
OURS = (
    "x",
    "y",
    "classifier",
    "classes",
    "blocks",
    "gates",
    "low",
    "high",
    "held",
    "modality",
    "progress",
    "latent_dim",
    "data_shape",
    "architecture",
    "seed",
    "_",
)


def given_manifold(config: WorldConfig, key: str | None, x: Tensor, units: Units) -> Any:
    """(manifold, codes of x or None) of a manifold that exists, or (class, None) of one that is to be fitted.

    Args:
        config: its manifold, latent_dim and fit; with one of the last two set, a manifold is fitted even to data with a
            shipped one.
        key: name of the data set if the data are the ones that the shipped assets belong to, else None.
        x: (N, \\*data_shape) data in data space.
        units: their modality and shape.

    Raises:
        ManifoldError: no such manifold, one of data of another shape, or settings of a fit for one that is not fitted.
    """
    manifold, latent_dim, fit, codes = config.manifold, config.latent_dim, config.fit, None
    if manifold is None:
        manifold = key if key in ASSETS and latent_dim is None and not fit else "vae"
    if isinstance(manifold, str | Path) and str(manifold) in FITS:
        return FITS[str(manifold)], None
    if isinstance(manifold, str) and manifold in ASSETS:
        name = manifold
        manifold, codes = ASSETS[name].manifold()
        codes = codes if ASSETS[name].data == key else None
    elif isinstance(manifold, str) and ":" in manifold and not os.path.isdir(manifold):
        manifold, codes = _live(load_object(manifold), manifold, latent_dim, x, units)
    elif isinstance(manifold, str | Path):
        if not os.path.isdir(manifold):
            known = [*FITS, *ASSETS, "a folder that Manifold.save wrote", "module:object"]
            raise UnknownNameError("manifold", manifold, known)
        manifold = Manifold.load(manifold)
    else:
        manifold, codes = _live(manifold, manifold, latent_dim, x, units)
    if isinstance(manifold, type) and issubclass(manifold, Manifold):
        return manifold, None
    if not isinstance(manifold, Manifold):
        raise ManifoldError(
            "manifold= takes a name, a Manifold (or its class, to be fitted) or a pair of torch modules (encoder, decoder), "
            f"not a {type(manifold).__name__}"
        )
    refuse_fit(manifold, latent_dim, fit)
    if tuple(manifold.data_shape) != tuple(units.data_shape):
        raise ManifoldError(f"the manifold makes data of shape {manifold.data_shape}, the data have {units.data_shape}")
    if units.layouts_differ:
        _refuse_other_layout(manifold)
    return manifold, codes


def _refuse_other_layout(manifold: Manifold) -> None:
    """Refuse the user's own modules if their output is not channels first.

    Raises:
        ManifoldError: it has another shape than data space.
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
    """Refuse settings of a fit for a manifold that is not fitted; its own dimension may be repeated.

    Raises:
        ManifoldError: there are some.
    """
    reason = "this manifold exists already and is not fitted"
    kinds = f"leave it out, or have one fitted: manifold={' or '.join(map(repr, FITS))}"
    if latent_dim is not None and latent_dim != manifold.latent_dim:
        raise ManifoldError(f"latent_dim={latent_dim}: {reason}; its codes have {manifold.latent_dim} values; {kinds}")
    if fit:
        raise ManifoldError(f"fit={dict(fit)}: {reason}; {kinds}")


def fitted_manifold(
    kind: type[Manifold],
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
    """A manifold of this class fitted to data, from the cache if it is in `MANIFOLDS` and was fitted before.

    `kind.fit` is called with those of these arguments that its signature has: x, latent_dim, modality, epochs, seed, progress;
    y (N,) labels and classes, their number; classifier; and blocks, low, high and held of a mixed table.

    Args:
        kind: class with a `fit`.
        x: (N, \\*data_shape) data in data space.
        units: of the data.
        config: its latent_dim (default: see `dimensions_of`; at most that of the fit), fit and seed.
        classifier: to be explained. A fit that takes y queries it for labels, one row each.
        cells: (N, C) of the data, see `Factual.cells`; the classifier is queried with them.
        truth, classes: (N,) class indices and their number, for a fit that takes y without a classifier.
        progress: show the fit.

    Raises:
        ManifoldError: a setting that the fit does not take, or whatever the fit refuses.
    """
    latent_dim, fit, seed, name = config.latent_dim, config.fit, config.seed, getattr(kind, "kind", kind.__name__)
    table = isinstance(units, TableUnits)
    maker: Any = OWN_KINDS.get(type(units), {}).get(kind, kind)
    usual_batch = 128 if table and maker is not kind else 32
    own = dict(inspect.signature(maker.fit).parameters)
    if "architecture" in own:  # further settings of the fit are those of the class
        own |= {key: value for key, value in inspect.signature(maker).parameters.items() if key not in own}
    chosen = "batch_size" in own and "batch_size" not in (fit or {})
    batch_size = batch_of(len(x), usual_batch) if chosen else usual_batch
    for setting in fit or {}:
        if setting not in own or setting in OURS:
            raise UnknownNameError(f"setting of the {name} fit", setting, [known for known in own if known not in OURS])
    size = len(units.columns) if table else int(np.prod(units.data_shape))
    usual = own["latent_dim"].default if "latent_dim" in own else MOST_DIM
    settings = {
        "latent_dim": latent_dim or dimensions_of(x, size, min(usual, MOST_DIM)),
        "modality": units.modality,
        "epochs": epochs_of(len(x), batch_size),
        "seed": seed,
        **({} if batch_size == usual_batch else {"batch_size": batch_size}),
        **(fit or {}),
    }
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in own.values()):
        settings = {setting: value for setting, value in settings.items() if setting in own}
    sees: dict[str, Tensor | None] = {"x": x}
    more: dict[str, Any] = {}
    if "y" in own:
        sees["y"] = more["y"] = labels_of(x, classifier, truth, cells if isinstance(units, RowUnits) else None)
        settings["classes"] = classes if classifier is None else len(classifier.class_names)
    if isinstance(units, SeriesUnits) and issubclass(maker, SeriesVAE):
        settings["shape"] = units.shape
    if "classifier" in own:
        assert classifier is not None
        more["classifier"] = classifier
        sees["features"] = torch.cat([classifier.features(part) for part in x.split(BATCH)])
    if isinstance(units, TableUnits) and "blocks" in own:
        settings["blocks"] = units.blocks
        settings |= {"gates": units.opens} if "gates" in own and units.opens else {}
        bounds: dict[str, Any] = {"low": units.low, "high": units.high, "held": units.held}
        more, sees = more | bounds, sees | bounds

    def made() -> Manifold:
        shown = {"progress": progress} if "progress" in own or "_" in own else {}
        return maker.fit(x, **more, **settings, **shown)

    return _kept(maker, name, settings, sees, made)


def dimensions_of(x: Tensor, size: int, most: int) -> int:
    """Latent dimensions by default: half the `size` of the data or, if that is more, as many principal components as hold
    `KEPT` of the variance of x (N, \\*data_shape), but at most `most`.

    With fewer, the decoder leaves out what tells a rare class from the others, and no frame is of that class.
    """
    half = size if size < 4 else max(2, size // 2)
    if half >= most:
        return most
    flat = x.flatten(1).double()
    variance = torch.linalg.eigvalsh(torch.cov(flat.T).reshape(flat.shape[1], -1)).flip(0).cumsum(0)
    return min(most, max(half, int((variance < KEPT * variance[-1]).sum()) + 1))


def batch_of(rows: int, usual: int) -> int:
    """Rows in a minibatch of a fit: `usual`, doubled while `LEAST_EPOCHS` passes take more than `MOST_FIT_STEPS` steps, up to
    `LARGEST_BATCH`."""
    batch = usual
    while batch < LARGEST_BATCH and LEAST_EPOCHS * rows > MOST_FIT_STEPS * batch:
        batch *= 2
    return batch


def epochs_of(rows: int, batch: int) -> int:
    """Passes over the rows: so many that a fit takes `FIT_STEPS` steps, but at least `LEAST_EPOCHS` and at most 600."""
    return int(np.clip(FIT_STEPS * batch / rows, LEAST_EPOCHS, 600))


def _kept(
    maker: type[Manifold],
    name: str,
    settings: Mapping[str, Any],
    sees: Mapping[str, Tensor | None],
    made: Callable[[], Manifold],
) -> Manifold:
    """`made()`, from the cache for kinds of this library: the code of a user's own class is not part of the key.

    Raises:
        ManifoldError: settings that JSON cannot hold.
    """
    if maker not in MANIFOLDS.values():
        return made()
    try:
        key = fit_key(name, settings, sees)
    except TypeError as error:
        raise ManifoldError(f"the settings of a fit are numbers, names and lists: {error}") from error
    return kept_fit(key, made)


def labels_of(x: Tensor, classifier: Classifier | None, truth: Tensor | None, cells: Tensor | None = None) -> Tensor:
    """Labels (N,) for the head of a joint manifold: the classifier's, or else the true classes."""
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
    """(manifold, codes of x or None) of a user's object; `named`: its ``module:object`` name, or the object."""
    if isinstance(found, Manifold) or (isinstance(found, type) and issubclass(found, Manifold)):
        return found, None
    function = callable(found) and not isinstance(found, torch.nn.Module) and not hasattr(found, "decoder")
    if function and latent_dim is not None:  # a function that makes a generator, or something else
        made = found()
        if isinstance(made, Manifold):
            return made, None
        found = made if isinstance(made, torch.nn.Module) and not hasattr(made, "decoder") else found
    pair = isinstance(found, tuple | list) or any(hasattr(found, a) and hasattr(found, b) for a, b in PARTS)
    if pair or (callable(found) and not isinstance(found, torch.nn.Module)):  # or a function that makes one
        return Pair.of(named, x, modality=units.modality), None
    if not isinstance(found, torch.nn.Module):
        return found, None
    if latent_dim is None:
        raise ManifoldError(f"pass latent_dim=, the number of values in a code of {type(found).__name__}")
    output = "unit" if units.modality == "image" else "plain"
    generator = Generator(found, latent_dim, units.data_shape, modality=units.modality, output=output)
    with torch.no_grad():
        codes = torch.cat([generator.invert(part).z for part in x.split(BATCH)])
    generator.remember_codes(codes)
    return generator, codes
