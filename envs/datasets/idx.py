"""IDX files, the format of MNIST: a magic number, the sizes of the axes, then the values; plain or gzip-compressed.

Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits", section "File formats".
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from envs.errors import ManifoldError
from envs.files import in_home
from envs.reading.files import RATIO, UNPACKED, read_bytes

#: Third byte of the magic number -> type of the values, big-endian as the whole file is.
TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: str | Path) -> np.ndarray:
    """Read an IDX file. Its first bytes show whether it is compressed.

    Args:
        path: The file.

    Returns:
        The array, in the machine's byte order.

    Raises:
        ManifoldError: If the file is missing, damaged, truncated, not an IDX file, or has another length than its header says.
    """
    path = Path(in_home(path))
    content = _content(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in TYPES:
        raise ManifoldError(
            f"{path} is not an IDX file: it begins with {content[:4].hex(' ') or 'nothing'}, not 00 00 and a type"
        )
    axes = content[3]
    header = 4 + 4 * axes
    if len(content) < header:
        raise ManifoldError(f"{path} is truncated: it ends within its header of {header} bytes; fetch it again")
    shape = struct.unpack(f">{axes}I", content[4:header])
    dtype = np.dtype(TYPES[content[2]])
    expected = header + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        state = "truncated" if len(content) < expected else "too long"
        raise ManifoldError(
            f"{path} is {state}: its header says {' x '.join(map(str, shape))} values, {expected:,} bytes in all; "
            f"it has {len(content):,}; fetch it again"
        )
    return np.frombuffer(content, dtype, offset=header).reshape(shape).astype(dtype.newbyteorder("="))


def _content(path: Path) -> bytes:
    try:
        raw = read_bytes(path)
        if raw[:2] != GZIP_MAGIC:
            return raw
        most = max(UNPACKED, RATIO * len(raw))
        content = gzip.GzipFile(fileobj=io.BytesIO(raw)).read(most + 1)
        if len(content) > most:
            raise ManifoldError(f"{path} unpacks to more than {most:,} bytes: that is not a data set of pictures")
        return content
    except FileNotFoundError as error:
        raise ManifoldError(f"no IDX file {path}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise ManifoldError(f"cannot read {path}: {error}; it is damaged or truncated, fetch it again") from error
