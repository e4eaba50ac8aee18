"""The one description of a world: every setting with its default, frozen, and through JSON in both directions.

::

    config = WorldConfig(data="digits", tau=0.8)
    world = make_world(config)                                    # world.config == config
    WorldConfig.from_json(config.to_json()) == config             # and so on in a file
    world.replace(move="arc").config == config.replace(move="arc")
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from envs.errors import ManifoldError, UnknownNameError
from envs.reading.checks import check_world_settings

ROWS = ("data", "held_out", "truth")  # fields of whole data sets: JSON holds names and flat lists, never nested ones
NAMES = ("class_names", "columns", "data_shape", "input_shape", "pixel_range")  # short lists, which may come as arrays
EXAMPLES = {"fit": "{'epochs': 10}", "reward": "{'distance': 1.0}"}
PATHS = ("data", "data_dir", "columns", "manifold")  # fields that may name a file or folder
LIVE = "live"  # the key of the JSON under which live objects are named


@dataclass(frozen=True)
class Live:
    """Takes the place of an object that JSON cannot hold, in a config that was read from JSON.

    Attributes:
        kind: what the object was, e.g. ``numpy.ndarray of shape (60, 4)``.
    """

    kind: str

    def __str__(self) -> str:
        return self.kind


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class WorldConfig:
    """Settings of a world: its data, classifier and manifold, and how walks in it move, are rewarded and end.

    Values are names, numbers, lists and mappings, so that a saved run builds the same world again; live objects (arrays,
    models) are taken too, and are marked in the JSON, which cannot hold them. None stands for the default that the text of
    the field names.

    Attributes:
        data: ``digits``, ``iris``, ``sentences``, ``mnist`` or ``omniglot`` (from files of the user's own), a .csv or .tsv (a
            mixed table, see `envs.datasets.tables`), an .npz file (see `envs.datasets.arrays.load_npz`), sentences in a .txt,
            .tsv or .jsonl (see `envs.datasets.corpora`), ``module:object``, a `Data`, a data frame (described by guesses
            where it is not all numbers), or raw rows (N, ...) in the user's units; rows with more than one axis are pictures,
            strings are sentences.
        data_dir: folder of the files of ``mnist`` and ``omniglot``; default: $MANIFOLD_DATA.
        classifier: an asset's name, ``module:object``, or a live one (see `envs.classifiers.adapt`). Default: the asset that
            belongs to the data; for a table with a target column, a small network fitted to it; for sentences with known
            classes, logistic regression on their words.
        manifold: ``vae``, ``conv_vae``, ``gan``, ``pca``, ``umap``, ``joint`` or ``embedding`` (fitted to the data, and kept
            in the user's cache folder), an asset's name, a folder that `Manifold.save` wrote, ``module:object`` or live
            objects: a `Manifold`, a pair of torch modules (encoder, decoder), or one module from codes (B, latent_dim) to
            data, entered by inversion (see `envs.manifolds.Generator`). Default: the asset that belongs to the data, else
            ``vae``. A joint manifold brings its own classifier where none is given.
        held_out: more raw rows, to be explained; default: those of the data set, else `data` itself.
        truth: the true classes (N,) of `data`, where its file does not hold them.
        class_names: names for people, one a class; default: those of the classifier or of the data.
        columns: names of a table's columns; or their description, a file or mapping (see `envs.modalities.columns`), which
            makes a mixed table of rows in memory, too.
        target_column: the column of a .csv, .tsv or .jsonl that holds the classes.
        text_column: the column of sentences; makes a corpus of a .csv, too.
        encoding: of a corpus, or of a table's file.
        data_shape: shape of a picture where rows are flat.
        pixel_range: lowest and highest value of a pixel, e.g. ``(0, 16)``; default: guessed from the type and the values of
            the pictures. The classifier is queried in these values and in the pictures' own type.
        channels: ``first`` or ``last``: where pictures have their channels; default: guessed from their shape.
        input_shape: shape of one input of the classifier where it is not that of the data. Pictures with their channels
            elsewhere are transposed.
        outputs: what a torch module gives, ``logits`` or ``probabilities``; default: noticed.
        label_only: the classifier shows labels alone; tasks that need this set it.
        latent_dim: d of a fitted manifold, or of the user's own generator; refused for one that is not fitted. Small: walks
            are easy and frames coarse. Default: half the size of the data, from 2 to 8.
        fit: settings of its fit, e.g. ``{"hidden": [256]}``; see the `fit` of each manifold.
        task: what a walk has to reach: a key of `envs.core.tasks.TASKS`, or a `Task`, whose settings are then those of its name.
            Default: ``flip`` (until the prediction changes) for the user's own data or classifier that shows probabilities;
            ``reach`` for shipped data with their own classifier, where labels alone are shown, and with `tau`.
        tau: the probability in (0, 1] at which a walk has arrived; higher: longer walks, surer ends. Default: the task's, 0.9.
        pair: of the task ``one_pair``: the rank of the start and its target in `World.reference.far_pairs`, 0 (default) is the hardest.
        reward: single weights over the task's own, e.g. ``{"distance": 1.0}``; see `envs.core.tasks.Weights`.
        move: how actions move codes: a key of `envs.core.moves.MOVES`; default: ``euclidean``.
        step: median length of a full action's step, as a share (> 0) of the class distance; default: an eighth. Small: fine
            paths of many steps.
        max_step: largest length of a step, as such a share; default: 0, no bound.
        compass: whether observations hold which way the known costs fall, see `envs.core.guidance`; default: False.
        gamma: discount in (0, 1] of the shaping potential; a training sets its own. Default: 0.98.
        max_episode_steps: the step limit, at least 1; default: 20.
        entry: where walks from inputs begin, see `envs.core.initial_latent`: at the ``code``, or, if its frame is called otherwise than the
            input, at the nearest candidate that keeps the class, ``kept``. Default: ``kept`` for sentences, else ``code``.
        seed: of the split and the fits.
        check_rows: how many rows are queried as the user has them and as walks know them, to see that the classifier is asked
            what it was fitted to (see `envs.core.round_trip`); fewer for slow classifiers, 0 for none.

    Raises:
        ManifoldError: a value of another type or outside its range. Names are checked when the world is built.
    """

    data: Any = "iris"
    data_dir: str | Path | None = None
    classifier: Any = None
    manifold: Any = None
    held_out: Any = None
    truth: Any = None
    class_names: Sequence[Any] | None = None
    columns: Any = None
    target_column: str | None = None
    text_column: str | None = None
    encoding: str = "utf-8"
    data_shape: Sequence[int] | None = None
    pixel_range: Sequence[float] | None = None
    channels: str | None = None
    input_shape: Sequence[int] | None = None
    outputs: str | None = None
    label_only: bool = False
    latent_dim: int | None = None
    fit: Mapping[str, Any] | None = None
    task: Any = None
    tau: float | None = None
    pair: int | None = None
    reward: Mapping[str, float] | None = None
    move: Any = None
    step: float | None = None
    max_step: float | None = None
    guidance: bool | None = None
    gamma: float | None = None
    max_episode_steps: int | None = None
    entry: Any = None
    seed: int = 0
    check_rows: int = 2000

    def __post_init__(self) -> None:
        for name in FIELDS:
            value = getattr(self, name)
            if name in NAMES and getattr(value, "ndim", None) == 1 and hasattr(value, "tolist"):
                value = value.tolist()
            self._put(name, _plain(value, nested=name not in ROWS))
        if not isinstance(self.task, type) and (named := getattr(self.task, "settings", None)) is not None:
            self._take_task(named())
        for name in ("fit", "reward"):
            self._check_mapping(name)
        check_world_settings({name: value for name in FIELDS if not isinstance(value := getattr(self, name), Live)})

    def _put(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _take_task(self, named: Mapping[str, Any]) -> None:
        """The settings of a task given as an object; what was set beside it goes before."""
        for name in ("task", "tau", "pair"):
            if name in named and (name == "task" or getattr(self, name) is None):
                self._put(name, named[name])
        if reward := {**named.get("reward", {}), **(self.reward or {})}:
            self._put("reward", reward)

    def _check_mapping(self, name: str) -> None:
        value, example = getattr(self, name), EXAMPLES[name]
        if value is not None and not isinstance(value, Mapping | Live):
            raise ManifoldError(
                f"{name} is a mapping of settings such as {example}, not {value!r}; "
                f'on a command line: --env-kwargs {name}:"{example}"'
            )

    @property
    def live(self) -> dict[str, str]:
        """The fields that JSON cannot hold, and what each is."""
        values = {name: getattr(self, name) for name in FIELDS}
        return {name: _kind(value) for name, value in values.items() if not _is_plain(value, nested=name not in ROWS)}

    def settings(self) -> dict[str, Any]:
        """The fields that differ from their defaults."""
        values = {name: getattr(self, name) for name in FIELDS}
        return {name: value for name, value in values.items() if not _same(value, DEFAULTS[name])}

    def replace(self, **settings: Any) -> Self:
        """A config with other settings.

        Single reward weights are laid over the present ones. Another task begins with its own tau, pair and weights.

        Raises:
            UnknownNameError, ManifoldError: no such setting, or a value that it cannot have.
        """
        refuse_unknown(settings)
        if not _same(settings.get("task", self.task), self.task):
            settings = {"tau": None, "pair": None, "reward": None, **settings}
        elif self.reward and isinstance(settings.get("reward"), Mapping):
            settings["reward"] = {**self.reward, **settings["reward"]}
        return dataclasses.replace(self, **settings)

    def to_json(self) -> dict[str, Any]:
        """Every field, as JSON holds it; live objects are left out and named under ``live``."""
        live = self.live
        values: dict[str, Any] = {name: getattr(self, name) for name in FIELDS if name not in live}
        return {**values, LIVE: live} if live else values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The config of a JSON object; a `Live` takes the place of each live object.

        Raises:
            UnknownNameError, ManifoldError: an unknown key, or a value that the field cannot have.
        """
        if not isinstance(values, Mapping):
            raise ManifoldError(f"the config of a world is a JSON object of settings, not {values!r:.60}")
        live = values.get(LIVE, {})
        if not isinstance(live, Mapping):
            raise ManifoldError(f"{LIVE!r} in the config of a world names its live objects in a JSON object, not {live!r:.60}")
        own = {name: value for name, value in values.items() if name != LIVE}
        refuse_unknown({**own, **live})
        return cls(**{**own, **{name: Live(str(kind)) for name, kind in live.items()}})

    def portable(self) -> Self:
        """The config with files and folders below the present folder as relative paths; other values as they are."""
        here, below = Path.cwd(), dict[str, Any]()
        for name in PATHS:
            path = getattr(self, name)
            if isinstance(path, str) and Path(path).is_relative_to(here):
                below[name] = str(Path(path).relative_to(here))
        return dataclasses.replace(self, **below)

    def refuse_missing(self) -> None:
        """Refuse to build a world whose live objects are not there.

        Raises:
            ManifoldError: the config was read from JSON, and an object is still to be put in; it says which.
        """
        missing = {name: kind for name, kind in self.live.items() if isinstance(getattr(self, name), Live)}
        if missing:
            objects = ", ".join(f"{name} ({kind})" for name, kind in missing.items())
            raise ManifoldError(
                f"this config is of a world that was built from live objects, which JSON cannot hold: {objects}. "
                f"Pass those objects again: make_world(config.replace({', '.join(f'{name}=...' for name in missing)}))"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WorldConfig):
            return NotImplemented
        return all(_same(getattr(self, name), getattr(other, name)) for name in FIELDS)

    __hash__ = None  # type: ignore[assignment]  # its lists and mappings have no hash

    def __repr__(self) -> str:
        live = self.live
        shown = (f"{n}=<{live[n]}>" if n in live else f"{n}={value!r}" for n, value in self.settings().items())
        return f"WorldConfig({', '.join(shown)})"


DEFAULTS: dict[str, Any] = {field.name: field.default for field in dataclasses.fields(WorldConfig)}
FIELDS = tuple(DEFAULTS)
# Settings that `World.replace` changes in a world that is built; the others made its parts.
SETTINGS = ("task", "tau", "pair", "reward", "move", "step", "max_step", "guidance", "gamma", "max_episode_steps", "entry")


def refuse_unknown(settings: Mapping[str, Any]) -> None:
    """Refuse names that are no fields of `WorldConfig`.

    Raises:
        UnknownNameError: the first such name, with the close ones.
    """
    for name in settings:
        if name not in DEFAULTS:
            raise UnknownNameError("setting of a world", name, FIELDS)


def _plain(value: Any, nested: bool = True) -> Any:
    """The value as JSON gives it back, where JSON can hold it: paths as text, tuples and arrays of names as lists, numbers of
    numpy and torch as Python's; anything else as it is."""
    if isinstance(value, Path):
        return str(value)
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    plain = value
    if isinstance(value, Mapping) and nested:
        plain = {name: _plain(part) for name, part in value.items()}
    elif type(value) in (list, tuple) and (nested or _is_flat(value)):
        plain = [_plain(part) for part in value]
    return plain if _is_plain(plain) else value  # a pair of modules, say, stays the object that it is


def _is_flat(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str | int | float) for value in values)


def _is_plain(value: Any, nested: bool = True) -> bool:
    """Whether JSON holds the value and gives back an equal one."""
    if isinstance(value, str | int | None.__class__):
        return True
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list):
        return all(map(_is_plain, value)) if nested else _is_flat(value)
    return isinstance(value, dict) and nested and all(isinstance(n, str) and _is_plain(part) for n, part in value.items())


def _same(a: Any, b: Any) -> bool:
    """Whether two values of a field are the same: equal if JSON holds both, else the same object."""
    return a is b or (_is_plain(a) and _is_plain(b) and a == b) or (isinstance(a, Live) and isinstance(b, Live) and a == b)


def _kind(value: Any) -> str:
    """What an object is, in a few words."""
    if isinstance(value, Live):
        return value.kind
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__.split('.')[0]}.{kind.__qualname__}"
    shape = getattr(value, "shape", None)
    return f"{name} of shape {tuple(shape)}" if isinstance(shape, tuple) else name
