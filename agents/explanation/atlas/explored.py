"""An atlas of a classifier's answers found by curiosity alone: which classes and regions a walk without any goal discovers.

The world is explored by PPO with a bonus (`agents.explanation.explored`), the codes found are joined to regions of one answer,
and the map shows them. Isolated regions, which straight segments between found codes do not join to the main region of their
class, are marked. Colours and regions are those of the classifier on decoded frames.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from agents.atlas import AtlasConfig, Drawing
from agents.explanation.explored import explore, found_regions
from agents.explanation.figures.explored import explored_figure

if TYPE_CHECKING:
    from envs.core.world import World


def draw(world: World, config: AtlasConfig) -> Drawing:
    """Explore, join and draw, see the module."""
    found = explore(world, config.curiosity, config.queries, config.seed, progress=sys.stderr.isatty())
    regions = found_regions(world, found)
    isolated = np.flatnonzero(~regions.main)
    names = [world.class_names[k] for k in np.unique(regions.label)]
    title = f"{len(found.z):,} queries by {config.curiosity}: {len(names)} classes, {len(isolated)} isolated regions"
    note = (
        f"explored: {len(names)} of {world.classes} classes ({', '.join(names[:12])}{', ...' if len(names) > 12 else ''}) and "
        f"{len(isolated)} isolated regions in {len(found.z):,} queries by {config.curiosity}; "
        f"{regions.queries:,} more to join them. {len(found.z) + regions.queries} classifier queries."
    )
    return Drawing(explored_figure(found, world, found.z[regions.first[isolated]].numpy(), title), note)
