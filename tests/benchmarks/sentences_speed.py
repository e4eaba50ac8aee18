"""Decoding 256 sentences of 20 tokens: one batch against one by one.

    python -m tests.benchmarks.sentences_speed

The network is the one of the shipped assets with random weights and no end mark, so that every sentence has 20 tokens. CPU
time of one thread, best of several repeats: the machine may be busy. Writes docs/results/sentences_speed.json and .md.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable

from agents.cli import prepare_process
from agents.files import write_whole
from tests.benchmarks.results import as_json
from tests.benchmarks.sentences_data import RESULTS

SENTENCES, TOKENS = 256, 20


def best(function: Callable[[], object], repeats: int) -> float:
    """CPU seconds of the quickest of `repeats` calls: one thread, so that a busy machine counts for little."""
    found = []
    for _ in range(repeats):
        began = time.process_time()
        function()
        found.append(time.process_time() - began)
    return min(found)


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    prepare_process()
    import torch

    from envs.manifolds import SentenceVAE
    from envs.manifolds.sentence.decoding import beam, greedy
    from envs.modalities.vocabulary import END, PAD

    rows = []
    for words, hidden in ((61, 96), (5000, 160)):
        torch.manual_seed(0)
        vae = SentenceVAE([f"w{i}" for i in range(words)], TOKENS, hidden=hidden).eval().requires_grad_(False)
        vae.decoder.out.bias[END] = -1e4  # no sentence ends early
        z = vae.prior.sample(SENTENCES, torch.Generator().manual_seed(0))
        with torch.inference_mode():
            together = greedy(vae.decoder, z, TOKENS)
            alone = torch.cat([greedy(vae.decoder, z[i : i + 1], TOKENS) for i in range(SENTENCES)])
            assert bool((together != PAD).all())
            same = float((together == alone).all(1).float().mean())
            batched = best(lambda z=z, vae=vae: greedy(vae.decoder, z, TOKENS), chosen.repeats)
            single = best(
                lambda z=z, vae=vae: [greedy(vae.decoder, z[i : i + 1], TOKENS) for i in range(SENTENCES)], chosen.repeats
            )
            wide = best(lambda z=z, vae=vae: beam(vae.decoder, z, TOKENS, 5), max(1, chosen.repeats // 2))
        rows.append({"words": words, "hidden": hidden, "batched_ms": 1e3 * batched, "one_by_one_ms": 1e3 * single,
                     "times": single / batched, "same_sentences": same, "beam5_ms": 1e3 * wide})  # fmt: skip
        print(rows[-1], flush=True)
    head = ["words", "hidden", "one batch, ms", "one by one, ms", "times", "same sentences", "beam of 5, one batch, ms"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {r['words']:,} | {r['hidden']} | {r['batched_ms']:.1f} | {r['one_by_one_ms']:.0f} | {r['times']:.0f} | "
              f"{r['same_sentences']:.3f} | {r['beam5_ms']:.0f} |" for r in rows]  # fmt: skip
    reached = "reached" if rows[0]["times"] >= 30 else "**missed**"
    about = f"{SENTENCES} sentences of {TOKENS} tokens, greedy, one thread, CPU time, best of {chosen.repeats}."
    page = "\n".join([
        "# Decoding sentences", "", about, "", *lines, "",
        f"At least 30 times with the shipped network's size: {reached}.", "",
        "`python -m tests.benchmarks.sentences_speed` makes this page again.", "",
    ])  # fmt: skip
    record = {"python": platform.python_version(), "torch": torch.__version__, "rows": rows}
    write_whole(RESULTS / "sentences_speed.json", as_json(record))
    write_whole(RESULTS / "sentences_speed.md", page)
    print(page)


if __name__ == "__main__":
    main()
