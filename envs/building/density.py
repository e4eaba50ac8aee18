"""The density of codes that a config asks for, fitted to the codes of the data."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from envs.config import WorldConfig
from envs.core.reference_data import BATCH
from envs.core.registry import find
from envs.errors import ManifoldError
from envs.manifolds import Manifold
from envs.manifolds.density import DENSITIES


def find_density(config: WorldConfig) -> Any:
    """What the config's ``typicality`` is taken from; None: the manifold's own.

    Raises:
        UnknownNameError, ManifoldError: no such density, one that cannot be fitted, or one together with distractors.
    """
    if config.typicality is None:
        return None
    found = find("typicality", config.typicality, DENSITIES, ["module:object"])
    if found is not None and not callable(getattr(found, "fit", None)):
        raise ManifoldError(
            f"typicality={config.typicality!r} has no fit(codes, seed=, progress=): "
            f"give a name ({', '.join(DENSITIES)}) or an object that has it"
        )
    if found is not None and config.distractors:
        raise ManifoldError(
            f"distractors={config.distractors} and typicality={config.typicality!r} exclude each other: leave one out"
        )
    return found


def with_density(
    manifold: Manifold, x: Tensor, codes: Tensor | None, config: WorldConfig, progress: bool
) -> tuple[Manifold, Tensor | None]:
    """The manifold with the density of a config, and the codes of the data; a saved manifold that has a density keeps it.

    Args:
        manifold: of the world, with its basis.
        x: (N, \\*data_shape) data in data space.
        codes: (N, d) their codes; None: encoded here.
        config: its typicality and seed.
        progress: show the fit on a terminal.

    Raises:
        ManifoldError: too few codes, or too many coordinates.
    """
    density = find_density(config)
    if density is None or manifold.density is not None:
        return manifold, codes
    with torch.inference_mode():
        codes = torch.cat([manifold.encode(part) for part in x.split(BATCH)]) if codes is None else codes
    return manifold.with_density(density.fit(codes, seed=config.seed, progress=progress)), codes
