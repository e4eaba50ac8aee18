"""Initial latents: the nearest candidate that keeps the class, with every query counted."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from agents.explain import explain
from envs import make_world
from envs.core import dynamics
from envs.core.initial_latent import _candidates, code, kept
from envs.errors import UnknownNameError
from envs.modalities.alignment import edit_distance


def very(texts):
    """A classifier that goes by a word which a reconstruction easily loses."""
    said = torch.tensor([0.9 if "very" in text.split() or "really" in text.split() else 0.1 for text in texts])
    return torch.stack([1 - said, said], dim=1).numpy()


@pytest.fixture(scope="module")
def world():
    return make_world(data="sentences", classifier=very, class_names=["plain", "stressed"])


TEXTS = [
    "we really hated the very weak team and the goulash", "the zzz was very very very dreadful", "the soup is great",
    "very", "the really dreadful zebra seemed quite tired", "a very sad , really very long tale of woe",
]  # fmt: skip


@pytest.fixture(scope="module")
def x(world):
    return torch.cat([world.units.inward(TEXTS), world.held_out.x[:200]])


def test_sentences_start_where_the_class_is_kept_and_others_at_the_code(world):
    assert world.initial_latent_name == "kept"
    assert make_world(data="iris", manifold="pca").initial_latent_name == "code"
    assert world.replace(initial_latent="code").initial_latent_name == "code"
    with pytest.raises(UnknownNameError, match="initial latent"):
        world.replace(initial_latent="cod")


def test_the_class_is_kept_more_often_and_all_rows_are_counted(world, x):
    source = world.classifier.predict_proba(x).argmax(1)
    plain = code(world, x, source)
    before = world.classifier.queries
    found = kept(world, x, source)
    assert int(found.queries.sum()) == world.classifier.queries - before
    lost = plain.prediction.argmax(1) != source
    assert lost.any()
    assert not (found.prediction.argmax(1) != source).any()
    assert found.queries[~lost].eq(1).all()
    assert found.queries[lost].gt(1).all()
    assert found.z[~lost].equal(plain.z[~lost])
    assert world.decode(found.z, x).equal(found.frame)
    assert world.classifier.predict_proba(found.frame).equal(found.prediction)


def test_of_the_candidates_that_keep_the_class_the_nearest_is_taken(world, x):
    source = world.classifier.predict_proba(x).argmax(1)
    plain, found = code(world, x, source), kept(world, x, source)
    rows = (plain.prediction.argmax(1) != source).nonzero()[:, 0]
    options = _candidates(world, x[rows], plain.z[rows], source[rows])
    for row, codes in zip(rows.tolist(), options, strict=True):
        frames = world.decode(codes, x[row].expand(len(codes), -1))
        same = world.classifier.predict_proba(frames).argmax(1) == source[row]
        own = world.render(x[row])
        gaps = [edit_distance(own, world.render(frame)) for frame, good in zip(frames, same, strict=True) if good]
        assert edit_distance(own, world.render(found.frame[row])) == min(gaps)


def test_an_input_starts_alone_where_it_starts_in_a_batch(world, x):
    state, queries = dynamics.enter(world, x[:8])
    for i in range(8):
        single, rows = dynamics.enter(world, x[i : i + 1])
        assert single.frame[0].equal(state.frame[i])
        assert int(rows[0]) == int(queries[i])
        torch.testing.assert_close(single.z[0], state.z[i], atol=1e-5, rtol=0)


def test_what_no_candidate_keeps_starts_at_its_code():
    def rare(texts):
        said = torch.tensor([0.9 if "zebra" in text else 0.6 if "soup" in text else 0.1 for text in texts])
        return torch.stack([1 - said, said], dim=1).numpy()

    world = make_world(data="sentences", classifier=rare, class_names=["other", "zebra"])
    x = world.units.inward(["the zebra was dreadful"])
    source = torch.tensor([1])
    label, prediction = world.reference.label.clone(), world.reference.prediction.clone()
    label[:], label[0], prediction[0] = (
        0,
        1,
        torch.tensor([0.9, 0.1]),
    )  # one start of the class, and its frame does not keep it
    alone = world.replace(reference=dataclasses.replace(world.reference, label=label, prediction=prediction))
    plain, found = code(alone, x, source), kept(alone, x, source)
    for name in ("z", "frame", "prediction"):
        assert getattr(found, name).equal(getattr(plain, name))
    assert int(found.queries[0]) == 1  # candidates that say the same as the code are not worth a question


def test_paths_begin_there_and_count_the_queries(world):
    paths, plain = (explain(w, TEXTS, walker="line") for w in (world, world.replace(initial_latent="code")))
    assert all(path.predicted[0] == path.source for path in paths)
    lost = [i for i, path in enumerate(plain) if path.predicted[0] != path.source]
    assert lost
    assert all(path.queries >= 2 + path.steps for path in paths)


def test_walks_until_the_prediction_changes_start_where_the_class_is_kept() -> None:
    world = make_world(data="digits", task="flip")
    assert world.initial_latent_name == "kept"
    assert make_world(data="digits").initial_latent_name == "code"
    plain, _ = dynamics.enter(world.replace(initial_latent="code"), world.held_out.x)
    state, queries = dynamics.enter(world, world.held_out.x)
    assert (plain.prediction.argmax(1) != plain.source).any()
    assert (state.prediction.argmax(1) == state.source).all()
    assert queries.float().mean() < 3
