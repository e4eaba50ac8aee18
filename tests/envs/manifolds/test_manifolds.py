"""The table of manifolds: names, and which ones are fitted by name."""

from __future__ import annotations

import pytest

from envs import UnknownNameError, make_world
from envs.manifolds import FITS, MANIFOLDS


def test_names_are_the_kinds_under_which_files_record_them():
    assert {name: kind.kind for name, kind in MANIFOLDS.items()} == {name: name for name in MANIFOLDS}


def test_those_that_are_fitted_by_name_can_be_fitted():
    assert set(FITS) < set(MANIFOLDS)
    assert all(callable(kind.fit) for kind in FITS.values())  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", FITS)
def test_a_misspelt_name_is_answered_with_the_right_one(name):
    with pytest.raises(UnknownNameError, match=f"did you mean .*'{name}'"):
        make_world(data="iris", manifold=f"{name}x")
