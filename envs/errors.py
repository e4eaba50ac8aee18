"""The error tree of the package: every error of a user is a `ManifoldError`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


class ManifoldError(ValueError):
    """Bad input. The message names the wrong value, where it came from, and what to do instead.

    Example:
        >>> from envs import make_world
        >>> make_world(tau=2.0)
        Traceback (most recent call last):
        envs.errors.ManifoldError: tau is 2.0; a finite number above 0 and at most 1 is needed
    """


class ClassifierFailure(ManifoldError):
    """The user's own classifier raised an error; its cause is that error.

    Example:
        >>> from envs.classifiers.outputs import failures_named
        >>> with failures_named("the function f", 2, (3,)):
        ...     raise KeyError("age")
        Traceback (most recent call last):
        envs.errors.ClassifierFailure: the classifier failed on 2 rows of shape (3,): the function f raised KeyError: 'age'
    """


class QueryBudgetError(ManifoldError):
    """The classifier may not be queried for more rows (see `envs.query_options.QueryOptions.budget`).

    Attributes:
        paths: what was found before, if an explanation was interrupted.

    Example:
        >>> from envs import make_world
        >>> make_world(data="iris", query={"budget": 10}, progress=False)
        Traceback (most recent call last):
        envs.errors.QueryBudgetError: the query budget is used up: 0 of 10 rows were queried, and the next call has 105
    """

    paths: Sequence[Any] = ()


class UnknownNameError(ManifoldError):
    """A name that is in no table. The message offers close names.

    Args:
        kind: what the name stands for: ``move``.
        name: the unknown name.
        known: the names of the table.

    Example:
        >>> raise UnknownNameError("move", "euclid", ["euclidean", "arc"])
        Traceback (most recent call last):
        envs.errors.UnknownNameError: unknown move 'euclid': did you mean 'euclidean'?
    """

    def __init__(self, kind: str, name: object, known: Iterable[object]):
        names = [str(item) for item in known]
        path = str(name).startswith(("/", "./", "../", "~"))  # a file or folder is not a misspelt name
        close = [] if path else difflib.get_close_matches(str(name), names, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"known: {', '.join(names)}"
        super().__init__(f"unknown {kind} {str(name)!r}: {hint}")


class UntrustedNameError(ManifoldError):
    """A file of another account names objects to import that the user did not name (see `envs.reading.trust`).

    Args:
        file: the file.
        names: ``module:object`` names, and the setting that each is the value of.

    Example:
        >>> raise UntrustedNameError("config.json", {"evil:run": "classifier"})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        envs.errors.UntrustedNameError: config.json names objects that would be imported, which runs their code: ...
    """

    def __init__(self, file: object, names: Mapping[str, str]):
        listed = ", ".join(f"{place} {name!r}".strip() for name, place in sorted(names.items()))
        super().__init__(
            f"{file} names objects that would be imported, which runs their code: {listed}. This account did not write the "
            f"file as it is now. If you trust this code, name it: --trust {' '.join(sorted(names))} "
            f"(Python: trust={sorted(names)})"
        )
