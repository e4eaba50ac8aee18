"""A pretrained language model of a local folder or GGUF file: what it would write in a gap, and how it likes an edit.

Needs the [lm] extra. Nothing is downloaded, no code of the folder runs, and no weights are unpickled. Sentences are spelled
as people write them, with a capital first letter and no blank before a comma.

Shapes: S spans, R edits, V words, T tokens, N tokens of the model.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from envs.errors import ManifoldError
from envs.files import in_home
from envs.reading.files import read_object
from envs.runtime.torch_defaults import in_usual_torch

REACH = 5  # words behind an edit that are read again
BATCH = 32  # gaps that a masked model fills at once
CAUSAL, MASKED = ("ForCausalLM", "LMHeadModel"), ("ForMaskedLM",)
DOCUMENT = "<|endoftext|>"  # of GPT-2 and its descendants
EXTRA = "pip install 'manifold-traversal[lm]'"
ATTACHED = frozenset(",.;:!?)]}%'’") | {"n't"}
Words = Sequence[str]
Change = tuple[int, int, Words]  # words from the first place to before the second become these


class LanguageModel:
    """A causal or masked language model.

    Args:
        model: of `transformers`, with a head that predicts tokens.
        tokenizer: its tokenizer.
        masked: whether it fills masks; else it predicts the next token.

    Example:
        >>> LanguageModel.spelled(["i", "like", "it", "."])
        ['I', ' like', ' it', '.']
    """

    def __init__(self, model: Any, tokenizer: Any, masked: bool) -> None:
        self.model, self.tokenizer, self.masked = model, tokenizer, masked
        # Before a document; a chat model names the mark of a turn as its first token, after which text is unlikely.
        first = (tokenizer.get_vocab().get(DOCUMENT), tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.cls_token_id)
        self.begin = [next(token for token in first if token is not None)] if not masked else []
        self._cache = "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"
        self._pieces: dict[str, tuple[int, ...]] = {}

    @classmethod
    def of(cls, path: str | Path) -> LanguageModel:
        """The model of a folder or GGUF file; the last one that was opened is kept.

        Args:
            path: a folder as `save_pretrained` writes it (safetensors), a folder with one GGUF file, or a GGUF file.

        Raises:
            ManifoldError: there is none, it is of another architecture, its weights are pickled, or the extra is missing.
        """
        return _opened(*identity(path))

    # ---- spelling ------------------------------------------------------------------------------------------------------

    @staticmethod
    def spelled(words: Words) -> list[str]:
        """The words as they are written in a sentence, each with the blank before it."""
        found = []
        for place, word in enumerate(words):
            word = word.capitalize() if place == 0 or word == "i" or word.startswith(("i'", "i’")) else word
            found.append(word if place == 0 or word in ATTACHED else f" {word}")
        return found

    def pieces(self, text: str) -> tuple[int, ...]:
        """Tokens of a word as it is spelled."""
        if text not in self._pieces:
            self._pieces[text] = tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        return self._pieces[text]

    def reads(self, word: str) -> bool:
        """Whether the model has tokens for a word."""
        found = self.pieces(f" {word}")
        return bool(found) and self.tokenizer.unk_token_id not in found

    def tokens(self, words: Words) -> tuple[list[int], list[int]]:
        """Tokens (T,) of a sentence, and where each word begins among them, with the end last."""
        out, begins = list(self.begin), []
        for text in self.spelled(words):
            begins.append(len(out))
            out += self.pieces(text)
        return out, [*begins, len(out)]

    # ---- what it would write -------------------------------------------------------------------------------------------

    @torch.inference_mode()
    @in_usual_torch
    def suggestions(self, words: Words, spans: Sequence[tuple[int, int]], first: Tensor) -> Tensor:
        """Log probabilities (S, V) of tokens in place of spans of words.

        A causal model reads the words before a span only, a masked model all others.

        Args:
            words: of the sentence.
            spans: start and stop of each.
            first: tokens (V,) to look up.
        """
        if self.masked:
            text = self.spelled(words)
            return torch.cat([row[:, first] for row in self._filled([(text[:i], 1, text[j:]) for i, j in spans])])
        ids, begins = self.tokens(words)
        log_p = self.model(torch.tensor([ids])).logits[0].log_softmax(-1)
        return log_p[torch.tensor([begins[i] - 1 for i, _ in spans])][:, first]

    # ---- how it likes an edit ------------------------------------------------------------------------------------------

    @torch.inference_mode()
    @in_usual_torch
    def gains(self, words: Words, edits: Sequence[Change]) -> tuple[Tensor, float | None]:
        """What edits add to log p of the sentence.

        A causal model reads the edit and `REACH` words behind it. A masked model compares the words of the edit, and one to
        either side, with the present ones, given all others.

        Returns:
            Nats (R,), and the log probability of the sentence; None if the model is a masked one.
        """
        return (self._windows(words, edits), None) if self.masked else self._tails(words, edits)

    def _tails(self, words: Words, edits: Sequence[Change]) -> tuple[Tensor, float]:
        base, begins = self.tokens(words)
        out = self.model(torch.tensor([base]), use_cache=True)
        log_p = out.logits[0].log_softmax(-1)
        own = torch.cat((torch.zeros(1), log_p[:-1].gather(1, torch.tensor(base[1:])[:, None])[:, 0].cumsum(0)))
        gains = torch.zeros(len(edits))
        alike: dict[int, list[tuple[int, list[int]]]] = {}  # by the number of tokens that stay, which are read once
        for number, (i, j, new) in enumerate(edits):
            last = min(j + REACH, len(words))
            row, _ = self.tokens([*words[:i], *new, *words[j:last]])
            kept = next((k for k, (a, b) in enumerate(zip(base, row, strict=False)) if a != b), min(len(base), len(row)))
            kept = max(1, min(kept, len(row) - 1))
            alike.setdefault(kept, []).append((number, row[kept:]))
            gains[number] = -(own[begins[last] - 1] - own[kept - 1])
        for kept, members in alike.items():
            numbers, tails = zip(*members, strict=True)
            gains[list(numbers)] += self._after(
                out[self._cache if self._cache in out else "past_key_values"], base[:kept], log_p[kept - 1], tails
            )
        return gains, float(own[-1])

    def _after(self, cache: Any, before: list[int], log_p: Tensor, tails: Sequence[list[int]]) -> Tensor:
        """Log p (R,) of the tokens of each tail after those before."""
        total = log_p[torch.tensor([tail[0] for tail in tails])].clone()
        longest = max(map(len, tails)) - 1
        if longest == 0:
            return total
        fed = torch.tensor([[*tail[:-1], *[0] * (longest - len(tail) + 1)] for tail in tails])
        if hasattr(cache, "crop") and hasattr(cache, "batch_repeat_interleave"):
            past = copy.deepcopy(cache)
            if (gone := past.get_seq_length() - len(before)) > 0:
                past.crop(-gone)
            past.batch_repeat_interleave(len(tails))
            logits = self.model(fed, **{self._cache: past}).logits
        else:
            logits = self.model(torch.cat((torch.tensor([before]).expand(len(tails), -1), fed), dim=1)).logits[
                :, len(before) :
            ]
        aims = torch.tensor([[*tail[1:], *[-1] * (longest - len(tail) + 1)] for tail in tails])
        each = logits.gather(2, aims.clamp_min(0)[..., None])[..., 0] - logits.logsumexp(-1)
        return total + (each * (aims >= 0)).sum(1)

    def _windows(self, words: Words, edits: Sequence[Change]) -> Tensor:
        asked: dict[tuple[tuple[str, ...], int, int], float] = {}
        pairs = []
        for i, j, new in edits:
            a, b = max(0, i - 1), min(len(words), j + 1)
            pairs.append(
                ((*words[:i], *new, *words[j:]), a, b + len(new) - (j - i)),
            )
            asked |= {pairs[-1]: 0.0, (tuple(words), a, b): 0.0}
        gaps, aims = [], []
        for row, a, b in asked:
            text = self.spelled(row)
            aims.append([piece for part in text[a:b] for piece in self.pieces(part)])
            gaps.append((text[:a], len(aims[-1]), text[b:]))
        for key, log_p, aim in zip(asked, self._filled(gaps), aims, strict=True):
            asked[key] = float(log_p.gather(1, torch.tensor(aim)[:, None]).sum())
        return torch.tensor(
            [
                asked[pair] - asked[tuple(words), max(0, i - 1), min(len(words), j + 1)]
                for pair, (i, j, _) in zip(pairs, edits, strict=True)
            ]
        )

    def _filled(self, gaps: Sequence[tuple[Words, int, Words]]) -> list[Tensor]:
        """Log p (count, N) of the tokens of each gap: spelled words before it, its number of masks, and words after it."""
        known = self.tokenizer
        begin = [token for token in (known.cls_token_id,) if token is not None]
        end = [token for token in (known.sep_token_id,) if token is not None]
        rows, places = [], []
        for before, count, after in gaps:
            ahead, behind = ([piece for text in part for piece in self.pieces(text)] for part in (before, after))
            rows.append([*begin, *ahead, *[known.mask_token_id] * count, *behind, *end])
            places.append((len(begin) + len(ahead), count))
        found = []
        for k in range(0, len(rows), BATCH):
            part = rows[k : k + BATCH]
            longest = max(map(len, part))
            fed = torch.tensor([[*row, *[known.pad_token_id or 0] * (longest - len(row))] for row in part])
            seen = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in part])
            logits = self.model(fed, attention_mask=seen).logits
            found += [row[at : at + count].log_softmax(-1) for row, (at, count) in zip(logits, places[k:], strict=False)]
        return found


def identity(path: str | Path) -> tuple[str, str, str]:
    """A model's folder, its GGUF file or nothing, and what tells this version of it from another."""
    place = in_home(Path(path))
    name = ""
    if place.suffix == ".gguf":
        place, name = place.parent, place.name
    if not place.is_dir() or (name and not (place / name).is_file()):
        raise ManifoldError(
            f"proposer is {str(path)!r}: there is no such folder or GGUF file; name the folder of a causal or masked language "
            "model on this machine (nothing is downloaded)"
        )
    if not name and not (place / "config.json").is_file():
        found = sorted(file.name for file in place.glob("*.gguf"))
        if len(found) != 1:
            what = "several GGUF files; name one of them" if found else "neither config.json nor a GGUF file"
            raise ManifoldError(f"proposer is {str(path)!r}: the folder holds {what}")
        name = found[0]
    weights = [place / name] if name else sorted(place.glob("*.safetensors"))
    if not weights:
        raise ManifoldError(
            f"proposer is {str(path)!r}: the folder holds no safetensors; weights in other formats are pickled and not read. "
            "Write them again with save_pretrained(folder, safe_serialization=True)"
        )
    stamp = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in weights]
    return str(place.resolve()), name, json.dumps(stamp)


