"""What the side-by-side tables say, computed from their figures: dominated or not, ahead or not, and the gap to the optimum.

Every sentence is made from means over the splits. A row *dominates* the agent if it is nowhere worse and somewhere better
in what both were measured in. Nothing here chooses which figures count: the axes are fixed above the sentences.
"""

from __future__ import annotations

from statistics import fmean
from typing import Any

from tests.benchmarks.explain.optimum import least_l2

#: what dominance is judged in: column -> +1 where more is better, -1 where less is
AXES = {
    "validity": 1, "l2_input": -1, "knn_ratio": -1, "worst_knn_ratio": -1, "im1": -1, "oracle": 1, "rising_share": 1,
    "queries": -1, "training_queries": -1,
}  # fmt: skip
QUALITY = ("validity", "l2_input", "knn_ratio", "worst_knn_ratio", "im1", "oracle", "rising_share")  # without what it costs
MOST = 0.95  # share of the items that a way has to explain to be held against the agent in single columns
AHEAD_OF = ("CounterfactualRL", "spheres", "line", "face")  # on validity and L2 jointly
AGENT, TYPICAL = (
    "agent",
    "agent, typical ends",
)  # the same agent, its ends planned otherwise: see agents.walkers.planning.last_step.PLANS
Rows = dict[str, list[dict[str, Any]]]


def means(cells: list[dict[str, Any]]) -> dict[str, float]:
    """Mean of every number over the splits, where it is known."""
    names = {name for cell in cells for name, value in cell.items() if isinstance(value, int | float)}
    found = {name: [float(c[name]) for c in cells if c.get(name) is not None and c[name] == c[name]] for name in names}
    return {name: fmean(values) for name, values in found.items() if values}


def dominates(rival: dict[str, float], agent: dict[str, float], axes: dict[str, int]) -> bool:
    """Whether a rival is nowhere worse and somewhere better, in the axes that both were measured in."""
    gains = [sign * (rival[name] - agent[name]) for name, sign in axes.items() if name in rival and name in agent]
    return bool(gains) and min(gains) >= 0 and max(gains) > 0


def break_even(agent: dict[str, float], rival: dict[str, float]) -> str:
    """After how many explanations the agent has queried fewer rows in all than this rival."""
    before = agent["training_queries"] - rival["training_queries"]
    saved = rival["queries"] - agent["queries"]
    if before <= 0:
        return "from the first" if saved >= 0 else f"up to {before / saved:,.0f}"
    return f"after {before / saved:,.0f}" if saved > 0 else "never"


def sentences(rows: Rows, fronts: list[list[dict[str, float]]]) -> list[str]:
    """The verdict on one data set."""
    found = {name: means(cells) for name, cells in rows.items()}
    black = {name: row for name, row in found.items() if "white box" not in name and name not in (AGENT, TYPICAL)}
    if AGENT not in found:
        return []
    lines = _said(black, found[AGENT], fronts)
    if TYPICAL in found:
        lines += [f"With typical ends: {line[0].lower()}{line[1:]}" for line in _said(black, found[TYPICAL], fronts)]
    return lines


def _said(black: dict[str, dict[str, float]], agent: dict[str, float], fronts: list[list[dict[str, float]]]) -> list[str]:
    """The sentences about one way of ending the agent's walks."""
    lines = [_dominated(black, agent, AXES, "in everything, what it costs included")]
    lines.append(_dominated(black, agent, {name: AXES[name] for name in QUALITY}, "in quality alone, whatever it costs"))
    for start in AHEAD_OF:
        for name in (name for name in black if name.split(",")[0] == start):
            lines.append(_joint(name, black[name], agent))
    lines.append(_typicality(black, agent))
    lines += _lost(black, agent)
    if fronts:
        lines.append(_gap(agent, fronts))
    return lines


def _dominated(rivals: dict[str, dict[str, float]], agent: dict[str, float], axes: dict[str, int], where: str) -> str:
    better = [name for name, row in rivals.items() if dominates(row, agent, axes)]
    worse = [name for name, row in rivals.items() if dominates(agent, row, axes)]
    said = f"**The agent is dominated by {', '.join(better)}**" if better else "No rival dominates the agent"
    return f"{said} {where}; the agent dominates {', '.join(worse) or 'none'}."


def _joint(name: str, rival: dict[str, float], agent: dict[str, float]) -> str:
    if "l2_input" not in rival:
        return f"Validity and L2 jointly, against {name}: ahead (it explains no item)."
    ahead = agent["validity"] >= rival["validity"] and agent["l2_input"] < rival["l2_input"]
    parts = [
        f"{title} {agent[key]:.3f} against {rival[key]:.3f}" for key, title in (("validity", "valid"), ("l2_input", "L2"))
    ]
    few = f"; its L2 is over the {100 * rival['validity']:.0f} % of items that it explains" if rival["validity"] < 0.9 else ""
    return f"Validity and L2 jointly, against {name}: {'ahead' if ahead else '**NOT ahead**'} ({', '.join(parts)}{few})."


def _typicality(rivals: dict[str, dict[str, float]], agent: dict[str, float]) -> str:
    sure = {name: row for name, row in rivals.items() if "knn_ratio" in row and row["validity"] >= MOST}
    if not sure:
        return "Typicality: no rival explains 95 % of the items."
    best = min(sure, key=lambda name: sure[name]["knn_ratio"])
    held = agent["knn_ratio"] <= sure[best]["knn_ratio"]
    return (
        f"Typicality of the end against the best generative way that explains 95 % of the items ({best}): "
        f"{'no worse' if held else '**worse**'} (kNN ratio {agent['knn_ratio']:.3f} against {sure[best]['knn_ratio']:.3f}, "
        f"at L2 {agent['l2_input']:.3f} against {sure[best]['l2_input']:.3f})."
    )


def _lost(rivals: dict[str, dict[str, float]], agent: dict[str, float]) -> list[str]:
    """Columns in which some rival that explains 95 % of the items is better than the agent, and by whom."""
    out = []
    for name, sign in AXES.items():
        better = [
            (row[name], rival) for rival, row in rivals.items()
            if name in row and row["validity"] >= MOST and sign * (row[name] - agent[name]) > 0
        ]  # fmt: skip
        if better:
            value, rival = max(better) if sign > 0 else min(better)
            out.append(f"{name} {agent[name]:,.3f}, best {value:,.3f} ({rival}; better: {len(better)})")
    return [f"Columns that the agent loses to some black-box way that explains 95 % of the items: {'; '.join(out) or 'none'}."]


def _gap(agent: dict[str, float], fronts: list[list[dict[str, float]]]) -> str:
    points = [{key: fmean(front[i][key] for front in fronts) for key in fronts[0][0]} for i in range(len(fronts[0]))]
    best = least_l2(points, agent["knn_ratio"])
    if best != best:
        typical = min(p["knn_ratio"] for p in points)
        return (
            f"Constrained white-box optimum: its front was followed to a kNN ratio of {typical:.3f}; the agent's ends are "
            f"more typical, {agent['knn_ratio']:.3f} at L2 {agent['l2_input']:.3f}: there is none to compare."
        )
    gap = 100 * (agent["l2_input"] / best - 1)
    free = min(p["l2_input"] for p in points)
    return (
        f"Constrained white-box optimum: least L2 {best:.3f} at the agent's kNN ratio of {agent['knn_ratio']:.3f}; the "
        f"agent's {agent['l2_input']:.3f} lies {gap:.1f} % above it (least L2 at any kNN ratio: {free:.3f})."
    )
