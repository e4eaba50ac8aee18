"""What a GPU brings, and that it works: trainings with ``--device cuda`` beside ``--device cpu``, and the information gain.

    python -m tests.benchmarks.gpu            # needs CUDA

Only the policy's and the value's networks go to the device; world, classifier and dynamics network stay on the CPU. Each
training is saved, read back on both devices and walked: where walks end must agree, but for those that are tried again with
drawn actions, since devices draw differently from one seed. The information gain is the functional form of
vime/information_gain.py on tensors of either device, at VIME's usual size. Wall seconds, since a GPU works while the process
waits. Writes docs/results/gpu.json and .md.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from agents.cli import UserError, prepare_process, run_main
from agents.files import write_whole
from tests.benchmarks.results import as_json
from tests.benchmarks.vime_cells import ROOT

ENV = "Manifold/DigitsLabelOnly-v0"
TRAININGS = {  # name -> algorithm, curiosity, steps, further flags
    "PPO": ("ppo", "none", 60_000, []),
    "PPO, VIME": ("ppo", "vime", 60_000, []),
    "PPO with two values, VIME": ("ppo2v", "vime", 60_000, []),
    "PPO, layers of 1,024": ("ppo", "none", 60_000, ["-params", "policy_kwargs:{'net_arch': [1024, 1024]}"]),
    "TRPO": ("trpo", "none", 60_000, []),
    "SAC, VIME": ("sac", "vime", 20_000, []),
}
SIZES = (2_048, 65_536)
DRAWS, INPUTS, TARGETS = 4, 18, 16


def training(name: str, device: str, folder: Path, seed: int) -> dict[str, Any]:
    """One training: wall seconds, and where its first 50 held-out digits end when it is read back on either device."""
    import numpy as np

    from agents.evaluate import draw_targets
    from agents.explain import explain
    from agents.runs.run import load_run
    from agents.train import main as train

    algo, curiosity, steps, flags = TRAININGS[name]
    asked = ["--env", ENV, "--algo", algo, "--curiosity", curiosity, "-n", str(steps), "--seed", str(seed)]
    started = time.perf_counter()
    code = train([*asked, "--device", device, "-f", str(folder), "--no-pictures", "--verbose", "0", *flags])
    seconds = time.perf_counter() - started
    if code:
        raise RuntimeError(f"training {name} on {device} ended with {code}")
    path = max(folder.rglob("config.json"), key=lambda file: file.stat().st_mtime).parent
    rows, ends = list(range(50)), []
    for read_on in ("cpu", device):
        run = load_run(path, device=read_on)
        paths = explain(run, rows, draw_targets(run.world, rows, 0), fallback=False)
        ends.append(np.stack([path.z[-1] for path in paths]))
    return {
        "seconds": seconds,
        "steps_per_second": steps / seconds,
        "success": run.evaluation.get("success_rate"),
        "end_difference": float(np.abs(ends[0] - ends[1]).max()),
    }


def gains(repeats: int) -> list[dict[str, Any]]:
    """Microseconds a transition on either device, and how far the two disagree."""
    import torch

    from vime.bnn.dynamics import DynamicsBNN
    from vime.information_gain import closed_form_gain, draw_noise

    torch.manual_seed(0)
    bnn = DynamicsBNN(INPUTS, TARGETS)
    found = []
    for size in SIZES:
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(size, INPUTS, generator=generator)
        targets = torch.randn(size, TARGETS, generator=generator)
        layers = bnn.frozen_posterior()
        noise = draw_noise(layers, DRAWS, 1, generator, antithetic=True)
        row: dict[str, Any] = {"transitions": size}
        results = {}
        for device in ("cpu", "cuda"):
            told = [layer._replace(mean=layer.mean.to(device), scale=layer.scale.to(device)) for layer in layers]
            arguments = (told, bnn.head, inputs.to(device), targets.to(device), [part.to(device) for part in noise])
            seconds = []
            for _ in range(repeats + 1):
                started = time.perf_counter()
                results[device] = closed_form_gain(*arguments)
                torch.cuda.synchronize()
                seconds.append(time.perf_counter() - started)
            row[device] = 1e6 * median(seconds[1:]) / size
        other = results["cuda"].cpu()
        row["disagreement"] = float(((results["cpu"] - other).abs() / results["cpu"].abs().clamp(min=1e-6)).max())
        found.append(row)
    return found


def page(found: dict[str, Any]) -> str:
    """The figures as a page."""
    lines = [
        "# What a GPU brings",
        "",
        f"Made by `python -m tests.benchmarks.gpu` on {found['gpu']} and {found['cpu']}, torch {found['torch']}, one",
        f"CPU thread. {ENV}, seeds {', '.join(map(str, found['seeds']))}; wall seconds of the whole training, least and",
        f"largest over seeds. {found['note']}".strip(),
        "Ends differ: the largest difference of a coordinate of the codes at which 50 explanations end, when the run that was",
        "trained on the GPU is read back on the CPU and on the GPU. A walk that fails is tried again with drawn actions, and",
        "the devices draw differently from one seed: only where all walks succeed must the two agree.",
        "",
        "| training | steps | CPU, s | GPU, s | success, CPU | success, GPU | ends differ |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, row in found["trainings"].items():
        cpu, gpu = row["cpu"], row["cuda"]
        spread = [f"{min(s):.1f} to {max(s):.1f}" for s in ([one["seconds"] for one in rows] for rows in (cpu, gpu))]
        success = [f"{sum(one['success'] for one in rows) / len(rows):.2f}" for rows in (cpu, gpu)]
        ends = max(one["end_difference"] for one in gpu)
        lines.append(f"| {name} | {TRAININGS[name][2]:,} | {' | '.join(spread)} | {' | '.join(success)} | {ends:.1g} |")
    lines += [
        "",
        f"Information gain, {INPUTS} inputs, {TARGETS} targets, {DRAWS} draws, microseconds a transition:",
        "",
        "| transitions | CPU | GPU | largest relative difference |",
        "|---:|---:|---:|---:|",
    ]
    for row in found["gains"]:
        lines.append(f"| {row['transitions']:,} | {row['cpu']:.2f} | {row['cuda']:.2f} | {row['disagreement']:.1g} |")
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--repeats", type=int, default=20, help="of the information gain")
    parser.add_argument("--note", default="", help="what readers should know of the machine, such as that it was shared")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "gpu", metavar="STEM")
    options = parser.parse_args(argv)
    prepare_process()
    import torch

    if not torch.cuda.is_available():
        raise UserError("torch sees no CUDA device here; this benchmark compares one with the CPU")
    found: dict[str, Any] = {"gpu": torch.cuda.get_device_name(), "cpu": platform.processor() or platform.machine()}
    found |= {"torch": torch.__version__, "seeds": options.seeds, "note": options.note}
    found |= {"gains": gains(options.repeats), "trainings": {}}
    torch.zeros(1, device="cuda")
    for name in TRAININGS:
        row: dict[str, Any] = {"cpu": [], "cuda": []}
        for seed in options.seeds:
            for device, rows in row.items():
                with tempfile.TemporaryDirectory() as folder:
                    rows.append(training(name, device, Path(folder), seed))
        found["trainings"][name] = row
        write_whole(options.out.with_suffix(".json"), as_json(found))
        write_whole(options.out.with_suffix(".md"), page(found))
    print(page(found))
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
