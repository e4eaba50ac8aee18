"""Writes docs/environments.md from the registry and the docstring of `LatentEnv`: `python tests/envs/environments_page.py`.

A test compares the page with what this file would write, so that the page stays true.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "environments.md"

# One paragraph an id, by hand: what this world is. A registered id without one fails the test.
ABOUT = {
    "Manifold/Digits-v0": (
        "scikit-learn's handwritten digits (8x8, real, embedded), an 8-dimensional VAE and a small neural network as black "
        "box. Walk from a digit to where the network predicts another one."
    ),
    "Manifold/DigitsLabelOnly-v0": (
        "The same digits and the same network, which shows only its label: no probability is in the observation, the paths or the reward. "
        "The reward is 1 on arrival and 0 before."
    ),
    "Manifold/DigitsGAN-v0": (
        "The same digits and network on the 32-dimensional latent space of a GAN (WGAN-GP). It has no encoder of its own: codes "
        "are found by gradient inversion of the generator, starting at a small encoder's code. See [GANs](concepts/gan.md)."
    ),
    "Manifold/Sentences-v0": (
        "Sentences of a small grammar that carries sentiment, topic, tense and length, a 16-dimensional sentence VAE and logistic "
        "regression on words as black box. Walk from a sentence to one with the other sentiment. Lengths are measured between codes. "
        "See [Sentences](concepts/sentences.md)."
    ),
    "Manifold/Oscillator-v0": (
        "Simulated series of 96 points: the displacement of a damped oscillator that is struck twice, sound, with a spring that "
        "comes loose, or with dry friction; an 8-dimensional `SeriesVAE` and a small network of convolutions as black box. Frame 0 "
        "is the input itself. See [Time series](concepts/series.md)."
    ),
    "Manifold/SentenceEdits-v0": (
        "The same sentences and black box, on the 8-dimensional manifold of edits of the input: a frame is a sentence, and a step "
        "replaces, inserts or deletes one span of words. Frame 0 is the input. "
        "See [Sentences](concepts/sentences.md#edits-of-the-input)."
    ),
    "Manifold/MNIST-v0": (
        "MNIST's 28x28 digits, a 16-dimensional VAE with a convolutional encoder, and a small CNN as black box. It works offline: "
        "the pictures are decoded from the shipped codes of 4,000 training and 1,000 test images. For all 70,000 real ones "
        'pass `data="mnist"` to `Manifold/Custom-v0`, with the folder of the files as `data_dir=` or in MANIFOLD_DATA.'
    ),
    "Manifold/FashionMNIST-v0": (
        "Fashion-MNIST's 28x28 articles of clothing, a 32-dimensional VAE with a convolutional encoder, and a small CNN as black "
        "box. It works offline, as MNIST's id does. For all 70,000 real pictures pass "
        '`data="fashion_mnist"` to `Manifold/Custom-v0`, with the folder of the files as `data_dir=` or in MANIFOLD_DATA.'
    ),
    "Manifold/OmniglotGAN-v0": (
        "Handwritten characters of 28x28 in five scripts, on the 64-dimensional latent space of a convolutional GAN that was "
        "trained on 30 alphabets of Omniglot; the black box is a small CNN that predicts the script. It works offline: the "
        "pictures are decoded from the shipped codes of 186 characters by 19 drawers, and by a twentieth drawer who is held out. "
        "The codes were found by inversion, as those of any input are. See [GANs](concepts/gan.md)."
    ),
    "Manifold/DigitsPCA-v0": (
        "The digits and their network on eight principal components: the linear baseline of a latent space."
    ),
    "Manifold/DigitsUMAP-v0": (
        "The digits and their network on a two-dimensional UMAP map, with a decoder of this project and the convex hull of the map as "
        "its boundary. It works without umap-learn. Paths are long there: the step limit is 80. See [Latent spaces](concepts/manifolds.md)."
    ),
    "Manifold/DigitsJoint-v0": (
        "A VAE and a classifier trained together on one latent space; the black box is that classifier, not the network of "
        "Manifold/Digits-v0."
    ),
    "Manifold/DigitsEmbedding-v0": (
        "The digits network's own last hidden layer, whitened, as the latent space, with a decoder fitted to it."
    ),
    "Manifold/DigitsLabelOnlyLong-v0": (
        "Labels only, small steps and a long path: an isotropic random walk arrives in 1 of 100 episodes. For the study of "
        "exploration."
    ),
    "Manifold/DigitsOnePair-v0": (
        "Labels only, always the same start and the same far target: `pair=k` is the rank of the pair by the latent distance "
        "from the start to the nearest code of the target's class, 0 is the hardest (`world.reference.far_pairs`). A random walk does not "
        "arrive in 256 episodes of nearly any pair."
    ),
    "Manifold/DigitsExplore-v0": (
        "No reward, no target and no end: all walks begin at one typical digit, and the measure is how much is visited. `info` "
        "holds `cells_covered` (latent cells: terciles of the starts' codes in each dimension, 6,561 in all) and "
        "`regions_covered` (labels visited), both over all walks since the environment was made."
    ),
    "Manifold/DigitsSlip-v0": (
        "A far pair as in Manifold/DigitsOnePair-v0, with stochastic moves: with probability `slip` (0.25) an action is replaced by one of "
        "the same length in a random direction."
    ),
    "Manifold/DigitsWalls-v0": (
        "A far pair as in Manifold/DigitsOnePair-v0, in a latent space with a wall (the move `walled`): the hyperplane where the first "
        "coordinate has its mean. Steps go through it only where the second coordinate is a standard deviation above its mean."
    ),
    "Manifold/DigitsDistractors-v0": (
        "Manifold/DigitsExplore-v0 with a noisy television: two further latent dimensions (`distractors`) decode to noise of strength "
        "`loudness`, which no network can predict and which stands in the observation. Coverage counts the other dimensions alone. A "
        "bonus that pays for prediction error is drawn to the noise."
    ),
    "Manifold/Custom-v0": (
        "Your own data, classifier and manifold, by keyword arguments. A walk ends where the answer changes: where the class with "
        "the largest probability is the target. `tau=0.9` ends it at p(target) >= 0.9 instead (the task `reach`). Without "
        "arguments: Fisher's iris, a logistic regression and a 2-dimensional VAE of the table."
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
    "Manifold/DigitsGAN-v0": """
