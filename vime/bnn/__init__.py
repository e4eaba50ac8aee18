"""Bayesian neural networks in Pyro: the dynamics model, Gaussian weights, and the same model with weights as sample sites."""
