"""Which objects may be loaded by name: those that the user names, and those of files that this account made.

Loading ``module:object`` imports the module, which runs its code. A name that the user gives, on a command line or in Python,
is loaded. A name that stands in a *file* (config.json of a run, manifold.json, a path) is loaded only if

- the user named the same object: ``--trust module:object``, or `trusting` in Python; or
- this account wrote the file: the sha256 of what it wrote is remembered in manifold-traversal/trusted/ of the user's
  configuration folder ($XDG_CONFIG_HOME or ~/.config), one file a digest. Without such a folder nothing is remembered.

A module inside the folder that the file came with is never loaded.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.machinery import ModuleSpec, all_suffixes
from pathlib import Path
from typing import Any, NamedTuple

from envs.errors import ManifoldError, UntrustedNameError
from envs.reading.files import read_bytes

# Settings whose texts are never loaded, whatever they look like.
NAMES_FOR_PEOPLE = ("class_names", "columns", "target_column", "text_column")
_NAME = re.compile(r"[^\s:/\\]+:[^\s:/\\]+")
_FILE = re.compile(r"[^*?]*[./\\][^*?]*")


class NamingFile(NamedTuple):
    """The file whose names are being resolved: the names that may be loaded, and the folders that came with it."""

    file: str
    trusted: frozenset[str]
    folders: tuple[Path, ...]


_NAMED: ContextVar[frozenset[str]] = ContextVar("named", default=frozenset())
_NAMING_FILE: ContextVar[NamingFile | None] = ContextVar("naming_file", default=None)


# -- what the user says -------------------------------------------------------------------------------------------------


@contextmanager
def trusting(names: Sequence[str]) -> Iterator[None]:
    """Within, files may name these objects.

    Args:
        names: each ``module:object``, exactly as the file has it; a single text is one name.

    Raises:
        ManifoldError: something else than names, such as True: trust names objects, never everything.
    """
    token = _NAMED.set(_NAMED.get() | named(names))
    try:
        yield
    finally:
        _NAMED.reset(token)


def named_by_user() -> frozenset[str]:
    """The names that hold within `trusting`."""
    return _NAMED.get()


def named(names: Sequence[str]) -> frozenset[str]:
    """The names as a set, checked; see `trusting`."""
    given = (names,) if isinstance(names, str) else names
    if not isinstance(given, Sequence | frozenset | set) or not all(isinstance(name, str) for name in given):
        raise ManifoldError(f"trust={names!r}: a list of names is needed, trust=['module:object']; nothing else is trusted")
    for name in given:
        if not _NAME.fullmatch(name) and not _FILE.fullmatch(name):
            raise ManifoldError(f"trust {name!r}: trust names objects, each as module:object, or files")
    return frozenset(given)


# -- what files say -----------------------------------------------------------------------------------------------------


def names_in(settings: Any, place: str = "") -> dict[str, str]:
    """Every text of JSON settings that has the form ``module:object`` -> the setting that it stands in."""
    if isinstance(settings, str):
        return {settings: place} if _NAME.fullmatch(settings) else {}
    found: dict[str, str] = {}
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            if key not in NAMES_FOR_PEOPLE:
                found |= names_in(value, str(key))
    elif isinstance(settings, list | tuple):
        for value in settings:
            found |= names_in(value, place)
    return found


def source_of(card: Mapping[str, Any]) -> dict[str, str]:
    """The object that a manifold.json names, if it names one, as `names_of_file` takes it."""
    settings = card.get("settings")
    source = settings.get("source") if isinstance(settings, Mapping) else None
    return {source: "source"} if isinstance(source, str) else {}


@contextmanager
def names_of_file(file: Any, wanted: Mapping[str, str], *folders: Path, own: Iterable[str] = ()) -> Iterator[None]:
    """Within, names are resolved as names that a file gave.

    Args:
        file: where they stand, for messages.
        wanted: the names of it (see `names_in`).
        folders: what came with the file; modules inside are never loaded.
        own: those of them that stand in files that this account wrote.

    Raises:
        UntrustedNameError: there are names that nobody allowed; the message lists them and the flags to give.
    """
    outer = _NAMING_FILE.get()
    allowed = _NAMED.get() | (outer.trusted if outer else frozenset()) | frozenset(own)
    refused = {name: place for name, place in wanted.items() if name not in allowed}
    if refused:
        raise UntrustedNameError(file, refused)
    places = tuple(Path(folder).resolve() for folder in folders) + (outer.folders if outer else ())
    token = _NAMING_FILE.set(NamingFile(str(file), allowed, places))
    try:
        yield
    finally:
        _NAMING_FILE.reset(token)


def check_name(name: str) -> None:
    """Refuse a name of a file's that nobody allowed; names of the user's pass.

    Raises:
        UntrustedNameError: it is not allowed.
    """
    origin = _NAMING_FILE.get()
    if origin is not None and name not in origin.trusted:
        raise UntrustedNameError(origin.file, {name: ""})


def check_place(name: str) -> None:
    """Refuse a name of a file's whose module came with that file.

    Raises:
        ManifoldError: the module lies in a folder of the file's.
    """
    origin = _NAMING_FILE.get()
    if origin is None:
        return
    for place in _module_places(name.partition(":")[0]):
        for folder in origin.folders:
            if _within(place, folder):
                raise ManifoldError(
                    f"{origin.file} names {name!r}, which would be loaded from {str(place)!r}, inside the folder that came "
                    "with it: such modules are never loaded. Keep the module in the folder you run from, or install it"
                )


def _within(place: Path, folder: Path) -> bool:
    """Whether a module's place came with a folder; what is installed did not, even in an environment inside that folder."""
    installed = Path(sys.prefix).resolve()
    came = place.is_relative_to(folder)
    return came and not (place.is_relative_to(installed) and not folder.is_relative_to(installed))


