"""Fisher's iris: 150 flowers with 4 lengths in centimetres."""

from __future__ import annotations

from envs.datasets.arrays import Data


def load(seed: int = 0, test_size: float = 0.3) -> Data:
    """Iris in a stratified split.

    Args:
        seed: Seed of the split.
        test_size: Share of held-out flowers.
    """
    from sklearn.datasets import load_iris
    from sklearn.model_selection import train_test_split

    iris = load_iris()
    train, test, y_train, y_test = train_test_split(
        iris.data, iris.target, test_size=test_size, stratify=iris.target, random_state=seed
    )
    columns = [name.removesuffix(" (cm)") + " in cm" for name in iris.feature_names]
    return Data(train, test, y_train, y_test, [str(name) for name in iris.target_names], columns)
