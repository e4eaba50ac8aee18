"""The sentence benchmarks measure what they say: language model, bounds, imputed words, discriminators, tables."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch

from agents.explain import explain
from envs.building.world import make_world
from envs.datasets import grammar
from envs.manifolds import SentenceVAE
from envs.modalities.alignment import edit_distance
from envs.modalities.vocabulary import END, PAD, UNKNOWN, Vocabulary
from tests.benchmarks import sentences_imputation as imputation
from tests.benchmarks import sentences_ptb as ptb
from tests.benchmarks.sentences import edits_grammar, edits_split, reading
from tests.benchmarks.sentences.data import penn_treebank
from tests.benchmarks.sentences.discriminators import bag_of_words, correct, recurrent
from tests.benchmarks.sentences.edit_rivals import unbound
from tests.benchmarks.sentences.language import LanguageModel, by_length
from tests.benchmarks.sentences_attributes import bootstrap

TEXTS = [s.text for s in grammar.sample(300, 8)]
SMALL = {"embedding": 12, "hidden": 16}
SHORT: dict[str, Any] = {"epochs": 6, "batch_size": 16, "learning_rate": 2e-2}


@pytest.fixture(scope="module")
def book() -> Vocabulary:
    return Vocabulary.of(TEXTS)


@pytest.fixture(scope="module")
def model(book: Vocabulary) -> LanguageModel:
    return LanguageModel.fit(book.ids(TEXTS), book, **SHORT, **SMALL)


@pytest.fixture(scope="module")
def vae(book: Vocabulary) -> SentenceVAE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = SentenceVAE(book.words, book.length, 4, 12, 16, account={"word_keep": 1.0, "kl": 1.0})
    return made.eval().requires_grad_(False)


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny corpus that stands where Penn Treebank would."""
    for name in ("rt-polarity", "ptb"):
        (tmp_path / name).mkdir()
    for part, seed in (("train", 1), ("valid", 2), ("test", 3)):
        rows = [f" {s.text.replace('awful', '<unk>')} \n" for s in grammar.sample(80, seed)]
        (tmp_path / "ptb" / f"ptb.{part}.txt").write_text("".join(rows))
    monkeypatch.setenv("MANIFOLD_DATA", str(tmp_path))
    return tmp_path


# ---- the language model -----------------------------------------------------------------------------------------------


def test_a_model_without_weights_gives_every_word_the_same_chance(book):
    model = LanguageModel(book, **SMALL)
    for parameter in model.decoder.parameters():
        parameter.data.zero_()
    ids = book.ids(TEXTS[:20])
    words = (ids != PAD).sum(1)
    torch.testing.assert_close(model.nll(ids, batch=3), words * math.log(book.size), rtol=1e-5, atol=1e-4)
    row = ptb.figures(ptb.LANGUAGE, model, ids, 1, 1, 0)
    assert row["ppl"] == pytest.approx(book.size, rel=1e-4), "the end mark counts as a word"
    assert row["ppl_without_end"] == pytest.approx(book.size ** float(words.sum() / (words - 1).sum()), rel=1e-4)


def test_training_a_language_model_helps_and_hangs_on_its_seed(book, model):
    ids = book.ids(TEXTS)
    assert float(model.nll(ids).mean()) < 0.6 * float(LanguageModel(book, **SMALL).nll(ids).mean())
    again = LanguageModel.fit(ids, book, **SHORT, **SMALL)
    assert all(a.equal(b) for a, b in zip(model.decoder.parameters(), again.decoder.parameters(), strict=True))


def test_a_saved_language_model_is_the_same(book, model, tmp_path):
    model.save(tmp_path / "model")
    ids = book.ids(TEXTS[:10])
    assert LanguageModel.load(tmp_path / "model", book).nll(ids).equal(model.nll(ids))


def test_a_language_model_fills_in_what_is_likeliest(book, model):
    ids = book.ids(TEXTS[:12])
    missing = imputation.last_words(ids)
    made = model.impute(ids, missing, 8)
    assert made[~missing].equal(ids[~missing])
    assert (made[missing] > END).all()
    assert float(model.nll(made).mean()) < float(model.nll(ids).mean())


def test_batches_by_length_hold_every_row_once(book):
    ids = book.ids(TEXTS[:50])
    rows = list(by_length(ids, 7))
    assert sorted(torch.cat(rows).tolist()) == list(range(50))
    lengths = (ids != PAD).sum(1)
    assert all(lengths[a].max() <= lengths[b].min() for a, b in pairwise(rows))


