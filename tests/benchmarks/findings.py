# ruff: noqa: E501 (prose and table rows in strings)
"""Write docs/findings.md, its plots and README's table of results from docs/results/*.json: ``python -m tests.benchmarks.findings``.

A claim is a function that reads the JSON and returns a :class:`Claim`: the question, the result, one table of at most eight
columns and perhaps a plot. Every number on the page is read from the JSON; ``--text`` leaves the plots as they are.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, IMAGES, README = DOCS / "findings.md", DOCS / "images", DOCS.parent / "README.md"
MARKS = ("<!-- results -->", "<!-- /results -->")
AGENT, OTHER, WHITE_BOX = "#0072b2", "#8a8f98", "#d55e00"
Draw = Callable[[Any], None]


@dataclass(frozen=True)
class Claim:
    """One section: title, question and answer, a table, the pages with everything, and a plot (name, alternative text)."""

    title: str
    text: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    pages: Sequence[str]
    picture: tuple[str, str] | None = None
    draw: Draw | None = None


@cache
def results(name: str) -> Any:
    """docs/results/NAME.json."""
    return json.loads((DOCS / "results" / f"{name}.json").read_text(encoding="utf-8"))


def value(number: float | None, digits: int = 3) -> str:
    """A number as it stands in a table: thousands with commas, a dash for what was not measured."""
    return "–" if number is None else f"{number:,.{digits}f}"


def interval(measure: dict[str, float], digits: int = 2) -> str:
    """Mean [95 % interval]."""
    return f"{value(measure['value'], digits)} [{value(measure['low'], digits)}, {value(measure['high'], digits)}]"


def over(cells: Iterable[dict[str, Any]], name: str) -> float | None:
    """Mean over the cells that have the measure."""
    found = [cell[name] for cell in cells if cell.get(name) is not None]
    return mean(found) if found else None


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column to the left, the others to the right."""
    lines = ["| " + " | ".join(header) + " |", "| --- |" + " ---: |" * (len(header) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


# --- explanations --------------------------------------------------------------------------------------------------------

WALKERS = {
    "agent": "**the agent**",
    "agent, typical ends": "**the agent, typical ends**",
    "line": "line to the nearest neighbour of another class",
    "geodesic": "geodesic to it",
    "spheres": "growing spheres",
    "face": "FACE-like graph",
    "CounterfactualRL, sparsity 7.5": "alibi's CounterfactualRL, as in its example",
    "CounterfactualRL, sparsity 1": "alibi's CounterfactualRL, retuned",
    "gradient (white box)": "latent gradient (white box)",
    "pullback gradient (white box)": "pullback gradient (white box)",
}
MEASURES = {"validity": 3, "l2_input": 3, "knn_ratio": 3, "im1": 3, "oracle": 3, "queries": 1, "training_queries": 0}
EXPLAINED = ("method", "found", "L2", "kNN ratio", "IM1", "oracle", "queries each", "queries before")


def explained(data: str) -> list[list[str]]:
    """Every method on one data set: means over the splits."""
    rows = results("explain_all")["data"][data]["rows"]
    return [
        [shown, *(value(over(rows[name], measure), digits) for measure, digits in MEASURES.items())]
        for name, shown in WALKERS.items()
        if name in rows
    ]


def scatter(data: str) -> Draw:
    """L2 against the kNN ratio; the marker is hollow where an independent classifier often disagrees."""

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        rows = results("explain_all")["data"][data]["rows"]
        for name, shown in {**WALKERS, "line": "line"}.items():
            if name == "geodesic":  # it ends where the line ends
                continue
            x, y, oracle = (over(rows[name], measure) for measure in ("l2_input", "knn_ratio", "oracle"))
            colour = AGENT if name.startswith("agent") else WHITE_BOX if "white box" in name else OTHER
            axes.scatter(x, y, s=40 + 260 * (oracle or 0) ** 4, color=colour, alpha=0.75, zorder=2)
            axes.annotate(shown.replace("*", ""), (x, y), xytext=(8, 6), textcoords="offset points", fontsize=8)
        axes.axhline(1, color="black", linewidth=0.8, linestyle="--")
        axes.margins(x=0.28, y=0.14)
        axes.set_xlabel("L2 from the input to the end of the path (less is nearer)")
        axes.set_ylabel("kNN ratio (1: as typical as real data)")
        axes.set_title(f"{data}: area grows with the share that an independent classifier accepts", fontsize=10, loc="left")

    return draw


def agent_of(data: str, measure: str) -> float:
    return over(results("explain_all")["data"][data]["rows"]["agent"], measure) or 0.0


def excess(data: str) -> str:
    """How much further than the white-box optimum at the agent's own typicality its ends lie, as percent."""
    from tests.benchmarks.explain.optimum import least_l2
    from tests.benchmarks.explain.verdict import means

    found = results("explain_all")["data"][data]
    agent = means(found["rows"]["agent"])
    front = [
        {key: mean(front[i][key] for front in found["fronts"]) for key in point} for i, point in enumerate(found["fronts"][0])
    ]
    return f"{100 * (agent['l2_input'] / least_l2(front, agent['knn_ratio']) - 1):.1f} %"


def digits() -> Claim:
    return Claim(
        "Digits: the agent finds near and typical counterfactuals",
        f"All 540 held-out digits, each towards a random other class, until p(target) >= 0.9; means over three splits. The agent arrives on "
        f"{value(agent_of('digits', 'validity'))} of them with {value(agent_of('digits', 'queries'), 1)} queries each. Its ends lie "
        f"{excess('digits')} further away than the white-box optimum at the same typicality.\n\n"
        "**Where it loses.** White-box gradients end nearer to the input (and are less often accepted by an independent classifier). FACE and "
        "the line end at more typical digits. The line needs a hundredth of the queries before the first explanation: for a handful of "
        "explanations, use the line. The agent's reward and its planned last step know the kNN ratio, so that column is no independent check; "
        "IM1 and the oracle are.",
        EXPLAINED,
        explained("digits"),
        ("explain_all", "digits_paths", "digits_ablation"),
        ("findings_digits.png", "Scatter plot of distance against typicality for ten methods on digits"),
        scatter("digits"),
    )


def mnist() -> Claim:
    return Claim(
        "MNIST: the same, but one end in five does not convince",
        f"Three draws of targets and trainings. The agent's L2 is {excess('mnist')} above the white-box optimum at its typicality, and it has the "
        f"most typical ends, but an independent classifier accepts only {value(agent_of('mnist', 'oracle'), 2)} of them "
        f"({value(over(results('explain_all')['data']['mnist']['rows']['agent, typical ends'], 'oracle'), 2)} with the option for typical "
        "ends, which end further away).\n\n**Where it loses.** CounterfactualRL, retuned, is accepted as often; it needs two queries, but finds an end for fewer "
        "inputs, jumps instead of walking, and ends far away.",
        EXPLAINED,
        explained("mnist"),
        ("explain_all", "mnist_paths"),
        ("findings_mnist.png", "Scatter plot of distance against typicality for ten methods on MNIST"),
        scatter("mnist"),
    )


ADULT = (
    ("validity", 3),
    ("changed_columns", 2),
    ("immutables_violated", 0),
    ("l2_input", 3),
    ("oracle", 3),
    ("queries", 1),
    ("training_queries", 0),
)


def adult() -> Claim:
    rows = results("explain_all")["data"]["adult"]["rows"]
    names = ("agent", "line", "spheres", "face", "CounterfactualRL, sparsity 0.5", "CounterfactualRL, sparsity 0.1")
    shown = {**WALKERS, names[4]: "alibi's CounterfactualRL, as in its example", names[5]: "alibi's CounterfactualRL, retuned"}
    return Claim(
        "UCI Adult: tables with categories and immutable columns",
        "500 held-out people a split, three splits, each towards the other income class until the decision changes. Race, sex and native country "
        "are immutable, age may only rise.\n\n**Where it loses.** The agent changes more columns than the line does, and several columns per person are "
        "many for advice. An independent classifier accepts CounterfactualRL's ends more often; they lie further away and change immutable columns. The row as a whole can be unusual although every column is in range.\n\n"
        "**Before a change.** These figures were measured before paths of tables began at the input itself: the columns changed include those that the reconstruction alone changed. The measurement is to be repeated.",
        (
            "method",
            "decision changed",
            "columns changed, of 12",
            "immutable changed",
            "L2",
            "oracle",
            "queries each",
            "queries before",
        ),
        [[shown[name], *(value(over(rows[name], m), d) for m, d in ADULT)] for name in names if name in rows],
        ("adult_paths", "explain_all"),
    )


MANIFOLDS = {
    "vae": "VAE (default)",
    "joint": "joint VAE and classifier",
    "joint_own": "joint, its own head explained",
    "embedding": "classifier's embedding (white box)",
    "pca": "PCA",
    "gan": "GAN, 32-d, by inversion",
    "umap": "UMAP, network decoder",
    "umap_knn": "UMAP, kNN decoder",
}


def manifold_cells(kind: str) -> list[dict[str, Any]]:
    """The agent's cells on one latent space, measures and facts in one dictionary."""
    cells = results("digits_manifolds")["cells"][kind]["agent"]
    return [{**cell["split"], **{k: m["value"] for k, m in cell["measures"].items()}} for cell in cells]


def manifolds() -> Claim:
    names = ("class_kept", 3), ("validity", 3), ("l2_input", 3), ("knn_ratio", 3), ("oracle", 3), ("frames", 0), ("queries", 1)

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for kind, shown in MANIFOLDS.items():
            x, y = over(manifold_cells(kind), "l2_input"), over(manifold_cells(kind), "knn_ratio")
            axes.scatter(x, y, s=90, color=AGENT if kind == "vae" else OTHER)
            if kind == "joint_own":  # beside the other joint model
                continue
            left = kind == "joint"
            place = {"xytext": (-7 if left else 7, -3), "ha": "right" if left else "left"}
            axes.annotate(shown, (x, y), textcoords="offset points", va="center", fontsize=8, **place)
        axes.axhline(1, color="black", linewidth=0.8, linestyle="--")
        axes.margins(x=0.35, y=0.14)
        axes.set_xlabel("L2 from the input to the end of the path")
        axes.set_ylabel("kNN ratio (1: as typical as real data)")

    return Claim(
        "Which latent space explains best",
        "The same digits, classifier, targets, step bound and agent on every latent space; means over three splits. VAE and joint model explain best and differ "
        "little. PCA is a respectable linear baseline. The GAN reconstructs best and has the least typical ends: many dimensions leave room for changes that "
        "only the classifier accepts.\n\n**What fails.** A two-dimensional UMAP map is the worst space to explain in: paths are long and end far from the input, "
        "because two dimensions hold little of a digit.",
        ("latent space", "class kept by frame 0", "found", "L2", "kNN ratio", "oracle", "frames", "queries each"),
        [[shown, *(value(over(manifold_cells(kind), m), d) for m, d in names)] for kind, shown in MANIFOLDS.items()],
        ("digits_manifolds", "umap_map"),
        ("findings_manifolds.png", "Scatter plot of distance against typicality for eight latent spaces"),
        draw,
    )


# --- curiosity -----------------------------------------------------------------------------------------------------------

ARMS = {"none": "plain PPO", "vime": "**VIME**", "bald": "BALD", "rnd": "RND", "l2": "L2"}
CAR, SWING = "VIME/SparseMountainCar-v0", "VIME/SparseCartPoleSwingUp-v0"
PAIR, EXPLORE, LONG = "Manifold/DigitsOnePair-v0", "Manifold/DigitsExplore-v0", "Manifold/DigitsLabelOnlyLong-v0"


def curiosity() -> Claim:
    control, manifold = results("vime_control"), results("vime_manifold")
    rows = [
        [
            shown,
            f"{control[CAR]['ppo'][arm]['solved']} of {control[CAR]['ppo'][arm]['seeds']}",
            f"{control[SWING]['ppo'][arm]['solved']} of {control[SWING]['ppo'][arm]['seeds']}",
            f"{manifold[PAIR][arm]['solved']} of {manifold[PAIR][arm]['runs']}",
            interval(manifold[EXPLORE][arm]["cells"], 0),
            interval(manifold[LONG][arm]["validity"]),
            value(control[SWING]["ppo"][arm]["first_reward"], 0),
            value(manifold[PAIR][arm]["cpu_seconds"], 0),
        ]
        for arm, shown in ARMS.items()
    ]

    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        tasks = {
            "mountain car": (control[CAR]["ppo"], "seeds"),
            "swing-up": (control[SWING]["ppo"], "seeds"),
            "far pair": (manifold[PAIR], "runs"),
        }
        colours = {"none": "#c8ccd2", "vime": AGENT, "bald": "#56b4e9", "rnd": WHITE_BOX, "l2": "#e69f00"}
        for place, (arm, shown) in enumerate(ARMS.items()):
            shares = [found[arm]["solved"] / found[arm][runs] for found, runs in tasks.values()]
            left.bar(
                [i + 0.16 * (place - 2) for i in range(3)], shares, 0.15, color=colours[arm], label=shown.replace("*", "")
            )
            cells = manifold[EXPLORE][arm]["cells"]
            error = [[cells["value"] - cells["low"]], [cells["high"] - cells["value"]]]
            right.bar(place, cells["value"], 0.7, yerr=error, capsize=4, color=colours[arm])
        left.set_xticks(range(3), tasks)
        left.set_ylabel("share of runs solved")
        left.legend(fontsize=8, ncol=5, loc="lower left", bbox_to_anchor=(0, 1.01), columnspacing=0.8, handlelength=1)
        right.set_xticks(range(len(ARMS)), [shown.replace("*", "") for shown in ARMS.values()], fontsize=8)
        right.set_ylabel("latent cells covered without reward (95 % interval)")

    return Claim(
        "Curiosity helps where reward is rare, and VIME is not always the best bonus",
        "Fresh seeds and pairs, eta tuned on others and falling with success, the same PPO in every arm. Intervals are 95 % bootstrap intervals of the "
        "interquartile mean. VIME solves the most mountain cars and covers the most of the latent space.\n\n**Where it loses.** RND and L2 solve more of the far pairs, in "
        "less time, and L2 finds the swing-up's reward first. On the last task the intervals overlap. Earlier editions, tuned badly, found no "
        "help: [what they taught](concepts/curiosity.md#what-earlier-editions-taught).",
        (
            "bonus",
            "mountain car solved",
            "swing-up solved",
            "far pair of digits solved",
            "latent cells covered, no reward",
            "any digit to any label, validity",
            "swing-up: steps to first reward",
            "far pair: CPU-s a run",
        ),
        rows,
        ("vime_control", "vime_manifold", "vime_ablation"),
        ("findings_curiosity.png", "Bars: runs solved by five bonuses on three tasks, and latent cells covered"),
        draw,
    )


def algorithms() -> Claim:
    control = results("vime_control")
    rows = [
        [algorithm.upper(), *(f"{control[task][algorithm][arm]['solved']} of {control[task][algorithm][arm]['seeds']}" for task in (CAR, SWING) for arm in ("none", "vime"))]
        for algorithm in ("ppo", "trpo", "sac")
    ]  # fmt: skip
    return Claim(
        "Other algorithms",
        "Solved seeds with eta as tuned for PPO.\n\n**Where it loses.** On the mountain car VIME brings TRPO and SAC little: most of their seeds stay unsolved.",
        ("algorithm", "mountain car, none", "mountain car, VIME", "swing-up, none", "swing-up, VIME"),
        rows,
        ("vime_control",),
    )


def cost() -> Claim:
    found = results("vime_speed")["table"]
    rows = []
    for env in ("Manifold/DigitsLabelOnly-v0", "Manifold/Digits-v0"):
        names = ("added by VIME, wall time", "added by VIME, process time", "held-out R2 of the change meanwhile")
        wall, process, change = (found[f"{env}: {name}"]["median"] for name in names)
        rows.append([f"`{env}`", f"+{100 * wall:.0f} %", f"+{100 * process:.0f} %", value(change, 2)])
    gain = found["gain, 18 -> 16: microseconds a transition"]["median"]
    return Claim(
        "What curiosity costs",
        f"PPO with 128 environments, three seeds. One information gain takes {value(gain, 1)} microseconds, "
        f"{value(found['gain, 18 -> 16: loop / closed form']['median'], 0)} times less than a loop over transitions. A training takes about two fifths longer, and more than twice as "
        "long with 32 environments.",
        ("environment", "wall time", "CPU time", "R2 of the predicted change"),
        rows,
        ("vime_speed", "vime_harmless"),
    )


# --- the rest ------------------------------------------------------------------------------------------------------------


def ends() -> Claim:
    paths = results("mrnet")["found"]["paths"]
    shown = {
        "policy": "the agent",
        "policy, no ensemble check": "the agent without the ensemble check",
        "line": "line",
        "pullback_gradient": "pullback gradient (white box)",
    }
    names = ("validity", 3), ("oracle_missed", 3), ("im1", 3), ("l2_input", 3), ("knn_ratio", 3), ("lime_r2", 2)
    rows = [
        [trained, walker, *(value(over(paths[trained][key], m), d) for m, d in names)]
        for trained in paths
        for key, walker in shown.items()
    ]
    return Claim(
        "Adversarial ends, and two remedies",
        "An end is *adversarial* if an independent classifier does not see the target in it. On a deep plain classifier an ensemble of small networks, fitted without a query, "
        "removes nearly all of them at a small cost in distance. A classifier trained with MRnet has hardly any.\n\n**What it costs.** Paths through the MRnet classifier "
        "are longer, and the white-box gradient fails on more inputs there.",
        ("classifier", "method", "found", "adversarial ends", "IM1", "L2", "kNN ratio", "R2 of latent LIME"),
        rows,
        ("mrnet", "mrnet_mnist"),
    )


def robust() -> Claim:
    rows = []
    for name, data in (("mrnet", "digits"), ("mrnet_mnist", "MNIST, 10,000 digits")):
        for trained, seeds in results(name)["found"]["accuracy"]["all"].items():
            clean, half, one = (mean(seed[i] for seed in seeds) for i in range(3))
            rows.append([data, trained, value(clean), value(half), value(one)])
    return Claim(
        "Robust training",
        "Accuracy on clean data and under one step of FGM, means of five seeds. MRnet is more accurate than plain training on digits, clean and attacked.\n\n**Where it loses.** "
        "Adversarial training with the larger radius is ahead under the stronger attack on both data sets, and in every column on MNIST. FGM is a weak attack; "
        "nothing is said about stronger ones.",
        ("data", "training", "clean", "FGM, L2 0.5", "FGM, L2 1"),
        rows,
        ("mrnet", "mrnet_mnist"),
    )


SENTENCE_WALKERS = {
    "agent": "**the agent**",
    "agent alone": "the policy alone",
    "line": "line",
    "spheres": "growing spheres",
    "random": "random",
    "line plain": "line, from the code, without an anchor",
}


def sentences() -> Claim:
    names = ("flipped", 3), ("arrived", 3), ("oracle", 3), ("fluent", 3), ("edit", 1), ("queries", 1)
    found = [row for split in results("sentences_paths")["splits"] for row in split["rows"]]
    rows = []
    for source in ("SST", "rt-polarity"):
        for walker, shown in SENTENCE_WALKERS.items():
            cells = [row for row in found if row["walker"] == walker and row["source"] == source]
            if cells:
                rows.append([source, shown, *(value(over(cells, m), d) for m, d in names)])
    return Claim(
        "Sentences: flips count, steps are hard to read",
        "Review sentences, three seeds. A flip *counts* if the walk arrived from a frame 0 of the right class, an independent classifier agrees, and the end is at "
        "most 1.5 times as perplexing as real sentences.\n\n**Where it fails.** Most steps between the ends are not readable English: fewer than half of the frames that were "
        "read by hand stand on their own.",
        ("data", "method", "flips that count", "arrived", "oracle agrees", "fluent end", "words changed", "queries each"),
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


def ablation() -> Claim:
    rows = results("digits_ablation")["splits"]["0"]["rows"]
    names = ("l2_input", 3), ("knn_ratio", 3), ("queries", 1), ("training_queries", 0)
    return Claim(
        "What each part of the recipe brings",
        "Digits, one split, three seeds, made before the ensemble check. Planning the last step on a surrogate brings both distance and typicality; the cost for "
        "implausibility trades distance for typicality.\n\n**What brings little.** Retries change nothing here, and `arc` moves hardly differ from euclidean ones.",
        ("variant", "L2", "kNN ratio", "queries each", "queries before"),
        [
            [name, *(value(row["summary"][m]["mean"], d) for m, d in names)]
            for name, row in rows.items()
            if name.startswith(("agent", "last", "no ", "euclid", "pullback moves", "half"))
        ],
        ("digits_ablation",),
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


CLAIMS = (digits, mnist, adult, manifolds, ablation, ends, robust, curiosity, algorithms, cost, sentences, speed, others)
INTRODUCTION = """# Findings

What was measured, one claim a section, with its losses. Every number on this page is read from the JSON files in
[results](results/index.md) by `python -m tests.benchmarks.findings`; each section links to the full tables, which name the command that made them.

*found*: share of inputs whose path reaches its goal. *L2*: distance from the true input to the end of the path. *kNN ratio*: distance of the end to real
data of the target class, over the same for real data; 1 is as typical as real data. *IM1*: reconstruction error of the end by an auto-encoder of the target class, over that
of the source class; less is better. *oracle*: share of ends for which an independent classifier predicts the target. *queries each, before*: rows that the
classifier predicts for one explanation, and before the first one."""


def link(name: str) -> str:
    """A link to the full table and its data."""
    return f"[{name}](results/{name}.md)"


def section(claim: Claim) -> str:
    """One claim as Markdown."""
    parts = [f"## {claim.title}", claim.text]
    if claim.picture:
        parts.append(f"![{claim.picture[1]}](images/{claim.picture[0]})")
    parts.append(table(claim.header, claim.rows))
    pages = [f"{link(name)} ([JSON](results/{name}.json))" for name in claim.pages]
    return "\n\n".join([*parts, "Everything: " + ", ".join(pages) + "."])


def page() -> str:
    """The page of findings."""
    return "\n\n".join([INTRODUCTION, *(section(claim()) for claim in CLAIMS)]) + "\n"


def readme_table() -> str:
    """The one table of README: digits, without the columns that need explaining."""
    kept = [0, 1, 2, 3, 5, 6, 7]
    left_out = ("geodesic", "growing", "latent gradient", "alibi's CounterfactualRL, as")
    rows = [row for row in explained("digits") if not row[0].startswith(left_out)]
    return table([EXPLAINED[i] for i in kept], [[row[i] for i in kept] for row in rows])


def readme() -> str:
    """README with its table written again between the two marks."""
    text = README.read_text(encoding="utf-8")
    return re.sub(f"{MARKS[0]}.*{MARKS[1]}", lambda _: f"{MARKS[0]}\n\n{readme_table()}\n\n{MARKS[1]}", text, flags=re.S)


def draw(claim: Claim) -> None:
    """The claim's plot, if it has one."""
    if claim.picture and claim.draw:
        from agents.explanation.figures.style import figure_png, pyplot_figure

        figure = pyplot_figure(9, 5)
        claim.draw(figure)
        for axes in figure.axes:
            axes.spines[["top", "right"]].set_visible(False)
        (IMAGES / claim.picture[0]).write_bytes(figure_png(figure))


def main() -> None:
    """Write page, plots and README's table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", action="store_true", help="leave the plots as they are")
    if not parser.parse_args().text:
        for claim in CLAIMS:
            draw(claim())
    PAGE.write_text(page(), encoding="utf-8")
    README.write_text(readme(), encoding="utf-8")
    print(f"wrote {PAGE.name}, README.md's table and the plots")


if __name__ == "__main__":
    main()