import gymnasium as gym

import envs

gym.register_envs(envs)
env = gym.make("Manifold/DigitsGAN-v0")
env.reset(seed=0, options={"index": 3, "target": "9", "split": "held_out"})
world = env.unwrapped.world
found = world.manifold.invert(world.held_out.x[:5])  # codes, and errors that tell how far off the manifold an input lies
print(found.z.shape, found.error)
""",
    "Manifold/Sentences-v0": """
import gymnasium as gym

import envs

gym.register_envs(envs)
env = gym.make("Manifold/Sentences-v0", render_mode="ansi")
env.reset(seed=0, options={"index": 3, "target": "positive", "split": "held_out"})
for _ in range(5):
    env.step(env.action_space.sample())
    print(env.render())
""",
    "Manifold/Oscillator-v0": """
import gymnasium as gym

import envs

gym.register_envs(envs)
env = gym.make("Manifold/Oscillator-v0", render_mode="ansi")
env.reset(seed=0, options={"index": 3, "target": "sound", "split": "held_out"})
env.step(env.action_space.sample())
print(env.render())
""",
    "Manifold/SentenceEdits-v0": """
import gymnasium as gym

import envs

gym.register_envs(envs)
env = gym.make("Manifold/SentenceEdits-v0", render_mode="ansi")
env.reset(seed=0, options={"index": 3, "target": "positive", "split": "held_out"})
for _ in range(5):
    env.step(env.action_space.sample())
    print(env.render())
""",
    "Manifold/MNIST-v0": """
import gymnasium as gym
from gymnasium.vector import AutoresetMode

import envs

gym.register_envs(envs)
many = gym.make_vec("Manifold/MNIST-v0", num_envs=16, autoreset_mode=AutoresetMode.SAME_STEP)
observation, infos = many.reset(seed=0, options={"split": "held_out"})
observation, reward, terminated, truncated, infos = many.step(many.action_space.sample())
print(observation.shape, infos["target_probability"])
""",
    "Manifold/FashionMNIST-v0": """
