"""The one reader of files: regular files of bounded size, parsed as data, without pickle, links or unbounded nesting.

Whatever is wrong with a file ends in an error that names it: `ManifoldError`, or what the caller passes as ``error``.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import math
import os
import pickle
import stat
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from envs.errors import ManifoldError

if TYPE_CHECKING:
    from torch import Tensor

MB = 1 << 20
LARGEST_TEXT = 256 * MB  # bytes of a text, JSON or YAML file
LARGEST_YAML = 4 * MB  # which is read slowly
LARGEST_FILE = 1 << 36  # bytes of any other
UNPACKED, RATIO = 1 << 30, 20  # what a compressed file may unpack to: this many bytes, or this many times its own size
DEEPEST = 64  # lists and objects inside each other
DIGITS = 60  # of a whole number: the states of generators have 39
PIXELS = 1 << 26  # of a picture

# What damaged bytes make zipfile, its decompressors and numpy's reader of headers raise.
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, KeyError, IndexError, TypeError,
    RuntimeError, NotImplementedError, OverflowError, MemoryError, SyntaxError, struct.error, tokenize.TokenError,
)  # fmt: skip
Json = TypeVar("Json")
Error = type[ValueError]


def read_bytes(path: str | Path, limit: int = LARGEST_FILE, *, error: Error = ManifoldError) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    Raises:
        FileNotFoundError: there is none; callers know what to say of that.
        error: a folder, pipe or device, a larger file, or one that cannot be read.
    """
    try:
        # Opening a pipe would wait for its other end; O_NONBLOCK does not, and means nothing for regular files.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as stream:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise error(f"cannot read {path}: it is {_kind(found.st_mode)}; save what it gives to a file, and name that")
            if found.st_size > limit:
                raise error(f"{path} has {found.st_size:,} bytes; at most {limit:,} are read")
            content = stream.read(found.st_size + 1)
            while len(content) <= limit and (more := stream.read(MB)):  # it grows, or its size is not known
                content += more
    except FileNotFoundError:
        raise
    except IsADirectoryError:
        raise error(f"cannot read {path}: it is a folder, not a file") from None
    except OSError as problem:
        raise error(f"cannot read {path}: {problem.strerror or problem}") from None
    except ValueError as problem:  # a NUL in the name, or our own
        raise (problem if isinstance(problem, error) else error(f"{str(path)!r} is not a file name ({problem})")) from None
    if len(content) > limit:
        raise error(f"{path} has more than {limit:,} bytes, which is the most that is read")
    return content


