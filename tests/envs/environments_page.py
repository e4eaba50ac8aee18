"""Writes docs/environments.md from the registry and the docstring of `LatentEnv`: `python tests/envs/environments_page.py`.

A test compares the page with what this file would write, so that the page stays true.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "environments.md"

# One paragraph an id, by hand: what this world is. A registered id without one fails the test.
ABOUT = {
    "Manifold/Digits-v0": (
        "scikit-learn's handwritten digits (8x8, real, embedded), an 8-dimensional VAE and a small neural network as black "
        "box. Walk from a digit to where the network calls it another one."
    ),
    "Manifold/DigitsLabelOnly-v0": (
        "The same digits and the same network, of which only the label is seen: no probability is observed, kept or paid for. "
        "The reward is 1 on arriving and 0 before."
    ),
    "Manifold/Custom-v0": (
        "Your own data, classifier and manifold, by keyword arguments. Without arguments: Fisher's iris, a logistic regression "
        "and a 2-dimensional VAE of the table."
    ),
}

EXAMPLES = {
    "Manifold/Digits-v0": """
import gymnasium as gym

import envs

gym.register_envs(envs)
env = gym.make("Manifold/Digits-v0", render_mode="ansi")
observation, info = env.reset(seed=0, options={"index": 3, "target": "9", "split": "held_out"})
over = False
while not over:
    observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    over = terminated or truncated
print(env.render(), info)
""",
    "Manifold/DigitsLabelOnly-v0": """
import gymnasium as gym
from gymnasium.vector import AutoresetMode

import envs

gym.register_envs(envs)
many = gym.make_vec("Manifold/DigitsLabelOnly-v0", num_envs=64, autoreset_mode=AutoresetMode.SAME_STEP)
observation, infos = many.reset(seed=0)
for _ in range(30):
    observation, reward, terminated, truncated, infos = many.step(many.action_space.sample())
print(observation.shape, infos["is_success"].mean())
""",
    "Manifold/Custom-v0": """
import gymnasium as gym
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier

import envs

gym.register_envs(envs)
wine = load_wine()
forest = RandomForestClassifier(random_state=0).fit(wine.data, wine.target_names[wine.target])
env = gym.make("Manifold/Custom-v0", data=wine.data, columns=wine.feature_names, classifier=forest, manifold="pca", latent_dim=4)
observation, info = env.reset(seed=0, options={"index": 0, "target": "class_2"})
observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
print(env.unwrapped.world.render(env.unwrapped.state.frame[0]), info)
""",
}


def arguments_table(make_world) -> str:
    """The keyword arguments as a table: name, default, meaning; the meanings are those of the function's docstring."""
    text = inspect.getdoc(make_world).split("Args:")[1].split("Raises:")[0]
    meanings: list[tuple[str, str]] = []
    for line in text.strip("\n").splitlines():
        if match := re.match(r"    (\w[\w, ]*): (.*)", line):
            meanings.append((match[1], match[2]))
        elif line.strip():
            meanings[-1] = (meanings[-1][0], f"{meanings[-1][1]} {line.strip()}")
    parameters = inspect.signature(make_world).parameters
    lines = ["| argument | default | meaning |", "|---|---|---|"]
    for names, meaning in meanings:
        defaults = ", ".join(f"`{parameters[name].default!r}`" for name in names.split(", "))
        written = meaning.replace("``", "`").replace("|", "\\|")
        lines.append(f"| {', '.join(f'`{name}`' for name in names.split(', '))} | {defaults} | {written} |")
    return "\n".join(lines)


def section(env_id: str) -> str:
    """One id: what it is, its spaces, its world, its arguments, an example."""
    import gymnasium as gym

    from envs import SPECS

    env = gym.make(env_id)
    world, spec = env.unwrapped.world, gym.spec(env_id)
    arguments = ", ".join(f"{name}={value!r}" for name, value in SPECS[env_id].items())
    compass = f", compass {2 * world.latent_dim}" if world.compass else ""
    rows = [
        ("action space", f"`Box(-1, 1, ({world.latent_dim},), float32)`"),
        (
            "observation space",
            (
                f"`Box` of {world.obs_dim} numbers: code {world.latent_dim}, first code {world.latent_dim}, "
                f"answer {world.classes}, target {world.classes}{compass}"
            ),
        ),
        ("classes", ", ".join(world.class_names)),
        ("shows", "the label alone" if world.label_only else "probabilities"),
        (
            "data",
            f"{world.modality} data of shape {tuple(world.manifold.data_shape)}: {len(world.starts.x)} starts, {len(world.held_out.x)} held out",
        ),
        ("task", f"`{world.task.name}`, tau {world.task.tau:g}"),
        ("move", f"`{world.move_name}`"),
        ("step limit", str(spec.max_episode_steps)),
        ("made with", f"`{arguments}`"),
    ]
    table = "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])
    return f"## {env_id}\n\n{ABOUT[env_id]}\n\n{table}\n\n```python{EXAMPLES[env_id]}```"


def page() -> str:
    """The whole page."""
    import gymnasium as gym

    import envs
    from envs import SPECS, LatentEnv, make_world

    gym.register_envs(envs)
    shared = inspect.getdoc(LatentEnv)
    shared = shared.replace("``", "`").replace("## ", "### ")
    parts = [
        "# Environments",
        "<!-- Written by tests/envs/environments_page.py from the registry and the docstring of envs/latent_env.py. -->",
        (
            "Every id works at once, offline: `gym.make(id)` for one walk, `gym.make_vec(id, num_envs=n)` for a batch that shares one "
            "decode and one question to the classifier a step."
        ),
        *(section(env_id) for env_id in SPECS),
        "## What all have in common",
        shared,
        "### Arguments of `gym.make` and `envs.make_world`",
        arguments_table(make_world),
        "### The vector environment",
        inspect.getdoc(envs.LatentVectorEnv).replace("``", "`"),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the page."""
    sys.path.insert(0, str(ROOT))
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
