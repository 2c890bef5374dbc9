"""Recurrent networks with a linear read-out, one alone or many with a first axis over them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn

from gatewise.cell import Cell
from gatewise.nn import LSTM, LSTMGroup
from gatewise.nn.init import chrono_

Kind = Literal["lstm", "gru", "rnn"]


@dataclass(frozen=True)
class Design:
    """Which network.

    Attributes:
        network: "lstm", or a control: PyTorch's "gru" or tanh "rnn".
        cell: which LSTM.
        hidden_size, num_layers: of it.
        forget_bias: a number, "chrono" (Tallec & Ollivier 2018: b_f = log U(1, T - 1), b_i = -b_f),
            or "uniform": forget gates spread over U(0, 1), so b_f is the logit of that (Gu et al.
            2020, without the coupled input gate). None leaves PyTorch's.
        longest: T of "chrono".
        linear_head: read out by a linear layer; else the first hidden units are the output.
    """

    network: Kind = "lstm"
    cell: Cell = Cell()
    hidden_size: int = 16
    num_layers: int = 1
    forget_bias: float | Literal["chrono", "uniform"] | None = 1.0
    longest: int = 100
    linear_head: bool = True


class Model(nn.Module):
    """A recurrent network with a read-out at every step.

    Args:
        inputs, outputs: numbers per step.
        design: which network.
    """

    def __init__(self, inputs: int, outputs: int, design: Design) -> None:
        super().__init__()
        sizes = inputs, design.hidden_size, design.num_layers
        self.core: nn.Module
        if design.network == "lstm":
            self.core = LSTM(*sizes, cell=design.cell)
            set_forget_bias(self.core, design)
        else:
            self.core = (nn.GRU if design.network == "gru" else nn.RNN)(*sizes)
        self.head = nn.Linear(design.hidden_size, outputs)
        self.linear_head = design.linear_head

    def forward(self, x: Tensor) -> Tensor:
        """[T, B, I] to outputs [T, B, O]."""
        h = self.core(x)[0]
        return self.head(h) if self.linear_head else h[..., : self.head.out_features]


def set_forget_bias(lstm: LSTM, design: Design) -> None:
    """Set the forget gates' bias of every layer: the sum of both of PyTorch's."""
    H, kind = design.hidden_size, design.forget_bias
    if kind is None:
        return
    if kind == "chrono":
        chrono_(lstm, T_max=design.longest)
        return
    with torch.no_grad():
        for layer in range(design.num_layers):
            own, other = (
                getattr(lstm, f"bias_{side}_l{layer}")[H : 2 * H] for side in ("ih", "hh")
            )
            other.zero_()
            own.copy_(torch.logit(torch.rand(H), 0.01)) if kind == "uniform" else own.fill_(kind)


class Networks(nn.Module):
    """G models of one design, each with weights and sequences of its own.

    Its parameters have the names of a model's, with a first axis over the models.

    Args:
        models: copied.
    """

    def __init__(self, models: Sequence[Model]) -> None:
        super().__init__()
        first = models[0]
        self._like = (copy.deepcopy(first),)  # no submodule
        cores = [m.core for m in models]
        lstms = [core for core in cores if isinstance(core, LSTM)]
        self.core: nn.Module = LSTMGroup(lstms) if lstms else _Controls(cores)
        self.head = _Heads([m.head for m in models])

    def __len__(self) -> int:
        """G."""
        return len(self.head.weight)

    def states(self, x: Tensor) -> Tensor:
        """[G, T, B, I] to hidden states [G, T, B, H]."""
        return self.core(x)

    def read_out(self, h: Tensor) -> Tensor:
        """[G, n, H] to outputs [G, n, O]."""
        return self.head(h) if self._like[0].linear_head else h[..., : self.head.weight.shape[1]]

    def model(self, g: int) -> Model:
        """Return a copy of one of them."""
        made = copy.deepcopy(self._like[0])
        made.load_state_dict({name: p.detach()[g] for name, p in self.named_parameters()})
        return made


class _Heads(nn.Module):
    """G linear layers."""

    def __init__(self, heads: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([h.weight.detach() for h in heads]))
        self.bias = nn.Parameter(torch.stack([h.bias.detach() for h in heads]))

    def forward(self, h: Tensor) -> Tensor:
        """[G, n, H] to [G, n, O]."""
        return torch.baddbmm(self.bias[:, None], h, self.weight.mT)


_RUNS: Final[dict[type, Any]] = {nn.GRU: torch.gru, nn.RNN: torch.rnn_tanh}


class _Controls(nn.Module):
    """G of PyTorch's GRUs or tanh RNNs, one after the other."""

    def __init__(self, cores: Sequence[nn.Module]) -> None:
        super().__init__()
        first: Any = cores[0]
        self._run, self._layers, self._hidden = _RUNS[type(first)], first.num_layers, (
            first.hidden_size
        )  # fmt: skip
        for name, _ in first.named_parameters():
            stacked = torch.stack([getattr(core, name).detach() for core in cores])
            self.register_parameter(name, nn.Parameter(stacked))

    def forward(self, x: Tensor) -> Tensor:
        """[G, T, B, I] to [G, T, B, H]."""
        G, _, B, _ = x.shape
        zeros = x.new_zeros(self._layers, B, self._hidden)
        parameters = [p.unbind() for p in self.parameters()]
        ran = [
            self._run(x[g], zeros, [p[g] for p in parameters], True, self._layers, 0.0,
                      self.training, False, False)[0]
            for g in range(G)
        ]  # fmt: skip
        return torch.stack(ran)
