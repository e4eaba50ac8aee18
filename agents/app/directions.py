"""Directions in the latent space that people can walk along: the principal ones, and those of attributes of the data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from envs.core.world import World
from envs.errors import ManifoldError
from envs.geometry.attributes import attribute_vector
from envs.geometry.strokes import attributes_of

PRINCIPAL = 4  # principal directions that are offered, at most
COLUMNS = 6  # numbers of a table with a direction of their own, at most
MEASURED = 400  # reference rows on which attributes are measured
ENDS = (0.01, 0.99)  # quantiles of the reference codes at which a slider ends


class Direction(NamedTuple):
    """A direction with the range of a slider.

    Attributes:
        name: for people.
        kind: ``principal`` or ``attribute``.
        vector: (d,) unit vector.
        low, high: of <vector, z> over most reference codes.

    Example:
        >>> Direction("slant", "attribute", torch.tensor([1.0, 0.0]), -2.0, 2.0).at(torch.tensor([[0.5, 1.0]]))
        0.5
    """

    name: str
    kind: str
    vector: Tensor
    low: float
    high: float

    def at(self, z: Tensor) -> float:
        """The place of a code (1, d) along the direction."""
        return float(z[0] @ self.vector)

    def goal(self, z: Tensor, value: float) -> Tensor:
        """The code (1, d) that is z (1, d) moved along the direction to `value`."""
        return z + (value - self.at(z)) * self.vector


def directions(world: World) -> list[Direction]:
    """The directions of a world: the first principal axes of the reference codes, then attributes.

    Attributes are those known for the data (`envs.geometry.strokes.ATTRIBUTES`), the numbers of tables, and the levels of
    intervals of series: the difference between the mean codes of the upper and of the lower half. No query.

    Args:
        world: of the codes.

    Example:
        >>> from envs import make_world
        >>> [direction.name for direction in directions(make_world())][:3]
        ['direction 1', 'direction 2', 'sepal length in cm']
    """
    codes = world.reference.z
    _, _, axes = torch.linalg.svd(codes - codes.mean(0), full_matrices=False)
    found = [_direction(f"direction {k + 1}", "principal", axis, codes) for k, axis in enumerate(axes[:PRINCIPAL])]
    for name, values, rows in _attributes(world):
        finite = torch.isfinite(values)
        middle = values[finite].median() if bool(finite.any()) else torch.tensor(0.0)
        try:
            vector = attribute_vector(codes[rows][finite], values[finite] > middle)
        except ManifoldError:  # everybody has the same value
            continue
        if float(vector.norm()) > 1e-6:
            found.append(_direction(name, "attribute", vector, codes))
    return found


def _attributes(world: World) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Name, values (M,) and rows (M,) of the reference data, of each attribute."""
    rows = torch.arange(min(MEASURED, len(world.reference.x)))
    for attribute in attributes_of(world):
        yield attribute.name, attribute.measure(world.reference.x[rows]).float(), rows
    cells = world.reference.cells
    if cells is not None and world.units.anchored:
        if world.units.in_time:
            yield from _intervals(world.units, cells)
            return
        table = getattr(world.units, "table", None)
        names = [str(name) for name in world.units.columns]
        fixed = {column.name for column in table.columns if column.immutable or column.kind != "number"} if table else set()
        for j in [j for j, name in enumerate(names) if name not in fixed][:COLUMNS]:
            yield names[j], cells[:, j].float(), torch.arange(len(cells))


def _intervals(units: Any, cells: Tensor) -> Iterator[tuple[str, Tensor, Tensor]]:
    """The mean of each of a few equal intervals of series, as `_attributes` yields it."""
    channels, length = units.shape
    values = cells.float().view(len(cells), channels, length)
    for c in range(channels if channels <= COLUMNS else 0):
        lead = f"{units.names[c]}, " if units.names else f"channel {c}, " if channels > 1 else ""
        for points in torch.arange(length).tensor_split(max(1, min(COLUMNS // channels, length))):
            yield f"{lead}points {points[0]}-{points[-1]}", values[:, c, points].mean(1), torch.arange(len(cells))


def locked_columns(world: World) -> list[str]:
    """Names of the columns of a table that walks leave unchanged."""
    table = getattr(world.units, "table", None)
    return [] if table is None else [column.name for column in table.columns if column.immutable]


def _direction(name: str, kind: str, vector: Tensor, codes: Tensor) -> Direction:
    unit = vector / vector.norm().clamp_min(1e-12)
    places = codes @ unit
    low, high = (float(places.quantile(share)) for share in ENDS)
    return Direction(name, kind, unit, low, high)