def _module_places(name: str) -> Iterator[Path]:
    """Files and folders that importing a module could run or search, from the outermost package; nothing is imported."""
    outer, *inner = name.split(".")
    spec = getattr(sys.modules.get(outer), "__spec__", None) or _found(outer)
    if spec is None:
        return
    folders = [Path(place) for place in spec.submodule_search_locations or ()]
    yield from (Path(place).resolve() for place in (spec.origin, *folders) if place is not None and os.path.exists(place))
    for part in inner:
        files = [folder / f"{part}{ending}" for folder in folders for ending in all_suffixes()]
        folders = [folder / part for folder in folders if (folder / part).is_dir()]
        yield from (place.resolve() for place in (*files, *folders) if place.exists())


def _found(name: str) -> ModuleSpec | None:
    """How an outermost module would be found."""
    return next((spec for finder in sys.meta_path if (spec := finder.find_spec(name, None)) is not None), None)


# -- what this account wrote --------------------------------------------------------------------------------------------


def digest_of(*files: Path) -> str:
    """sha256 of the files' contents, whatever they are called; a file that is not there is an empty one."""
    digest = hashlib.sha256()
    for file in files:
        content = read_bytes(file) if file.is_file() else b""
        digest.update(f"{len(content)}\n".encode() + content)
    return digest.hexdigest()


def remember(digest: str) -> bool:
    """Note that this account wrote what has this sha256; False where there is no folder for it."""
    folder = _folder()
    if folder is None:
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / digest).touch()
    except OSError:
        return False
    return True


def remembered(digest: str) -> bool:
    """Whether this account wrote what has this sha256."""
    folder = _folder()
    return folder is not None and re.fullmatch("[0-9a-f]{64}", digest) is not None and os.path.isfile(folder / digest)


def _folder() -> Path | None:
    """Where digests are remembered; None for a user without a home."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):  # the XDG specification has relative paths ignored
        try:
            base = str(Path.home() / ".config")
        except RuntimeError:
            return None
    return Path(base) / "manifold-traversal" / "trusted"
