"""A pipeline of Hugging Face, given as the function of docs/how-to/query-a-service.md."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.explain import explain
from envs import make_world
from envs.datasets import DATASETS

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")
NAMES = ["NEGATIVE", "POSITIVE"]


@pytest.fixture(scope="module")
def pipeline():
    """A small untrained network of the words of the shipped sentences."""
    words = ["<pad>", "<unk>", *sorted({word for text in DATASETS["sentences"]().x[:500] for word in str(text).split()})]
    known = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: k for k, word in enumerate(words)}, unk_token="<unk>"))
    known.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=known, unk_token="<unk>", pad_token="<pad>")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.BertConfig(
            vocab_size=len(words), **sizes, initializer_range=1.0, id2label=dict(enumerate(NAMES)), pad_token_id=0
        )
        model = transformers.BertForSequenceClassification(config).eval()
    return transformers.TextClassificationPipeline(model=model, tokenizer=tokenizer)


def test_a_pipeline_of_hugging_face_is_explained(pipeline):
    def sentiment(texts):
        answers = pipeline(list(texts), top_k=None)
        return np.array([[{part["label"]: part["score"] for part in answer}[name] for name in NAMES] for answer in answers])

    query = {"cache": True, "batch_size": 64}
    world = make_world(data="sentences", classifier=sentiment, class_names=NAMES, query=query, progress=False)
    paths = explain(world, range(6), walker="line")
    found = [path for path in paths if path.success]
    assert found
    for path in found:
        words = path.texts[-1]
        assert NAMES[int(sentiment([words])[0].argmax())] == path.class_names[path.predicted[-1]]
        assert path.class_names[path.predicted[-1]] != path.class_names[path.source]
