"""`LSTMCell`: a `torch.nn.LSTMCell` for any cell."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.fx import Proxy

from gatewise.cell import Cell
from gatewise.nn import composite, tools
from gatewise.nn.composite import LayerWeights
from gatewise.nn.init import torch_default_
from gatewise.nn.variants import checked_cell, register_parameters
from gatewise.weights import PARAMETER_NAMES


class LSTMCell(torch.nn.LSTMCell):
    """A drop-in `torch.nn.LSTMCell` that takes any `Cell`.

    The default cell runs through PyTorch's own kernel: to look at the weights costs a single step
    what the core would gain. Give `LSTM` whole sequences, or stream through `gatewise.runtime`.

    Args:
        input_size, hidden_size, bias, device, dtype: as in `torch.nn.LSTMCell`.
        cell: which LSTM; default `Cell()`. Variants add ``weight_peephole`` [3, H] and ``norm_ih``,
            ``norm_hh`` [2, 4H], ``norm_c`` [2, H].

    >>> h, c = LSTMCell(4, 3, cell=Cell(candidate="identity"))(torch.zeros(2, 4))
    >>> h.shape, c.shape
    (torch.Size([2, 3]), torch.Size([2, 3]))
    """

    cell: Cell = Cell()

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        cell: Cell = Cell(),
    ) -> None:
        checked_cell(cell)
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.cell = cell
        if register_parameters(self, cell, [""], like=self.weight_ih):
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialise as `torch.nn.LSTMCell` does; layer norms start as the identity."""
        torch_default_(self)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Advance one step.

        Args:
            input: [B, I] or [I].
            hx: (h [B, H], c [B, H]), default zeros.

        Returns:
            h, c after the step.
        """
        if isinstance(input, Proxy):
            return tools.leaf_call(self, input, hx)
        if self.cell.is_default or input.dim() not in (1, 2):
            return super().forward(input, hx)
        x = input if input.dim() == 2 else input.unsqueeze(0)
        if hx is None:
            zeros = x.new_zeros(x.shape[0], self.hidden_size)
            h, c = zeros, zeros
        else:
            h, c = (s if input.dim() == 2 else s.unsqueeze(0) for s in hx)
        if not self._fit(x, h, c):
            return super().forward(input, hx)  # raises, in words that people know
        h, c = composite.step(x, h, c, self._weights(), self.cell)
        return (h, c) if input.dim() == 2 else (h.squeeze(0), c.squeeze(0))

    def _fit(self, x: Tensor, h: Tensor, c: Tensor) -> bool:
        B, H = x.shape[0], self.hidden_size
        return x.shape[1] == self.input_size and h.shape == c.shape == (B, H)

    def extra_repr(self) -> str:
        """Show the cell where it is not PyTorch's."""
        shown = super().extra_repr()
        return shown if self.cell.is_default else f"{shown}, cell={self.cell}"

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "qconfig":
            tools.meet_quantiser(self, torch.nn.LSTMCell, value)

    def __prepare_scriptable__(self) -> torch.nn.Module:
        return tools.scriptable(self, torch.nn.LSTMCell)

    def _weights(self) -> LayerWeights:
        found = {k: getattr(self, name, None) for k, name in PARAMETER_NAMES.items()}
        return LayerWeights(**cast(dict[str, Tensor], found))
