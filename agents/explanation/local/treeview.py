"""TreeView: a decision tree that shows which classes a network rejects, one after the other, until one is left.

A classifier's hidden features are split into F *factors* (groups of features), and the data in each factor into C clusters:
the index of the cluster is the factor's *meta-feature*. A decision tree from meta-features to the network's prediction is then
a readable surrogate: every node shows the classes that are still possible [1]_. The network is not changed, so its accuracy is
not either. Along a path, the tree shows which factor switched, and which classes that rejected.

Five steps:

1. fit the linear effect of the features on the log probabilities (exact for the last hidden layer of a network);
2. group the features by k-means on this effect times their standard deviation;
3. cluster the data in each factor by k-means on the factor's contribution to the log probabilities;
4. fit extremely randomised trees [2]_ from the input to each meta-feature, so that new inputs have meta-features;
5. fit a decision tree of at most `leaves` leaves from one-hot meta-features to the network's prediction.

The features come from inside the network, so TreeView is a white-box method.

Symbols: N items, m features, F factors, C clusters, K classes.

References
----------
.. [1] Thiagarajan, Kailkhura, Sattigeri, Ramamurthy, "TreeView: Peeking into Deep Neural Networks Via Feature-Space
   Partitioning", arXiv 1611.07429 (2016). Steps 1 to 3 there are k-means on the features alone, step 4 a random forest.
.. [2] Geurts, Ernst, Wehenkel, "Extremely Randomized Trees", Machine Learning 63 (2006).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from envs.errors import ManifoldError

if TYPE_CHECKING:
    from torch import Tensor

    from agents.trajectories.trajectory import Trajectory
    from envs.core.world import World

FACTORS, CLUSTERS, LEAVES, TREES = 5, 5, 84, 100
MOST_ROWS = 6000  # to which a view is fitted
NEIGHBOURS = 30  # from which the second end of an interpolated point is drawn


class Node(NamedTuple):
    """One node on a route through the tree.

    Attributes:
        shares: (K,) shares of the classes among the training items of the node.
        factor, cluster: the node's test, whether `factor` is in `cluster`; None at a leaf.
        prediction: the outcome of the test for the item; None at a leaf.

    Example:
        >>> Node(np.array([0.7, 0.3, 0.0])).alive
        array([ True,  True, False])
    """

    shares: np.ndarray
    factor: int | None = None
    cluster: int | None = None
    prediction: bool | None = None

    @property
    def alive(self) -> np.ndarray:
        """(K,) bool: classes not yet rejected."""
        return np.asarray(self.shares > 0)


@dataclass(frozen=True)
class Routes:
    """The routes of N items, such as the frames of a path, through the tree.

    Attributes:
        meta: (N, F) cluster of each item in each factor.
        predicted: (N,) the tree's class.
        nodes: the nodes of each item from root to leaf.

    Example:
        >>> leaf = [Node(np.ones(1))]
        >>> Routes(np.array([[0, 1], [2, 1]]), np.zeros(2), [leaf, leaf]).switches()
        [(1, 0, 0, 2)]
    """

    meta: np.ndarray
    predicted: np.ndarray
    nodes: list[list[Node]]

    def switches(self) -> list[tuple[int, int, int, int]]:
        """Changes of a factor from one item to the next: (item, factor, cluster before, cluster after) of each."""
        items, factors = np.nonzero(self.meta[1:] != self.meta[:-1])
        return [
            (int(i) + 1, int(f), int(self.meta[i, f]), int(self.meta[i + 1, f])) for i, f in zip(items, factors, strict=True)
        ]


class TreeView:
    """A fitted view; `fit_treeview` and `treeview_of` return one.

    Attributes:
        groups: F arrays of feature indices.
        forests: F classifiers from the flat input to a meta-feature.
        tree: from one-hot meta-features (F C) to the class.
        classes: K.
        clusters: C.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(60, 4))
        >>> log_p = np.log(np.stack([1 / (1 + np.exp(-x[:, 0])), 1 / (1 + np.exp(x[:, 0]))], axis=1))
        >>> view = fit_treeview(x, x, log_p, factors=2, clusters=2)
        >>> view.routes(x[:3]).meta.shape
        (3, 2)
    """

    def __init__(self, groups: list[np.ndarray], forests: list[Any], tree: Any, classes: int, clusters: int) -> None:
        self.groups, self.forests, self.tree = groups, forests, tree
        self.classes, self.clusters = classes, clusters

    @property
    def leaves(self) -> int:
        """Number of leaves."""
        return int(self.tree.get_n_leaves())

    def meta(self, x: np.ndarray) -> np.ndarray:
        """Meta-features (N, F) of inputs x (N, ...)."""
        if len(x) == 0:
            return np.zeros((0, len(self.forests)), dtype=np.int64)
        flat = np.asarray(x, dtype=np.float32).reshape(len(x), -1)
        return np.stack([forest.predict(flat) for forest in self.forests], axis=1)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Classes (N,) that the tree predicts for inputs x (N, ...)."""
        meta = self.meta(x)
        return np.asarray(self.tree.predict(_one_hot(meta, self.clusters))) if len(meta) else np.zeros(0, dtype=np.int64)

    def fidelity(self, x: np.ndarray, predictions: np.ndarray) -> float:
        """Share of inputs x (N, ...) for which the tree agrees with the network's predictions (N,)."""
        return float((self.predict(x) == np.asarray(predictions)).mean())

    def routes(self, x: np.ndarray) -> Routes:
        """The route of each input x (N, ...) from the root to its leaf."""
        meta = self.meta(x)
        coded = _one_hot(meta, self.clusters)
        tree = self.tree.tree_
        shares = np.zeros((tree.node_count, self.classes))
        shares[:, self.tree.classes_] = tree.value[:, 0] / tree.value[:, 0].sum(1, keepdims=True)
        on_way = self.tree.decision_path(coded)
        nodes = []
        for row, bits in enumerate(coded):
            way = on_way.indices[on_way.indptr[row] : on_way.indptr[row + 1]]
            nodes.append([self._node(int(node), shares[node], bits) for node in way])
        return Routes(meta, np.asarray(self.tree.predict(coded)), nodes)

    def _node(self, node: int, shares: np.ndarray, bits: np.ndarray) -> Node:
        column = int(self.tree.tree_.feature[node])
        if column < 0:
            return Node(shares)
        factor, cluster = divmod(column, self.clusters)
        return Node(shares, factor, cluster, bool(bits[column]))


