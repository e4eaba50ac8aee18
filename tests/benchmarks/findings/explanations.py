# ruff: noqa: E501 (prose and table rows in strings)
"""Findings on explanations: digits, MNIST, tables, latent spaces, the recipe, adversarial ends."""

from __future__ import annotations

from statistics import mean
from typing import Any

from tests.benchmarks.findings.claim import AGENT, OTHER, WHITE_BOX, Claim, Draw, over, results, value

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
        "An end is *adversarial* if an independent classifier does not predict the target for it. On a deep plain classifier an ensemble of small networks, fitted without a query, "
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
