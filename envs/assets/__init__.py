"""What ships for the registered ids: weights and codes (safetensors), and how to load them.

`python -m envs.assets.make` creates the files again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save
from torch import Tensor

from envs.classifiers.bag_of_words import BagOfWords
from envs.classifiers.networks import cnn_classifier, mlp_classifier, series_classifier
from envs.datasets.arrays import Data
from envs.files import write_together
from envs.manifolds.base import Manifold
from envs.reading.files import read_object, read_safetensors

HERE = Path(__file__).parent
DIGITS_CLASSIFIER = (64, 64, 10)
MNIST_CLASSIFIER = ((28, 28), 10, (12, 24), 64)
OSCILLATOR_CLASSIFIER = ((1, 96), 3, 8)
OMNIGLOT_CLASSIFIER = ((28, 28), 5, (12, 24), 64)


class Asset(NamedTuple):
    """What ships for a data set.

    Attributes:
        manifold: Returns the manifold, and the codes of the reference data or None.
        classifier: Returns the classifier for the data and a seed.
        data: Name of the data set.
        fixed_split: Whether the split of the data ignores the seed.

    Example:
        >>> manifold, codes = ASSETS["digits"].manifold()
        >>> tuple(codes.shape)
        (1257, 8)
    """

    manifold: Callable[[], tuple[Manifold, Tensor | None]]
    classifier: Callable[[Data, int], Any]
    data: str
    fixed_split: bool = False


def _manifold(name: str) -> Callable[[], tuple[Manifold, Tensor]]:
    return lambda: (Manifold.load(HERE / name), read_safetensors(HERE / name / "starts.safetensors")["z"].float())


def _digits_classifier(data: Data, seed: int) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):  # construction draws weights, which are then overwritten
        module = mlp_classifier(DIGITS_CLASSIFIER)
    module.load_state_dict(read_safetensors(HERE / "digits" / "classifier.safetensors"))
    return module.eval().requires_grad_(False)


def _iris_classifier(data: Data, seed: int) -> Any:
    """A scikit-learn estimator, fitted on the fly because it cannot be shipped without pickle."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000).fit(data.x, data.truth)


def _sentences_classifier(data: Data, seed: int) -> Any:
    return BagOfWords.load(HERE / "sentences")


def _without_codes(name: str) -> Callable[[], tuple[Manifold, None]]:
    """The manifold alone: encoding the 60,000 images of MNIST is faster than shipping their codes."""
    return lambda: (Manifold.load(HERE / name), None)


def _cnn(
    name: str, shape: tuple[Any, ...], build: Callable[..., torch.nn.Module] = cnn_classifier
) -> Callable[[Data, int], torch.nn.Module]:
    def classifier(data: Data, seed: int) -> torch.nn.Module:
        with torch.random.fork_rng(devices=[]):  # construction draws weights, which are then overwritten
            module = build(*shape)
        module.load_state_dict(read_safetensors(HERE / name / "classifier.safetensors"))
        return module.eval().requires_grad_(False)

    return classifier


def decoded_data(name: str, class_names: list[str]) -> Data:
    """Images that the shipped codes of an asset decode to, with the true classes of the original inputs.

    Args:
        name: Key of `ASSETS`.
        class_names: Names of the classes.
    """
    manifold, codes = Manifold.load(HERE / name), read_safetensors(HERE / name / "starts.safetensors")
    with torch.inference_mode():
        x, held_out = (manifold.decode(codes[key].float()).numpy() for key in ("z", "z_held_out"))
    truth, held_out_truth = (codes[key].long().numpy() for key in ("truth", "truth_held_out"))
    return Data(x, held_out, truth, held_out_truth, class_names)


def halved(file: Path) -> None:
    """Rewrite the floats of a safetensors file in half precision, which halves its size. Loading restores float32."""
    tensors, card = read_safetensors(file), file.with_suffix(".json")
    content = save({name: value.half() if value.is_floating_point() else value for name, value in tensors.items()})
    contents: dict[Path, str | bytes] = {file: content}
    if card.is_file() and "sha256" in (fields := read_object(card)):  # of the content before
        contents[card] = json.dumps({**fields, "sha256": hashlib.sha256(content).hexdigest()}, indent=1)
    write_together(contents)


def _of_files(name: str) -> dict[str, Asset]:
    """Both entries of a set in MNIST's format: with the user's files, and decoded from the shipped codes."""
    classifier, decoded = _cnn(name, MNIST_CLASSIFIER), f"{name}_decoded"
    return {
        name: Asset(_without_codes(name), classifier, name, fixed_split=True),
        decoded: Asset(_manifold(name), classifier, decoded, fixed_split=True),
    }


ASSETS: dict[str, Asset] = {
    "digits": Asset(_manifold("digits"), _digits_classifier, "digits"),
    "digits_gan": Asset(_manifold("digits_gan"), _digits_classifier, "digits"),
    "digits_umap": Asset(_manifold("digits_umap"), _digits_classifier, "digits"),
    "digits_joint": Asset(_manifold("digits_joint"), _digits_classifier, "digits"),
    "digits_embedding": Asset(_manifold("digits_embedding"), _digits_classifier, "digits"),
    "iris": Asset(_manifold("iris"), _iris_classifier, "iris"),
    **_of_files("mnist"),
    **_of_files("fashion_mnist"),
    "omniglot_decoded": Asset(
        _manifold("omniglot"), _cnn("omniglot", OMNIGLOT_CLASSIFIER), "omniglot_decoded", fixed_split=True
    ),
    "oscillator": Asset(_manifold("oscillator"), _cnn("oscillator", OSCILLATOR_CLASSIFIER, series_classifier), "oscillator"),
    "sentences": Asset(_manifold("sentences"), _sentences_classifier, "sentences"),
    "sentences_edits": Asset(_manifold("sentences_edits"), _sentences_classifier, "sentences"),
}
