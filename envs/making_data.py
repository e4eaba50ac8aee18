"""From what the user said of the data to `Data`, their units and their classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from envs.assets import ASSETS
from envs.config import WorldConfig
from envs.datasets import DATASETS, FROM_FILES, Data, TableUnits, Units, load_csv, load_npz
from envs.datasets.corpora import is_corpus, read_corpus
from envs.datasets.tables import describe_rows
from envs.datasets.text_units import is_text
from envs.errors import ManifoldError, UnknownNameError
from envs.objects import load_object


def gathered(config: WorldConfig) -> tuple[Data, str | None]:
    """The raw data of a config, and the asset key where they belong to one."""
    data, folder, columns, target, seed = config.data, config.data_dir, config.columns, config.target_column, config.seed
    if is_corpus(data, config.text_column):
        data, target = read_corpus(data, config.text_column, target, config.encoding), None
    key = None
    described = isinstance(columns, str | Path | Mapping)
    if folder is not None and not (isinstance(data, str) and data in FROM_FILES):
        raise ManifoldError(f"data_dir= is for data={' or '.join(map(repr, FROM_FILES))}, not for data={data!r:.60}")
    if isinstance(data, str | Path) and str(data).lower().endswith(".csv"):
        if columns is not None and not described:
            raise ManifoldError("a .csv names its columns itself; columns= takes their description, a file or a mapping")
        data, described, columns = load_csv(data, columns, target, seed), False, None
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
            raise UnknownNameError("data set", data, [*DATASETS, "FILE.csv", "FILE.npz", "FILE.txt", "module:object"])
    try:
        parts = data._replace(x=np.asarray(data.x)) if isinstance(data, Data) else Data(np.asarray(data))
    except ValueError as error:
        raise ManifoldError(f"the data must be an array, each row as long as the others: {error}") from error
    if (parts.x.ndim < 2 and not is_text(parts.x)) or len(parts.x) < 2:
        raise ManifoldError(f"data need at least two rows and two axes (rows, values); got shape {parts.x.shape}")
    if described:
        parts = parts._replace(table=describe_rows(parts.x, parts.columns, columns))
        columns = [column.name for column in parts.table.columns]
    more = {name: getattr(config, name) for name in ("held_out", "truth", "class_names", "data_shape")}
    more["columns"] = columns
    parts = parts._replace(**{k: v for k, v in more.items() if v is not None})
    if parts.truth is not None and len(parts.truth) != len(parts.x):
        raise ManifoldError(f"truth holds {len(parts.truth)} classes for {len(parts.x)} rows of data")
    return parts, key


def _uncalled(name: str, found: Any) -> Any:
    """The object behind a name of data, which must be the rows themselves: what data name is never called."""
    if callable(found):
        raise ManifoldError(
            f"data {name!r} is callable, and data are never called: name the rows that it gives, "
            f"for example by a line rows = {name.partition(':')[2]}() in that module, and --data {name.partition(':')[0]}:rows"
        )
    return found


def units_of(parts: Data) -> Units:
    """The units of the data: of a mixed table where its columns are described."""
    if parts.table is not None:
        return TableUnits.of_table(np.asarray(parts.x, dtype=object), parts.table)
    return Units.of(np.asarray(parts.x), parts.data_shape, parts.columns)


def classes_of(truth: Any) -> torch.Tensor | None:
    """True classes as int64 (N,), where they are numbers."""
    if truth is None or not np.issubdtype(np.asarray(truth).dtype, np.integer):
        return None
    return torch.as_tensor(np.asarray(truth), dtype=torch.long)
