"""Decoding 256 sentences of 20 tokens: one batch against one by one.

    python -m tests.benchmarks.sentences_speed

The network is the one of the shipped assets with random weights and no end mark, so that every sentence has 20 tokens. CPU
time of one thread, best of several repeats: the machine may be busy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from envs.manifolds import SentenceVAE
from envs.manifolds.sentence.decoding import beam, greedy
from envs.modalities.vocabulary import END, PAD
from tests.benchmarks.harness.experiment import Experiment, Options, Record, render
from tests.benchmarks.harness.runs import cpu_seconds
from tests.benchmarks.harness.tables import table

SENTENCES, TOKENS = 256, 20
SIZES = ((61, 96), (5000, 160))  # words, hidden units; the first are the shipped network's


def best_ms(function: Callable[[], object], repeats: int) -> float:
    """CPU milliseconds of the quickest of `repeats` calls."""
    return 1e3 * min(cpu_seconds(function)[1] for _ in range(repeats))


def measure(options: Options) -> Iterator[Record]:
    """Both sizes of the network."""
    rows = []
    for words, hidden in SIZES:
        torch.manual_seed(0)
        vae = SentenceVAE([f"w{i}" for i in range(words)], TOKENS, hidden=hidden).eval().requires_grad_(False)
        vae.decoder.out.bias[END] = -1e4  # no sentence ends early
        z = vae.prior.sample(SENTENCES, torch.Generator().manual_seed(0))

        def one_by_one(vae: SentenceVAE = vae, z: torch.Tensor = z) -> list[torch.Tensor]:
            return [greedy(vae.decoder, z[i : i + 1], TOKENS) for i in range(SENTENCES)]

        with torch.inference_mode():
            together, alone = greedy(vae.decoder, z, TOKENS), torch.cat(one_by_one())
            assert bool((together != PAD).all())
            same = float((together == alone).all(1).float().mean())
            batched = best_ms(lambda z=z, vae=vae: greedy(vae.decoder, z, TOKENS), options.repeats)
            single = best_ms(one_by_one, options.repeats)
            wide = best_ms(lambda z=z, vae=vae: beam(vae.decoder, z, TOKENS, 5), max(1, options.repeats // 2))
        rows.append({"words": words, "hidden": hidden, "batched_ms": batched, "one_by_one_ms": single,
                     "times": single / batched, "same_sentences": same, "beam5_ms": wide})  # fmt: skip
        yield {"torch": torch.__version__, "repeats": options.repeats, "rows": rows}


def page(record: Record) -> str:
    """One table."""
    titles = ["words", "hidden", "one batch, ms", "one by one, ms", "times", "same sentences", "beam of 5, one batch, ms"]
    rows = [[f"{r['words']:,}", r["hidden"], f"{r['batched_ms']:.1f}", f"{r['one_by_one_ms']:.0f}", f"{r['times']:.0f}",
             f"{r['same_sentences']:.3f}", f"{r['beam5_ms']:.0f}"] for r in record["rows"]]  # fmt: skip
    return render(
        "sentences_speed", sentences=SENTENCES, tokens=TOKENS, repeats=record["repeats"], table=table(titles, rows, "l"),
        verdict="reached" if record["rows"][0]["times"] >= 30 else "**missed**",
    )  # fmt: skip


EXPERIMENT = Experiment("sentences_speed", __doc__, measure, page, flags={"--repeats": {"type": int, "default": 5}})

if __name__ == "__main__":
    EXPERIMENT.main()
