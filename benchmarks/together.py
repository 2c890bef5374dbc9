"""What it saves to train many small networks together, beside PyTorch's LSTM one after another.

    python -m benchmarks.together

30 seeds of H = 32 on adding with T = 100, 32 sequences a batch. Three ways by turns, in one
process: `gatewise.lab.training.train` with all seeds; the same seed by seed; and a plain PyTorch
loop, seed by seed, as a user writes it: torch.nn.LSTM, nn.Linear, Adam, clip_grad_norm_. All draw
the same sequences and begin with the same weights, so their losses must agree.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gatewise.bench.machine import describe
from gatewise.lab.tasks import Adding
from gatewise.lab.training import Recipe, judge_model, new_models, train

ROOT = Path(__file__).parents[1]
SEEDS, STEPS, ROUNDS = 30, 48, 5
TASK = Adding(100)
RECIPE = Recipe(
    hidden_size=32, batch_size=32, steps=STEPS, check_every=STEPS, enough=2.0, test=32
)  # fmt: skip
BLOCK = 16  # batches that are drawn at a time, as the lab does


def together() -> list[float]:
    """Losses of all seeds, trained in one call."""
    return [float(o.loss or 0) for _, o in train(TASK, RECIPE, range(SEEDS))]


def one_by_one() -> list[float]:
    """The same, a call for each seed."""
    return [float(train(TASK, RECIPE, [seed])[0][1].loss or 0) for seed in range(SEEDS)]


def pytorch() -> list[float]:
    """The same with PyTorch's own LSTM, a loop for each seed."""
    return [_pytorch(seed) for seed in range(SEEDS)]


def _pytorch(seed: int) -> float:
    (start,) = new_models(TASK, RECIPE, [seed])
    model: Any = torch.nn.ModuleDict({"core": torch.nn.LSTM(2, 32), "head": torch.nn.Linear(32, 1)})
    model.load_state_dict(start.state_dict())
    optimiser = torch.optim.Adam(model.parameters(), RECIPE.learning_rate)
    rng = np.random.default_rng(10_000 + seed)
    for step in range(STEPS):
        if step % BLOCK == 0:
            block = TASK.batch(rng, 32 * BLOCK)
        batch = block.rows(slice(32 * (step % BLOCK), 32 * (step % BLOCK + 1)))
        counts = torch.from_numpy(batch.counts)
        optimiser.zero_grad()
        output = model["head"](model["core"](torch.from_numpy(batch.x))[0][counts])
        loss = torch.nn.functional.mse_loss(output, torch.from_numpy(batch.target)[counts])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    start.load_state_dict(model.state_dict())
    test = TASK.batch(np.random.default_rng(20_000 + seed), 32)
    return judge_model(TASK, start, test)


def measure(threads: int) -> dict[str, Any]:
    """Seconds of each way, by turns, and how far the losses are apart."""
    torch.set_num_threads(threads)
    ways = {"together": together, "one by one": one_by_one, "torch.nn.LSTM": pytorch}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    losses = {}
    for k in range(ROUNDS + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            losses[name] = way()
            if k:
                seconds[name].append(time.perf_counter() - start)
    base = np.array(losses["torch.nn.LSTM"])
    apart = {n: float(np.max(np.abs(np.array(v) / base - 1))) for n, v in losses.items()}
    ratios = {
        name: [a / b for a, b in zip(seconds["torch.nn.LSTM"], own, strict=True)]
        for name, own in seconds.items()
    }
    return {
        "threads": threads,
        "seconds": {n: [round(s, 3) for s in v] for n, v in seconds.items()},
        "torch.nn.LSTM / ours": {n: round(statistics.median(v), 2) for n, v in ratios.items()},
        "largest relative difference of the losses": apart,
    }


def main() -> None:
    """Measure on one and on two threads."""
    found = {
        "machine": describe(),
        "shape": "30 seeds, H 32, B 32, T 100, 48 steps of Adam",
        "runs": [measure(threads) for threads in (1, 2)],
    }
    print(json.dumps(found["runs"], indent=1))
    name = f"together-{found['machine']['isa']}.json"
    path = ROOT / "benchmarks" / "results" / name
    path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
