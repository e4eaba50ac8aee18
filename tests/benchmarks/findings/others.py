# ruff: noqa: E501 (prose and table rows in strings)
"""Findings on sentences, speed, and single measurements."""

from __future__ import annotations

from statistics import mean

from tests.benchmarks.findings.claim import Claim, link, over, results, value

SENTENCE_WALKERS = {
    "agent": "**the agent**",
    "agent alone": "the policy alone",
    "line": "line",
    "spheres": "growing spheres",
    "random": "random",
    "line plain": "line, from the code, without an anchor",
}


def sentences() -> Claim:
    names = ("flipped", 3), ("arrived", 3), ("oracle", 3), ("edit", 1), ("queries", 1)
    found = [row for split in results("sentences_paths")["splits"] for row in split["rows"]]
    rows = []
    for source in ("SST", "rt-polarity"):
        for walker, shown in SENTENCE_WALKERS.items():
            cells = [row for row in found if row["walker"] == walker and row["source"] == source]
            if cells:
                rows.append([source, shown, *(value(over(cells, m), d) for m, d in names)])
    return Claim(
        "Sentences: flips count, steps are hard to read",
        "Review sentences, three seeds. A flip *counts* if the walk arrived from a frame 0 of the right class and an independent classifier agrees.\n\n**Where it fails.** Most steps between the ends are not readable English: fewer than half of the frames that were "
        "read by hand stand on their own.",
        ("data", "method", "flips that count", "arrived", "oracle agrees", "words changed", "queries each"),
        rows,
        ("sentences_paths", "sentences_grammar", "sentences_ptb", "sentences_imputation", "sentences_attributes"),
    )


SHARE = "environment's share of PPO"


def speed() -> Claim:
    ratios, seconds = results("throughput")["ratios"], results("explain_speed")["found"]
    gpu = results("gpu")["trainings"]
    faster = {
        name: min(c["seconds"] for c in runs["cpu"]) / min(g["seconds"] for g in runs["cuda"]) for name, runs in gpu.items()
    }
    rows = [
        [
            "256 walks at once against stable-baselines3's DummyVecEnv of 16",
            f"{ratios['vector env / DummyVecEnv of 16']:.0f} times as fast",
        ],
        [
            "the same against the bare forward pass of the networks",
            f"{ratios['vector env / raw forward']:.2f} (aim: 0.60, missed)",
        ],
        ["a step written by hand for one world", f"{ratios['step fused by hand / raw forward']:.2f}"],
        ["environment's share of PPO's time, plain moves", f"{100 * ratios[SHARE]:.0f} %"],
        ["one explanation, in a batch", f"{seconds['agent, planned with the ensemble check']['batch']:.2f} ms"],
        ["one explanation, alone", f"{seconds['agent, planned with the ensemble check']['alone']:.1f} ms"],
        ["GPU against CPU, PPO with the default networks", f"{faster['PPO']:.1f} times as fast"],
        ["GPU against CPU, TRPO with the default networks", f"{faster['TRPO']:.1f} times as fast"],
        ["GPU against CPU, PPO with layers of 1,024", f"{faster['PPO, layers of 1,024']:.1f} times as fast"],
    ]
    return Claim(
        "Speed",
        "Small networks on one CPU core, unless a GPU is named.\n\n**Where it misses its aim.** The environment runs at less than a third of the speed of the bare networks; "
        "half of the difference is what checks, infos and generality cost.",
        ("what", "measured"),
        rows,
        ("throughput", "explain_speed", "gpu"),
    )


def transport_counts() -> tuple[int, int, int]:
    """Matched rows, and how many are as good as random codes (within 5 %) by Frechet distance and by classifier score."""
    rows = near = scored = 0
    for name in ("transport_digits", "transport_mnist"):
        for model in results(name)["generators"].values():
            for way in ("2-point matched", "4-point matched", "walk, matched"):
                rows += 1
                near += model["distance"][way]["high"] < 0.05
                scored += model["score"][way]["high"] < 0.05
    return rows, near, scored


