"""Paths through sentences: explained, saved, replayed, shown."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from agents.atlas import atlas
from agents.explain import explain
from agents.explanation.atlas.homotopy import homotopy_figure
from agents.explanation.figures.gif import gif_frames
from agents.explanation.figures.path import film_strip
from agents.explanation.figures.terminal import PathScreen
from agents.explanation.figures.text import sentence_words, wrapped
from agents.explanation.inputs import read_file
from agents.explanation.metrics.evaluate import evaluate_paths
from agents.explanation.output import report
from agents.explanation.report.page import render_report
from agents.explanation.sentences import distance_unit
from agents.replay import compare
from agents.runs.world_record import build_world
from agents.train import load_run, train
from agents.trajectories.trajectory import Trajectory, TrajectoryError
from envs import ManifoldError, make_world
from envs.datasets import grammar
from envs.modalities.alignment import Word, edit_distance, edits

OWN = "The FILM was absolutely dreadful, alas!"


@pytest.fixture(scope="module")
def world():
    return make_world(data="sentences").replace(max_step=1 / 6)


@pytest.fixture(scope="module")
def paths(world):
    return explain(world, range(40), walker="line")


@pytest.fixture(scope="module")
def own(world):
    return explain(world, OWN, walker="line")


def test_lines_to_neighbours_reach_the_other_sentiment(world, paths):
    assert np.mean([path.success for path in paths]) > 0.9
    assert all(path.modality == "text" for path in paths)
    for path in paths[:5]:
        assert path.texts[1:] == world.units.texts(world.manifold.decode(_tensor(path.z)))
        assert path.texts[0] == world.render(path.source_input)


def _tensor(array):
    import torch

    return torch.from_numpy(np.array(array))


def test_edit_distances_are_to_the_input(paths):
    for path in paths[:10]:
        told = [row["edit_distance"] for row in path.table()]
        assert told == [edit_distance(path.texts[0], text) for text in path.texts[1:]]


def test_lengths_are_between_codes(world, paths):
    path = paths[0]
    np.testing.assert_allclose(path.step_lengths, np.linalg.norm(np.diff(path.z, axis=0), axis=1), atol=1e-6)
    assert (path.step_lengths <= world.max_step * (1 + 1e-5)).all()
    assert distance_unit(path) == "L2 between codes"
    found = evaluate_paths(world, paths)
    reached = [edit_distance(p.texts[0], p.texts[-1]) for p in paths if p.success]
    assert found["edit_input"].value == pytest.approx(np.mean(reached))
    assert found["step_bound_share"].value == 1.0


def test_pictures_are_not_measured_in_words(digits_paths):
    world, paths = digits_paths
    assert "edit_input" not in evaluate_paths(world, paths)
    assert all(path.texts is None for path in paths)


@pytest.fixture(scope="module")
def digits_paths():
    world = make_world(data="digits")
    return world, explain(world, range(3), walker="line")


def test_words_outside_the_vocabulary_are_kept_through_saving_and_replaying(world, own, tmp_path):
    assert own.texts[0] == "the film was absolutely dreadful , alas !"
    assert own.class_names[own.source] == "negative"
    again = Trajectory.load(own.save(tmp_path / "own.npz"))
    assert again == own
    fresh = build_world(again.environment)
    fresh.units.inward("zounds")  # ids of unknown words are given as they are met: here another word comes first
    assert compare(again, fresh).reproduced


def test_texts_that_do_not_fit_are_refused(own):
    import dataclasses

    with pytest.raises(TrajectoryError, match="texts for the input"):
        dataclasses.replace(own, texts=own.texts[:-1])


def test_sentences_are_read_from_files(world, tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text("we hated the soup\nthe train is great\n")
    found = explain(world, read_file(world, file), walker="line")
    assert [path.texts[0] for path in found] == ["we hated the soup", "the train is great"]
    with pytest.raises(ManifoldError, match="at least one word"):
        explain(world, ["fine", ""], walker="line")


def test_inputs_are_read_from_the_column_and_encoding_of_the_corpus(world, tmp_path):
    own = world.replace(config=world.config.replace(text_column="review", encoding="cp1252"))
    file = tmp_path / "one.tsv"
    file.write_bytes("review\tlabel\nthe café is great\tgood\n".encode("cp1252"))
    assert read_file(own, file).tolist() == ["the café is great"]  # one class alone is no matter here
    with pytest.raises(ManifoldError, match="line 2: byte 0xe9 is not utf-8"):
        read_file(world, file)
    file.write_text("text\nthe soup is great\n")
    assert read_file(own, file).tolist() == ["the soup is great"]
    file.write_text("words\nthe soup is great\n")
    with pytest.raises(ManifoldError, match="no column text or sentence"):
        read_file(own, file)


def test_the_script_shows_every_sentence_that_is_another_one(paths):
    from agents.explanation.figures.text import sentence_table

    for path in paths:
        table = sentence_table(path)
        frames, sentences = ([str(cell) for cell in column.cells] for column in table.columns)
        changed = [t for t in range(len(path.texts) - 1) if path.texts[t] != path.texts[t + 1]]
        assert frames == ["input", *map(str, changed)]
        assert sentences[0] == path.texts[0]
        assert all("*" in text or "[-" in text for text in sentences[1:])


def test_no_title_of_the_steps_is_cut_at_80_columns(paths, world):
    with pytest.MonkeyPatch.context() as patch, io.StringIO() as said:
        patch.setattr("agents.console.terminal.console", lambda **_: Console(width=80, file=said))
        report(paths[:1], [], world=world)
        text = said.getvalue()
    steps = text[text.index("\nframe") : text.index("\nframe  sentence")]
    assert "…" not in steps
    assert "p(negative) p(positive)" in steps or "p(positive) p(negative)" in steps


def test_the_index_of_a_report_names_the_changes(paths, world):
    index = render_report(paths[:1], world).split("</nav>")[0].split("<nav")[1]
    assert "[-" not in index
    assert "→ “" in index or "is removed" in index or "is inserted" in index


def test_the_film_strip_is_a_picture(paths, world):
    picture = Image.open(io.BytesIO(film_strip(paths[0], world)))
    assert picture.format == "PNG"
    assert picture.width > 400
    long = paths[0]
    assert len(gif_frames(long, world)) == len(long.texts)
    assert len({page.size for page in gif_frames(long, world)}) == 1


def test_every_sentence_is_marked_against_the_one_before(world, paths):
    path = next(p for p in paths if p.texts[-1] != p.texts[-2])
    words = sentence_words(path)
    assert len(words) == path.steps + 2
    assert all(word.change == "" for word in words[0])
    for text, line in zip(path.texts, words, strict=True):
        assert " ".join(word.text for word in line if word.change != "gone") == text
    assert any(word.change == "new" for word in words[-1])


def test_long_sentences_go_on_in_another_line():
    words = [Word(w, "") for w in ["a", "bb", "ccc", "dddd"]]
    assert [[w.text for w in line] for line in wrapped(words, 5)] == [["a", "bb"], ["ccc"], ["dddd"]]


@pytest.mark.parametrize("colours", [True, False])
def test_the_terminal_shows_sentences(world, paths, colours):
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=colours, color_system="truecolor" if colours else None, width=100)
    PathScreen(paths[0], world, console).show()
    shown = stream.getvalue()
    assert "words changed" in shown
    if not colours:
        assert paths[0].texts[1] in shown


def test_the_report_marks_words_and_escapes_them(world, own):
    page = render_report([own], world)
    assert "<ins>" in page
    assert "<del>" in page
    assert "absolutely" in page
    nasty = explain(world, "<script>alert(1)</script> was dreadful", walker="line")
    assert "<script>alert" not in render_report([nasty], world)


def test_a_homotopy_is_drawn(world):
    import torch

    png, note = homotopy_figure(world, world.held_out.x[:2], 5)
    assert Image.open(io.BytesIO(png)).format == "PNG"
    assert "5 points" in note
    drawn = atlas(world, "homotopy", between=["we hated the dull film", "the film was great"], columns=4)
    assert "4 points" in drawn.note
    assert drawn.image != png
    with pytest.raises(ManifoldError, match="needs two sentences, not 1"):
        atlas(world, "homotopy", between=["we hated the dull film"])
    with pytest.raises(ManifoldError, match="joins sentences"):
        homotopy_figure(make_world(data="iris"), torch.zeros(2, 4))


def test_an_agent_is_trained_on_a_corpus_of_ones_own_and_found_again(tmp_path):
    file = tmp_path / "reviews.tsv"
    rows = [f"{s.text}\t{grammar.SENTIMENTS[s.sentiment]}" for s in grammar.sample(80, 3)]
    file.write_text("review\tstars\n" + "\n".join(rows) + "\n")
    run = train(data=str(file), text_column="review", target_column="stars", n_timesteps=128,
                env_kwargs={"latent_dim": 3, "fit": {"hidden": 8, "embedding": 8, "epochs": 1}}, eval_episodes=5,
                log_folder=str(tmp_path / "runs"), pictures=False,
                hyperparams={"n_envs": 8, "n_steps": 8, "batch_size": 64})  # fmt: skip
    again = load_run(run.folder.root)
    path = explain(again, "we disliked the dull plot", max_steps=2)
    assert path.texts[0] == "we disliked the dull plot"
    assert path == explain(run, "we disliked the dull plot", max_steps=2)


def test_training_on_text_lays_its_own_settings_over_the_usual_ones(world):
    from agents.training.environments import trained_walk

    walked = trained_walk(world)
    assert (walked.task.weights.success, walked.task.weights.implausibility) == (6.0, 2.4)
    assert walked.config.reward == {"success": 6.0, "implausibility": 2.4}
    assert trained_walk(world.replace(reward={"success": 5.0})).task.weights.success == 5.0


def test_of_several_alignments_the_one_that_keeps_most_words_is_told() -> None:
    before, after = "you regret the dreadful hotel", "you will love the hotel"
    pairs = edits(before.split(), after.split())
    kept = [i for i, j in pairs if j is not None and i is not None and i != 1]
    assert kept == [0, 2, 4]  # and not: regret -> will, the -> love, dreadful -> the
    assert sum(1 for i, j in pairs if i not in kept) == edit_distance(before, after)
