"""How each peer runs a shape: the same module interface, the same numbers in and out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from benchmarks.grid import Mode, Shape

PEERS: Final = ("gatewise", "torch")


def prepare(peer: str, shape: Shape, mode: Mode, threads: int) -> Callable[[], None]:
    """Return a function that runs the shape once.

    Training is forward and backward with the gradient of the input; weights are repacked by each
    peer as it does for a user. Inference is under `torch.inference_mode`, in evaluation mode.
    """
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    if peer == "gatewise":
        from gatewise.nn import LSTM
    else:
        from torch.nn import LSTM
    lstm = LSTM(shape.I, shape.H)
    x = torch.randn(shape.T, shape.B, shape.I, requires_grad=mode == "training")
    if mode == "inference":
        lstm.eval()

        def infer() -> None:
            with torch.inference_mode():
                lstm(x)

        return infer
    dy = torch.randn(shape.T, shape.B, shape.H)

    def train() -> None:
        lstm.zero_grad()
        x.grad = None
        lstm(x)[0].backward(dy)

    return train


def seconds(run: Callable[[], None], budget: float) -> list[float]:
    """Run for about so many seconds, at least once; return the time of each run."""
    times: list[float] = []
    end = time.perf_counter() + budget
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times
