"""Measures of paths."""
