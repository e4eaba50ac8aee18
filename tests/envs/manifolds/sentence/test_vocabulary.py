"""Words, ids and files of sentences: nothing is lost, and what cannot be read is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from envs.datasets.corpora import read_corpus
from envs.errors import ManifoldError, UnknownNameError
from envs.modalities.vocabulary import END, PAD, SPECIALS, UNKNOWN, Vocabulary, tokens

CORPUS = ["The soup was good!", "it's a dull, dull film", "the film was good"]


@pytest.fixture
def vocabulary() -> Vocabulary:
    return Vocabulary.of(CORPUS)


def test_words_are_lowered_and_punctuation_is_parted():
    assert tokens("It's a “dull”, DULL film!") == ["it's", "a", "“", "dull", "”", ",", "dull", "film", "!"]
    assert tokens("The <unk> N $", "spaces") == ["The", "<unk>", "N", "$"]
    assert tokens("an <unk> word") == ["an", "<unk>", "word"]
    with pytest.raises(UnknownNameError, match="tokeniser"):
        tokens("a", "letters")


def test_a_sentence_is_its_words_an_end_mark_and_padding(vocabulary):
    ids = vocabulary.ids(["the film was good"])
    assert ids.shape == (1, 7)
    assert ids.dtype == torch.int64
    assert ids[0, 4] == END
    assert (ids[0, 5:] == PAD).all()
    assert vocabulary.texts(ids) == ["the film was good"]


def test_words_are_ranked_by_how_often_they_stand():
    assert Vocabulary.of(CORPUS).words[:2] == ["dull", "film"]
    assert set(Vocabulary.of(CORPUS, least=2).words) == {"dull", "film", "good", "the", "was"}
    assert len(Vocabulary.of(CORPUS, most=3).words) == 3


def test_unknown_words_come_back_as_they_were(vocabulary):
    text = "the quixotic film was good"
    ids = vocabulary.ids([text])
    assert int(ids[0, 1]) >= vocabulary.size
    assert int(vocabulary.known(ids)[0, 1]) == UNKNOWN
    assert vocabulary.texts(ids) == [text]
    assert vocabulary.ids([text]).equal(ids)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1), min_size=1))
def test_any_text_survives_but_for_case_and_spaces(texts):
    words = [tokens(text) for text in texts]
    vocabulary = Vocabulary(["a", "b"], 1 + max(1, *map(len, words)))
    for text, row in zip(texts, words, strict=True):
        if not row:
            with pytest.raises(ManifoldError, match="at least one word"):
                vocabulary.ids([text])
        elif not set(row) & set(SPECIALS):
            assert vocabulary.texts(vocabulary.ids([text])) == [" ".join(row)]


def test_long_sentences_are_cut_and_counted(vocabulary):
    with pytest.warns(UserWarning, match="1 of 2 sentences are longer than 6 words"):
        ids = vocabulary.ids(["the film was good", "the film was good and the soup was good"])
    assert vocabulary.texts(ids)[1] == "the film was good and the"


def test_a_special_written_out_is_no_special(vocabulary):
    assert int(vocabulary.ids(["a <unk> film"])[0, 1]) == UNKNOWN
    assert int((vocabulary.ids(["a </s> film"]) == END).sum()) == 1


@pytest.mark.parametrize(
    ("corpus", "told"),
    [
        ([], "empty"),
        (["", "  "], "empty"),
        (["word", "word word"], "one single word"),
        (["fine", "not\x00fine"], "sentence 1 holds the control character U\\+0000"),
        (["fine", 3], "sentence 1 is 3, a int"),
    ],
)
def test_a_corpus_that_is_none_is_refused(corpus, told):
    with pytest.raises(ManifoldError, match=told):
        Vocabulary.of(corpus)


def test_an_empty_sentence_is_refused(vocabulary):
    with pytest.raises(ManifoldError, match="text 1 is ' ': a sentence needs at least one word"):
        vocabulary.ids(["fine", " "])


def test_a_vocabulary_that_names_a_word_twice_is_refused():
    with pytest.raises(ManifoldError, match="'a' twice"):
        Vocabulary(["a", "b", "a"], 4)


# ---- files ----------------------------------------------------------------------------------------------------------


def test_a_line_is_a_sentence(tmp_path):
    file = tmp_path / "corpus.txt"
    file.write_bytes("\ufeffThe soup.\r\n\nA\x85 line".replace("\x85", "\u2028").encode())
    data = read_corpus(file)
    assert data.x.tolist() == ["The soup.", "A\u2028 line"]
    assert data.truth is None


@pytest.mark.parametrize("kind", ["tsv", "csv", "jsonl"])
def test_labelled_files_by_the_names_of_their_columns(tmp_path, kind):
    rows = [('he said, "no"', "bad"), ("fine", "good"), ("well, well", "good")]
    file = tmp_path / f"corpus.{kind}"
    if kind == "jsonl":
        file.write_text("\n".join(json.dumps({"review": t, "stars": y, "id": 1}) for t, y in rows) + "\n")
    elif kind == "tsv":
        file.write_text("id\treview\tstars\n" + "".join(f"1\t{t}\t{y}\n" for t, y in rows))
    else:
        file.write_text("review,stars\n" + '"he said, ""no""",bad\nfine,good\n"well, well",good\n')
    data = read_corpus(file, "review", "stars")
    assert data.x.tolist() == [text for text, _ in rows]
    assert data.class_names == ["bad", "good"]
    np.testing.assert_array_equal(data.truth, [0, 1, 1])
    with pytest.raises(UnknownNameError, match="did you mean 'review'"):
        read_corpus(file, "reviews")
    with pytest.raises(ManifoldError, match="pass text_column="):
        read_corpus(file)


