"""Shortest latent paths over a graph of known codes: they stay where data are.

Nodes are codes of real data (and draws of the prior, if wanted), edges join nearest neighbours in the latent space, and an
edge weighs the length of its segment in a view. Dijkstra then finds the way (Chen and others, "Fast Approximate Geodesics
for Deep Generative Models", 2019). Symbols: N nodes, k neighbours, P pairs, d latent.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree
from torch import Tensor

from envs.errors import ManifoldError
from envs.geometry.curves import View, along, length
from envs.runtime.progress import progress_bar

NEIGHBOURS, SUB_POINTS = 15, 8
PART = 4096  # edges measured at once


class GraphPaths(NamedTuple):
    """Paths of P pairs: polylines (M, P, d), the end repeated behind it; how many points each has (P,); lengths (P,)."""

    points: Tensor
    counts: Tensor
    lengths: Tensor


class LatentGraph:
    """The graph of codes z (N, d) under a view.

    Parts that no edge joins are joined by the shortest latent link between them, so that every pair has a path.

    Args:
        view: see `envs.geometry.curves`; asked once for every edge's points, needs no gradient.
        z: (N, d) codes.
        neighbours: k.
        sub_points: segments into which an edge is cut for measuring.
        progress: show a bar.

    Raises:
        ManifoldError: fewer than two codes, no neighbours, or codes that are not finite.
    """

    def __init__(
        self, view: View, z: Tensor, neighbours: int = NEIGHBOURS, sub_points: int = SUB_POINTS, progress: bool = False
    ) -> None:
        if len(z) < 2 or neighbours < 1:
            raise ManifoldError(f"a graph needs 2 codes and 1 neighbour at least, got {len(z)} and {neighbours}")
        if not torch.isfinite(z).all():
            raise ManifoldError("a graph joins finite codes; these hold NaN or infinity")
        self.view, self.z, self.sub_points = view, z, sub_points
        self.neighbours = min(neighbours, len(z) - 1)
        self.tree = cKDTree(z.numpy())
        _, near = self.tree.query(z.numpy(), k=self.neighbours + 1)
        rows = np.repeat(np.arange(len(z)), self.neighbours + 1)
        ends = np.sort(np.stack([rows, near.ravel()], axis=1), axis=1)
        ends = np.unique(ends[ends[:, 0] != ends[:, 1]], axis=0)
        ends = np.concatenate([ends, _links(self.tree, len(z), ends)])
        a, b = z[torch.from_numpy(ends[:, 0])], z[torch.from_numpy(ends[:, 1])]
        parts = range(0, len(ends), PART)
        weights = [self._measure(a[i : i + PART], b[i : i + PART]) for i in progress_bar(parts, "measuring edges", progress)]
        # A weight of exactly zero (equal data) would be no edge at all in a sparse matrix.
        weight = np.maximum(np.concatenate(weights), 1e-9)
        both = np.concatenate([ends, ends[:, ::-1]])
        self.matrix = sparse.csr_matrix((np.tile(weight, 2), (both[:, 0], both[:, 1])), shape=(len(z), len(z)))

    def _measure(self, a: Tensor, b: Tensor) -> np.ndarray:
        """Lengths (E,) of segments between codes a and b (E, d)."""
        with torch.inference_mode():
            found: np.ndarray = length(self.view, along(torch.stack([a, b]), self.sub_points + 1)).double().numpy()
        return found

    def between(self, first: Tensor, last: Tensor) -> GraphPaths:
        """Shortest paths between nodes first and last (P,) int64."""
        sources, targets = first.numpy(), last.numpy()
        # The graph has no directions: run from whichever side has fewer different nodes.
        swap = len(np.unique(targets)) < len(np.unique(sources))
        roots, leaves = (targets, sources) if swap else (sources, targets)
        unique, row = np.unique(roots, return_inverse=True)
        distance, before = csgraph.dijkstra(self.matrix, directed=True, indices=unique, return_predecessors=True)
        ways = _walk_back(before, row, leaves)  # from leaf to root
        ordered = [way if swap else way[::-1] for way in ways]
        return self._paths(ordered, distance[row, leaves])

    def lead(self, z: Tensor, goals: Tensor, entries: int = 5) -> GraphPaths:
        """Shortest paths from codes z (P, d), in the graph or not, to whichever of the nodes goals (G,) is nearest.

        A code enters by that of its `entries` nearest nodes which makes the whole way shortest. One run of Dijkstra serves
        all codes. The first point is the code itself.

        Raises:
            ManifoldError: no goals.
        """
        if not len(goals):
            raise ManifoldError("no node is a goal: there is nowhere to walk")
        distance, before, _ = csgraph.dijkstra(
            self.matrix, directed=True, indices=goals.numpy(), return_predecessors=True, min_only=True
        )
        k = min(entries, len(self.z))
        near = self.tree.query(z.numpy(), k=np.arange(1, k + 1))[1]  # (P, k)
        gates = self._measure(z.repeat_interleave(k, 0), self.z[torch.from_numpy(near.ravel())]).reshape(-1, k)
        whole = gates + distance[near]
        chosen, rows = whole.argmin(axis=1), np.arange(len(z))
        ways = _walk_back(before[None], np.zeros(len(z), int), near[rows, chosen])
        found = self._paths(ways, whole[rows, chosen])
        return GraphPaths(torch.cat([z[None], found.points]), found.counts + 1, found.lengths)

    def _paths(self, ways: list[np.ndarray], lengths: np.ndarray) -> GraphPaths:
        counts = torch.tensor([len(way) for way in ways], dtype=torch.int64)
        longest = int(counts.max()) if len(counts) else 1
        index = np.stack([np.pad(way, (0, longest - len(way)), mode="edge") for way in ways], axis=1)
        return GraphPaths(self.z[torch.from_numpy(index)], counts, torch.from_numpy(lengths).float())


def _walk_back(before: np.ndarray, row: np.ndarray, leaves: np.ndarray) -> list[np.ndarray]:
    """Node lists from each leaf to its root by predecessors (R, N), row (P,) saying which root; all pairs step at once."""
    at, columns = leaves.copy(), [leaves]
    while True:
        following = before[row, at]
        at = np.where(following < 0, at, following)
        if (following < 0).all():
            break
        columns.append(at)
    nodes = np.stack(columns, axis=1)
    counts = 1 + (np.diff(nodes, axis=1) != 0).sum(axis=1)
    return [line[:count] for line, count in zip(nodes, counts, strict=True)]


def _links(tree: cKDTree, n: int, ends: np.ndarray) -> np.ndarray:
    """Edges (L, 2) that join the parts of a graph: each part to the rest by its shortest link, until it is one."""
    links = np.zeros((0, 2), dtype=ends.dtype)
    while True:
        every = np.concatenate([ends, links])
        shape = sparse.csr_matrix((np.ones(len(every)), (every[:, 0], every[:, 1])), shape=(n, n))
        count, part = csgraph.connected_components(shape, directed=False)
        if count == 1:
            return links
        smallest = np.bincount(part).argmin()
        inside, outside = np.flatnonzero(part == smallest), np.flatnonzero(part != smallest)
        distance, nearest = cKDTree(tree.data[outside]).query(tree.data[inside])
        best = int(np.argmin(distance))
        links = np.concatenate([links, [[inside[best], outside[nearest[best]]]]])
