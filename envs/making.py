"""From JSON-able arguments to a `World`: the keys and names of the registered ids, or the user's own parts."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from envs.assets import ASSETS
from envs.classifiers import adapt, load_object
from envs.datasets import DATASETS, Data, Units, load_npz
from envs.errors import ManifoldError, UnknownNameError
from envs.manifolds import PCA, VAE, Manifold
from envs.registration import spec_kwargs
from envs.tasks import TASKS, Task, Weights
from envs.world import Examples, World, make_starts

FITS: dict[str, Any] = {"vae": VAE, "pca": PCA}
FIT_STEPS = 6000  # gradient steps of a VAE fitted on the fly: what the digits take, a few seconds
# What a training run may set of a world that stands already; the rest are its parts.
NUMBERS = ("tau", "step", "max_step", "gamma", "max_episode_steps")
PARTS = ("data", "classifier", "manifold", "held_out")
SETTINGS = ("task", "tau", "reward", "move", "step", "max_step", "compass", "gamma", "max_episode_steps")


def make_world(
    *,
    data: Any = "iris",
    classifier: Any = None,
    manifold: Any = None,
    held_out: Any = None,
    truth: Any = None,
    class_names: Sequence[Any] | None = None,
    columns: Sequence[str] | None = None,
    data_shape: Sequence[int] | None = None,
    input_shape: Sequence[int] | None = None,
    label_only: bool = False,
    latent_dim: int | None = None,
    task: str | Task = "reach",
    tau: float | None = None,
    reward: Mapping[str, float] | None = None,
    move: str | None = None,
    step: float | None = None,
    max_step: float | None = None,
    compass: bool | None = None,
    gamma: float | None = None,
    max_episode_steps: int | None = None,
    seed: int = 0,
    progress: bool = False,
    live: bool = False,
) -> World:
    """Build a world. Everything may be given by name, so that a saved run finds it again; live objects work too.

    Args:
        data: ``digits``, ``iris``, an .npz file (see `envs.datasets.arrays.load_npz`), ``module:object``, a `Data`, or raw
            rows (N, ...) in the user's units; rows with more than one axis are pictures in [0, 1].
        classifier: an asset's name, ``module:object``, or a live one (see `envs.classifiers.adapt`). Default: the asset that
            belongs to the data.
        manifold: an asset's name, ``vae`` or ``pca`` (fitted to the data), a folder that `Manifold.save` wrote, or a live
            one. Default: the asset that belongs to the data, else ``vae``.
        held_out, truth: more raw rows to be explained; the true classes of `data`.
        class_names, columns: names for people.
        data_shape: shape of a picture where rows are flat.
        input_shape: shape of one input of the classifier where it is not that of the data.
        label_only: the classifier shows labels alone.
        latent_dim: d of a fitted manifold.
        task, tau, reward: see `envs.tasks`; `reward` overrides single weights.
        move: a key of `envs.moves.MOVES`; ``euclidean`` if nothing is said.
        step, max_step: median and largest length of a full action's step, as shares of the class distance: an eighth, and 0
            (no bound), if nothing is said.
        compass, gamma, max_episode_steps: see `World`; off, 0.98 and 20 if nothing is said.
        seed: of the split and the fits.
        progress: show fits.
        live: marks the `World.spec` of a world built from live objects; refused here, for what is missing cannot be guessed.

    Raises:
        ManifoldError: whatever does not fit together, with the way out.
    """
    if live:
        raise ManifoldError(
            "this spec is of a world that was built from live objects, which JSON cannot hold: "
            "pass those objects again, without live="
        )
    given = {k: v for k, v in locals().items() if k not in ("progress", "live") and _differs(v, _DEFAULTS[k])}
    parts, key = _data(data, held_out, truth, class_names, columns, data_shape, seed)
    units = Units.of(np.asarray(parts.x), parts.data_shape, parts.columns)
    x = units.inward(parts.x)
    asset = ASSETS.get(key) if key else None
    if classifier is None:
        if asset is None:
            why = (
                f" (the shipped one belongs to the split of seed 0, not {seed})"
                if isinstance(data, str) and data in ASSETS
                else ""
            )
            raise ManifoldError(f"pass classifier=: a module:object name, or anything with predict_proba{why}")
        classifier = asset.classifier(parts, seed)
    elif isinstance(classifier, str) and classifier in ASSETS:
        classifier = ASSETS[classifier].classifier(parts if key == classifier else DATASETS[classifier](), 0)
    adapted = adapt(
        classifier,
        data_shape=units.data_shape,
        units=units,
        class_names=class_names if class_names is not None else _names(parts, classifier),
        input_shape=input_shape,
        label_only=label_only or task == "reach_label",
    )
    model, codes = _manifold(manifold, asset, x, units, latent_dim, seed, progress)
    starts = make_starts(model, adapted, x, codes)
    examples = Examples(
        x if parts.held_out is None else units.inward(parts.held_out),
        _classes(parts.truth if parts.held_out is None else parts.held_out_truth),
    )
    world = World(model, adapted, units, starts, _task(task, None, None), examples, spec=_spec(given))
    return configure(world, **{name: value for name, value in given.items() if name in SETTINGS and name != "task"})


def make_world_named(env_id: str, arguments: Mapping[str, Any], progress: bool = False) -> World:
    """The world of a registered id with further arguments, as a command line gives them.

    Raises:
        UnknownNameError: no such id or argument; close names are offered.
        ManifoldError: the id has data, classifier and manifold of its own.
    """
    own = spec_kwargs(env_id)
    for name in arguments:
        if name not in _DEFAULTS:
            raise UnknownNameError("argument of the environment", name, _DEFAULTS)
        if name in PARTS and env_id != "Manifold/Custom-v0":
            raise ManifoldError(f"{name} belongs to Manifold/Custom-v0; {env_id} has its own: leave the id or {name} out")
    return make_world(**{**own, **arguments, "progress": progress})


def configure(world: World, **settings: Any) -> World:
    """The world with other `SETTINGS`; what is not named, or None, stays as it is.

    Raises:
        UnknownNameError, ManifoldError: no such setting, or a value that it cannot have.
    """
    for name in settings:
        if name not in SETTINGS:
            raise UnknownNameError("setting", name, SETTINGS)
    settings = {name: value for name, value in settings.items() if value is not None}
    for name in NUMBERS:
        if isinstance(settings.get(name, 1), bool) or not isinstance(settings.get(name, 1), int | float):
            raise ManifoldError(f"{name} is a number, not {settings[name]!r}")
    if not isinstance(settings.get("compass", False), bool):
        raise ManifoldError(f"compass is true or false, not {settings['compass']!r}")
    named = settings.get("task", world.task.name)
    same = isinstance(named, str) and named == world.task.name
    task = _task(world.task if same else named, settings.get("tau"), settings.get("reward"))
    changes: dict[str, Any] = {
        name: settings[name] for name in ("step", "compass", "gamma", "max_episode_steps") if name in settings
    }
    if "move" in settings:
        changes["move_name"] = settings["move"]
    if "step" in settings and not settings["step"] > 0:
        raise ManifoldError(f"step is a positive share of the class distance, not {settings['step']}")
    if "max_step" in settings:
        share = settings["max_step"]
        if not share >= 0:
            raise ManifoldError(f"max_step is a share of the class distance, 0 for no bound, not {share}")
        changes["max_step"] = share * world.class_distance if share else None
    # Another task begins with its own tau and weights; the same one keeps what it was told before.
    spec = {name: value for name, value in world.spec.items() if same or name not in ("tau", "reward")}
    told = _spec(settings)
    if told.get("reward"):
        told["reward"] = {**(spec.get("reward") or {}), **told["reward"]}
    return world.replace(task=task, **changes, spec={**spec, **told})


def _data(data: Any, held_out: Any, truth: Any, names: Any, columns: Any, shape: Any, seed: int) -> tuple[Data, str | None]:
    """The raw data, and the asset key where they belong to one."""
    key = None
    if isinstance(data, str):
        if data in DATASETS:
            key = data if seed == 0 else None
            data = DATASETS[data](seed=seed)
        elif data.endswith(".npz"):
            data = load_npz(data)
        elif ":" in data:
            data = load_object(data)
            data = data() if callable(data) else data
        else:
            raise UnknownNameError("data set", data, [*DATASETS, "FILE.npz", "module:object"])
    try:
        parts = data._replace(x=np.asarray(data.x)) if isinstance(data, Data) else Data(np.asarray(data))
    except ValueError as error:
        raise ManifoldError(f"the data must be an array, each row as long as the others: {error}") from error
    if parts.x.ndim < 2 or len(parts.x) < 2:
        raise ManifoldError(f"data need at least two rows and two axes (rows, values); got shape {parts.x.shape}")
    more = {"held_out": held_out, "truth": truth, "class_names": names, "columns": columns, "data_shape": shape}
    parts = parts._replace(**{k: v for k, v in more.items() if v is not None})
    if parts.truth is not None and len(parts.truth) != len(parts.x):
        raise ManifoldError(f"truth holds {len(parts.truth)} classes for {len(parts.x)} rows of data")
    return parts, key


def _names(parts: Data, classifier: Any) -> Sequence[Any] | None:
    """The data's class names, unless the classifier knows its own."""
    known = getattr(load_object(classifier) if isinstance(classifier, str) else classifier, "classes_", None)
    if known is None or (parts.class_names is not None and list(known) == list(range(len(parts.class_names)))):
        return parts.class_names
    return None


