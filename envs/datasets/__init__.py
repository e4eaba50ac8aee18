"""Data sets of the environments. A new set is one new file and one line in `DATASETS`."""

from collections.abc import Callable

from envs.datasets import digits, fashion_mnist, iris, mnist, omniglot, oscillator, sentences
from envs.datasets.arrays import Data, load_npz
from envs.datasets.corpora import read_corpus
from envs.datasets.tables import load_csv
from envs.modalities.base import Units
from envs.modalities.columns import Table
from envs.modalities.image import ImageUnits
from envs.modalities.numbers import NumberUnits
from envs.modalities.series import SeriesUnits
from envs.modalities.table import TableUnits
from envs.modalities.text import TextUnits

DATASETS: dict[str, Callable[..., Data]] = {
    "digits": digits.load,
    "fashion_mnist": fashion_mnist.load,
    "fashion_mnist_decoded": fashion_mnist.decoded,
    "iris": iris.load,
    "mnist": mnist.load,
    "mnist_decoded": mnist.decoded,
    "omniglot": omniglot.load,
    "omniglot_decoded": omniglot.decoded,
    "oscillator": oscillator.load,
    "sentences": sentences.load,
}
#: Sets that are read from the user's own files: they take `data_dir`.
FROM_FILES = ("mnist", "fashion_mnist", "omniglot")

__all__ = [
    "DATASETS",
    "FROM_FILES",
    "Data",
    "ImageUnits",
    "NumberUnits",
    "SeriesUnits",
    "Table",
    "TableUnits",
    "TextUnits",
    "Units",
    "load_csv",
    "load_npz",
    "read_corpus",
]
