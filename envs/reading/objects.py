"""The one place that resolves ``package.module:object`` names. Importing runs the module's code: see `envs.reading.trust`."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

from envs.errors import ManifoldError
from envs.reading.trust import check_name, check_place

_FORM = re.compile(r"[^\W\d][\w-]*(\.[^\W\d][\w-]*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def load_object(name: str) -> Any:
    """The object behind ``package.module:object``; the present folder is searched too, as `python -m` does.

    Raises:
        UntrustedNameError: a file names it, and nobody said that it may be loaded (see `envs.reading.trust.names_of_file`).
        ManifoldError: no such module or attribute, or a name of another form.
    """
    if not _FORM.fullmatch(name):
        raise ManifoldError(f"{name!r} does not name an object; write package.module:object")
    check_name(name)
    module_name, _, path = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    check_place(name)
    try:
        found: Any = importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ManifoldError(f"cannot load {name!r}: {error}; run from the folder that holds the module") from error
    return found