def read_text(path: str | Path, encoding: str = "utf-8", limit: int = LARGEST_TEXT, *, error: Error = ManifoldError) -> str:
    """A text file; a byte order mark is left out.

    Raises:
        FileNotFoundError, error: see `read_bytes`; bytes of another encoding.
    """
    content = read_bytes(path, limit, error=error)
    try:
        return content.decode("utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding)
    except UnicodeDecodeError as problem:
        line = content[: problem.start].count(b"\n") + 1
        raise error(
            f"{path}, line {line}, is damaged, or not a {encoding.upper()} text: it holds the byte "
            f"0x{content[problem.start]:02x}; save it as UTF-8, or name its encoding, for example encoding=cp1252"
        ) from None


def read_json(path: str | Path, limit: int = LARGEST_TEXT, *, error: Error = ManifoldError) -> Any:
    """The value of a JSON file; see `parse_json`."""
    return parse_json(read_text(path, limit=limit, error=error), str(path), error=error)


def read_object(path: str | Path, *, error: Error = ManifoldError) -> dict[str, Any]:
    """The object of a JSON file; another value is an error."""
    found = read_json(path, error=error)
    if not isinstance(found, dict):
        raise error(f"{str(path)!r} is damaged: it holds a {type(found).__name__}, not a JSON object")
    return found


def parse_json(text: str, where: str, *, error: Error = ManifoldError) -> Any:
    """The value of a JSON text.

    Raises:
        error: no JSON, nested deeper than `DEEPEST`, or a whole number of more than `DIGITS` digits.
    """

    def whole(digits: str) -> int:
        if len(digits) > DIGITS:
            raise error(f"{where!r} is damaged: a number of {len(digits):,} digits ({digits[:12]}...) is not a setting")
        return int(digits)

    try:
        found = json.loads(text, parse_int=whole)
    except json.JSONDecodeError as problem:
        raise error(f"{where!r} is damaged: {problem}") from None
    except RecursionError:
        raise error(_too_deep(where)) from None
    return check_depth(found, where, error=error)


def check_depth(found: Json, where: str, *, error: Error = ManifoldError) -> Json:
    """`found`, if its lists and mappings are nested no deeper than `DEEPEST`."""
    level: list[Any] = [found]
    for _ in range(DEEPEST):
        level = [
            item
            for value in level
            if isinstance(value, list | dict)
            for item in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return found
    raise error(_too_deep(where))


def read_yaml(path: str | Path, *, aliases: bool = False, error: Error = ManifoldError) -> Any:
    """The value of a YAML file: plain data, without tags of objects and without aliases.

    Args:
        path: the file.
        aliases: read aliases, too: for files of this package alone, because few lines of them make huge values.
        error: what is raised.

    Raises:
        FileNotFoundError, error: see `read_bytes`; no YAML, or more than plain data.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if not aliases and self.check_event(yaml.AliasEvent):
                mark = self.peek_event().start_mark
                raise error(f"{path}, line {mark.line + 1}: aliases (*name) are not read; write the value out")
            return super().compose_node(parent, index)

        def fetch_flow_collection_start(self, kind: Any) -> None:
            if self.flow_level >= DEEPEST:  # here, for what the scanner does later takes the square of the depth
                raise error(_too_deep(str(path)))
            super().fetch_flow_collection_start(kind)

    text = read_text(path, limit=LARGEST_YAML, error=error)
    try:
        return check_depth(yaml.load(text, Loader), str(path), error=error)  # noqa: S506  (a SafeLoader)
    except RecursionError:
        raise error(_too_deep(str(path))) from None
    except yaml.YAMLError as problem:
        raise error(f"cannot read {path}: {' '.join(str(problem).split())}") from None
    except (ValueError, OverflowError, TypeError) as problem:  # a date or number that cannot be; a key that is a list
        raise (problem if isinstance(problem, error) else error(f"cannot read {path}: {problem}")) from None


# -- arrays -------------------------------------------------------------------------------------------------------------


def read_npz(path: str | Path, limit: int = UNPACKED, *, error: Error = ManifoldError) -> dict[str, np.ndarray]:
    """The arrays of an .npz file. What each declares is checked before it is unpacked.

    Args:
        path: the file.
        limit: most bytes that it may unpack to, unless `RATIO` times the file is more.

    Raises:
        FileNotFoundError, error: see `read_bytes`; no .npz, damaged, too large once unpacked, or with pickled objects.
    """
    content = read_bytes(path, error=error)
    if content.startswith(b"\x93NUMPY"):
        raise error(f"{path} holds a single array (.npy); save it with numpy.savez(path, x=array)")
    arrays: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            whole = sum(member.file_size for member in members)
            if whole > max(limit, RATIO * len(content)):
                raise error(
                    f"{path} would unpack from {len(content) / MB:,.1f} MB to {whole / MB:,.0f} MB; if that is right, save it "
                    "with numpy.savez, not savez_compressed"
                )
            for member in members:
                name = member.filename.removesuffix(".npy")
                if name in arrays:
                    raise error(f"{path} is damaged: it holds two arrays called {name!r}")
                with archive.open(member) as stream:
                    arrays[name] = _array(stream, member.file_size, f"{path}, array {name!r}", error)
    except _DAMAGED as problem:
        raise _named(problem, error, f"cannot read {path}: no .npz file, or truncated or damaged") from None
    return arrays


def read_npy(path: str | Path, *, error: Error = ManifoldError) -> np.ndarray:
    """The array of an .npy file; raises as `read_npz` does."""
    content = read_bytes(path, error=error)
    try:
        return _array(io.BytesIO(content), len(content), str(path), error)
    except _DAMAGED as problem:
        raise _named(problem, error, f"cannot read {path}: no .npy file, or truncated or damaged") from None


def _array(stream: Any, size: int, where: str, error: Error) -> np.ndarray:
    """One array in numpy's format, if its header fits the `size` bytes that there are."""
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise error(f"{where}: is in version {version} of numpy's format, which plain arrays do not need; save it again")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(stream)
    if dtype.hasobject:
        raise error(f"{where}: holds pickled objects, which could run code; save it without pickled objects")
    if dtype.kind == "V" or any(not isinstance(n, int) or isinstance(n, bool) or n < 0 for n in shape) or len(shape) > 32:
        raise error(f"{where}: an array of plain numbers or texts is needed, not {dtype} of shape {shape}")
    expected = math.prod(shape) * dtype.itemsize
    if expected != size - stream.tell():
        raise error(f"{where}: is damaged: shape {shape} of {dtype} takes {expected:,} bytes, it has {size - stream.tell():,}")
    values = bytearray(stream.read(expected))
    if len(values) != expected:
        raise error(f"{where}: is truncated")
    if not expected:
        return np.zeros(shape, dtype)
    found = np.frombuffer(values, dtype)
    return found.reshape(shape[::-1]).T if fortran else found.reshape(shape)


def read_safetensors(
    path: str | Path, device: Any = "cpu", *, sha256: str | None = None, error: Error = ManifoldError
) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Args:
        path: of the file.
        device: where the tensors go.
        sha256: of its content, as a file beside it says; None: not known.
        error: the class of errors.

    Raises:
        FileNotFoundError, error: see `read_bytes`; no such file, damaged, or another content.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    content = read_bytes(path, error=error)
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise error(
            f"{path} does not belong to the .json file beside it, which names another sha256: a save was interrupted, or one "
            "of the two was replaced; save both again, or restore the other one"
        )
    try:
        return {name: value.to(device) for name, value in load(content).items()}
    except (SafetensorError, *_DAMAGED) as problem:
        raise _named(problem, error, f"cannot read {path}: no safetensors file, or truncated or damaged") from None


def read_metadata(path: str | Path, *, error: Error = ManifoldError) -> dict[str, Any]:
    """The metadata in the header of a safetensors file, which `read_safetensors` leaves out; raises as it does."""
    content = read_bytes(path, error=error)
    try:
        header = content[8 : 8 + struct.unpack("<Q", content[:8])[0]].decode()
        found = parse_json(header, str(path), error=error).get("__metadata__") or {}
        return dict(found.items())
    except (*_DAMAGED, AttributeError) as problem:
        raise _named(problem, error, f"cannot read {path}: no safetensors file, or truncated or damaged") from None


def read_weights(path: str | Path, device: Any = "cpu", *, error: Error = ManifoldError) -> Any:
    """What `torch.save` wrote, if it is tensors and plain data; nothing else is unpickled.

    Raises:
        FileNotFoundError, error: see `read_bytes`; damaged, or with pickled objects.
    """
    import torch

    content = read_bytes(path, error=error)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:  # the older format of torch.save is refused: it is all pickle
            if sum(member.file_size for member in archive.infolist()) > max(UNPACKED, RATIO * len(content)):
                raise error(f"{path} would unpack to more than {UNPACKED / MB:,.0f} MB: refused")
        return torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    except pickle.UnpicklingError as problem:
        raise error(
            f"{path}: holds more than tensors and plain data, which could run code: refused ({str(problem).splitlines()[0]})"
        ) from None
    except (*_DAMAGED, AttributeError, AssertionError, RecursionError) as problem:
        raise _named(problem, error, f"cannot read {path}: no file of torch.save, or truncated or damaged") from None


def read_picture(path: str | Path, *, error: Error = ManifoldError) -> Any:
    """A picture as Pillow opened it, decoded; its size is checked before.

    Raises:
        FileNotFoundError, error: see `read_bytes`; see `parse_picture`.
    """
    return parse_picture(read_bytes(path, LARGEST_TEXT, error=error), str(path), error=error)


def parse_picture(content: bytes, where: str, most: int = PIXELS, *, error: Error = ManifoldError) -> Any:
    """The picture in the content of a PNG, JPEG or BMP file, decoded; its size is checked before.

    Raises:
        error: no picture, damaged, or of more than `most` pixels; `where` names it.
    """
    from PIL import Image

    try:
        picture: Any = Image.open(io.BytesIO(content), formats=("PNG", "JPEG", "BMP"))
        if math.prod(picture.size) > most:
            raise error(f"{where}: has {picture.size[0]:,} x {picture.size[1]:,} pixels; at most {most:,} are read")
        picture.load()
    except (*_DAMAGED, AttributeError, Image.DecompressionBombError) as problem:
        raise _named(problem, error, f"cannot read {where}: no PNG, JPEG or BMP picture, or truncated or damaged") from None
    return picture


# -- folders ------------------------------------------------------------------------------------------------------------


def check_links(folder: str | Path, *, error: Error = ManifoldError) -> None:
    """Refuse a folder in which a link leads out of it: reading or writing there would reach other files of the user's.

    Raises:
        error: naming the link.
    """
    whole = Path(folder).resolve()
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            link = Path(place) / name
            if link.is_symlink() and not link.resolve().is_relative_to(whole):
                raise error(f"{str(link)!r} is a link that leads out of {str(folder)!r}: refused; put the file itself there")


def member(folder: Path, name: Any, *, error: Error = ManifoldError) -> Path:
    """The file of this plain name in a folder.

    Raises:
        error: a name that leads elsewhere.
    """
    if not isinstance(name, str) or name in ("", ".", "..") or any(mark in name for mark in "/\\:\0"):
        raise error(f"{str(folder)!r}: {name!r} is not a name of a file in that folder")
    return folder / name


def _named(problem: BaseException, error: Error, message: str) -> Exception:
    """The error to raise for what went wrong: our own as it is."""
    return problem if isinstance(problem, error) else error(f"{message} ({type(problem).__name__}: {str(problem)[:200]})")


def _too_deep(where: str) -> str:
    return f"{where!r} is damaged: its lists and objects are nested more than {DEEPEST} deep"


def _kind(mode: int) -> str:
    named = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return named.get(stat.S_IFMT(mode), "a device")