import gymnasium as gym

import envs

gym.register_envs(envs)
env = gym.make("Manifold/FashionMNIST-v0", render_mode="ansi")
observation, info = env.reset(seed=0, options={"index": 3, "target": "dress", "split": "held_out"})
observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
print(env.render(), info)
""",
    "Manifold/OmniglotGAN-v0": """
import gymnasium as gym

import envs

gym.register_envs(envs)
env = gym.make("Manifold/OmniglotGAN-v0", render_mode="ansi")
observation, info = env.reset(seed=0, options={"index": 30, "target": "Latin", "split": "held_out"})
observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
print(env.render(), info)
""",
    "Manifold/DigitsPCA-v0": """
import gymnasium as gym

import envs

gym.register_envs(envs)
env = gym.make("Manifold/DigitsPCA-v0", render_mode="ansi")
observation, info = env.reset(seed=0, options={"index": 3, "target": "9", "split": "held_out"})
observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
print(env.render(), info)
""",
    "Manifold/DigitsUMAP-v0": """
import gymnasium as gym

import envs

gym.register_envs(envs)
env = gym.make("Manifold/DigitsUMAP-v0", render_mode="ansi")
observation, info = env.reset(seed=0, options={"index": 3, "target": "9", "split": "held_out"})
observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
world = env.unwrapped.world
print(world.manifold.decode(world.manifold.prior.project(env.unwrapped.state.z + 100)).shape)  # the edge of the map
""",
    "Manifold/DigitsJoint-v0": """
import gymnasium as gym

import envs

gym.register_envs(envs)
env = gym.make("Manifold/DigitsJoint-v0", render_mode="ansi")
observation, info = env.reset(seed=0, options={"index": 3, "target": "9", "split": "held_out"})
observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
print(env.unwrapped.world.manifold.classifier()(env.unwrapped.state.frame).argmax(1), info)
""",
    "Manifold/DigitsEmbedding-v0": """
import gymnasium as gym

import envs

gym.register_envs(envs)
env = gym.make("Manifold/DigitsEmbedding-v0", render_mode="ansi")
observation, info = env.reset(seed=0, options={"index": 3, "target": "9", "split": "held_out"})
observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
print(env.render(), info)
""",
    "Manifold/DigitsLabelOnlyLong-v0": """
import gymnasium as gym

import envs

gym.register_envs(envs)
many = gym.make_vec("Manifold/DigitsLabelOnlyLong-v0", num_envs=64)
observation, infos = many.reset(seed=0)
arrived = 0
for _ in range(80):
    observation, reward, terminated, truncated, infos = many.step(many.action_space.sample())
    arrived += int(terminated.sum())
print(arrived, "of 64 arrived")
""",
    "Manifold/DigitsOnePair-v0": """
import gymnasium as gym

import envs

gym.register_envs(envs)
env = gym.make("Manifold/DigitsOnePair-v0", pair=400)
observation, info = env.reset(seed=0)
world, state = env.unwrapped.world, env.unwrapped.state
print("from", world.class_names[state.source[0]], "to", world.class_names[state.target[0]])
""",
    "Manifold/DigitsExplore-v0": """
import gymnasium as gym

import envs

gym.register_envs(envs)
many = gym.make_vec("Manifold/DigitsExplore-v0", num_envs=64)
observation, infos = many.reset(seed=0)
for _ in range(80):
    observation, reward, terminated, truncated, infos = many.step(many.action_space.sample())
print(infos["cells_covered"][0], "cells and", infos["regions_covered"][0], "regions in", 80 * 64, "steps")
""",
    "Manifold/DigitsSlip-v0": """
import gymnasium as gym

import envs

gym.register_envs(envs)
env = gym.make("Manifold/DigitsSlip-v0", pair=600, slip=0.1)
env.reset(seed=0)
observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
print(reward, info["step_length"])
""",
    "Manifold/DigitsWalls-v0": """
import gymnasium as gym

import envs