def inverted(part: str, row: str, measure: str) -> str:
    cells = [seed["rows"][row][measure][0] for seed in results("inversion")["parts"][part]["seeds"].values()]
    return f"{mean(cells):.3f}"


def others() -> Claim:
    rows, near, scored = transport_counts()
    lime = results("lime")["splits"]["0"]
    latent, plain = lime["latent, 200 rows, neighbourhood 0.5"], lime["plain, 1000 rows"]
    tree = [cell for split in results("treeview")["splits"].values() for cell in split["K = 5"]]
    grammar = [cell for cell in results("sentences_grammar")["cells"] if cell["way"] == "default"]
    collapsed = [cell for cell in results("sentences_grammar")["cells"] if cell["way"] == "plain"]
    umap = results("umap_map")["found"]
    treebank = {row["model"]: row for row in results("sentences_ptb")["rows"]}
    standard, language = treebank["standard"], treebank["language model"]
    imputed = {(row["corpus"], row["discriminator"]): row for row in results("sentences_imputation")["table"]}
    bag, lstm = imputed["ptb", "bag of words"], imputed["ptb", "LSTM"]
    return Claim(
        "Smaller findings",
        "One line each; the page has the command and what fell short.",
        ("what", "measured", "page"),
        [
            ["latent LIME at every frame: rank correlation over seeds, R2", f"{latent['rank correlation']:.3f}, {latent['R2']:.2f} (plain LIME {plain['rank correlation']:.2f}, {plain['R2']:.2f})", link("lime")],
            ["TreeView, 5 factors: agreement with the network on held-out digits, on frames of paths", f"{over(tree, 'held out'):.3f}, {over(tree, 'frames of paths'):.2f}", link("treeview")],
            ["matched latent operations as good as random codes, by Frechet distance, by classifier score", f"{near} of {rows}, {scored} of {rows}", f"{link('transport_digits')}, {link('transport_mnist')}"],
            ["inverting an MNIST GAN from an encoder's start, 100 steps: class kept", inverted("mnist", "encoder, 100 steps", "class kept"), link("inversion")],
            ["inverting an Omniglot GAN: unexplained error, unseen alphabets, seen ones", f"{inverted('omniglot', 'unseen alphabets', 'unexplained')}, {inverted('omniglot', 'seen alphabets, another drawer', 'unexplained')}; MNIST digits with the same pen {inverted('omniglot', 'MNIST digits, as thin as Omniglot', 'unexplained')}: it learned a pen, not alphabets", link("inversion")],
            ["UMAP map of digits: trustworthiness on held-out digits; class kept by our decoder, by umap-learn's", f"{mean(seed['mlp']['trustworthiness_held_out'] for seed in umap):.3f}; {mean(seed['mlp']['class_kept'] for seed in umap):.2f}, {mean(seed['umap_learn']['class_kept'] for seed in umap):.2f}", link("umap_map")],
            ["sentence VAE on a grammar of known entropy: nats above it, KL; without the remedies", f"{over(grammar, 'excess'):.2f}, {over(grammar, 'kl'):.1f}; {over(collapsed, 'excess'):.2f}, {over(collapsed, 'kl'):.2f} (collapsed, and flagged)", link("sentences_grammar")],
            ["Penn Treebank, 4 epochs: bound in nats, KL, perplexity of the standard VAE; of a language model of its size", f"{standard['nll']:.1f}, {standard['kl']:.1f}, {standard['ppl']:.0f} (paper: 101, 2, 119); {language['nll']:.1f}, –, {language['ppl']:.0f}", link("sentences_ptb")],
            ["imputing the last words of Penn Treebank: adversarial error of the VAE, of a language model (less is better)", f"{bag['VAE'][0]:.1f}, {bag['language model'][0]:.1f} by a bag of words; {lstm['VAE'][0]:.1f}, {lstm['language model'][0]:.1f} by an LSTM (not distinguishable); on the grammar the bag of words prefers the language model", link("sentences_imputation")],
        ],
        ("attributes", "geodesics", "sentences_attributes", "sentences_speed"),
    )  # fmt: skip
