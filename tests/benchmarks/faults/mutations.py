"""Mutants of files, structure-aware: of their bytes, values, arrays, headers, cells and tags."""

from __future__ import annotations

import copy
import io
import json
import struct
import sys
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from agents.trajectories.file import checksum

Rng = np.random.Generator
VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 3, 2.5, -0.0, 1e308, float("nan"), float("inf"), 10**40, 10**5000, 2**63, "", "x", "0",
    "true", "os:abort", "../../x", "/dev/zero", "a\x1b[31m\x07b", "\ud800", "x" * 5000, [], {}, [[]], [1, "a", None],
    {"a": {"b": []}}, {"@": "array", "key": "a99"}, {"@": "tuple"}, {"@": "pairs", "items": [1]},
)  # fmt: skip


def of_bytes(rng: Rng, content: bytes) -> bytes:
    """Cut, flipped, overwritten, repeated or lengthened."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        at, size = int(rng.integers(0, len(data) + 1)), int(rng.integers(1, 40))
        how = int(rng.integers(0, 6))
        if how == 0:
            del data[at:]
        elif how == 1 and data:
            data[at % len(data)] ^= 1 << int(rng.integers(0, 8))
        elif how == 2:
            data[at : at + size] = rng.bytes(size)
        elif how == 3:
            data[at : at + size] = bytes([int(rng.choice([0, 255, 10, 34, 91, 123]))]) * size
        elif how == 4:
            data[at:at] = data[: size * 10]
        else:
            data += rng.bytes(size)
    return bytes(data)


def of_tree(rng: Rng, tree: Any) -> Any:
    """JSON values with one place changed: another value, one missing, one more, or nested deeply."""
    places = list(_places(tree))
    holder, key = places[int(rng.integers(0, len(places)))]
    how = int(rng.integers(0, 8))
    if how == 0:
        del holder[key]
    elif how == 1 and isinstance(holder, dict):
        holder[f"{key}_"] = _value(rng)
    elif how == 2:
        nested: Any = 1
        for _ in range(int(rng.choice([60, 70, 300]))):
            nested = [nested] if rng.random() < 0.5 else {"a": nested}
        holder[key] = nested
    elif how == 3:
        holder[key] = [holder[key]] * int(rng.integers(1, 4))
    else:
        holder[key] = _value(rng)
    return tree


def of_json(rng: Rng, content: bytes) -> bytes:
    """A JSON file: mostly its values, else its bytes."""
    if rng.random() < 0.25:
        return of_bytes(rng, content)
    if rng.random() < 0.03:
        return b"[" * 100_000
    tree = json.loads(content)
    for _ in range(int(rng.integers(1, 3))):
        tree = of_tree(rng, tree)
    return _written(tree).encode("utf-8", "surrogatepass")


def of_npz(rng: Rng, content: bytes, sign: bool = False) -> bytes:
    """An .npz: its arrays, its headers, its metadata (signed again, if `sign`), or its bytes."""
    if rng.random() < 0.25:
        return of_bytes(rng, content)
    with np.load(io.BytesIO(content)) as archive:
        arrays = dict(archive)
    if rng.random() < 0.15:
        return _with_header(rng, arrays)
    name = str(rng.choice(sorted(arrays)))
    if "metadata" in arrays and rng.random() < 0.7:
        tree = of_tree(rng, json.loads(str(arrays["metadata"][0])))
        arrays["metadata"] = np.array([_written(tree)])
    else:
        arrays = _other_array(rng, arrays, name)
    if sign and {"metadata", "checksum"} <= set(arrays) and arrays["metadata"].dtype.kind == "U" and arrays["metadata"].size:
        rest = {key: value for key, value in arrays.items() if key not in ("metadata", "checksum")}
        if all(value.dtype != object for value in rest.values()):
            arrays["checksum"] = np.array([checksum(rest, str(arrays["metadata"].flat[0]))])
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    return packed.getvalue()


def of_path(rng: Rng, content: bytes) -> bytes:
    """A path, signed again, as anybody can."""
    return of_npz(rng, content, sign=True)


def of_environment(rng: Rng, content: bytes) -> bytes:
    """A path whose environment has another value of a setting, signed again."""
    with np.load(io.BytesIO(content)) as archive:
        arrays = dict(archive)
    tree = json.loads(str(arrays["metadata"][0]))
    kwargs = tree["environment"]["config"]
    names = ("task", "tau", "reward", "move", "step", "max_step", "guidance", "gamma", "max_episode_steps",
             "initial_latent", "seed",
             "label_only", "class_names", "latent_dim", "fit", "manifold",
             "classifier", "pair", "columns", "data")  # fmt: skip
    kwargs[str(rng.choice(names))] = _value(rng)
    if isinstance(reward := kwargs.get("reward", {"step": 0.1}), dict) and rng.random() < 0.2:
        kwargs["reward"] = {**reward, "success": _value(rng)}
    arrays["metadata"] = np.array([_written(tree)])
    rest = {key: value for key, value in arrays.items() if key not in ("metadata", "checksum")}
    arrays["checksum"] = np.array([checksum(rest, str(arrays["metadata"][0]))])
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    return packed.getvalue()


def of_tensors(rng: Rng, content: bytes) -> bytes:
    """A safetensors file: its header's values, or its bytes."""
    if rng.random() < 0.4:
        return of_bytes(rng, content)
    size = struct.unpack("<Q", content[:8])[0]
    head = _written(of_tree(rng, json.loads(content[8 : 8 + size]))).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(head)) + head + content[8 + size :]


