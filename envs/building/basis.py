"""The navigation basis of a config: its directions, and the manifold that is walked in them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.config import WorldConfig
from envs.core.reference_data import BATCH
from envs.core.registry import find
from envs.errors import ManifoldError
from envs.manifolds import Manifold, Navigated
from envs.manifolds.basis import BASES, Basis, Encoded, directions_of, share_of_movement
from envs.runtime.progress import on_terminal

DIRECTIONS = 16  # of a basis by default


def check_basis(config: WorldConfig) -> None:
    """Refuse a basis that does not exist, and settings that need one or exclude it.

    Raises:
        UnknownNameError, ManifoldError: no such basis; a number of directions without one; one together with distractors.
    """
    if config.basis is None and config.basis_dim is not None:
        raise ManifoldError(
            f"basis_dim={config.basis_dim} is the number of directions of a basis: pass basis=, such as 'principal'"
        )
    if config.basis is not None and config.distractors:
        raise ManifoldError(f"distractors={config.distractors} and a basis exclude each other: leave one out")
    if config.basis is not None:
        find_basis(config.basis)


def find_basis(basis: Any) -> Any:
    """The `Basis`, function or directions of a config's ``basis``.

    Raises:
        UnknownNameError, ManifoldError: no such basis, or directions that are not array of numbers.
    """
    found = find("basis", basis, BASES, ["module:object", "directions (k, d)"])
    if isinstance(found, Basis) or callable(found):
        return found
    try:
        directions = np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError):
        directions = np.zeros(0)
    if directions.ndim != 2:
        raise ManifoldError(f"basis={basis!r}: give a name ({', '.join(BASES)}), a function, or directions (k, d) of numbers")
    return directions


def navigated(
    manifold: Manifold, x: Tensor, codes: Tensor | None, config: WorldConfig, labels: Callable[[], Tensor], progress: bool
) -> tuple[Navigated, Tensor]:
    """The manifold that is walked in the basis of a config, and the coordinates (N, k) of the data.

    Args:
        manifold: of the full codes.
        x: (N, \\*data_shape) data in data space.
        codes: (N, d) their full codes; None: encoded here.
        config: its basis and basis_dim.
        labels: gives the classes (N,) of the data, for bases that need them.
        progress: print on a terminal what share of the movement between the data the basis reaches.

    Raises:
        ManifoldError: a basis that does not fit the manifold.
    """
    with torch.inference_mode():
        codes = torch.cat([manifold.encode(part) for part in x.split(BATCH)]) if codes is None else codes
        basis, d = find_basis(config.basis), manifold.latent_dim
        given = len(basis) if not callable(basis) and not isinstance(basis, Basis) else min(DIRECTIONS, d)
        whole = Navigated(manifold, config.basis_dim or given, getattr(basis, "local", False))
        directions = directions_of(basis, Encoded(manifold, codes, labels), whole.dimensions)
        whole.directions.copy_(directions)
        whole.centre.copy_(codes.mean(0))
        whole.share.fill_(share_of_movement(manifold, codes, directions))
        coordinates = whole.keep(x, codes)
        whole.remember_codes(coordinates)
    if on_terminal(progress):
        name = config.basis if isinstance(config.basis, str) else "given"
        share = f"reach {100 * whole.reach:.0f} % of the movement between the data"
        print(f"basis {name}: {whole.dimensions} of {d} directions {share}", file=sys.stderr)
    return whole, coordinates
