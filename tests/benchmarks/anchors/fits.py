"""Manifolds and networks that are fitted in a few steps, and the inversion of a generator."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.anchors.material import walked, world_of
from tests.benchmarks.anchors.values import Measured, System, digest, figures, weights


def gan_inversion() -> Measured:
    """Codes of four digits under the GAN that ships, from both kinds of start and from many random ones."""
    from envs.manifolds.generators.inversion import Inversion, invert

    manifold, x = world_of("digits", "digits_gan").manifold, world_of().held_out.x[:4]
    found, many = manifold.invert(x), invert(manifold.generator, manifold.prior, x, Inversion("random", restarts=4, steps=60))
    return {
        "z": figures(found.z),
        "error": figures(found.error),
        "z, random starts": figures(many.z),
        "error, random starts": figures(many.error),
        "decoded": figures(manifold.decode(found.z)),
    }


def round_trip(manifold: Any, x: Any, classifier: Any = None) -> Measured:
    """A fitted manifold, saved and loaded: its weights, codes, reconstructions and the derivative of its decoder."""
    import torch

    from envs.manifolds import Manifold

    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        manifold.save(folder)
        again = Manifold.load(folder)
        if classifier is not None:
            again.attach(classifier)
        z = again.encode(x)
        found: Measured = {
            "weights": weights(again),
            "z": figures(z),
            "decoded": figures(again.decode(z)),
            "typicality": figures(again.typicality(z)),
        }
    return {**found, "jacobian": figures(manifold.jacobian(z[:2].clone()))}


def digits_fit(kind: str, **settings: Any) -> Measured:
    """A manifold fitted to a few digits."""
    import torch

    from envs.manifolds import Manifold

    world = world_of()
    x, label = world.reference.x[:300], world.reference.label[:300]
    between: dict[str, tuple[Any, ...]] = {"joint": (label,), "embedding": (world.classifier,)}
    with torch.random.fork_rng(devices=[]):
        manifold = Manifold.kinds[kind].fit(x, *between.get(kind, ()), **settings)  # type: ignore[attr-defined]
    return round_trip(manifold, world.held_out.x[:20], world.classifier)


def one_class(x: Any) -> Any:
    """All data are of one class, so that a GAN of a few steps is not refused for the classes that it lost."""
    return x.flatten(1).argmax(1) * 0


def table_fit() -> Measured:
    """A mixed table from a file: its columns, encoding, network, manifold and a line in the user's own values."""
    from agents.explain import explain
    from envs import make_world

    draw = np.random.default_rng(0)
    rows = ["age,work,hours,class"]
    for _ in range(200):
        age, hours, work = draw.integers(18, 80), draw.uniform(10, 60), draw.choice(["clerk", "farmer", "?"])
        rows.append(f"{age},{work},{hours:.1f},{'rich' if age / 80 + hours / 60 + (work == 'clerk') > 1.6 else 'poor'}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "people.csv"
        file.write_text("\n".join(rows) + "\n")
        world = make_world(data=str(file), target_column="class", latent_dim=3, fit={"epochs": 8, "hidden": [16]})
    found = round_trip(world.manifold, world.held_out.x[:20])
    shown = [str(world.render(x)) for x in world.held_out.x[:5]]
    return {
        **found,
        **walked(explain(world, range(4), walker="line")),
        "encoded": figures(world.reference.x),
        "shown": digest(shown),
    }


def sentence_fit() -> Measured:
    """A sentence VAE fitted to a grammar's sentences."""
    from envs.datasets import grammar
    from envs.manifolds import SentenceVAE

    texts = [sentence.text for sentence in grammar.sample(200, 5)]
    vae = SentenceVAE.fit(texts, latent_dim=4, embedding=8, hidden=16, epochs=2, learning_rate=1e-2)
    ids = vae.vocabulary.ids(texts[:10])
    z = vae.encode(ids)
    return {
        "weights": weights(vae),
        "z": figures(z),
        "likelihood": figures(vae.log_likelihood(z, ids)),
        "texts": digest(vae.vocabulary.texts(vae.decode(z))),
    }


def corpus_fit() -> Measured:
    """A user's own sentences with their classes: the classifier of words, the vocabulary and the fitted manifold."""
    from envs import make_world
    from envs.datasets import grammar

    made = grammar.sample(240, 7)
    texts = [sentence.text for sentence in made]
    truth = [int(" not " in f" {text} " or len(text) % 2) for text in texts]
    fit = {"epochs": 1, "hidden": 16, "embedding": 8}
    world: Any = make_world(data=texts, truth=truth, class_names=["a", "b"], latent_dim=4, fit=fit)
    return {
        "words": digest(world.manifold.vocabulary.words),
        "p": figures(world.classifier.predict_proba(world.held_out.x[:20])),
        "z": figures(world.reference.z),
        "queries": world.classifier.queries,
    }


def umap_fit() -> Measured:
    """A UMAP map fitted to a few digits; numba compiles it at its first use."""
    from envs.manifolds import UMAPMap

    world = world_of()
    return round_trip(UMAPMap.fit(world.reference.x[:150], epochs=3), world.held_out.x[:20])


def judges_fit() -> Measured:
    """The autoencoders and the second classifier that judge paths, fitted to a few digits."""
    from agents.explanation.metrics.oracle import fit_oracles

    world = world_of()
    x, label = world.reference.x[:200].numpy(), world.reference.label[:200].numpy()
    oracles = fit_oracles(x, label, world.classes)
    return {
        "weights": weights(oracles.modules),
        "seen": digest([oracles.sees(x)]),
        "im1": figures(oracles.im1(x, label, (label + 1) % world.classes)),
    }


def mrnet_fit() -> Measured:
    """Manifold regularisation and adversarial training of a small network on digits."""
    import torch

    from envs.classifiers.mrnet import fgm_accuracy, fit_adversarial, fit_mrnet, stepped
    from envs.classifiers.networks import mlp_classifier
    from envs.datasets import DATASETS

    data: Any = DATASETS["digits"]()
    x, y = torch.as_tensor(data.x[:300]), torch.as_tensor(data.truth[:300])
    found: Measured = {}
    for name, fit in (("mrnet", fit_mrnet), ("adversarial", fit_adversarial)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = fit(mlp_classifier((64, 16, 16, 10)), x, y, epochs=3)
        found |= {
            f"{name}: weights": weights(network),
            f"{name}: logits": figures(network(x[:20]).detach()),
            f"{name}: step": figures(stepped(network, x[:20], y[:20], 0.5)),
            f"{name}: robust": fgm_accuracy(network, x, y, 0.3),
        }
    return found


EPOCHS = {"latent_dim": 3, "epochs": 3, "hidden": (16,)}
KINDS: dict[str, dict[str, Any]] = {
    "vae": EPOCHS,
    "joint": EPOCHS,
    "embedding": EPOCHS,
    "conv_vae": {"latent_dim": 3, "epochs": 2, "channels": (4, 8)},
    "gan": {"latent_dim": 3, "hidden": (16,), "recipe": {"steps": 60, "encoder_steps": 60}, "classify": one_class},
}
SYSTEMS = {
    "gan inversion": System(gan_inversion),
    "fit pca": System(partial(digits_fit, "pca", latent_dim=5), portable=False),  # its axes may change their signs
    **{f"fit {kind}": System(partial(digits_fit, kind, **how)) for kind, how in KINDS.items()},
    "fit table_vae": System(table_fit, portable=False),
    "fit sentence_vae": System(sentence_fit),
    "fit corpus": System(corpus_fit, portable=False),
    "fit umap": System(umap_fit, portable=False, slow=True, needs="umap"),
    "fit judges": System(judges_fit, portable=False, slow=True),
    "fit mrnet": System(mrnet_fit),
}
