"""The one base of every error that a user can mend."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping


class ManifoldError(ValueError):
    """Bad input. The message names the wrong value, where it came from, and the way out."""


class UnknownNameError(ManifoldError):
    """A name that stands in no table; the message offers the close ones."""

    def __init__(self, kind: str, name: object, known: Iterable[object]):
        names = [str(item) for item in known]
        close = difflib.get_close_matches(str(name), names, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"known: {', '.join(names)}"
        super().__init__(f"unknown {kind} {str(name)!r}: {hint}")


class UntrustedNameError(ManifoldError):
    """A file names objects that would be imported, and neither did the user name them nor did this account write the file."""

    def __init__(self, file: object, names: Mapping[str, str]):
        listed = ", ".join(f"{place} {name!r}".strip() for name, place in sorted(names.items()))
        super().__init__(
            f"{file} names what would be imported, which runs its code: {listed}. This account did not write that file as it "
            f"is now. If you trust this code, name it: --trust {' '.join(sorted(names))} (Python: trust={sorted(names)})"
        )
