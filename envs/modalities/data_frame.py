"""Rows with names: data frames, series and dictionaries. Their columns are matched by name, never by position.

Frames of pandas are handled by its own interface, because its index and types matter; those of polars, pyarrow and others by
narwhals.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np

from envs.errors import ManifoldError

EXACT = 2**53  # whole numbers beyond it are not all floats
DATES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
Where = Callable[[int], str]


class Frame(NamedTuple):
    """The columns of a user's data frame.

    Attributes:
        labels: of the columns, mostly texts.
        dtypes: of the columns, those of pandas, or of narwhals for other frames.
        backend: of narwhals; None for pandas.

    Example:
        >>> import pandas
        >>> read_frame(pandas.DataFrame({"age": [30, 40]}))[1].names
        ['age']
    """

    labels: tuple[Any, ...]
    dtypes: tuple[Any, ...]
    backend: Any = None

    def of(self, columns: Sequence[np.ndarray]) -> Any:
        """A data frame of these columns, each in its own dtype if that can hold the values (a changed number may not fit an
        integer column)."""
        if self.backend is not None:
            return self._of_other(columns)
        import pandas

        series = [pandas.Series(np.asarray(column, dtype=object)) for column in columns]
        typed = [_cast(values, dtype) for values, dtype in zip(series, self.dtypes, strict=True)]
        return pandas.concat(typed, axis=1, keys=list(self.labels))

    def _of_other(self, columns: Sequence[np.ndarray]) -> Any:
        """See `of`, for frames that narwhals makes."""
        series = {}
        for name, values, dtype in zip(self.names, columns, self.dtypes, strict=True):
            known = [None if value is None or value != value else value for value in values.tolist()]
            fits = not dtype.is_integer() or all(value is None or float(value).is_integer() for value in known)
            known = [int(value) if value is not None and dtype.is_integer() and fits else value for value in known]
            series[name] = nw.new_series(name, known, dtype if fits else nw.Float64(), backend=self.backend)
        return nw.from_dict(series, backend=self.backend).to_native()

    @property
    def kinds(self) -> list[str]:
        """One letter for the type of each column, as in numpy: i, u, f, b, m, M, or O for any other."""
        return [_kind(dtype) for dtype in self.dtypes]

    @property
    def names(self) -> list[str]:
        """The labels as texts."""
        return [str(label) for label in self.labels]


def is_frame(raw: Any) -> bool:
    """Whether this is a data frame (of pandas, polars, pyarrow, or another that narwhals knows)."""
    return bool(nw.dependencies.is_into_dataframe(raw))


def index_of(frame: Any) -> list[Any] | None:
    """The labels of a frame's rows; None for a frame without an index."""
    return list(frame.index) if _is_pandas(frame) else None


def rows_at(frame: Any, rows: Sequence[int]) -> Any:
    """A frame of these rows, by position."""
    return frame.iloc[rows] if _is_pandas(frame) else nw.from_native(frame, eager_only=True)[list(map(int, rows))].to_native()


def with_columns(frame: Any, labels: Sequence[Any]) -> Any:
    """A frame of these columns, in this order."""
    return frame[list(labels)] if _is_pandas(frame) else nw.from_native(frame, eager_only=True).select(*labels).to_native()


def copied(frame: Any) -> Any:
    """A copy of a frame, also of a library whose frames have no ``copy``."""
    return nw.from_native(frame, eager_only=True).clone().to_native()


def as_pandas(frame: Any) -> Any:
    """A frame as one of pandas, with the same values."""
    if _is_pandas(frame):
        return frame
    import pandas

    return pandas.DataFrame({c.name: c.to_list() for c in nw.from_native(frame, eager_only=True).iter_columns()})


def _is_pandas(frame: Any) -> bool:
    return hasattr(frame, "iloc")


def _kind(dtype: Any) -> str:
    """See `Frame.kinds`."""
    if not isinstance(dtype, nw.dtypes.DType):
        return str(getattr(dtype, "kind", "O")) if isinstance(dtype, np.dtype) else "O"
    if dtype.is_temporal():
        return "m" if isinstance(dtype, nw.Duration) else "M"
    if dtype.is_integer():
        return "i" if dtype.is_signed_integer() else "u"
    return "f" if dtype.is_float() else "b" if isinstance(dtype, nw.Boolean) else "O"


def is_series(raw: Any) -> bool:
    """Whether this is a series, such as one row of a data frame."""
    return hasattr(raw, "index") and hasattr(raw, "to_dict") and not is_frame(raw)


def read_frame(frame: Any) -> tuple[np.ndarray, Frame]:
    """The cells (N, C) of a data frame, unchanged, and its columns.

    Raises:
        ManifoldError: two columns of one name.
    """
    if _is_pandas(frame):
        about = Frame(tuple(frame.columns), tuple(frame.dtypes))
        columns = [_objects(frame.iloc[:, j]) for j in range(len(about.labels))]
    else:
        whole = nw.from_native(frame, eager_only=True)
        about = Frame(tuple(whole.columns), tuple(whole.schema.values()), whole.implementation)
        columns = [_with_nan(column.to_list()) for column in whole.iter_columns()]
    twice = sorted({name for name in about.names if about.names.count(name) > 1})
    if twice:
        raise ManifoldError(f"the data frame has two columns called {twice[0]!r}; rename or drop one of them")
    cells = np.empty((len(frame), len(columns)), dtype=object)
    for j, column in enumerate(columns):
        cells[:, j] = column
    return cells, about


