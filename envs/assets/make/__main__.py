"""``python -m envs.assets.make``."""

from envs.assets.make import main

main()
