"""Columns that look protected by their names: what people can hardly change, or should not be asked to."""

from __future__ import annotations

import re

#: Words of a column's name, alone or next to each other, that mark a protected attribute.
PROTECTED = (
    ("age",), ("sex",), ("gender",), ("race",), ("ethnicity",), ("ethnic",), ("nationality",), ("native", "country"),
    ("country", "of", "birth"), ("birth", "country"), ("citizenship",), ("religion",), ("disability",), ("pregnant",),
    ("birthdate",), ("birth", "date"), ("date", "of", "birth"),
)  # fmt: skip
RISING = (("age",),)  # those that only rise


def words_of(name: str) -> list[str]:
    """The words of a column's name, in lower case.

    Example:
        >>> words_of("nativeCountry"), words_of("Age (years)")
        (['native', 'country'], ['age', 'years'])
    """
    return re.findall(r"[^\W\d_]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower())


def looks(name: str, table: tuple[tuple[str, ...], ...] = PROTECTED) -> bool:
    """Whether a column's name holds an entry of a table of words.

    Example:
        >>> looks("native-country"), looks("sex"), looks("mortgage")
        (True, True, False)
    """
    words = words_of(name)
    return any(tuple(words[k : k + len(entry)]) == entry for entry in table for k in range(len(words)))