# ---- Penn Treebank ----------------------------------------------------------------------------------------------------


def test_the_bound_is_above_the_importance_weighted_nll(book, vae):
    ids = book.ids(TEXTS[:40])
    reconstruction, kl, means = ptb.bound(vae, ids, 0)
    assert (kl >= 0).all()
    assert means.shape == (40, 4)
    tight = ptb.importance_weighted(vae, ids, 200, 0)
    assert float((reconstruction + kl - tight).mean()) > 0
    one = vae.importance_weighted_nll(ids[:1], 50, 3)
    torch.testing.assert_close(ptb.importance_weighted(vae, ids[:1], 50, 3), one, rtol=1e-4, atol=1e-4)


def test_an_inputless_decoder_is_measured_without_its_words(book, vae):
    ids = book.ids(TEXTS[:20])
    blind = SentenceVAE(**{**vae.settings, "account": {"word_keep": 0.0}}).eval().requires_grad_(False)
    blind.load_state_dict(vae.state_dict())
    seen, unseen = (ptb.bound(one, ids, 0)[0] for one in (vae, blind))
    assert not torch.allclose(seen, unseen)
    again = ids.flip(0)  # the words before do not matter: position by position the logits are those of unknown words
    inputs = torch.full_like(again, UNKNOWN)
    inputs[:, 0] = 2
    mean, log_variance = blind.posterior(ids)
    noise = torch.randn(mean[:1].shape, generator=torch.Generator().manual_seed(0))
    z = mean[:1] + (0.5 * log_variance[:1]).exp() * noise
    log_p = blind.decoder(z, inputs[:1]).log_softmax(2)[0]
    own = -sum(float(log_p[place, word]) for place, word in enumerate(ids[0].tolist()) if word != PAD)
    assert float(ptb.bound(blind, ids[:1], 0)[0]) == pytest.approx(own, rel=1e-4)


def test_half_precision_sees_weights_that_have_moved(monkeypatch):
    monkeypatch.setattr(ptb, "trains_in_bfloat16", lambda: True)  # a linear layer runs in bfloat16 on every processor
    layer, x = torch.nn.Linear(3, 2), torch.ones(1, 3)
    with ptb.half_precision():
        before = layer(x)
        with torch.no_grad():
            layer.weight.add_(1.0)
        moved = layer(x) - before
    assert before.dtype == torch.bfloat16
    assert moved.float().mean().item() == pytest.approx(3.0, abs=0.1)


def test_a_processor_without_bfloat16_trains_in_float32_and_says_so():
    """oneDNN restricted to AVX2 has no bfloat16 LSTM, as on older processors: the failure was a RuntimeError in training."""
    program = (
        "import torch\nfrom tests.benchmarks import sentences_ptb as ptb\n"
        "layer = torch.nn.LSTM(8, 8, batch_first=True)\n"
        "with ptb.half_precision():\n    layer(torch.zeros(2, 3, 8))[0].sum().backward()\n"
        "print(ptb.trains_in_bfloat16())"
    )
    done = subprocess.run([sys.executable, "-c", program], env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"},
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    if done.stdout.strip() == "False":
        assert "training in float32" in done.stderr


def test_the_corpus_is_read_as_it_stands(corpus):
    assert len(penn_treebank("test")) == 80
    vocabulary, ids = ptb.corpus()
    assert "<unk>" not in vocabulary.words
    assert bool((ids["train"] == UNKNOWN).any())
    (corpus / "ptb" / "ptb.valid.txt").unlink()
    with pytest.raises(SystemExit, match=r"ptb/ptb\.valid\.txt is not in"):
        penn_treebank("valid")


def test_the_benchmark_runs_from_corpus_to_page_and_keeps_what_is_done(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(ptb, "SIZES", SMALL)
    flags = ["--epochs", "8", "--sentences", "5", "--samples", "10"]
    flags += ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "sentences_ptb")]
    monkeypatch.setattr(ptb, "TRAINING", {"batch_size": 8, "learning_rate": 2e-2})
    ptb.EXPERIMENT.main(flags)
    rows = json.loads((tmp_path / "sentences_ptb.json").read_text())["rows"]
    assert rows[1]["ppl"] < 35, "an untrained model has about 60, the number of words"
    assert all(row["reconstruction"] < 30 for row in rows[::2]), "34 in an untrained one"
    page = (tmp_path / "sentences_ptb.md").read_text()
    for told in ("VAE, standard", "VAE, inputless", "language model", "the paper's, inputless | 125 |"):
        assert told in page
    assert not any(text in page for text in penn_treebank("train") + penn_treebank("test")), "no sentence of the corpus"
    monkeypatch.setattr(SentenceVAE, "fit", None)
    monkeypatch.setattr(LanguageModel, "fit", None)
    ptb.EXPERIMENT.main(flags)
    assert (tmp_path / "sentences_ptb.md").read_text() == page