gym.register_envs(envs)
many = gym.make_vec("Manifold/DigitsWalls-v0", num_envs=64, pair=1200)
observation, infos = many.reset(seed=0)
observation, reward, terminated, truncated, infos = many.step(many.action_space.sample())
print((infos["step_length"] == 0).sum(), "of 64 walks met the wall")
""",
    "Manifold/DigitsDistractors-v0": """
import gymnasium as gym

import envs

gym.register_envs(envs)
env = gym.make("Manifold/DigitsDistractors-v0", loudness=2.0)
env.reset(seed=0)
for _ in range(5):
    observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    print(observation[-8:].round(2), info["cells_covered"])
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


CONTROL_INTRODUCTION = """## Sparse control tasks

These are not latent spaces: they are tasks after those of VIME's paper, a pendulum and Deep Sea, for comparisons of curiosity. `gym.make_vec` gives a batch,
`render_mode="rgb_array"` images.
`python -m agents.train --env VIME/SparseMountainCar-v0 --curiosity vime` trains on one. There is nothing to explain in them.
[Findings](findings.md#curiosity-helps-where-reward-is-rare-and-vime-is-not-always-the-best-bonus) shows what curiosity achieves."""

GOAL_EXAMPLE = """
import gymnasium as gym
from stable_baselines3 import SAC, HerReplayBuffer

import envs

gym.register_envs(envs)
env = gym.make("Manifold/DigitsGoal-v0")
model = SAC("MultiInputPolicy", env, replay_buffer_class=HerReplayBuffer, learning_starts=100, seed=0)
model.learn(120)  # 20,000 for a policy that arrives
observation, info = env.reset(seed=0, options={"target": "9"})
action, _ = model.predict(observation, deterministic=True)
print(env.step(action)[4]["is_success"])
"""

CONTROL_EXAMPLE = """
import gymnasium as gym

import envs

gym.register_envs(envs)
many = gym.make_vec("VIME/SparseMountainCar-v0", num_envs=16)
observation, infos = many.reset(seed=0)
reached = 0
for _ in range(200):
    push = 2.0 * (observation[:, 1:] >= 0) - 1  # with the velocity: energy grows until the car is out
    observation, reward, terminated, truncated, infos = many.step(push)
    reached += int(terminated.sum())
print(reached)
"""


def arguments_table(config_class) -> str:
    """The settings of a world as a table: name, default, meaning; the meanings are those of the class's docstring."""
    text = inspect.getdoc(config_class).split("Args:")[1].split("Raises:")[0]
    meanings: list[tuple[str, str]] = []
    for line in text.strip("\n").splitlines():
        if match := re.match(r"    (\w[\w, ]*): (.*)", line):
            meanings.append((match[1], match[2]))
        elif line.strip():
            meanings[-1] = (meanings[-1][0], f"{meanings[-1][1]} {line.strip()}")
    parameters = inspect.signature(config_class).parameters
    lines = ["| argument | default | meaning |", "|---|---|---|"]
    for names, meaning in meanings:
        defaults = ", ".join(f"`{parameters[name].default!r}`" for name in names.split(", "))
        written = meaning.replace("``", "`").replace("|", "\\|")
        lines.append(f"| {', '.join(f'`{name}`' for name in names.split(', '))} | {defaults} | {written} |")
    return "\n".join(lines)


@cache
def world_of(env_id: str) -> Any:
    """The world behind an id."""
    import gymnasium as gym

    return gym.make(env_id).unwrapped.world


def shown(world: Any) -> str:
    """What the classifier shows."""
    return "the label alone" if world.label_only else "probabilities"


def overview() -> str:
    """All ids in one table."""
    from envs import SPECS

    lines = ["| id | latent space | data | the classifier shows | task |", "|---|---|---|---|---|"]
    for env_id in SPECS:
        world = world_of(env_id)
        space = f"{world.latent_dim}-d `{type(world.manifold).__name__}`"
        anchor = env_id.lower().replace("/", "")
        lines.append(f"| [{env_id}](#{anchor}) | {space} | {world.modality} | {shown(world)} | `{world.task.name}` |")
    goals = "| [Manifold/DigitsGoal-v0](#manifolddigitsgoal-v0) | as Manifold/Digits-v0 | image | the label alone | `Dict` observations, for HER |"
    return "\n".join([*lines, goals, "| [VIME/...](#sparse-control-tasks) | none | the state | – | sparse reward |"])


