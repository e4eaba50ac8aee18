"""``python -m envs.assets.make``."""

from envs.assets.make import main

if __name__ == "__main__":
    main()
