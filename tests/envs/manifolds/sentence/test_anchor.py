"""Anchored decoding: hand-computed cases on a decoder whose preferences are written down, and properties on the grammar's."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch

from envs.assets import ASSETS
from envs.errors import ManifoldError
from envs.manifolds import Manifold, SentenceVAE
from envs.manifolds.sentence.anchor import anchored
from envs.modalities.alignment import edit_distance, edit_distances
from envs.modalities.vocabulary import END, PAD, UNKNOWN

A, B, C, SIZE, LENGTH = 4, 5, 6, 7, 5


def told(*rows: dict[int, float]) -> SimpleNamespace:
    """A decoder that prefers words by place alone: logits by word, 0 for the others."""
    table = torch.zeros(LENGTH, SIZE)
    for place, row in enumerate(rows):
        for word, value in row.items():
            table[place, word] = value

    def step(memory, z, word):
        return table[memory].expand(len(z), -1).clone(), memory + 1

    cell = SimpleNamespace(begin=lambda z: 0, step=step)
    return SimpleNamespace(cell=lambda words: cell)


def written(decoder, factual: list[int], anchor: float) -> list[int]:
    row = factual + [PAD] * (LENGTH - len(factual))
    found = anchored(decoder, torch.zeros(1, 2), torch.tensor([row]), torch.tensor([anchor]), SIZE)[0].tolist()
    return [word for word in found if word != PAD]


def test_a_word_of_the_input_stays_unless_the_code_prefers_another_by_more_than_the_anchor():
    decoder = told({A: 3.0}, {END: 9.0})
    assert written(decoder, [B, END], 2.9) == [A, END]
    assert written(decoder, [B, END], 3.1) == [B, END]


def test_a_replaced_word_stands_for_one_of_the_inputs():
    decoder = told({A: 5.0}, {}, {}, {})
    assert written(decoder, [B, C, B, END], 1.0) == [A, C, B, END]


def test_after_a_kept_word_the_input_goes_on_from_there():
    decoder = told({A: 5.0}, {}, {}, {END: 0.1})
    assert written(decoder, [A, B, C, END], 0.5) == [A, B, C, END]
    # The code skips the first word: from then on the third is the next one.
    assert written(told({B: 5.0}, {}, {END: 0.1}), [A, B, C, END], 0.5) == [B, C, END]


def test_a_rare_word_is_kept_and_never_invented():
    rare = SIZE + 3
    decoder = told({UNKNOWN: 5.0, A: 3.0}, {END: 9.0})
    assert written(decoder, [rare, END], 1.0) == [rare, END]
    assert written(decoder, [B, END], 1.0) == [A, END]


def test_nothing_is_said_twice_but_what_the_input_says_twice():
    stuck = told(*[{A: 3.0, B: 2.0, C: 1.0}] * LENGTH)
    found = written(stuck, [C, END], 0.0)
    pairs = list(itertools.pairwise(found))
    assert all(a != b for a, b in pairs)
    assert len(set(pairs)) == len(pairs)
    assert written(told(*[{A: 3.0}] * 3), [A, A, A, END], 4.0) == [A, A, A, END]


@pytest.fixture(scope="module")
def vae() -> SentenceVAE:
    found = ASSETS["sentences"].manifold()[0]
    assert isinstance(found, SentenceVAE)
    return found


def anchoring(vae: SentenceVAE, anchor: float, reach: float = 0.6) -> SentenceVAE:
    """The same model with another anchor."""
    twin = SentenceVAE(**{**vae.settings, "anchor": anchor, "reach": reach})
    twin.load_state_dict(vae.state_dict())
    return twin.eval().requires_grad_(False)


TEXTS = ["we hated the goulash", "the soup was really very dreadful", "you like the film and the plot seems great", "the zzz"]


def test_a_huge_anchor_says_the_input_and_none_says_the_code(vae):
    x, z = vae.vocabulary.ids(TEXTS), vae.prior.sample(4, torch.Generator().manual_seed(0))
    huge = anchored(vae.decoder, z, x, torch.full((4,), 1e4), vae.vocabulary.size)
    assert huge.equal(x)
    free = anchored(vae.decoder, z, x, torch.zeros(4), vae.vocabulary.size)
    plain = vae.decode(z)
    once = [len(set(itertools.pairwise(row))) == len(row) - 1 for row in words_of(plain)]
    assert sum(once) >= 2
    assert all(a == b for a, b, fine in zip(words_of(free), words_of(plain), once, strict=True) if fine)


def words_of(ids: torch.Tensor) -> list[list[int]]:
    return [[word for word in row if word != PAD] for row in ids.tolist()]


def test_a_batch_says_what_single_codes_say(vae):
    near = anchoring(vae, 4.0)
    x = near.vocabulary.ids(TEXTS)
    z = near.encode(x) + 0.7 * torch.randn(4, near.latent_dim, generator=torch.Generator().manual_seed(1))
    together = near.decode_near(z, x)
    for i in range(4):
        assert near.decode_near(z[i : i + 1], x[i : i + 1]).equal(together[i : i + 1])


def test_the_anchor_fades_with_the_way(vae):
    near = anchoring(vae, 1e4, reach=0.5)
    x = near.vocabulary.ids(TEXTS)
    z, aside = near.encode(x), torch.zeros(4, near.latent_dim)
    aside[:, 3] = near.code_scale.norm()
    assert near.decode_near(z, x).equal(x)
    assert near.decode_near(z + 0.49 * aside, x).equal(x)
    nothing = anchored(near.decoder, z + 0.5 * aside, x, torch.zeros(4), near.vocabulary.size)
    assert near.decode_near(z + 0.5 * aside, x).equal(nothing)
    assert near.decode_near(z + 0.5 * aside, None).equal(nothing)


def test_without_an_anchor_walks_see_what_the_code_says(vae):
    x, z = vae.vocabulary.ids(TEXTS), vae.prior.sample(4, torch.Generator().manual_seed(2))
    assert not vae.input_conditioned
    assert vae.decode_near(z, x).equal(vae.decode(z))


def test_the_anchor_is_kept_with_the_model(vae, tmp_path):
    near = anchoring(vae, 3.0, reach=0.7)
    near.save(tmp_path)
    again = Manifold.load(tmp_path)
    assert (again.anchor, again.reach, again.input_conditioned) == (3.0, 0.7, True)


@pytest.mark.parametrize("settings", [{"anchor": -1.0}, {"reach": 0.0}])
def test_an_impossible_anchor_is_refused(settings):
    with pytest.raises(ManifoldError, match="anchor"):
        SentenceVAE(["a", "b"], 4, 2, **settings)


def test_edit_distances_of_a_batch_are_those_of_the_pairs():
    generator = torch.Generator().manual_seed(0)
    rows = [[torch.randint(1, 4, (int(n),), generator=generator).tolist() for n in torch.randint(0, 7, (60,))] for _ in "ab"]
    a, b = (torch.tensor([row + [0] * (7 - len(row)) for row in part]).numpy() for part in rows)
    single = [edit_distance(" ".join(map(str, x)), " ".join(map(str, y))) for x, y in zip(*rows, strict=True)]
    assert edit_distances(a, b, 0).tolist() == single
