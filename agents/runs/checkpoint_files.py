"""Nested training state as files that hold data only: reading one runs no code.

A *tree* is made of dicts, lists, tuples, strings, numbers, None, numpy arrays and torch tensors; ``write_tree`` puts
its arrays into ``<name>.npz`` and its shape into ``<name>.json``. A *state* is what ``agents.runs.checkpoint`` captures:
one entry, one file or pair of files::

    policy        dict of tensors          policy.safetensors
    optimizers    torch state dicts        optimizers.pt       (read with weights_only=True)
    anything else a tree                   <entry>.json, <entry>.npz
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from agents.console.cli import UserError
from envs.reading.files import read_json, read_npz, read_safetensors, read_weights

LARGEST_TREE = 1 << 34  # bytes of a replay buffer, which packs well


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """Write each entry of ``state`` into ``folder`` (entries that are None are left out).

    Raises:
        TypeError: an entry holds something that is not plain data.
        OSError: the disk's.
    """
    for name, entry in state.items():
        if entry is None:
            continue
        if name == "policy":
            tensors = {key: value.detach().cpu().contiguous() for key, value in entry.items()}
            (folder / "policy.safetensors").write_bytes(save(tensors))  # by way of bytes: a full disk is then an OSError
        elif name == "optimizers":
            buffer = io.BytesIO()
            torch.save(entry, buffer)
            (folder / "optimizers.pt").write_bytes(buffer.getvalue())
        else:
            write_tree(folder, name, entry)


def read_state(folder: Path, device: torch.device | str = "cpu", only: tuple[str, ...] | None = None) -> dict[str, Any]:
    """The state that :func:`write_state` wrote; ``only`` names the entries to read (all by default)."""
    links = [path.name for path in folder.iterdir() if path.is_symlink()]
    if links:
        raise UserError(f"{str(folder / links[0])!r} is a link; a checkpoint may not contain links")
    names = {path.stem for path in folder.iterdir() if path.suffix in (".safetensors", ".pt", ".json")} - {"manifest"}
    state: dict[str, Any] = {}
    for name in sorted(names if only is None else names.intersection(only)):
        if name == "policy":
            state[name] = read_safetensors(folder / "policy.safetensors", device, error=UserError)
        elif name == "optimizers":
            state[name] = read_weights(folder / "optimizers.pt", device, error=UserError)
        else:
            state[name] = read_tree(folder, name)
    return state


def write_tree(folder: Path, name: str, tree: Any) -> None:
    """Write a tree as ``<name>.json`` and, where it holds arrays, ``<name>.npz``."""
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(_encode(tree, arrays, name), indent=1, sort_keys=True)
    if arrays:
        with open(folder / f"{name}.npz", "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def read_tree(folder: Path, name: str) -> Any:
    """The tree that :func:`write_tree` wrote, bit for bit."""
    arrays: dict[str, np.ndarray] = {}
    if (folder / f"{name}.npz").exists():
        arrays = read_npz(folder / f"{name}.npz", LARGEST_TREE, error=UserError)
    file = folder / f"{name}.json"
    try:
        return _decode(read_json(file, error=UserError), arrays)
    except KeyError as error:
        raise UserError(f"{str(file)!r} is damaged: it names {error}, which {name}.npz does not hold") from None
    except (TypeError, ValueError) as error:
        raise error if isinstance(error, UserError) else UserError(f"{str(file)!r} is damaged: {error}") from None


def _encode(tree: Any, arrays: dict[str, np.ndarray], where: str) -> Any:
    """A tree as JSON; its arrays are collected under numbered keys, in an order that no dict's history decides."""
    if tree is None or isinstance(tree, bool | str | int | float):
        return tree
    if isinstance(tree, np.ndarray | np.generic) and tree.dtype != object:
        key = f"a{len(arrays)}"
        arrays[key] = np.asarray(tree)
        return {"@": "scalar" if isinstance(tree, np.generic) else "array", "key": key}
    if isinstance(tree, torch.Tensor):
        key = f"a{len(arrays)}"
        arrays[key] = tree.detach().cpu().numpy()
        return {"@": "tensor", "key": key}
    if isinstance(tree, dict):
        if all(isinstance(key, str) for key in tree) and "@" not in tree:
            return {key: _encode(value, arrays, f"{where}.{key}") for key, value in sorted(tree.items())}
        pairs = [[_encode(key, arrays, where), _encode(value, arrays, f"{where}.{key}")] for key, value in tree.items()]
        return {"@": "pairs", "items": pairs}
    if isinstance(tree, list | tuple):
        items = [_encode(value, arrays, f"{where}[{i}]") for i, value in enumerate(tree)]
        return items if isinstance(tree, list) else {"@": "tuple", "items": items}
    raise TypeError(f"{where} is a {type(tree).__name__}; only plain data, arrays and tensors can be saved without pickling")


def _decode(node: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Inverse of :func:`_encode`."""
    if isinstance(node, list):
        return [_decode(item, arrays) for item in node]
    if not isinstance(node, dict):
        return node
    kind = node.get("@")
    if kind is None:
        return {key: _decode(value, arrays) for key, value in node.items()}
    if kind == "array":
        return arrays[node["key"]]
    if kind == "scalar":
        return arrays[node["key"]][()]
    if kind == "tensor":
        return torch.from_numpy(arrays[node["key"]].copy())
    items = [_decode(item, arrays) for item in node["items"]]
    if kind == "tuple":
        return tuple(items)
    return {key: value for key, value in items}  # noqa: C416  (keys may be of any plain kind)
