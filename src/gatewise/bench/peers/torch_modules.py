"""Peers that are PyTorch modules: ours, `torch.nn.LSTM` in two ways, and a loop over LSTMCell."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import gatewise.nn
from gatewise.bench.peers.interface import Prepared, UnavailableError
from gatewise.bench.problem import OPTIMISER_STEPS, Array, Problem

State = tuple[Tensor, Tensor]

LARGEST_LOOP: Final = 2e8
"""The loop over LSTMCell is for small problems; it runs those of fewer operations than this."""


def load(name: str, threads: int) -> TorchPeer:
    """Load one of the peers.

    Raises:
        UnavailableError: this release of ours has no bfloat16.
    """
    torch.set_num_threads(threads)
    installed = f"torch {torch.__version__}"
    ours = f"gatewise {version('gatewise')}, {installed}"
    match name:
        case "gatewise":
            return TorchPeer(gatewise.nn.LSTM, ours, any_cell=True)
        case "gatewise-bfloat16":
            if "precision" not in inspect.signature(gatewise.nn.LSTM).parameters:
                raise UnavailableError("gatewise.nn.LSTM takes no precision")
            return TorchPeer(partial(gatewise.nn.LSTM, precision="bfloat16"), ours, 0.05)
        case "torch-no-mkldnn":
            torch.backends.mkldnn.set_flags(False)
            return TorchPeer(torch.nn.LSTM, installed)
        case "torch-lstmcell":
            return TorchPeer(CellLoop, installed)
        case _:
            return TorchPeer(torch.nn.LSTM, installed)


class TorchPeer:
    """Runs a module that has the constructor and call of `torch.nn.LSTM`.

    Args:
        make: the constructor.
        version, tolerance: see `Peer`.
        any_cell: whether it takes a `cell`.
    """

    def __init__(
        self,
        make: Callable[..., torch.nn.Module],
        version: str,
        tolerance: float = 1e-3,
        any_cell: bool = False,
    ) -> None:
        self._make, self._any_cell = make, any_cell
        self.version, self.tolerance = version, tolerance

    def prepare(self, problem: Problem) -> Prepared | None:
        """Build the module with the problem's weights, and run it."""
        case, mode, shape = problem.case, problem.case.mode, problem.case.shape
        if not (case.cell.is_default or self._any_cell) or (case.ragged and mode != "training"):
            return None
        if self._make is CellLoop and (
            mode not in ("inference", "streaming")
            or shape.layers * shape.directions > 1
            or shape.flops > LARGEST_LOOP
        ):
            return None
        options = {"cell": case.cell} if self._any_cell else {}
        lstm = self._make(
            shape.I, shape.H, num_layers=shape.layers, bidirectional=shape.bidirectional, **options
        )
        return prepare(lstm, problem)


def prepare(lstm: torch.nn.Module, problem: Problem) -> Prepared:
    """Make a module of a problem's sizes ready to run with its weights."""
    lstm.to(getattr(torch, problem.case.dtype))
    lstm.load_state_dict({k: torch.from_numpy(v) for k, v in problem.weights.items()})
    return _PREPARE[problem.case.mode](lstm, problem)


class CellLoop(torch.nn.Module):
    """A loop over `torch.nn.LSTMCell`, as people write it."""

    def __init__(self, I: int, H: int, *, num_layers: int, bidirectional: bool) -> None:
        assert num_layers == 1  # larger ones are not asked for
        assert not bidirectional
        super().__init__()
        self.cell = torch.nn.LSTMCell(I, H)

    def load_state_dict(self, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        """Take the parameters of an LSTM of one layer."""
        own = {name.removesuffix("_l0"): value for name, value in state_dict.items()}
        return self.cell.load_state_dict(own, *args, **kwargs)

    def forward(self, x: Tensor) -> tuple[Tensor, State]:
        """Run [T, B, I]."""
        h = c = x.new_zeros(x.shape[1], self.cell.hidden_size)
        y = []
        for row in x:
            h, c = self.cell(row, (h, c))
            y.append(h)
        return torch.stack(y), (h, c)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Run [B, I]."""
        state = self.cell(x, state)
        return state[0], state


def _inference(lstm: torch.nn.Module, problem: Problem) -> Prepared:
    call = partial(lstm.eval(), torch.from_numpy(problem.x))
    with torch.inference_mode():
        return Prepared(call, {"y": call()[0].numpy()}, torch.inference_mode)


def _training(lstm: torch.nn.Module, problem: Problem) -> Prepared:
    x, dy = _sequence(problem, problem.x), _values(_sequence(problem, problem.dy))
    leaf = _values(x).requires_grad_()

    def call() -> None:
        lstm.zero_grad()
        leaf.grad = None
        _values(lstm(x)[0]).backward(dy)

    call()
    gradients = {f"d{name}": p.grad for name, p in lstm.named_parameters()} | {"dx": leaf.grad}
    return Prepared(call, {k: g.numpy().copy() for k, g in gradients.items() if g is not None})


def _sequence(problem: Problem, values: Array) -> Tensor | PackedSequence:
    """As modules take it, packed if the case is ragged; packing is not timed."""
    padded = torch.from_numpy(values)
    if not problem.case.ragged:
        return padded
    return pack_padded_sequence(padded, torch.tensor(problem.case.lengths), enforce_sorted=False)


def _values(sequence: Tensor | PackedSequence) -> Tensor:
    return sequence.data if isinstance(sequence, PackedSequence) else sequence


def _streaming(lstm: torch.nn.Module, problem: Problem) -> Prepared:
    shape = problem.case.shape
    x = torch.from_numpy(problem.x)
    step: Callable[[Tensor, State], tuple[Tensor, State]] = lstm.eval()
    states: tuple[int, ...] = (shape.layers, shape.B, shape.H)
    if isinstance(lstm, CellLoop):
        step, states = lstm.step, states[1:]
    else:
        x = x[:, None]
    state = (torch.zeros(states), torch.zeros(states))
    first = x[0]

    def call() -> None:
        nonlocal state
        _, state = step(first, state)

    with torch.inference_mode():
        y = []
        for row in x:
            out, state = step(row, state)
            y.append(out.reshape(shape.B, shape.H).numpy())
    return Prepared(call, {"y": np.array(y)}, torch.inference_mode)


def _training_step(lstm: torch.nn.Module, problem: Problem) -> Prepared:
    head = torch.nn.Linear(problem.head.shape[1], 1)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(problem.head))
        head.bias.zero_()
    x, target = torch.from_numpy(problem.x), torch.from_numpy(problem.target)
    parameters = [*lstm.parameters(), *head.parameters()]
    optimiser = torch.optim.Adam(parameters, fused=True)

    def call() -> Tensor:
        optimiser.zero_grad()
        loss = torch.nn.functional.mse_loss(head(lstm(x)[0]), target)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        return loss

    losses = [call().item() for _ in range(OPTIMISER_STEPS)]
    return Prepared(call, {"losses": np.array(losses)})


_PREPARE: Final = {
    "inference": _inference,
    "training": _training,
    "streaming": _streaming,
    "training-step": _training_step,
}
