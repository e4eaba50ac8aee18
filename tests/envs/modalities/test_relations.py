"""Relations between columns: what is noticed, and what chance explains."""

from __future__ import annotations

import numpy as np
import pytest

from envs.errors import ManifoldError, UnknownNameError
from envs.modalities.relations import are_exclusive, exclusive_heads, is_function, links

RANDOM = np.random.default_rng(0)
WHERE = "row {}".format


def test_exclusive_columns_are_noticed_unless_chance_explains_them() -> None:
    first = np.where(np.arange(400) % 3 == 0, 5.0, 0)
    second = np.where(np.arange(400) % 3 == 1, 5.0, 0)
    assert are_exclusive(first, second)
    assert not are_exclusive(first, first)
    assert not are_exclusive(first[:30], second[:30])  # some three rows with both were to be expected
    third = np.where(np.arange(400) % 3 == 2, 5.0, 0)
    heads = exclusive_heads({"a": first, "b": second, "free": first + second, "c": third}, {}, WHERE)
    assert heads == {"a": "a", "b": "a", "c": "a", "free": "free"}
    assert exclusive_heads({"a": first, "b": second}, {"b": None}, WHERE) == {"a": "a", "b": "b"}
    assert exclusive_heads({"a": first[:30], "b": second[:30]}, {"b": "a"}, WHERE) == {"a": "a", "b": "a"}


def test_a_column_that_another_one_determines_is_noticed_unless_chance_explains_it() -> None:
    head = RANDOM.integers(0, 5, 300)
    assert is_function(head, head // 2)
    assert not is_function(head // 2, head)
    assert not is_function(np.arange(300), RANDOM.integers(0, 2, 300))  # a category for each row
    assert not is_function(head, np.zeros(300, dtype=int))  # a constant
    texts = {
        "years": [str(v) for v in head],
        "school": [f"s{v}" for v in head],
        "sex": [str(v) for v in RANDOM.integers(0, 2, 300)],
    }
    assert links(texts, ["school", "sex"], {}, [], WHERE) == {"years": "school"}
    assert links(texts, ["school", "sex"], {"years": None}, [], WHERE) == {}


def test_described_relations_that_the_data_contradict() -> None:
    with pytest.raises(ManifoldError, match="row 1: 'a' and 'b' both differ from 0"):
        exclusive_heads({"a": np.array([0.0, 1.0]), "b": np.array([1.0, 1.0])}, {"b": "a"}, WHERE)
    with pytest.raises(ManifoldError, match="'age' is none: set zero_inflated"):
        exclusive_heads({"a": np.array([0.0, 1.0])}, {"a": "age"}, WHERE)
    texts = {"n": ["1", "1", "2"], "c": ["x", "x", "x"], "d": ["p", "q", "q"]}
    with pytest.raises(ManifoldError, match="row 2, column 'n': '2' occurs with 'x' of 'c'"):
        links(texts, ["c", "d"], {"n": "c"}, [], WHERE)
    with pytest.raises(UnknownNameError, match="linked to"):
        links(texts, ["c", "d"], {"n": "n"}, [], WHERE)
