"""A walk's physics and what it needs: world, dynamics, tasks, moves, reference data. Nothing here knows how a world is built."""