@lru_cache(maxsize=1)
@in_usual_torch
def _opened(folder: str, name: str, stamp: str) -> LanguageModel:
    """The model that `identity` found."""
    try:
        import transformers
    except ImportError as error:
        raise ManifoldError(f"a pretrained proposer needs transformers: {EXTRA}") from error
    where: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    if name:
        where["gguf_file"] = name
    shown = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        masked = False if name else _is_masked(folder)
        kind = transformers.AutoModelForMaskedLM if masked else transformers.AutoModelForCausalLM
        with contextlib.redirect_stderr(io.StringIO()):  # a bar that no setting hides
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **where)
            model = kind.from_pretrained(folder, dtype=torch.float32, use_safetensors=None if name else True, **where)
    except ImportError as error:
        raise ManifoldError(f"proposer {name or folder!r} cannot be read: {error}; {EXTRA}") from error
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ManifoldError(f"proposer {name or folder!r} cannot be read as a language model: {error}") from error
    finally:
        if shown:
            transformers.utils.logging.enable_progress_bar()
    return LanguageModel(model.eval().requires_grad_(False), tokenizer, masked)


def _is_masked(folder: str) -> bool:
    """Whether the configuration of a folder names a masked model.

    Raises:
        ManifoldError: it names neither a causal nor a masked one.
    """
    names = read_object(Path(folder) / "config.json").get("architectures") or []
    for name in names:
        if name.endswith(CAUSAL + MASKED):
            return bool(name.endswith(MASKED))
    raise ManifoldError(
        f"proposer {folder!r} is of architecture {', '.join(map(str, names)) or 'unknown'}; a causal (…ForCausalLM) or masked "
        "(…ForMaskedLM) language model is needed"
    )


def first_tokens(model: LanguageModel, words: Iterable[str]) -> Tensor:
    """The first token (V,) of each word; -1 for words that the model does not read."""
    return torch.tensor([model.pieces(f" {word}")[0] if model.reads(word) else -1 for word in words])
