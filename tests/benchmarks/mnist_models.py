"""Latent spaces of MNIST that are trained with the network: joint VAE and classifier, and the shipped CNN's own embedding.

Both learn from what the shipped CNN answers, so its labels are a black box to the first and its inner layer is read by the
second. They are kept in the benchmarks' cache.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.digits_cells import ROOT

if TYPE_CHECKING:
    from envs.manifolds import Manifold

#: As wide and as long trained as the shipped VAE.
SETTINGS: dict[str, Any] = {
    "latent_dim": 16, "hidden": (400,), "epochs": 14, "batch_size": 128, "learning_rate": 1.5e-3,
}  # fmt: skip
MORE: dict[str, dict[str, Any]] = {"joint": {"beta": 0.5, "classes": 10}, "embedding": {}}
TITLES = {"joint": "joint VAE and classifier", "embedding": "the CNN's embedding (white box)"}


def cnn() -> Any:
    """The shipped CNN as the classifier of MNIST."""
    from envs.assets import ASSETS
    from envs.classifiers import adapt
    from envs.datasets import DATASETS, Units

    data = DATASETS["mnist"]()
    return adapt(ASSETS["mnist"].classifier(data, 0), units=Units.of(data.x[:2]), class_names=data.class_names)


def fitted_model(kind: str, seed: int, cache: Path, **changed: Any) -> Manifold:
    """The manifold of a kind (a key of `MORE`) and a seed, on all 60,000 training images; `changed` settings replace ours."""
    import torch

    from envs.core.reference_data import BATCH
    from envs.datasets import DATASETS
    from envs.manifolds import Embedding, Joint, Manifold

    settings = {**SETTINGS, **MORE[kind], **changed}
    files = ("vae.py", "joint.py", "embedding.py", "networks.py", "fitting.py")
    source = b"".join((ROOT / "envs" / "manifolds" / file).read_bytes() for file in files)
    key = hashlib.sha256(json.dumps([kind, settings, seed]).encode() + source).hexdigest()[:16]
    folder = cache / f"mnist-{kind}-{key}"
    classifier = cnn()
    if (folder / "seconds.json").is_file():
        found = Manifold.load(folder)
    else:
        started = time.process_time()
        x = torch.from_numpy(DATASETS["mnist"]().x)
        if kind == "joint":
            with torch.inference_mode():
                labels = torch.cat([classifier.predict_proba(part).argmax(1) for part in x.split(BATCH)]).clone()
            found = Joint.fit(x, labels, seed=seed, progress=True, **settings)
        else:
            found = Embedding.fit(x, classifier, seed=seed, progress=True, **settings)
        found.save(folder)
        (folder / "seconds.json").write_text(json.dumps(time.process_time() - started))
    found.attach(classifier)
    return found.eval().requires_grad_(False)