def _classes(truth: Any) -> torch.Tensor | None:
    """True classes as int64 (N,), where they are numbers."""
    if truth is None or not np.issubdtype(np.asarray(truth).dtype, np.integer):
        return None
    return torch.as_tensor(np.asarray(truth), dtype=torch.long)


def _manifold(
    manifold: Any, asset: Any, x: torch.Tensor, units: Units, latent_dim: int | None, seed: int, progress: bool
) -> tuple[Manifold, torch.Tensor | None]:
    """The manifold, and the codes of x where they are shipped with it."""
    if manifold is None and asset is not None and latent_dim is None:
        return asset.manifold()
    if manifold is None:
        manifold = "vae"
    if isinstance(manifold, str) and manifold in ASSETS:
        name = manifold
        manifold, codes = ASSETS[name].manifold()
        if asset is not None and asset.manifold is ASSETS[name].manifold:
            return manifold, codes
    if isinstance(manifold, str | Path):
        if str(manifold) in FITS:
            size = int(np.prod(units.data_shape))
            d = latent_dim if latent_dim is not None else min(8, size if size < 4 else max(2, size // 2))
            epochs = int(np.clip(FIT_STEPS * 32 / len(x), 10, 600))
            fit = FITS[str(manifold)].fit
            return fit(x, latent_dim=d, modality=units.modality, epochs=epochs, seed=seed, progress=progress), None
        if not Path(manifold).is_dir():
            raise UnknownNameError("manifold", manifold, [*FITS, *ASSETS, "a folder that Manifold.save wrote"])
        manifold = Manifold.load(manifold)
    if not isinstance(manifold, Manifold):
        raise ManifoldError(f"manifold= takes a name or a Manifold, not a {type(manifold).__name__}")
    if tuple(manifold.data_shape) != tuple(units.data_shape):
        raise ManifoldError(f"the manifold makes data of shape {manifold.data_shape}, the data have {units.data_shape}")
    return manifold, None


def _task(task: str | Task, tau: float | None, reward: Mapping[str, float] | None) -> Task:
    """The task, by name or as it is, with tau and single weights replaced."""
    if isinstance(task, str):
        if task not in TASKS:
            raise UnknownNameError("task", task, TASKS)
        task = TASKS[task]()
    if tau is not None:
        task = replace(task, tau=tau)
    unknown = set(reward or {}) - set(asdict(Weights()))
    if unknown:
        raise UnknownNameError("reward weight", sorted(unknown)[0], asdict(Weights()))
    return replace(task, weights=replace(task.weights, **reward)) if reward else task


def _differs(value: Any, default: Any) -> bool:
    """Whether a value is no default: by value, so that a spec that went through JSON is the same spec."""
    plain = str | int | float | bool | None.__class__
    return not (value is default or (isinstance(value, plain) and isinstance(default, plain) and value == default))


def _spec(given: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON-able arguments; objects that JSON cannot hold are left out and said to be live."""
    spec: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, str | int | float | bool | None.__class__):
            spec[name] = value
        elif isinstance(value, Mapping) or (
            isinstance(value, list | tuple) and all(isinstance(v, str | int | float) for v in value)
        ):
            spec[name] = dict(value) if isinstance(value, Mapping) else list(value)
        elif isinstance(value, Path):
            spec[name] = str(value)
        else:
            spec["live"] = True
    return spec


_DEFAULTS = {name: parameter.default for name, parameter in inspect.signature(make_world).parameters.items()}
