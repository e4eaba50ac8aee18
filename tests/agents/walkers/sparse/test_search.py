"""The search for few columns, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from agents.walkers.sparse.search import Choice, Tried, search


def run(
    worth: list[list[float]], true: list[list[float]], start: float, **settings: int
) -> tuple[Choice | None, list[Choice]]:
    """What the search finds, and what it tries, where the true worth of columns adds up."""
    expected = np.array(worth)
    order = np.argsort(np.where(expected != 0, -expected, np.inf), axis=1, kind="stable")
    along = np.take_along_axis(expected, order, axis=1)
    rise = np.where(along != 0, along.cumsum(1), -np.inf)
    asks = search(order, rise, np.ones(rise.shape), start, 0.0, **{"fewer_than": 9, "budget": 9, **settings})
    tried: list[Choice] = []
    try:
        choice = next(asks)
        while True:
            tried.append(choice)
            evidence = start + sum(true[choice.end][column] for column in choice.columns)
            choice = asks.send(Tried(evidence >= 0, evidence))
    except StopIteration as end:
        return end.value, tried


def test_the_one_column_that_suffices_is_tried_first() -> None:
    worth = [[1.0, 3.0, 0.5]]
    assert run(worth, worth, -2.5) == (Choice(0, frozenset({1})), [Choice(0, frozenset({1}))])


def test_two_are_taken_where_one_is_too_little() -> None:
    worth = [[2.0, 3.0, 0.5]]
    assert run(worth, worth, -4.0)[0] == Choice(0, frozenset({0, 1}))


def test_the_end_at_which_fewer_columns_suffice_is_taken() -> None:
    worth = [[1.0, 1.0, 1.0], [0.1, 3.5, 0.1]]
    assert run(worth, worth, -3.0)[0] == Choice(1, frozenset({1}))


def test_predictions_correct_the_surrogate() -> None:
    found, tried = run([[3.0, 2.0, 1.0]], [[1.5, 1.0, 0.5]], -2.0)
    assert tried == [Choice(0, frozenset({0})), Choice(0, frozenset({0, 1}))]
    assert found == tried[-1]


@pytest.mark.parametrize("budget", [0, 1])
def test_nothing_is_found_beyond_the_budget(budget: int) -> None:
    found, tried = run([[3.0, 2.0]], [[0.5, 0.5]], -2.0, budget=budget)
    assert found is None
    assert len(tried) == budget


def test_no_choice_is_as_large_as_the_walk_itself() -> None:
    assert run([[1.0, 1.0]], [[1.0, 1.0]], -2.0, fewer_than=2) == (None, [Choice(0, frozenset({0}))])


def test_whole_ends_are_tried_as_they_are() -> None:
    worth = [[3.0, 1.0, 0.0]]
    assert run(worth, worth, -2.5, whole=True)[1] == [Choice(0, frozenset({0, 1}))]
