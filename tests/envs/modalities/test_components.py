"""The parts that a walk changes: they hold every change, do not overlap, and can be switched one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import envs
from envs.core.factual import Factual
from envs.modalities.alignment import edit_distance, edits
from envs.modalities.components import composed, runs, unrun
from envs.modalities.regions import MOST, regions
from envs.modalities.text import TextUnits
from envs.modalities.vocabulary import Vocabulary


def pictures(shape: tuple[int, ...], seed: int, share: float) -> torch.Tensor:
    """Three random pictures that differ on a share of their pixels."""
    generator = torch.Generator().manual_seed(seed)
    before = torch.rand(shape, generator=generator)
    moves = torch.rand(shape, generator=generator) < share
    return torch.stack([before, *(torch.where(moves, torch.rand(shape, generator=generator), before) for _ in range(2))])


@given(st.sampled_from([(8, 8), (28, 28), (3, 16, 16), (16, 16, 3), (40, 12)]), st.integers(0, 50), st.floats(0, 1))
def test_regions_hold_every_change_and_do_not_overlap(shape: tuple[int, ...], seed: int, share: float) -> None:
    frames = pictures(shape, seed, share)
    found = regions(frames)
    assert len(found) <= MOST
    assert len({(part.name, part.sign) for part in found}) == len(found)
    held = torch.stack([torch.zeros(shape, dtype=torch.bool), *(part.mask for part in found)]).int().sum(0)
    assert held.max() <= 1
    assert not ((frames != frames[:1]).any(0) & (held == 0)).any()
    switched = composed(frames, found, torch.full((1, len(found)), 2))
    torch.testing.assert_close(switched[0], frames[2])


def test_regions_are_named_by_their_place_in_the_content() -> None:
    before = torch.zeros(28, 28)
    before[10:18, 10:18] = 1  # the content; the picture around it is empty
    after = before.clone()
    after[10:12, 10:18] = 0
    after[16:18, 16:18] = 0.2
    named = {part.name: part.sign for part in regions(torch.stack([before, after]))}
    assert named.keys() <= {"top", "top left", "top right", "bottom right"}
    assert "bottom right" in named
    assert set(named.values()) == {-1}


@pytest.mark.parametrize("last", [False, True])
def test_a_change_of_hue_alone_is_a_region_of_its_own(last: bool) -> None:
    before = torch.full((3, 32, 32), 0.5)
    after = before.clone()
    after[:, 4:10, 4:10] += torch.tensor([0.3, -0.3, 1e-7])[:, None, None]  # redder, as bright as before
    after[:, 24:30, 24:30] += torch.tensor([-0.3, 0.3, 0.0])[:, None, None]
    frames = torch.stack([before, after])
    found = regions(frames.movedim(1, -1) if last else frames)
    assert {part.name: part.sign for part in found} == {"top left": 0, "bottom right": 0}


def test_long_regions_are_cut_and_nothing_has_no_region() -> None:
    before, after = torch.zeros(28, 28), torch.zeros(28, 28)
    after[3, 2:26] = 1
    assert {part.name for part in regions(torch.stack([before, after]))} == {"left", "right"}
    assert regions(torch.stack([before, before])) == []
    middle = before.clone()
    middle[3, 3] = 1
    (back,) = regions(torch.stack([before, middle, before]))
    assert back.sign == 0


@given(st.lists(st.booleans(), min_size=12, max_size=12))
def test_runs_come_back_as_the_mask(values: list[bool]) -> None:
    mask = torch.tensor(values)
    assert unrun({"rows": 3, "columns": 4, "runs": runs(mask)}).equal(mask.view(3, 4))


@given(st.lists(st.sampled_from("abcd"), max_size=7), st.lists(st.sampled_from("abcd"), max_size=7))
def test_edits_are_the_fewest(a: list[str], b: list[str]) -> None:
    pairs = edits(a, b)
    changes = sum(i is None or j is None or a[i] != b[j] for i, j in pairs)
    assert changes == edit_distance(" ".join(a), " ".join(b))
    assert [i for i, _ in pairs if i is not None] == list(range(len(a)))
    assert [j for _, j in pairs if j is not None] == list(range(len(b)))


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=6), st.lists(st.sampled_from("abcd"), min_size=1, max_size=6))
def test_words_are_switched_one_by_one(a: list[str], b: list[str]) -> None:
    units = TextUnits(Vocabulary.of(["a b c d a b c d"], length=9))
    frames = units.inward([" ".join(a), " ".join(b)])
    none = Factual(frames[:1], torch.zeros(1, 0), torch.zeros(1, 0))
    found = units.components(frames, none)
    n = len(found)
    ends = units.texts(units.composed(frames, found, torch.tensor([[0] * n, [1] * n])))
    assert ends == [" ".join(a), " ".join(b)]
    for k in range(n):
        choice = torch.zeros(1, n, dtype=torch.int64)
        choice[0, k] = 1
        (one,) = units.texts(units.composed(frames, found, choice))
        assert one != " ".join(a)


@pytest.mark.parametrize("data", ["iris"])
def test_columns_that_differ_from_the_input_are_parts(data: str) -> None:
    world = envs.make_world(data=data)
    factual = world.reference.factual.chosen(torch.tensor([3]))
    moved = factual.x.clone()
    moved[0, 1] += 1
    (part,) = world.units.components(torch.cat([factual.x, moved]), factual)
    assert part.name == world.units.columns[1]
    assert part.mask.tolist() == [False, True, False, False]


def test_categories_of_a_mixed_table_are_one_part(tmp_path) -> None:
    (tmp_path / "t.csv").write_text("n,c,y\n" + "".join(f"{i % 9},{'abc'[i % 3]},{i % 2}\n" for i in range(90)))
    world = envs.make_world(data=str(tmp_path / "t.csv"), target_column="y", manifold="pca", latent_dim=2)
    factual = world.reference.factual.chosen(torch.tensor([0]))
    other = world.reference.x[1:2]
    found = world.units.components(torch.cat([factual.x, other]), factual)
    assert [part.name for part in found] == ["n", "c"]
    assert [int(part.mask.sum()) for part in found] == [1, 3]
    mixed = world.units.composed(torch.cat([factual.x, other]), found, torch.tensor([[0, 1]]))
    cells = world.units.exact(mixed, factual)
    np.testing.assert_allclose(cells[0, 0], factual.cells[0, 0])
    assert cells[0, 1] == world.reference.cells[1, 1]
