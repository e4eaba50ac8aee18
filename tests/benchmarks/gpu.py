"""What does a GPU bring, and does it work: trainings with ``--device cuda`` beside ``--device cpu``, and the information gain.

    python -m tests.benchmarks.gpu            # needs CUDA

Only the policy's and the value's networks go to the device; world, classifier and dynamics network stay on the CPU. Each
training is saved, read back on both devices and walked: where walks end must agree, but for those that are tried again with
drawn actions, since devices draw differently from one seed. The information gain is the functional form of
vime/information_gain.py on tensors of either device, at VIME's usual size. Wall seconds, since a GPU works while the
process waits.
"""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import torch

from agents.console.cli import UserError
from agents.evaluate import draw_targets
from agents.explain import explain
from agents.runs.run import load_run
from agents.train import main as train
from tests.benchmarks.harness.experiment import Experiment, Options, Record, render, whole_numbers
from tests.benchmarks.harness.tables import listed, table
from vime.bnn.dynamics import DynamicsBNN
from vime.information_gain import closed_form_gain, draw_noise

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


# ---- run --------------------------------------------------------------------------------------------------------------


def training(name: str, device: str, folder: Path, seed: int) -> dict[str, Any]:
    """One training: wall seconds, and where its first 50 held-out digits end when it is read back on either device."""
    algo, curiosity, steps, more = TRAININGS[name]
    flags = ["--env", ENV, "--algo", algo, "--curiosity", curiosity, "-n", str(steps), "--seed", str(seed)]
    started = time.perf_counter()
    code = train([*flags, "--device", device, "-f", str(folder), "--no-pictures", "--verbose", "0", *more])
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
            moved = [layer._replace(mean=layer.mean.to(device), scale=layer.scale.to(device)) for layer in layers]
            arguments = (moved, bnn.head, inputs.to(device), targets.to(device), [part.to(device) for part in noise])
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


def measure(options: Options) -> Iterator[Record]:
    """The information gain, and every training on both devices."""
    if not torch.cuda.is_available():
        raise UserError("torch sees no CUDA device here; this benchmark compares one with the CPU")
    record: Record = {"gpu": torch.cuda.get_device_name(), "cpu": platform.processor() or platform.machine()}
    record |= {"torch": torch.__version__, "seeds": options.seeds, "note": options.note}
    record |= {"gains": gains(options.repeats), "trainings": {}}
    torch.zeros(1, device="cuda")
    for name in TRAININGS:
        row: dict[str, Any] = {"cpu": [], "cuda": []}
        for seed in options.seeds:
            for device, rows in row.items():
                with tempfile.TemporaryDirectory() as folder:
                    rows.append(training(name, device, Path(folder), seed))
        record["trainings"][name] = row
        yield record


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """Trainings, and the information gain."""
    trainings = []
    for name, row in record["trainings"].items():
        both = (row["cpu"], row["cuda"])
        seconds = [f"{min(s):.1f} to {max(s):.1f}" for s in ([one["seconds"] for one in rows] for rows in both)]
        success = [f"{fmean(one['success'] for one in rows):.2f}" for rows in both]
        ends = max(one["end_difference"] for one in row["cuda"])
        trainings.append([name, f"{TRAININGS[name][2]:,}", *seconds, *success, f"{ends:.1g}"])
    gained = [[f"{row['transitions']:,}", f"{row['cpu']:.2f}", f"{row['cuda']:.2f}", f"{row['disagreement']:.1g}"]
              for row in record["gains"]]  # fmt: skip
    titles = ["training", "steps", "CPU, s", "GPU, s", "success, CPU", "success, GPU", "ends differ"]
    values = {
        **record, "env": ENV, "seeds": listed(record["seeds"]), "inputs": INPUTS, "targets": TARGETS, "draws": DRAWS,
        "note": f" {record['note']}" if record["note"] else "", "trainings": table(titles, trainings),
        "gains": table(["transitions", "CPU", "GPU", "largest relative difference"], gained, "r"),
    }  # fmt: skip
    return render("gpu", **values)


EXPERIMENT = Experiment(
    "gpu", __doc__, measure, page,
    flags={
        "--seeds": whole_numbers(0, 1),
        "--repeats": {"type": int, "default": 20, "help": "of the information gain"},
        "--note": {"default": "", "help": "what readers should know of the machine, such as that it was shared"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
