"""Untrained language models of a few words, saved as the folders that users have."""

from __future__ import annotations

import json
from pathlib import Path

WORDS = [
    "<pad>",
    "<unk>",
    "<s>",
    "</s>",
    "<mask>",
    "The",
    "the",
    "soup",
    "Soup",
    "is",
    "awful",
    "wonderful",
    "A",
    "a",
    "film",
    "we",
    "We",
    "liked",
    "and",
    "was",
    "great",
    ",",
    ".",
]


def save_model(folder: Path, masked: bool = False, seed: int = 0) -> Path:
    """A causal or masked model, and its tokenizer."""
    import tokenizers
    import torch
    import transformers

    known = tokenizers.Tokenizer(tokenizers.models.WordLevel({word: k for k, word in enumerate(WORDS)}, unk_token="<unk>"))
    known.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>"}
    special |= {"cls_token": "<s>", "sep_token": "</s>"} if masked else {}
    transformers.PreTrainedTokenizerFast(tokenizer_object=known, **special).save_pretrained(folder)
    sizes = {
        "vocab_size": len(WORDS),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = (
            transformers.BertForMaskedLM(transformers.BertConfig(**sizes, initializer_range=1.0))
            if masked
            else transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, initializer_range=1.0))
        )
    model.save_pretrained(folder)
    return folder


def rename_architecture(folder: Path, name: str) -> None:
    """Write another architecture into a saved model's configuration."""
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"architectures": [name]}))
