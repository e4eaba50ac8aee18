"""The mathematics of moving in a latent space."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.anchors.material import normal, world_of
from tests.benchmarks.anchors.values import Measured, System, figures


def transport_maps() -> Measured:
    """Operations that keep the prior's law, for laws with and without a closed form."""
    from envs.geometry.transport import analogy, combine, to_prior, two_point, vicinity
    from envs.manifolds import Prior

    found: Measured = {}
    sampled = np.random.default_rng(0).exponential(size=2001) ** 0.7
    for kind in ("normal", "uniform", "empirical"):
        prior = Prior(kind, 5, samples=sampled if kind == "empirical" else None)
        u = [normal(40, 5, seed=k).mul(0.7).erf().add(1).div(2).clamp(0.01, 0.99) for k in range(3)]
        a, b, c = (prior.ppf(part.double()).float() for part in u)
        found |= {
            f"{kind}: two points": figures(two_point(prior, a, b, 0.3)),
            f"{kind}: three points": figures(combine(prior, [a, b, c], [0.5, 0.3, 0.2])),
            f"{kind}: vicinity": figures(vicinity(prior, a, b, 0.5)),
            f"{kind}: analogy": figures(analogy(prior, a, b, c)),
            f"{kind}: map": figures(to_prior(prior, 0.6 * a - 0.8 * b, [0.6, -0.8])),
        }
    return found


def grids_and_lines() -> Measured:
    """Interpolation, J-diagrams and MINE grids of codes."""
    import torch

    from envs.geometry.grids import assign_to_grid, j_diagram, mine_grid
    from envs.geometry.interpolation import INTERPOLATIONS, interpolate, slerp, sphere_step
    from envs.manifolds import Prior

    prior, t = Prior("normal", 5), torch.linspace(0, 1, 7)[:, None, None]
    a, b, anchors = normal(4, 5, seed=1), normal(4, 5, seed=2), normal(3, 4, 5, seed=3)
    found: Measured = {"slerp": figures(slerp(a, b, t)), "sphere": figures(sphere_step(a, b, 0.3))}
    for way in INTERPOLATIONS:
        found |= {
            f"line, {way}": figures(interpolate(way, prior, a, b, t)),
            f"j diagram, {way}": figures(j_diagram(prior, a[0], b[0], a[1], 4, 5, way)),
            f"mine grid, {way}": figures(mine_grid(prior, anchors, 3, way)),
        }
    places = normal(12, 2, seed=4).numpy()
    return {**found, "cells": figures(assign_to_grid(places, 3, 4))}


def attribute_directions() -> Measured:
    """Attribute vectors, plain and balanced, AtDot, and the strokes that they are of."""
    from envs.geometry.attributes import AtDot, attribute_vector, augmentation_vector
    from envs.geometry.strokes import attributes_of

    world = world_of()
    x, z = world.reference.x[:400], world.reference.z[:400]
    values = {attribute.name: attribute.measure(x) for attribute in attributes_of(world)}
    thick, leaning = values["thickness"] > values["thickness"].median(), values["slant"] > 0
    fitted = AtDot.fit(z, thick, leaning)
    return {
        **{name: figures(value) for name, value in values.items()},
        "vector": figures(attribute_vector(z, thick)),
        "balanced": figures(attribute_vector(z, thick, leaning)),
        "augmentation": figures(augmentation_vector(world.manifold, x, lambda rows: rows * (0.6 + 0.4 * rows))),
        "threshold": fitted.threshold,
        "score": figures(fitted.score(z)),
        "accuracy": fitted.accuracy(z, thick),
        "auc": fitted.auc(z, thick),
    }


def curves_and_metrics() -> Measured:
    """Lengths and energies, geodesics, the graph of codes, the pullback metric and an ensemble of decoders."""
    from envs.geometry import curves
    from envs.geometry.geodesics import geodesic
    from envs.geometry.graph import LatentGraph
    from envs.geometry.uncertainty import DecoderEnsemble, magnification

    world = world_of()
    z, view = world.reference.z, curves.pixels(world.manifold)
    straight = curves.straight(z[:4], z[4:8])
    bent = geodesic(view, z[:4], z[4:8], steps=30).points()
    ways = LatentGraph(view, z[:200]).lead(z[200:204], world.reference.label[:200].eq(3).nonzero()[:, 0])
    decoders = DecoderEnsemble.fit(world.manifold, world.reference.x[:200], members=2, epochs=3, hidden=32)
    metric = world.manifold.metric(z[:6])
    return {
        "length": figures(curves.length(view, straight)),
        "energy": figures(curves.energy(view, straight)),
        "geodesic": figures(curves.length(view, bent)),
        "graph": figures(ways.lengths),
        "metric": figures(metric),
        "magnification": figures(magnification(metric)),
        "uncertainty": figures(decoders.uncertainty(z[:6])),
    }


SYSTEMS = {
    "transport": System(transport_maps),
    "grids": System(grids_and_lines),
    "attributes": System(attribute_directions),
    "curves": System(curves_and_metrics),
}