def test_another_encoding_is_named_with_its_line(tmp_path):
    file = tmp_path / "corpus.txt"
    file.write_bytes(b"fine\nna\xefve and fine\n")
    with pytest.raises(ManifoldError, match="line 2: byte 0xef is not utf-8"):
        read_corpus(file)
    assert read_corpus(file, encoding="cp1252").x.tolist() == ["fine", "naïve and fine"]
    with pytest.raises(UnknownNameError, match="encoding 'utf-9'"):
        read_corpus(file, encoding="utf-9")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", "", "corpus is empty"),
        ("a.txt", "fine\nnot\x07fine\n", "line 2 holds the control character U\\+0007"),
        ("a.jsonl", '{"text": "a"}\n{text}\n', "line 2.* is damaged: Expecting property name"),
        ("a.jsonl", '{"text": "a"}\n["b"]\n', "line 2: an object is needed"),
        ("a.jsonl", '{"text": "a"}\n{"other": 1}\n', "line 2: lacks 'text'"),
        ("a.jsonl", '{"text": 5}\n', "line 1 is 5, a int"),
        ("a.tsv", "text\tlabel\na\tx\nb\tx\n", "every sentence has the label 'x'"),
        ("a.doc", "", "read from .txt"),
    ],
)
def test_files_that_hold_no_corpus_are_refused(tmp_path, name, content, told):
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(ManifoldError, match=told):
        read_corpus(file)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ManifoldError, match="no data file"):
        read_corpus(tmp_path / "none.txt")


def test_a_classifier_that_sees_what_the_conversion_loses_is_warned_of():
    """Case is lost on the way to ids: a classifier that depends on it is another one in walks."""
    import envs

    texts = [f"{start} film was {word}" for start in ("The", "the") for word in ("good", "dull", "long", "short")] * 3
    kwargs = {"data": np.array(texts, dtype=object), "class_names": ["no", "yes"], "progress": False}
    kwargs["fit"] = {"epochs": 1, "prediction_weight": 0}

    def by_case(rows):
        return np.array([0.9 if row[0].isupper() or "dull" in row else 0.1 for row in rows])

    def by_word(rows):
        return np.array([0.9 if "good" in row else 0.1 for row in rows])

    with pytest.warns(UserWarning, match=r"labels agree for 0\.625 of 24 rows.*lower case, with single spaces"):
        envs.make_world(classifier=by_case, **kwargs)
    world = envs.make_world(classifier=by_word, **kwargs)
    assert world.round_trip is not None
    assert (world.round_trip.agreement, world.round_trip.largest) == (1.0, 0.0)
