"""The manifold of edits: frames are sentences, neighbours differ by one span, codes are shared by all inputs."""

from __future__ import annotations

import pytest
import torch

from envs.building.sentences import LONGEST
from envs.building.world import make_world
from envs.core import dynamics
from envs.datasets import Data, grammar
from envs.errors import ManifoldError, UnknownNameError
from envs.manifolds import Edits, Manifold, SentenceVAE
from envs.manifolds.edits.manifold import words_of


@pytest.fixture(scope="module")
def world(edits):
    """A world of the grammar, shared: don't change it."""
    return make_world(data="sentences", manifold=edits, progress=False)


def test_frame_0_is_the_input_and_costs_no_second_query(world):
    x = world.held_out.x[:5]
    before = world.classifier.queries
    state, queries = dynamics.enter(world, x)
    assert state.frame.equal(x)
    assert queries.tolist() == [1] * 5
    assert world.classifier.queries - before == 5
    assert state.z.equal(world.manifold.encode(x))


def test_the_reference_is_asked_once_a_row(edits):
    texts = [sentence.text for sentence in grammar.sample(300, 0)]
    asked = []

    def classify(found):
        asked.extend(found)
        good = torch.tensor([float("wonderful" in text or "lovely" in text) for text in found])
        return torch.stack([1 - 0.9 * good - 0.05, 0.9 * good + 0.05], 1).numpy()

    make_world(data=Data(texts), classifier=classify, class_names=["no", "yes"], manifold=edits, check_rows=0, progress=False)
    assert len(asked) <= len(texts) + 20  # the rows, and a few that show the kind of predictions


def test_a_step_changes_one_span_and_takes_the_code_of_its_sentence(world):
    state, _ = dynamics.enter(world, world.held_out.x[:4], torch.tensor([0, 1, 0, 1]))
    generator = torch.Generator().manual_seed(0)
    for _ in range(6):
        action = torch.nn.functional.normalize(torch.randn(4, world.latent_dim, generator=generator))
        after, info = dynamics.step(world, state, action)
        for row in range(4):
            graph = world.manifold.graph(state.factual[row])
            here, there = (world.manifold.node(graph, part.frame[row]) for part in (state, after))
            assert there == here or there in graph.neighbours(here)
        torch.testing.assert_close(after.z, world.manifold.encode(after.frame))
        torch.testing.assert_close(info.step_length, (after.z - state.z).norm(dim=1))
        state = after
    assert not state.frame.equal(state.factual)


def test_codes_of_a_walk_decode_to_its_frames_in_another_process(world, edits, tmp_path):
    state, _ = dynamics.enter(world, world.held_out.x[:6])
    action = torch.nn.functional.normalize(torch.randn(6, world.latent_dim, generator=torch.Generator().manual_seed(1)))
    for _ in range(2):
        state, _ = dynamics.step(world, state, action)
    edits.save(tmp_path)
    again = Manifold.load(tmp_path)
    assert isinstance(again, Edits)
    again.vocabulary = edits.vocabulary
    assert again.decode_near(state.z, state.factual).equal(state.frame)


def test_the_zero_action_stays(world):
    state, _ = dynamics.enter(world, world.held_out.x[:3])
    after, _ = dynamics.step(world, state, torch.zeros(3, world.latent_dim))
    assert after.frame.equal(state.frame)


def test_codes_without_an_input_decode_to_sentences_of_the_corpus(edits):
    assert edits.decode(torch.zeros(2, edits.latent_dim)).shape == (2, *edits.data_shape)
    z = edits.encode(edits.corpus[:4].long())
    torch.testing.assert_close(edits.encode(edits.decode(z)), z)


def test_unknown_words_stay_and_one_word_can_be_edited(world):
    edits = world.manifold
    x = edits.vocabulary.ids(["the zyzzy is awful", "awful"])
    for row in x:
        graph = edits.graph(row)
        assert graph.edits
        assert all(len(graph.sentence(node)) >= 1 for node in graph.neighbours(()))
        assert graph.sentence(()) == words_of(row)
    assert "zyzzy" in edits.vocabulary.texts(edits.decode_near(edits.encode(x), x))[0]


def test_a_frame_that_no_edits_make_is_an_error(edits):
    x = edits.vocabulary.ids(["the soup is awful", "we liked the film and the plot was great"])
    with pytest.raises(ManifoldError, match="we liked the film"):
        edits.nearest(edits.encode(x[:1]), x[1:], x[:1])


def test_long_sentences_are_cut_and_said(world):
    with pytest.warns(UserWarning, match="longer than"):
        world.units.inward(" ".join(["the soup is awful and"] * 40))
    assert LONGEST == 40


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fit": {"epoch": 2}}, "epochs"),
        ({"latent_dim": 3}, "meanings"),
        ({"fit": {"meanings": 0}}, "meanings"),
    ],
)
def test_settings_of_another_fit_are_named(settings, message):
    with pytest.raises((ManifoldError, UnknownNameError), match=message):
        make_world(data="sentences", manifold="edits", progress=False, **settings)


def test_a_fit_needs_a_prediction_a_sentence():
    with pytest.raises(ManifoldError, match="prediction"):
        Edits.fit(["a b", "b a"], torch.rand(1, 2))


def test_the_sentence_vae_is_no_graph():
    assert not SentenceVAE.on_graph
    with pytest.raises(ManifoldError, match="not a graph"):
        Manifold.nearest(torch.nn.Module(), None, None, None)  # type: ignore[arg-type]


def test_a_fit_gives_the_same_twice_and_survives_saving(tmp_path):
    drawn = grammar.sample(120, 0)
    p = torch.tensor([0.02 + 0.96 * sentence.sentiment for sentence in drawn])
    fits = [
        Edits.fit([s.text for s in drawn], torch.stack([1 - p, p], 1), embedding=8, hidden=8, epochs=2, most=20)
        for _ in range(2)
    ]
    fits[0].save(tmp_path)
    fits.append(Manifold.load(tmp_path))
    x = fits[0].vocabulary.ids(["the soup is awful"])
    for other in fits[1:]:
        assert fits[0].encode(x).equal(other.encode(x))
        assert fits[0].graph(x[0]).edits == other.graph(x[0]).edits