def fit_treeview(
    x: np.ndarray,
    features: np.ndarray,
    log_p: np.ndarray,
    *,
    factors: int = FACTORS,
    clusters: int = CLUSTERS,
    leaves: int = LEAVES,
    seed: int = 0,
) -> TreeView:
    """Fit a view.

    Args:
        x: (N, ...) inputs.
        features: (N, m) hidden features of the network.
        log_p: (N, K) its log probabilities.
        factors: F.
        clusters: C.
        leaves: the most leaves of the tree.
        seed: of k-means and trees.

    Returns:
        The view.

    Raises:
        ManifoldError: fewer features than factors, fewer items than clusters, or a number below two.
    """
    from sklearn.cluster import KMeans
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.tree import DecisionTreeClassifier

    known, predictions = np.asarray(features, dtype=np.float64), np.asarray(log_p, dtype=np.float64)
    if factors < 1 or factors > known.shape[1]:
        raise ManifoldError(f"{factors} factors of {known.shape[1]} features: each factor needs at least one feature")
    if clusters < 2 or clusters > len(known):
        raise ManifoldError(f"{clusters} clusters of {len(known)} items: at least two, and no more than there are items")
    if leaves < 2:
        raise ManifoldError(f"a tree of {leaves} leaves makes no decision: at least two are needed")
    effect = _effects(known, predictions)  # (m, K)
    group = KMeans(factors, n_init=10, random_state=seed).fit_predict(effect * known.std(0)[:, None])
    flat = np.asarray(x, dtype=np.float32).reshape(len(x), -1)
    groups, forests, meta = [], [], []
    for factor in range(factors):
        own = np.nonzero(group == factor)[0]
        share = known[:, own] @ effect[own]  # (N, K): the factor's contribution to the log probabilities
        cluster = KMeans(clusters, n_init=10, random_state=seed).fit_predict(share)
        forest = ExtraTreesClassifier(TREES, random_state=seed)
        groups.append(own)
        forests.append(forest.fit(flat, cluster))
        meta.append(cluster)
    tree = DecisionTreeClassifier(max_leaf_nodes=leaves, random_state=seed)
    tree.fit(_one_hot(np.stack(meta, axis=1), clusters), predictions.argmax(1))
    return TreeView(groups, forests, tree, predictions.shape[1], clusters)


