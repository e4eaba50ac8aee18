"""The Gymnasium environments over `envs.core`."""
