"""From the config to the raw data, their units and their classes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from envs.assets import ASSETS
from envs.classifiers.adapters import is_name, loaded, predicts_a_score
from envs.config import WorldConfig
from envs.datasets import DATASETS, FROM_FILES, Data, NumberUnits, SeriesUnits, TableUnits, Units, load_csv, load_npz
from envs.datasets.corpora import is_corpus, read_corpus
from envs.datasets.series import is_ts, load_series_csv, load_ts
from envs.datasets.tables import describe_rows
from envs.errors import ManifoldError, UnknownNameError
from envs.modalities.columns import read_description
from envs.modalities.data_frame import Frame, in_order, index_of, is_frame, is_numeric, read_frame
from envs.modalities.fitting import fit_units
from envs.modalities.rows import column_names
from envs.modalities.series import guessed_series, seems_series
from envs.modalities.text import is_text
from envs.reading.objects import load_object

MODALITIES = ("series", "image")  # that can be declared
PIXELS = ("pixel_range", "pixel_mean", "pixel_std", "channels")  # settings of pictures


def gathered(config: WorldConfig) -> tuple[Data, str | None]:
    """The raw data of a config, and the name of their data set if the shipped assets belong to them (else None).

    Raises:
        ManifoldError: no such data, or settings that do not fit them.
    """
    data, folder, columns, target, seed = config.data, config.data_dir, _columns_of(config), config.target_column, config.seed
    if is_corpus(data, config.text_column):
        data, target = read_corpus(data, config.text_column, target, config.encoding), None
    key = None
    described = isinstance(columns, str | Path | Mapping)
    if folder is not None and not (isinstance(data, str) and data in FROM_FILES):
        raise ManifoldError(f"data_dir= is for data={' or '.join(map(repr, FROM_FILES))}, not for data={data!r:.60}")
    if config.modality is not None and config.modality not in MODALITIES:
        raise UnknownNameError("modality", config.modality, MODALITIES)
    if is_ts(data):
        data = load_ts(data, seed)
    elif config.modality == "series" and isinstance(data, str | Path) and str(data).lower().endswith((".csv", ".tsv")):
        data, target = load_series_csv(data, target, seed, encoding=config.encoding), None
    elif isinstance(data, str | Path) and str(data).lower().endswith((".csv", ".tsv")):
        if columns is not None and not described:
            raise ManifoldError("a .csv file has column names; columns= takes their description, a file or a mapping")
        data, described, columns = (
            load_csv(
                data,
                columns,
                target,
                seed,
                encoding=config.encoding,
                scored=predicts_a_score(config.classifier, config.outputs),
            ),
            False,
            None,
        )
    elif target is not None:
        raise ManifoldError(f"target_column {target!r} belongs to a .csv file; give the classes of other data as truth=")
    if isinstance(data, str):
        if data in DATASETS:
            split = data in ASSETS and not ASSETS[data].fixed_split  # the assets belong to the split of seed 0
            key = data if seed == 0 or not split else None
            data = DATASETS[data](seed=seed, **({"data_dir": folder} if data in FROM_FILES else {}))
        elif data.endswith(".npz"):
            data = load_npz(data)
        elif ":" in data:
            data = _uncalled(data, load_object(data))
        else:
            raise UnknownNameError(
                "data set", data, [*DATASETS, "FILE.csv", "FILE.npz", "FILE.txt", "FILE.ts", "module:object"]
            )
    parts, held_out = data if isinstance(data, Data) else Data(data), config.held_out
    if config.modality == "series" and is_frame(parts.x):  # its columns are the points
        parts = parts._replace(x=np.asarray(parts.x, dtype=np.float64))
        held_out = np.asarray(held_out, dtype=np.float64) if is_frame(held_out) else held_out
    if is_frame(parts.x):
        parts, columns, described = _of_frame(parts, held_out, columns, described)
        held_out = None
    try:
        parts = parts._replace(x=np.asarray(parts.x))
    except ValueError as error:
        raise ManifoldError(f"the data must be an array, each row as long as the others: {error}") from error
    if (parts.x.ndim < 2 and not is_text(parts.x)) or len(parts.x) < 2:
        raise ManifoldError(f"data need at least two rows and two axes (rows, values); got shape {parts.x.shape}")
    if described and parts.table is None:
        parts = parts._replace(table=describe_rows(parts.x, parts.columns, columns))
        columns = [column.name for column in parts.table.columns]
    more = {name: getattr(config, name) for name in ("truth", "class_names", "data_shape", "channels", "modality", "sampling")}
    more |= {"columns": columns, "held_out": held_out}
    for name in ("pixel_range", "pixel_mean", "pixel_std"):
        more[name] = None if getattr(config, name) is None else tuple(getattr(config, name))
    parts = parts._replace(**{k: v for k, v in more.items() if v is not None})
    if parts.truth is not None and len(parts.truth) != len(parts.x):
        raise ManifoldError(f"truth holds {len(parts.truth)} classes for {len(parts.x)} rows of data")
    return parts, key


def _columns_of(config: WorldConfig) -> Any:
    """The columns of a config, with its dates in their description.

    Raises:
        ManifoldError: dates beside a list of names.
    """
    if not config.dates:
        return config.columns
    if config.columns is not None and not isinstance(config.columns, str | Mapping):
        raise ManifoldError("dates= with a list of column names: describe the columns, columns={name: {kind: date}, ...}")
    described = read_description({} if config.columns is None else config.columns)
    for name, unit in config.dates.items():
        described["columns"][name] = {**described["columns"].get(name, {}), "kind": "date", "unit": unit}
    return read_description(described)


def _uncalled(name: str, found: Any) -> Any:
    """The object behind a name of data. It must be the rows: objects named as data are never called.

    Raises:
        ManifoldError: it is callable.
    """
    if callable(found):
        raise ManifoldError(
            f"data {name!r} is callable, and data are never called: name the rows that it returns, "
            f"for example by a line rows = {name.partition(':')[2]}() in that module, and --data {name.partition(':')[0]}:rows"
        )
    return found


def units_of(parts: Data, classifier: Any = None) -> Units:
    """The units of the data.

    Args:
        parts: the raw data. Described columns make a mixed table.
        classifier: columns without names take the names that it was fitted to.

    Raises:
        ManifoldError: settings of pictures, for a table.
    """
    pixels = {name: getattr(parts, name) for name in PIXELS}
    rows = np.asarray(parts.x)
    if (series := _series_units(parts, rows)) is not None:
        return series
    if parts.table is None and len(rows.shape[1:] if parts.data_shape is None else parts.data_shape) > 1:
        return fit_units(rows, parts.data_shape, parts.columns, more=parts.held_out, **pixels)
    refuse_pixels(parts)
    if parts.table is not None:
        more = None if parts.held_out is None else np.asarray(parts.held_out, dtype=object)
        units = TableUnits.of_table(np.asarray(parts.x, dtype=object), parts.table, frame=parts.frame, more=more)
        if parts.own is not None:
            units.ignored = [name for name in read_frame(parts.own)[1].names if name not in units.columns]
        return units
    if rows.ndim != 2:
        return fit_units(rows, parts.data_shape, parts.columns)
    names = parts.columns
    if names is None and classifier is not None and (not isinstance(classifier, str) or is_name(classifier)):
        known = column_names(loaded(classifier))
        names = known if known is not None and len(known) == rows.shape[1] else None
    return NumberUnits.of_rows(parts.x, names, parts.frame)


def _series_units(parts: Data, rows: np.ndarray) -> SeriesUnits | None:
    """The units of series, declared or guessed; None for other data. A guess is printed."""
    shape = rows.shape[1:] if parts.data_shape is None else tuple(parts.data_shape)
    if parts.modality is None and (parts.table is not None or any(getattr(parts, name) is not None for name in PIXELS)):
        return None
    guessed = parts.modality is None and guessed_series(shape, rows.dtype)
    if not guessed and parts.modality != "series":
        if parts.sampling is not None:
            raise ManifoldError(f"sampling={parts.sampling!r} belongs to series: pass modality='series', or leave it out")
        if parts.modality is None and parts.columns is None and seems_series(rows):
            print(
                f"rows of {rows.shape[1]} numbers without column names are taken for a table, although neighbours are alike; "
                "--modality series (modality='series') takes them for series",
                file=sys.stderr,
            )
        return None
    refuse_pixels(parts)
    if parts.table is not None:
        raise ManifoldError("modality='series' and a described table: give series as an array, a .csv or a .ts file")
    units = SeriesUnits.of_series(rows, shape, parts.columns, parts.sampling)
    if guessed:
        print(
            f"rows of shape {shape} are taken for series: {units.shape[0]} channel{'' if units.shape[0] == 1 else 's'} of "
            f"{units.shape[1]} points; --modality image (modality='image') takes them for pictures",
            file=sys.stderr,
        )
    return units


def refuse_pixels(parts: Data) -> None:
    """Refuse settings of pictures for other data.

    Raises:
        ManifoldError: there are some.
    """
    for name in PIXELS:
        if (value := getattr(parts, name)) is not None:
            raise ManifoldError(
                f"{name}={value!r} belongs to pictures; data of shape {np.shape(parts.x)} are not pictures: leave it out, or "
                "pass data_shape=(height, width) for flat pictures"
            )


def _of_frame(parts: Data, held_out: Any, columns: Any, described: bool) -> tuple[Data, Any, bool]:
    """Rows and columns of a data frame; columns that are not all numbers are described.

    Args:
        parts: the raw data, whose x is the frame.
        held_out: of the config.
        columns: names or description of the columns, see `WorldConfig.columns`.
        described: whether `columns` is a description.

    Returns:
        The raw data; the column names or None; and whether a description is still to be applied.

    Raises:
        ManifoldError: other names than in `columns`, or a frame that no world can be built from.
    """
    cells, frame = read_frame(parts.x)
    if columns is not None and not described and sorted(map(str, columns)) != sorted(frame.names):
        raise ManifoldError(f"columns={list(columns)}, but the data frame has the columns {frame.names}: leave columns= out")
    later = parts.held_out if held_out is None else held_out
    own: Any = parts.x
    new: Any = later
    labels = None if new is None else (index_of(new) if is_frame(new) else None) or range(len(new))
    parts = parts._replace(labels=index_of(own) or range(len(own)), held_out_labels=labels)
    later = None if later is None else in_order(later, frame.names, True)
    given = columns if described else {}
    if not described and is_numeric(cells, frame):
        return parts._replace(x=cells, held_out=later, columns=frame.names, frame=frame, own=parts.x), None, False
    known = cells if later is None else np.concatenate([cells, np.asarray(later, dtype=object)])
    table = describe_rows(known, frame.names, given, partial=True)
    kept = [frame.names.index(column.name) for column in table.columns]
    parts = parts._replace(
        x=cells[:, kept],
        held_out=None if later is None else np.asarray(later, dtype=object)[:, kept],
        columns=[column.name for column in table.columns],
        table=table,
        frame=Frame(tuple(frame.labels[j] for j in kept), tuple(frame.dtypes[j] for j in kept), frame.backend),
        own=parts.x,
    )
    return parts, None, False


def classes_of(truth: Any) -> torch.Tensor | None:
    """True classes (N,) int64, or None if they are not whole numbers."""
    if truth is None or not np.issubdtype(np.asarray(truth).dtype, np.integer):
        return None
    return torch.as_tensor(np.asarray(truth), dtype=torch.long)
