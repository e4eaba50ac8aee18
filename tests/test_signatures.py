"""Functions take few arguments: more of them are a dataclass, unless users need to see them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST = 10
#: Public functions whose settings are keywords, so that help() and an editor list them; and the optimiser of the fits.
KEYWORDS_ARE_VISIBLE = {
    "agents.evaluate.evaluate",
    "agents.explainer.explain",
    "agents.explainer.train",
    "agents.explanation.explain.explain",
    "envs.building.world.make_world",
    "envs.classifiers.networks.fit_classifier",
    "envs.manifolds.fitting.descend",
    "envs.manifolds.generators.gan.fit",
    "envs.manifolds.joint.fit",
    "envs.manifolds.sentence.vae.__init__",
    "envs.manifolds.table_vae.fit",
    "envs.manifolds.umap.fit",
    "vime.bonuses.base.__init__",
    "vime.bonuses.vime.__init__",
}


def signatures() -> Iterator[tuple[str, int]]:
    """(name, number of arguments without self) of every function and method."""
    for package in ("envs", "vime", "agents"):
        for file in (ROOT / package).rglob("*.py"):
            module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.FunctionDef):
                    names = [part.arg for part in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
                    yield f"{module}.{node.name}", len([name for name in names if name not in ("self", "cls")])


def test_a_function_takes_at_most_ten_arguments():
    assert {name for name, count in signatures() if count > MOST} == KEYWORDS_ARE_VISIBLE