# ---- imputation -------------------------------------------------------------------------------------------------------


def test_the_last_fifth_of_the_words_is_missing():
    rows = torch.tensor([[4] * n + [END] + [PAD] * (12 - n) for n in (1, 5, 7, 8, 12)])
    missing = imputation.last_words(rows)
    assert missing.sum(1).tolist() == [1, 1, 1, 2, 2]
    assert not bool((missing & (rows <= END)).any())
    assert [int(row.nonzero()[0]) for row in missing] == [0, 4, 6, 6, 10]


def test_short_sentences_and_missing_unknown_words_are_left_out():
    rows = torch.tensor([[4, 4, 4, 4, END, PAD], [4, 4, 4, 4, 4, END], [4, 4, 4, 4, UNKNOWN, END], [UNKNOWN, 4, 4, 4, 4, END]])
    assert imputation.usable(rows).equal(rows[[1, 3]])


def test_both_impute_the_same_words_in_any_order(book, vae, model):
    ids = imputation.usable(book.ids(TEXTS[:30]))
    case = imputation.Case(vae, model, {"test": ids})
    for by in imputation.IMPUTERS:
        made = imputation.imputed(case, by, ids, batch=4)
        assert made[~imputation.last_words(ids)].equal(ids[~imputation.last_words(ids)])
        assert made.equal(imputation.imputed(case, by, ids.flip(0), batch=30).flip(0))


@pytest.mark.parametrize("make", [bag_of_words, recurrent])
def test_a_discriminator_tells_what_can_be_told_and_nothing_else(make):
    generator = torch.Generator().manual_seed(0)

    def sentences(n: int) -> torch.Tensor:
        return torch.cat((torch.randint(5, 20, (n, 5), generator=generator), torch.full((n, 1), END)), dim=1)

    train, valid, test = sentences(160), sentences(80), sentences(80)
    told = [(part, part.clone().index_fill_(1, torch.tensor([4]), 4)) for part in (train, valid, test)]
    easy = make(told[0], told[1], 20, 0)
    assert correct(easy, told[2]).mean() > 0.95
    alike = make((train, train), (valid, valid), 20, 0)
    assert (correct(alike, (test, test)) == 0.5).all()


def test_a_pair_is_told_wholly_half_or_not_at_all():
    scores = {1: 1.0, 2: -1.0}
    found = correct(lambda ids: np.array([scores[int(row[0])] for row in ids]), (torch.tensor([[1], [1], [2]]),
                                                                                torch.tensor([[2], [1], [1]])))  # fmt: skip
    assert found.tolist() == [1.0, 0.5, 0.0]


def test_errors_are_in_per_cent_and_compared_sentence_by_sentence():
    told = {"LSTM": {"VAE": [0.5, 0.5, 1.0, 0.5] * 50, "language model": [1.0, 1.0, 1.0, 0.5] * 50}}
    (entry,) = imputation.errors([{"corpus": "c", "hits": told}])
    assert entry["VAE"][0] == pytest.approx(12.5)
    assert entry["language model"][0] == pytest.approx(37.5)
    mean, low, high = entry["less"]
    assert mean == pytest.approx(25.0)
    assert 20 < low < 25 < high < 30, "of 200 paired differences of 0 or 50: standard error 1.8"


def test_the_imputation_page_is_made_from_the_grammar(tmp_path, monkeypatch):
    monkeypatch.setattr(imputation, "SENTENCES", 200)
    monkeypatch.setattr(imputation, "HELD", {"valid": 60, "test": 60})
    flags = ["--corpora", "grammar", "--seeds", "0", "--judges", "0", "--train", "60"]
    flags += ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "page")]
    imputation.EXPERIMENT.main(flags)
    record, page = json.loads((tmp_path / "page.json").read_text()), (tmp_path / "page.md").read_text()
    monkeypatch.setattr(imputation, "grammar_case", None)
    monkeypatch.setitem(imputation.CASES, "grammar", None)
    imputation.EXPERIMENT.main(flags)
    assert (tmp_path / "page.md").read_text() == page, "what is finished is kept"
    (row,), table = record["facts"], record["table"]
    assert page.count("| grammar |") == 3
    assert {entry["discriminator"] for entry in table} == {"bag of words", "LSTM"}
    facts: dict[str, Any] = row["facts"]
    assert facts["language model"]["nll"] <= facts["true_nll"] + 0.5, "a beam finds what the model likes"


