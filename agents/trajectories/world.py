"""What paths take from the world they were walked in: frames, coordinates, and what tells worlds apart."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from envs.core.factual import Factual


class FromInput(Protocol):
    """A path that knows the input that it began at."""

    def factual(self, world: Any) -> Factual:
        """The input as frames are made of it, a batch of one."""
        ...


def decode(world: Any, z: np.ndarray, factual: Factual) -> np.ndarray:
    """(N, d) latents -> (N, *data) frames as a numpy array, of walks from one input or from one each; see `factual_of`."""
    import torch

    home = factual.chosen(torch.zeros(len(z), dtype=torch.int64)) if len(factual.x) == 1 else factual
    return on_latents(lambda z: world.decode(z, home), z)


def factual_of(world: Any, x: np.ndarray, z0: np.ndarray, cells: np.ndarray | None) -> Factual:
    """Inputs (N, *data) that walks entered at latents z0 (N, d), with the user's own cells (N, C)."""
    import torch

    with torch.inference_mode():
        known = None if cells is None else torch.from_numpy(np.array(cells, dtype=np.float64))
        return world.factual_of(torch.from_numpy(np.array(x)), torch.from_numpy(np.array(z0, dtype=np.float32)), known)


def origins_of(world: Any, paths: Sequence[FromInput], repeats: Sequence[int] | None = None) -> Factual:
    """The inputs of many paths, each as often as `repeats` says (once by default)."""
    import torch

    found = [path.factual(world) for path in paths]
    together = type(found[0])(*(torch.cat(part) for part in zip(*found, strict=True)))
    if repeats is None:
        return together
    return together.chosen(torch.arange(len(found)).repeat_interleave(torch.tensor(repeats)))


def encode(world: Any, x: np.ndarray) -> np.ndarray:
    """(N, *data) inputs -> (N, d) latents."""
    import torch

    with torch.inference_mode():
        return as_array(world.manifold.encode(torch.from_numpy(np.array(x))))


def coordinates(world: Any, z: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(N, D) where data x (N, *data) with latents z (N, d) lie, see `Manifold.coordinates`."""
    import torch

    with torch.inference_mode():
        return as_array(world.manifold.coordinates(*(torch.from_numpy(np.array(part)) for part in (z, x))))


def manifold_key(world: Any) -> str:
    """What tells a world's manifold from any other: its kind, dimension and the sha256 of its weights."""
    digest = hashlib.sha256(json.dumps(world.manifold.settings, sort_keys=True).encode())
    for name, value in sorted(world.manifold.state_dict().items()):
        digest.update(name.encode() + as_array(value).tobytes())
    return f"{world.manifold.kind}-{world.manifold.latent_dim}d-{digest.hexdigest()[:16]}"


def installed_versions() -> dict[str, str]:
    """Versions of the distributions that can change a path; those not installed are left out."""
    return dict(_versions())


@cache  # reading the metadata takes longer than walking
def _versions() -> dict[str, str]:
    found = {}
    for name in ("manifold-traversal", "gymnasium", "numpy", "scikit-learn", "stable-baselines3", "torch"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def on_latents(function: Any, z: np.ndarray) -> np.ndarray:
    """What a function of latents (N, d) gives, as a numpy array."""
    import torch

    with torch.inference_mode():
        return as_array(function(torch.from_numpy(np.array(z, dtype=np.float32))))


def as_array(value: Any) -> np.ndarray:
    """A tensor or array as a numpy array."""
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
