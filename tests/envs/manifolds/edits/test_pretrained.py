"""Edits that a pretrained language model proposes."""

from __future__ import annotations

import pytest
import torch

from agents.explain import explain
from envs.building.world import make_world
from envs.datasets import Data, grammar
from envs.errors import ManifoldError
from envs.manifolds import Edits, Manifold
from envs.manifolds.edits.language import LanguageModel
from tests.envs.manifolds.edits.language_models import save_model

pytest.importorskip("transformers", reason="the [lm] extra is not installed")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A causal and a masked model."""
    return [save_model(tmp_path_factory.mktemp(str(masked)), masked) for masked in (False, True)]


@pytest.fixture(scope="module")
def fitted():
    """A manifold of the grammar; don't change it."""
    drawn = grammar.sample(300, 0)
    p = torch.tensor([0.02 + 0.96 * sentence.sentiment for sentence in drawn])
    return Edits.fit([s.text for s in drawn], torch.stack([1 - p, p], 1), embedding=8, hidden=8, epochs=2, most=60)


@pytest.fixture
def proposing(fitted, tmp_path, monkeypatch):
    """From a model's folder to the manifold whose edits it proposes; proposals are kept in a folder of the test."""
    monkeypatch.setenv("MANIFOLD_CACHE", str(tmp_path / "cache"))

    def made(folder):
        fitted.save(tmp_path / "manifold")
        found = Manifold.load(tmp_path / "manifold")
        assert isinstance(found, Edits)
        found.proposer = str(folder)
        return found

    return made


def edits_of(manifold, text="the soup is awful"):
    return manifold.graph(manifold.vocabulary.ids([text])[0]).edits


@pytest.mark.parametrize("kind", [0, 1])
def test_only_words_that_the_model_reads_are_proposed(proposing, folders, kind):
    manifold = proposing(folders[kind])
    edits = edits_of(manifold)
    assert len(edits) > 5
    model = LanguageModel.of(folders[kind])
    assert all(model.reads(manifold.vocabulary.shown[word]) for edit in edits for word in edit.words)
    assert {edit.stop - edit.start for edit in edits} >= {0, 1}


@pytest.mark.parametrize("text", ["awful", "the zyzzy is awful", "<b> the soup </b> is awful !", "die suppe war gut"])
def test_any_input_can_be_edited(proposing, folders, text):
    for folder in folders:
        manifold = proposing(folder)
        graph = manifold.graph(manifold.vocabulary.ids([text])[0])
        assert graph.edits
        assert manifold.vocabulary.texts(manifold.rows([graph.sentence(())]))[0].split() == [
            manifold.vocabulary.shown[word] for word in graph.words
        ]


def test_proposals_are_kept_on_disk_and_read_without_the_model(proposing, folders, monkeypatch):
    first = edits_of(proposing(folders[0]))

    def fail(path):
        raise AssertionError("the model was opened again")

    monkeypatch.setattr(LanguageModel, "of", fail)
    assert edits_of(proposing(folders[0])) == first


def test_another_model_makes_other_proposals(proposing, folders, tmp_path):
    other = save_model(tmp_path / "other", seed=1)
    assert edits_of(proposing(folders[0])) != edits_of(proposing(other))


def test_a_damaged_file_of_proposals_is_made_again(proposing, folders, tmp_path):
    first = edits_of(proposing(folders[0]))
    files = list((tmp_path / "cache" / "proposals").iterdir())
    assert len(files) == 1
    for content in ("", "[[0]]", '[[0, 1, ["not in the vocabulary"], 0.0]]', "[[9, 12, [], 0.0]]"):
        files[0].write_text(content)
        assert edits_of(proposing(folders[0])) == first


def test_a_saved_manifold_names_its_proposer(proposing, folders, tmp_path):
    proposing(folders[0]).save(tmp_path / "again")
    again = Manifold.load(tmp_path / "again")
    assert isinstance(again, Edits)
    assert again.proposer == str(folders[0])
    again.proposer = str(tmp_path / "gone")
    with pytest.raises(ManifoldError, match=r"proposer is '.*gone'"):
        edits_of(again)


def test_a_world_takes_the_proposer_as_a_setting(folders, monkeypatch, tmp_path):
    monkeypatch.setenv("MANIFOLD_CACHE", str(tmp_path))
    texts = [sentence.text for sentence in grammar.sample(200, 0)]
    settings = {"embedding": 8, "hidden": 8, "epochs": 2, "most": 40}

    def world(proposer):
        return make_world(
            data=Data(texts, truth=[int("wonderful" in text) for text in texts], class_names=["no", "yes"]),
            manifold="edits", fit=settings | {"proposer": str(proposer)}, progress=False,
        )  # fmt: skip

    with pytest.raises(ManifoldError, match="no such folder"):
        world(tmp_path / "missing")
    found = world(folders[0])
    path = explain(found, "the soup is awful", walker="edits")
    assert path.texts[0] == path.texts[1] == "the soup is awful"
