"""Training of agents: session, environments, callbacks, evaluation, algorithms."""
