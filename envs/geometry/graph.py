"""Shortest latent paths over a graph of known codes, which stay near the data.

Nodes are codes of real data, and possibly samples of the prior. Edges join nearest neighbours in the latent space; an edge's
weight is the length of its segment in a view. Dijkstra's algorithm finds the paths (Chen and others, "Fast Approximate
Geodesics for Deep Generative Models", ICANN 2019). Symbols: N nodes, k neighbours, P pairs, d latent coordinates.
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
    """Paths of P pairs.

    Attributes:
        points: Polylines, (M, P, d), padded with their last point.
        counts: Number of points of each path, (P,).
        lengths: Length of each path, (P,).

    Example:
        >>> graph = LatentGraph(lambda z: z, torch.tensor([[0.0], [1.0], [2.0]]), neighbours=1)
        >>> graph.between(torch.tensor([0]), torch.tensor([2])).lengths
        tensor([2.])
    """

    points: Tensor
    counts: Tensor
    lengths: Tensor


class LatentGraph:
    """The graph of codes under a view.

    Components without a connecting edge are joined by the shortest latent link between them, so that every pair has a path.

    Args:
        view: See `envs.geometry.curves`. It is evaluated once per point of each edge and needs no gradient.
        z: Codes, (N, d).
        neighbours: Neighbours per node k.
        sub_points: Segments per edge for measuring its length.
        progress: Show a progress bar.

    Raises:
        ManifoldError: If there are fewer than two codes or no neighbours, or codes are not finite.

    Example:
        >>> graph = LatentGraph(lambda z: z, torch.tensor([[0.0], [1.0], [2.0]]), neighbours=1)
        >>> graph.lead(torch.tensor([[0.4]]), goals=torch.tensor([2])).lengths.round(decimals=1)
        tensor([1.6000])
    """

    def __init__(
        self, view: View, z: Tensor, neighbours: int = NEIGHBOURS, sub_points: int = SUB_POINTS, progress: bool = False
    ) -> None:
        if len(z) < 2 or neighbours < 1:
            raise ManifoldError(f"a graph needs at least 2 codes and 1 neighbour, got {len(z)} and {neighbours}")
        if not torch.isfinite(z).all():
            raise ManifoldError("the graph needs finite codes; these contain NaN or infinity")
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
        # A weight of exactly zero (equal data) would not be an edge of a sparse matrix.
        weight = np.maximum(np.concatenate(weights), 1e-9)
        both = np.concatenate([ends, ends[:, ::-1]])
        self.matrix = sparse.csr_matrix((np.tile(weight, 2), (both[:, 0], both[:, 1])), shape=(len(z), len(z)))

    def _measure(self, a: Tensor, b: Tensor) -> np.ndarray:
        """Lengths (E,) of segments between codes a and b (E, d)."""
        with torch.inference_mode():
            found: np.ndarray = length(self.view, along(torch.stack([a, b]), self.sub_points + 1)).double().numpy()
        return found

    def between(self, first: Tensor, last: Tensor) -> GraphPaths:
        """Shortest paths between nodes.

        Args:
            first: First nodes, (P,) int64.
            last: Last nodes, (P,) int64.
        """
        sources, targets = first.numpy(), last.numpy()
        # The graph is undirected: start from the side with fewer distinct nodes.
        swap = len(np.unique(targets)) < len(np.unique(sources))
        roots, leaves = (targets, sources) if swap else (sources, targets)
        unique, row = np.unique(roots, return_inverse=True)
        distance, before = csgraph.dijkstra(self.matrix, directed=True, indices=unique, return_predecessors=True)
        ways = _walk_back(before, row, leaves)  # from leaf to root
        ordered = [way if swap else way[::-1] for way in ways]
        return self._paths(ordered, distance[row, leaves])

    def lead(self, z: Tensor, goals: Tensor, entries: int = 5) -> GraphPaths:
        """Shortest paths from codes to the nearest of several goal nodes.

        A code enters the graph at that of its nearest nodes which gives the shortest total path. One run of Dijkstra's
        algorithm serves all codes. The first point of a path is the code itself.

        Args:
            z: Codes, in the graph or not, (P, d).
            goals: Goal nodes, (G,) int64.
            entries: Number of nearest nodes that are tried.

        Raises:
            ManifoldError: If there are no goals.
        """
        if not len(goals):
            raise ManifoldError("there are no goal nodes")
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
    """Node lists from each leaf to its root.

    Args:
        before: Predecessors, (R, N).
        row: Index of the root of each leaf, (P,).
        leaves: Last nodes, (P,).
    """
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
    """Edges (L, 2) that connect a graph's components: the smallest one to the rest by its shortest link, repeatedly."""
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
