"""What paths need of their world: decoded frames, coordinates, and a key that identifies the manifold."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np

from agents.constraints import KEY, constraints_of
from agents.trajectories.file import TrajectoryError

if TYPE_CHECKING:
    from envs.core.factual import Factual


class FromInput(Protocol):
    """A path that knows the input that it began at."""

    def factual(self, world: Any) -> Factual:
        """The input as frames are made of it, a batch of one."""
        ...


def decode(world: Any, z: np.ndarray, factual: Factual) -> np.ndarray:
    """Decode latents.

    Args:
        world: decodes.
        z: (N, d).
        factual: the input of the walk, or one for each latent; see `factual_of`.

    Returns:
        Frames (N, *data).
    """
    import torch

    home = factual.chosen(torch.zeros(len(z), dtype=torch.int64)) if len(factual.x) == 1 else factual
    return on_latents(lambda z: world.decode(z, home), z)


def factual_of(world: Any, x: np.ndarray, z0: np.ndarray, cells: np.ndarray | None) -> Factual:
    """The inputs x (N, *data) of walks with initial latents z0 (N, d) and, for tables, the user's own cells (N, C)."""
    import torch

    with torch.inference_mode():
        known = None if cells is None else torch.from_numpy(np.array(cells, dtype=np.float64))
        return world.factual_of(torch.from_numpy(np.array(x)), torch.from_numpy(np.array(z0, dtype=np.float32)), known)


def filled(world: Any, x: np.ndarray, cells: Any, hidden: Sequence[int]) -> np.ndarray:
    """Cells (1, C) with placeholders in the hidden columns, so that the others can be decoded. x is the encoded row (1, D)."""
    import torch

    usual, found = world.units.nearest(torch.from_numpy(x)).numpy(), np.array(cells)
    found[:, hidden] = usual[:, hidden]
    return found


def origins_of(world: Any, paths: Sequence[FromInput], repeats: Sequence[int] | None = None) -> Factual:
    """The inputs of many paths, each repeated `repeats` times (None: once)."""
    import torch

    found = [path.factual(world) for path in paths]
    parts = zip(*found, strict=True)
    together = type(found[0])(*(None if part[0] is None else torch.cat(part) for part in parts))  # type: ignore[arg-type]
    if repeats is None:
        return together
    return together.chosen(torch.arange(len(found)).repeat_interleave(torch.tensor(repeats)))


def encode(world: Any, x: np.ndarray) -> np.ndarray:
    """(N, *data) inputs -> (N, d) latents."""
    import torch

    with torch.inference_mode():
        return as_array(world.manifold.encode(torch.from_numpy(np.array(x))))


def coordinates(world: Any, z: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Coordinates (N, D) of data x (N, *data) with latents z (N, d), see `Manifold.coordinates`."""
    import torch

    with torch.inference_mode():
        return as_array(world.manifold.coordinates(*(torch.from_numpy(np.array(part)) for part in (z, x))))


def manifold_key(world: Any) -> str:
    """A key that identifies the manifold of a world: its kind, dimension, and the sha256 of settings and weights.

    It is kept, and computed again when a fingerprint of the settings and weights has changed.
    """
    manifold = world.manifold
    settings, bits = manifold.settings, _words(manifold)
    seen = settings, bits.size, int(bits.sum()), int(bits[1:] @ bits[:-1])  # sums of 64-bit words, which wrap around
    known = _keys.get(manifold)
    if known is not None and known[0] == seen:
        return known[1]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name, value in sorted(manifold.state_dict().items()):
        digest.update(name.encode() + as_array(value).tobytes())
    key = f"{manifold.kind}-{manifold.latent_dim}d-{digest.hexdigest()[:16]}"
    _keys[manifold] = seen, key
    return key


def _words(module: Any) -> np.ndarray:
    """The weights of a network as 64-bit words."""
    parts: list[Any] = []

    def collect(part: Any) -> None:  # without the names and hooks of `state_dict`, which take most of its time
        own = part.__dict__
        parts.extend(value for kind in ("_parameters", "_buffers") for value in own[kind].values() if value is not None)
        for inner in own["_modules"].values():
            if inner is not None:
                collect(inner)

    collect(module)
    flat = [as_array(value).astype(np.float32, copy=False).reshape(-1) for value in parts]
    odd = np.zeros(sum(part.size for part in flat) % 2, np.float32)
    return np.concatenate([odd, *flat]).view(np.uint64)


_keys: WeakKeyDictionary[Any, tuple[Any, str]] = WeakKeyDictionary()  # manifold -> fingerprint and key


def check_world(path: Any, world: Any) -> None:
    """See `Trajectory.check_world`."""
    if manifold_key(world) != path.manifold_key:
        raise TrajectoryError(
            f"this path was walked on the manifold {path.manifold_key!r}, this world has "
            f"{manifold_key(world)!r}: use the world in which it was walked ({path.world_settings})"
        )
    own, found = path.environment.get(KEY), constraints_of(world)
    if own != found:
        raise TrajectoryError(
            f"this path was walked with the constraints {own}, this world has {found}: use path.world, or "
            "agents.constraints.constrained(world, ...)"
        )
    if path.goal is not None and world.goal is not None and type(path.goal) is type(world.goal):
        return  # frames do not depend on the goal; what does takes the path's own, see `agents.trajectories.goal`
    if list(world.class_names) != path.class_names:
        raise TrajectoryError(f"the path has the classes {path.class_names}, the world {list(world.class_names)}")


def installed_versions() -> dict[str, str]:
    """Versions of the installed distributions that can change a path."""
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
    """Apply a function of tensors to latents (N, d); the result is a numpy array."""
    import torch

    with torch.inference_mode():
        return as_array(function(torch.from_numpy(np.array(z, dtype=np.float32))))


def as_array(value: Any) -> np.ndarray:
    """A tensor or array as a numpy array."""
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