# ---- edits -------------------------------------------------------------------------------------------------------------


def test_the_parser_gives_one_answer_a_sentence(monkeypatch):
    """A sentence whose sampled linkages all break a rule gets two lines; a sign at its beginning would be a command."""
    answers = {
        "The cat sat.": "Found 2 linkages (2 had no P.P. violations)\n\tUnique linkage, cost vector = (UNUSED=0)\n",
        "Most solid.": "No complete linkages found.\nFound 363 linkages (0 of 100 random linkages had no P.P. violations)\n",
        "Quit.": "Found 1 linkage (1 had no P.P. violations)\n",
        "": "",
    }

    def link_parser(command: Any, input: str, **_: Any) -> Any:
        asked, mark = input.splitlines(), "verbosity set to 1\n"
        replies = [mark if line == "!verbosity=1" else answers[line] for line in asked]
        return subprocess.CompletedProcess(command, 0, f"{mark}graphics set to 0\n{''.join(replies)}Bye.\n", "")

    monkeypatch.setattr(edits_split.shutil, "which", lambda _: "link-parser")
    monkeypatch.setattr(edits_split.subprocess, "run", link_parser)
    texts = ["the cat sat .", "most solid .", "! quit .", "", "the cat sat"]
    assert edits_split.parses(texts).tolist() == [True, False, True, False, True]


def test_a_reading_hides_what_a_sentence_is_and_counts_each_kind():
    shown = [["negative to positive, arrived", "", "    p 0.10  a bad film", "    p 0.5  a good film", "    p 1  a good fun"],
             ["negative to positive, not arrived", "", "    p 0.10  a bad film", "    p 0.20  a dull one"]]  # fmt: skip
    rows = reading.sheet([{"shown": shown}])
    assert {text: kind for kind, text in rows} == {
        "a bad film": reading.KINDS[0], "a good film": reading.KINDS[1], "a dull one": reading.KINDS[1],
        "a good fun": reading.KINDS[2],
    }  # fmt: skip
    english = {number for number, (_, text) in enumerate(rows, 1) if text in ("a bad film", "a dull one")}
    found = reading.read(rows, english, "A", None)
    found = reading.read(rows, {1, 2, 3, 4}, "B", found)
    assert found["readers"] == ["A", "B"]
    assert [found["kinds"][kind]["english"] for kind in reading.KINDS] == [[1.0, 1.0], [0.5, 1.0], [0.0, 1.0]]
    with pytest.raises(SystemExit, match="no sentence 9"):
        reading.read(rows, {9}, "C", found)


def test_a_search_that_need_not_write_english_edits_fewer_words():
    world = make_world(data="sentences", manifold="sentences_edits", progress=False)
    found = [unbound(world, x) for x in world.held_out.x[:20]]
    assert min(found) > 0
    paths = [path for path in explain(world, range(20), walker="edits") if path.success]
    shares = [edit_distance(path.texts[0], path.texts[-1]) / len(path.texts[0].split()) for path in paths]
    assert fmean(found) <= fmean(shares)


def test_attributes_of_the_grammar_are_judged_by_the_grammar(tmp_path, monkeypatch):
    monkeypatch.setattr(edits_grammar, "FITTED", 200)
    row = edits_grammar.grammar_task("topic", 0, 8, tmp_path, epochs=6)
    again = edits_grammar.grammar_task("topic", 0, 8, tmp_path)
    assert row == again, "the fit is kept"
    assert row["flipped"][0] > 0
    assert row["right"][0] <= row["produced"][0]
    assert row["kept"][0] <= row["produced"][0]


# ---- attributes -------------------------------------------------------------------------------------------------------


def test_the_interval_of_an_auc_holds_it():
    rng = np.random.default_rng(0)
    told = rng.random(300) < 0.5
    low, high = bootstrap(told, told + rng.normal(size=300), draws=100)
    assert low < 0.76 < high, "Phi(1 / sqrt 2)"
    assert high - low < 0.2
    assert bootstrap(told, told.astype(float), draws=20) == [1.0, 1.0]