def of_lines(rng: Rng, content: bytes) -> bytes:
    """A text: its cells, separators and lines, or its bytes."""
    if rng.random() < 0.4:
        return of_bytes(rng, content)
    lines = content.decode().split("\n")
    at = int(rng.integers(0, len(lines)))
    cells = lines[at].split(",")
    cells[int(rng.integers(0, len(cells)))] = _written(_value(rng), str).encode("utf-8", "replace").decode()[:200]
    lines[at] = str(rng.choice([",", ";", ",,", "\t"])).join(cells)
    if rng.random() < 0.2:
        lines.insert(at, lines[int(rng.integers(0, len(lines)))])
    return "\n".join(lines).encode()


def of_yaml(rng: Rng, content: bytes) -> bytes:
    """A YAML file: its values, tags and aliases, or its bytes."""
    if rng.random() < 0.4:
        return of_lines(rng, content)
    odd = ("!!python/object/apply:os.abort []", "&a [*a]", "2020-99-99", "0x", "{a: b: c}", "? [1]\n: 2", "!!int x", "=", "<<",
           "!!binary x", "{<<: 1}", "[" * 3000, "{[1]: 2}", "1e999")  # fmt: skip
    text = content.decode()
    values = [place for place, letter in enumerate(text) if letter == ":"]
    at = int(rng.choice(values)) + 1
    return (text[:at] + " " + str(rng.choice(odd)) + text[at:].partition("\n")[1] + text[at:].partition("\n")[2]).encode()


def _written(tree: Any, how: Callable[[Any], str] = json.dumps) -> str:
    """As text, with whole numbers of any length; readers keep Python's own limit."""
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return how(tree)
    finally:
        sys.set_int_max_str_digits(before)


def _places(tree: Any) -> Any:
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield tree, key
        yield from _places(value)


def _value(rng: Rng) -> Any:
    return copy.deepcopy(VALUES[int(rng.integers(0, len(VALUES)))])  # a mutant must not change the next


def _other_array(rng: Rng, arrays: dict[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    old = arrays[name]
    other: tuple[Callable[[], Any], ...] = (
        lambda: np.zeros((0,)), lambda: np.array(3), lambda: old[None], lambda: old.ravel()[:1], lambda: old.astype("U9"),
        lambda: np.full(old.shape, np.nan), lambda: np.full(old.shape, 1e308), lambda: np.zeros(old.shape, bool),
        lambda: np.array([{}], dtype=object), lambda: np.array(["a", "\x1b[2J"]), lambda: np.zeros(3, "M8[s]"),
        lambda: np.zeros(3, [("a", "i4")]), lambda: np.full(old.shape, -1), lambda: np.zeros((1,) * 20), lambda: old.T,
    )  # fmt: skip
    changed = {**arrays, name: other[int(rng.integers(0, len(other)))]()}
    if rng.random() < 0.2:
        changed[f"{name}_"] = changed.pop(name)
    return changed


def _with_header(rng: Rng, arrays: dict[str, np.ndarray]) -> bytes:
    """An archive in which one member's header says something else than its bytes."""
    packed, chosen = io.BytesIO(), str(rng.choice(sorted(arrays)))
    heads = ("(10**9,)", "(1099511627776,)", "(-1,)", "(1.5,)", "((1,),)", "(" * 3000, "(True,)", "'a'")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in arrays.items():
            stream = io.BytesIO()
            np.save(stream, value)
            content = stream.getvalue()
            if name == chosen:
                shape = heads[int(rng.integers(0, len(heads)))]
                descr = str(rng.choice(["<f4", "|O", "<U99999999", "|V4", "nonsense", ">i8"]))
                head = f"{{'descr': '{descr}', 'fortran_order': {rng.choice(['True', 'False', '5'])}, 'shape': {shape}, }}\n"
                content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + rng.bytes(16)
            archive.writestr(f"{name}.npy", content)
    return packed.getvalue()