def section(env_id: str) -> str:
    """One id: what it is, its spaces, its world, its arguments, an example."""
    import gymnasium as gym

    from envs import SPECS

    world, spec = world_of(env_id), gym.spec(env_id)
    arguments = ", ".join(f"{name}={value!r}" for name, value in SPECS[env_id].items())
    guidance = f", guidance {2 * world.latent_dim}" if world.guidance else ""
    guidance += f", noise {world.manifold.static_size}" if world.manifold.static_size else ""
    rows = [
        ("action space", f"`Box(-1, 1, ({world.latent_dim},), float32)`"),
        (
            "observation space",
            (
                f"`Box` of {world.obs_dim} numbers: code {world.latent_dim}, first code {world.latent_dim}, "
                f"prediction {world.classes}, target {world.classes}{guidance}"
            ),
        ),
        ("classes", ", ".join(world.class_names)),
        ("shows", shown(world)),
        (
            "data",
            f"{world.modality} data of shape {tuple(world.manifold.data_shape)}: {len(world.reference.x)} reference rows, {len(world.held_out.x)} held out",
        ),
        ("task", f"`{world.task.name}`" + (f", tau {world.task.tau:g}" if world.task.takes_tau else "")),
        ("move", f"`{world.move.name}`"),
        ("step limit", str(spec.max_episode_steps)),
        ("made with", f"`{arguments}`"),
    ]
    table = "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])
    return f"## {env_id}\n\n{ABOUT[env_id]}\n\n{table}\n\n```python{EXAMPLES[env_id]}```"


def control_section() -> str:
    """The control tasks, from their docstrings."""
    from envs.control import TASKS
    from envs.control.half_cheetah import SparseHalfCheetah
    from envs.registration import CONTROL, HALF_CHEETAH

    classes = {env_id: TASKS[task] for env_id, (task, _) in CONTROL.items()} | {HALF_CHEETAH: SparseHalfCheetah}
    texts = {env_id: re.split(r"\n\n(?:Args|Example):", inspect.getdoc(cls))[0] for env_id, cls in classes.items()}
    texts[HALF_CHEETAH] += "\n\nNeeds the extra: `pip install 'manifold-traversal[mujoco]'`."
    parts = [f"### {env_id}\n\n{text.replace('``', '`')}" for env_id, text in texts.items()]
    return "\n\n".join([CONTROL_INTRODUCTION, *parts, f"```python{CONTROL_EXAMPLE}```"])


def goal_section() -> str:
    """The goal-conditioned id, from its class's docstring."""
    from envs.gym.goal_env import GoalEnv
    from envs.registration import GOAL

    text = re.split(r"\n\n(?:Args|Example):", inspect.getdoc(GoalEnv))[0].replace("``", "`")
    return f"## {GOAL}\n\n{text}\n\n```python{GOAL_EXAMPLE}```"


def page() -> str:
    """The whole page."""
    import gymnasium as gym

    import envs
    from envs import SPECS, LatentEnv, WorldConfig

    gym.register_envs(envs)
    shared = inspect.getdoc(LatentEnv).split("\n\nExample:")[0]
    shared = shared.replace("``", "`").replace("## ", "### ")
    parts = [
        "# Environments",
        "<!-- Written by tests/envs/environments_page.py from the registry and the docstring of envs/gym/latent_env.py. -->",
        (
            "Every id works at once, offline: `gym.make(id)` for one walk, `gym.make_vec(id, num_envs=n)` for a batch that shares one "
            "decode and one classifier call a step."
        ),
        overview(),
        *(section(env_id) for env_id in SPECS),
        goal_section(),
        "## What all have in common",
        shared,
        "### Arguments of `gym.make` and `envs.make_world`",
        arguments_table(WorldConfig),
        "### The vector environment",
        inspect.getdoc(envs.LatentVectorEnv).split("\n\nExample:")[0].replace("``", "`"),
        control_section(),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the page."""
    sys.path.insert(0, str(ROOT))
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
