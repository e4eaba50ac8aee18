"""Gymnasium environments on top of `envs.core`."""