def treeview_of(world: World, between: int = 0, seed: int = 0, **settings: Any) -> TreeView:
    """The view of a world's classifier, fitted to its reference inputs (an even sample of many).

    Args:
        world: gives classifier and reference inputs.
        between: additional points per reference input, drawn between neighbouring codes and decoded; useful for few data.
        seed: of these points and of the fit.
        **settings: factors, clusters, leaves, as in `fit_treeview`.

    Raises:
        ManifoldError: the classifier is not a torch module, or returns only labels.
    """
    import torch

    stride = -(-len(world.reference.x) * (1 + between) // MOST_ROWS)
    x, z = world.reference.x[::stride], world.reference.z[::stride]
    if between:
        with torch.inference_mode():
            x = torch.cat([x, world.decode(_between(z, between, seed), x.repeat(between, *[1] * (x.ndim - 1)))])
    features, log_p = hidden_features(world, x)
    return fit_treeview(x.numpy(), features, log_p, seed=seed, **settings)


def _between(z: Tensor, each: int, seed: int) -> Tensor:
    """Points (each N, d) drawn uniformly between codes z (N, d) and one of their 30 nearest neighbours."""
    import torch
    from sklearn.neighbors import NearestNeighbors

    k = min(NEIGHBOURS, len(z) - 1)
    near = NearestNeighbors(n_neighbors=k + 1).fit(z.numpy()).kneighbors(z.numpy(), return_distance=False)[:, 1:]
    generator = torch.Generator().manual_seed(seed)
    first = torch.arange(len(z)).repeat(each)
    second = torch.from_numpy(near)[first, torch.randint(k, (len(first),), generator=generator)]
    return torch.lerp(z[first], z[second], torch.rand(len(first), 1, generator=generator))


def hidden_features(world: World, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Last hidden embedding (N, m) and log probabilities (N, K) of inputs x (N, ...), from inside the network.

    White box; this is not counted among a path's queries.

    Raises:
        ManifoldError: the classifier is not a torch module, or returns only labels.
    """
    import torch

    from envs.classifiers.mrnet import embeddings

    module = world.classifier.torch_module
    if module is None:
        raise ManifoldError(
            "TreeView needs the hidden features of a network; this classifier has none (it is not a torch module, or shows "
            "labels alone). Call fit_treeview with features of your own."
        )
    with torch.inference_mode():
        logits, hidden = embeddings(module, x)
    return hidden[-1].flatten(1).numpy(), logits.log_softmax(1).numpy()


def route_of(path: Trajectory, world: World, view: TreeView) -> Routes:
    """The routes of the frames of a path: which factors switch, and which classes that rejects."""
    return view.routes(path.frames(world))


def switch_sentences(routes: Routes, class_names: Sequence[str]) -> list[str]:
    """One sentence per frame on which a factor switches: the switches, and the classes rejected or allowed by them."""
    said = []
    by_frame: dict[int, list[str]] = {}
    for frame, factor, before, after in routes.switches():
        by_frame.setdefault(frame, []).append(f"factor {factor} from {before} to {after}")
    for frame, changes in by_frame.items():
        was, now = routes.nodes[frame - 1][-1].alive, routes.nodes[frame][-1].alive
        gone = [class_names[int(k)] for k in np.nonzero(was & ~now)[0]]
        come = [class_names[int(k)] for k in np.nonzero(now & ~was)[0]]
        effects = [f"rejects {', '.join(gone)}"] * bool(gone) + [f"allows {', '.join(come)}"] * bool(come)
        said.append(f"frame {frame}: {', '.join(changes)}" + (f": {'; '.join(effects)}" if effects else ""))
    return said


def _effects(features: np.ndarray, log_p: np.ndarray) -> np.ndarray:
    """(m, K) ridge fit of the linear effect of the features on log p, minus the mean over classes, which softmax ignores."""
    x = features - features.mean(0)
    y = log_p - log_p.mean(1, keepdims=True)
    gram = x.T @ x
    grain = 1e-3 * np.trace(gram) / len(gram) + 1e-12
    return np.asarray(np.linalg.solve(gram + grain * np.eye(len(gram)), x.T @ (y - y.mean(0))))


def _one_hot(meta: np.ndarray, clusters: int) -> np.ndarray:
    """Meta-features (N, F) as one-hot vectors (N, F C)."""
    return np.eye(clusters, dtype=np.float32)[meta].reshape(len(meta), -1)