def _with_nan(values: list[Any]) -> np.ndarray:
    """The values (N,) of a column, NaN where there is none."""
    found = np.empty(len(values), dtype=object)
    found[:] = [np.nan if value is None else value for value in values]
    return found


def _objects(column: Any) -> np.ndarray:
    """The cells (N,) of a column; NaN where one of pandas' own types has its NA, which equals nothing and is not a number."""
    own = {} if isinstance(column.dtype, np.dtype) else {"na_value": np.nan}
    return np.asarray(column.to_numpy(dtype=object, **own), dtype=object)


def is_numeric(cells: np.ndarray, frame: Frame) -> bool:
    """Whether all columns of a data frame are numbers without missing values, so that no description is needed."""
    return all(kind in "iuf" for kind in frame.kinds) and bool((cells == cells).all())


def in_order(raw: Any, columns: Sequence[str], named: bool, ignored: Sequence[str] = ()) -> Any:
    """Rows, or one row as a batch of one, with the columns in this order, matched by name if the rows have names.

    Args:
        raw: a data frame, a series, a dictionary, a list of these, or rows without names (returned as they are).
        columns: the names of the world's columns.
        named: whether these are the user's own; if not, there is nothing that names could be compared with.
        ignored: columns that rows may have besides, which are left out.

    Raises:
        ManifoldError: columns that are missing, unknown, or there twice; names where the world has none.
    """
    if is_frame(raw):
        cells, frame = read_frame(raw)
        return cells[:, _places(frame.names, columns, named, "data frame", ignored)]
    if isinstance(raw, dict) or is_series(raw):
        raw = [raw]
    if isinstance(raw, list | tuple) and raw and all(isinstance(row, dict) or is_series(row) for row in raw):
        return np.array([_row(row, columns, named, ignored) for row in raw], dtype=object)
    return raw


def is_row(raw: Any) -> bool:
    """Whether this is one row: a dictionary, a series, or a sequence of single values."""
    if isinstance(raw, dict) or is_series(raw):
        return True
    if is_frame(raw) or not len(raw):
        return False
    first = raw[0]
    return np.ndim(first) == 0 and not isinstance(first, dict)


def _row(row: Any, columns: Sequence[str], named: bool, ignored: Sequence[str]) -> list[Any]:
    """The values of a dictionary or a series in the order of the columns."""
    names = [str(name) for name in (row.keys() if isinstance(row, dict) else row.index)]
    values = list(row.values()) if isinstance(row, dict) else row.tolist()
    if is_series(row) and names == [str(i) for i in range(len(columns))] and names != list(columns):
        return values  # a series without names of its own
    return [values[place] for place in _places(names, columns, named, "rows", ignored)]


def _places(names: list[str], columns: Sequence[str], named: bool, what: str, ignored: Sequence[str]) -> list[int]:
    """Positions of the columns among these names."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ManifoldError(f"two columns of the {what} are called {twice[0]!r}; rename or drop one of them")
    if not named:
        raise ManifoldError(
            f"the columns of the {what} are called {names}, but this world was made of rows without names: make it of a data "
            "frame or with columns=, or pass the values alone, in the order of the data"
        )
    lacking, besides = [n for n in columns if n not in names], [n for n in names if n not in columns and n not in ignored]
    if lacking or besides:
        one = what != "rows"
        lacks = f" {'lacks' if one else 'lack'} the columns {lacking}" if lacking else ""
        more = f" {'has' if one else 'have'} the columns {besides}, which this world has not" if besides else ""
        raise ManifoldError(f"the {what}{lacks}{' and' if lacks and more else ''}{more}; it needs {list(columns)}")
    return [names.index(name) for name in columns]


def dates_refused(name: str, what: Any) -> str:
    """A sentence on why a column of dates cannot be explained, and what to do."""
    return (
        f"the column {name!r} holds dates ({what}): say in which unit they are explained, dates={{{name!r}: 'days'}} (--dates "
        f"{name}=days), turn it into numbers, or leave it out"
    )


def exact_floats(values: np.ndarray, name: str, where: Where = "row {}".format) -> np.ndarray:
    """Float64 of numbers of any type, bit for bit.

    Raises:
        ManifoldError: dates, and whole numbers that a float64 cannot hold.
        TypeError, ValueError: no numbers.
    """
    if values.dtype.kind in "mM" or (values.dtype == object and any(isinstance(value, DATES) for value in values)):
        raise ManifoldError(dates_refused(name, values.dtype if values.dtype != object else type(values[0]).__name__))
    found = values.astype(np.float64)
    for row in np.flatnonzero(np.abs(found) >= EXACT) if values.dtype.kind in "iuO" else ():
        if isinstance(value := values[row], int | np.integer) and int(found[row]) != int(value):
            raise ManifoldError(
                f"{where(int(row))}, column {name!r}: {value} is beyond 2**53, where a float64 cannot hold every whole "
                "number; if it is an identifier, leave the column out or give it as text"
            )
    return np.asarray(found)


def _cast(values: Any, dtype: Any) -> Any:
    """A series in this dtype, or in that of its values if this would change a value."""
    kind = getattr(dtype, "kind", "O")
    try:
        if kind in "iub" and isinstance(dtype, np.dtype):
            found = values.astype(dtype)
            return found if bool((found == values).all()) else values.infer_objects()
        return values.astype(dtype)
    except (TypeError, ValueError):
        return values.infer_objects()
