"""alibi's CounterfactualRL on a split, in a virtual environment of its own: imports numpy, torch and alibi alone.

    PYTHON tests/benchmarks/cfrl_worker.py EXCHANGE.npz ANSWER.npz

EXCHANGE holds x (N, D) to train on, items (M, D), targets (M,), the classifier as bytes of TorchScript (rows to logits),
blocks (one-hot places of a table, may be empty), held (D,) bool, low and high (D,), and numbers: sparsity, steps, seed,
latent, hidden, frames. ANSWER gets counterfactuals (M, D), line (M, frames, D): the decoded latent line from the item to
its answer, queries, training_cpu_seconds, cpu_seconds of explaining all and alone_ms of explaining single ones.
"""

import io
import sys
import time

import numpy as np
import torch
from alibi.explainers import CounterfactualRL
from torch import nn

BATCH, ALONE = 100, 21


class Decoder(nn.Module):
    """Latents to rows: pixels through a sigmoid, or numbers as they are and categories through a softmax each."""

    def __init__(self, latent, hidden, size, blocks):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, size))
        self.blocks = blocks

    def forward(self, z):
        out = self.net(z)
        if self.blocks is None:
            return out.sigmoid()
        parts, place = [], 0
        for first, count in self.blocks:
            parts += [out[:, place:first], out[:, first : first + count].softmax(1)]
            place = first + count
        return torch.cat([*parts, out[:, place:]], 1)


def fit_autoencoder(x, latent, hidden, blocks, epochs=150):
    """A deterministic auto-encoder whose codes lie in [-1, 1], as CounterfactualRL needs them; squared error."""
    size = x.shape[1]
    encoder = nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, latent), nn.Tanh())
    decoder = Decoder(latent, hidden, size, blocks)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=2e-3)
    rows, epochs = torch.as_tensor(x), max(10, min(epochs, 150 * 1257 // len(x)))
    for _ in range(epochs):
        for index in torch.randperm(len(rows)).split(64):
            loss = (decoder(encoder(rows[index])) - rows[index]).square().sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return encoder.eval(), decoder.eval()


def main(source, prediction):
    torch.set_num_threads(1)
    given = np.load(source)
    seed, latent, frames = int(given["seed"]), int(given["latent"]), int(given["frames"])
    blocks = [tuple(int(n) for n in block) for block in given["blocks"]] if bool(given["table"]) else None
    classifier = torch.jit.load(io.BytesIO(given["classifier"].tobytes())).eval()
    held, low, high = given["held"], given["low"], given["high"]
    queried = [0]

    def valid(rows, factual):
        """The nearest valid rows of a table, what is held taken from the input; pixels as they are."""
        if blocks is None:
            return rows
        rows = np.clip(rows, low, high)
        for first, count in blocks:
            rows[:, first : first + count] = np.eye(count, dtype=np.float32)[rows[:, first : first + count].argmax(1)]
        return np.where(held, factual, rows).astype(np.float32)

    def predictor(rows):
        rows = torch.as_tensor(np.asarray(rows, dtype=np.float32))
        queried[0] += len(rows)
        with torch.no_grad():
            return classifier(rows).softmax(1).numpy()

    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - alibi draws from it
    started = time.process_time()
    encoder, decoder = fit_autoencoder(given["x"], latent, int(given["hidden"]), blocks)
    explainer = CounterfactualRL(
        predictor=predictor, encoder=encoder, decoder=decoder, latent_dim=latent, backend="pytorch", seed=seed,
        coeff_sparsity=float(given["sparsity"]), coeff_consistency=0.0, train_steps=int(given["steps"]), batch_size=BATCH,
        num_workers=0, postprocessing_funcs=[lambda rows, factual, condition: valid(rows, factual)],
    )  # fmt: skip
    explainer.fit(given["x"])
    trained, queries = time.process_time() - started, queried[0]
    items, targets = given["items"], given["targets"]
    started = time.process_time()
    found = explainer.explain(items, targets, batch_size=BATCH)
    seconds = time.process_time() - started
    alone = []
    for row in range(ALONE):
        began = time.process_time()
        explainer.explain(items[row : row + 1], targets[row : row + 1], batch_size=1)
        alone.append(1000 * (time.process_time() - began))
    counterfactuals = np.asarray(found.data["cf"]["X"], dtype=np.float32).reshape(items.shape)
    with torch.no_grad():
        # The actor's own latent: what the explainer decoded, before its answer was made valid.
        z0 = encoder(torch.as_tensor(items))
        z1 = latent_answer(explainer, items, targets, predictor, z0)
        share = torch.linspace(0, 1, frames)[None, :, None]
        line = decoder((z0[:, None] + share * (z1 - z0)[:, None]).reshape(-1, latent)).numpy()
    line = valid(line, np.repeat(items, frames, 0)).reshape(len(items), frames, -1)
    drift = float(np.abs(line[:, -1] - counterfactuals).max())
    np.savez(prediction, counterfactuals=counterfactuals, line=line, queries=queries, training_cpu_seconds=trained,
             cpu_seconds=seconds, alone_ms=alone[1:], drift=drift)  # fmt: skip


def latent_answer(explainer, items, targets, predictor, z0):
    """The actor's latent for each item (M, latent), computed as `explain` does it."""
    prediction = predictor(items)
    present = np.eye(prediction.shape[1], dtype=np.float32)[prediction.argmax(1)]
    wanted = np.eye(prediction.shape[1], dtype=np.float32)[targets]
    return explainer.backend.generate_cf(z0, torch.as_tensor(present), torch.as_tensor(wanted), None, **explainer.params)


if __name__ == "__main__":
    main(*sys.argv[1:])
