"""Paths through tables on which few columns change."""
