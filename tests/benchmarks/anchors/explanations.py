"""Sentences between sentences, LIME along a path, and TreeView."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.anchors.material import walked, world_of
from tests.benchmarks.anchors.values import Measured, System, digest, figures


def sentence_walks() -> Measured:
    """Lines between sentences, a homotopy, and missing words."""
    from agents.explain import explain
    from envs.manifolds.sentence.homotopy import homotopy, nearest_sentences
    from envs.manifolds.sentence.imputation import fill_in

    world = world_of("sentences")
    vae, texts = world.manifold, world.units.texts(world.held_out.x[:30])
    between = homotopy(vae, texts[0], texts[1], points=7)
    filled = fill_in(vae, [*texts[2:6], "the ___ was really ___", "we ___ the film"])
    near = nearest_sentences(between.z, world.reference.z[:100], world.units.texts(world.reference.x[:100]))
    return {
        **walked(explain(world, range(6), walker="line")),
        "homotopy": digest(between.texts),
        "homotopy z": figures(between.z),
        "nearest": digest(text for text, _ in near),
        "nearest gaps": figures([gap for _, gap in near]),
        "filled in": digest(filled),
    }


def latent_lime() -> Measured:
    """Slopes by code and by pixel along one path."""
    from agents.explain import explain
    from agents.explanation.local.lime_path import slopes_along

    [found] = slopes_along([explain(world_of(), 4, walker="line")], world_of(), samples=100)
    return {
        "latent": figures(found.latent),
        "slopes": figures(found.slopes),
        "r2": figures(found.r2),
        "queries": found.queries,
    }


def plain_lime() -> Measured:
    """The lime library's weights at three frames of one path."""
    from agents.explain import explain
    from agents.explanation.local.plain_lime import plain_lime_at

    found = plain_lime_at(explain(world_of(), 4, walker="line"), world_of(), samples=100)
    return {
        "frames": digest(map(str, found)),
        "weights": figures([part.weights for part in found.values()]),
        "r2": figures([part.r2 for part in found.values()]),
        "queries": sum(part.queries for part in found.values()),
    }


def tree_view() -> Measured:
    """A TreeView of the digits' classifier, fitted to 200 digits: its groups, routes and fidelity."""
    from agents.explanation.local.treeview import fit_treeview, hidden_features

    world = world_of()
    x, test = world.reference.x[:200], world.held_out.x[:50].numpy()
    features, log_p = hidden_features(world, x)
    view = fit_treeview(x.numpy(), features, log_p, factors=3, clusters=3, leaves=20)
    routes = view.routes(test)
    return {
        "features": figures(features),
        "groups": digest(np.asarray(group) for group in view.groups),
        "leaves": view.leaves,
        "meta": digest([routes.meta]),
        "predicted": digest([np.asarray(routes.predicted)]),
        "switches": len(routes.switches()),
        "fidelity": view.fidelity(test, world.classifier.predict_proba(world.held_out.x[:50]).argmax(1).numpy()),
    }


SYSTEMS = {
    "sentences": System(sentence_walks),
    "latent lime": System(latent_lime),
    "plain lime": System(plain_lime, needs="lime"),
    "treeview": System(tree_view, portable=False),
}
