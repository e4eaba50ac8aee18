"""The physics of walks: world, dynamics, tasks, moves, reference data. Nothing here knows how a world is built."""
