"""`LSTM`: a `torch.nn.LSTM` whose layers run on the native core."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import Parameter, functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gatewise._native import Precision, check_precision
from gatewise.cell import Cell
from gatewise.errors import ConfigError, ShapeError
from gatewise.nn import composite, native, paths
from gatewise.nn.composite import LayerWeights
from gatewise.nn.engine import Engine
from gatewise.nn.native import Options
from gatewise.weights import PARAMETER_NAMES, parameter_suffix

State = tuple[Tensor, Tensor]


class LSTM(torch.nn.LSTM):
    """A drop-in `torch.nn.LSTM` on the native core: same parameters, names, results and errors.

    Float32 and float64 on the CPU run natively. Everything else that PyTorch can do (packed
    sequences, projections, other devices and dtypes, `torch.compile`) runs through PyTorch; cells
    other than the default, double backward and `torch.func` transforms run as a composite of
    PyTorch operations, with the same numbers.

    Args:
        input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size,
            device, dtype: as in `torch.nn.LSTM`, with its defaults.
        cell: which LSTM; default `Cell()`, PyTorch's. A cell with peepholes has the parameters
            ``weight_peephole_l{k}`` [3, H] (to i, f, o), one with layer norm has ``norm_ih_l{k}``,
            ``norm_hh_l{k}`` [2, 4H] and ``norm_c_l{k}`` [2, H] (gain and shift).
        checkpoint_every: in training, keep for backward only every k-th cell state and compute
            the gates between again: T*B*H/k numbers per layer and direction instead of 5*T*B*H
            (beside the outputs of the layers below the last), and room for k steps while backward
            runs, for about a third more time. The gradients have the same bits. Default 0: keep
            all. Used where the core runs.
        precision: "full" (default), or "bfloat16": weights, inputs and hidden states are rounded
            to bfloat16 where they meet (sums, gates and cell states stay float32; `native_info`
            tells whether the products are the processor's own or emulated), which halves
            the bytes of the weights and so the time of small batches of wide layers; outputs
            differ from float32 by about 0.01. Gradients are those of the rounded network, rounding
            taken for the identity. For float32 where the core runs; else full.

    Raises:
        ConfigError: `cell` is not a `Cell`, `checkpoint_every` is negative, or `precision` is
            another; and whatever `torch.nn.LSTM` raises.

    >>> _ = torch.manual_seed(0)
    >>> lstm = LSTM(8, 16, num_layers=2)
    >>> y, (h, c) = lstm(torch.randn(5, 3, 8))
    >>> y.shape, h.shape, c.shape
    (torch.Size([5, 3, 16]), torch.Size([2, 3, 16]), torch.Size([2, 3, 16]))
    """

    cell: Cell
    checkpoint_every: int = 0
    precision: Precision = "full"

    def __init__(
        self,
        *args: Any,
        cell: Cell = Cell(),
        checkpoint_every: int = 0,
        precision: Precision = "full",
        **kwargs: Any,
    ) -> None:
        if not isinstance(cell, Cell):
            raise ConfigError(
                f"cell is a {type(cell).__name__}: expected gatewise.Cell. Pass cell=Cell(...)."
            )
        if type(checkpoint_every) is not int or checkpoint_every < 0:
            raise ConfigError(
                f"checkpoint_every is {checkpoint_every!r}: expected 0 (keep all) or a number of "
                "steps."
            )
        check_precision(precision)
        super().__init__(*args, **kwargs)
        self.cell = cell
        self.checkpoint_every = checkpoint_every
        self.precision = precision
        self._register_variant_parameters()

    def forward(  # type: ignore[override]
        self, input: Tensor | PackedSequence, hx: State | None = None
    ) -> tuple[Tensor | PackedSequence, State]:
        """Run the sequence; see `torch.nn.LSTM`.

        Args:
            input: [T, B, I], or [B, T, I] if `batch_first`, or [T, I], or a `PackedSequence`.
            hx: (h0 [L*D, B, P], c0 [L*D, B, H]), default zeros; without B for unbatched input.

        Returns:
            output [T, B, D*P] (laid out like the input), (h_n, c_n).
        """
        parameters = self._parameters_now()
        tensors = parameters if isinstance(input, PackedSequence) else [input, *parameters]
        if hx is not None:
            tensors = [*tensors, *hx]
        path = paths.choose(self.cell, tensors, self._is_supported(input, hx))
        if path == "torch":
            return cast(Any, super().forward(input, hx))
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if not self._is_regular(input, hx):
            super().forward(input, hx)  # raises: its messages are the ones that people know
            raise ShapeError(f"input has shape {tuple(input.shape)}, which this LSTM cannot take.")
        return self._forward_padded(input, hx, parameters if path == "native" else None)

    def freeze_weights(self, frozen: bool = True) -> None:
        """Promise that the weights change only in ways that PyTorch counts.

        The core keeps packed weights from call to call. To never use stale ones, it reads the
        parameters' bits at each call: a few per cent of a sequence's time, but about as much again
        as a single step. Frozen, it asks PyTorch's version counters instead, which see optimisers,
        in-place operations and `load_state_dict`, but not writes through ``.data`` or NumPy views.

        >>> lstm = LSTM(8, 16).eval()
        >>> lstm.freeze_weights()
        """
        self._frozen = frozen
        for engine in self._engines.values():
            engine.frozen = frozen

    def reset_parameters(self) -> None:
        """Initialise as `torch.nn.LSTM` does; layer norms start as the identity."""
        super().reset_parameters()
        for name, parameter in self.named_parameters(recurse=False):
            if name.startswith("norm_"):
                with torch.no_grad():
                    parameter[0].fill_(1)
                    parameter[1].fill_(0)

    def extra_repr(self) -> str:
        """Show the cell where it is not PyTorch's."""
        shown = super().extra_repr()
        return shown if self.cell.is_default else f"{shown}, cell={self.cell}"

    def layer_weights(self, layer: int, direction: int) -> LayerWeights:
        """Return the parameters of one layer and direction (0 forward, 1 reverse)."""
        suffix = parameter_suffix(layer, direction)
        found = {k: getattr(self, v + suffix, None) for k, v in PARAMETER_NAMES.items()}
        return LayerWeights(**cast(dict[str, Tensor], found))

    @property
    def directions(self) -> int:
        """Number of directions D."""
        return 2 if self.bidirectional else 1

    def __setstate__(self, d: dict[str, Any]) -> None:
        d.setdefault("cell", Cell())
        super().__setstate__(d)

    @property
    def _engines(self) -> dict[tuple[int, int], Engine]:
        return self.__dict__.setdefault("_engines_by_layers", {})

    @property
    def _frozen(self) -> bool:
        return self.__dict__.get("_weights_frozen", False)

    @_frozen.setter
    def _frozen(self, frozen: bool) -> None:
        self.__dict__["_weights_frozen"] = frozen

    def _register_variant_parameters(self) -> None:
        H, rows = self.hidden_size, 4 * self.hidden_size
        shapes: dict[str, tuple[int, int]] = {}
        if self.cell.peephole:
            shapes["weight_peephole"] = (3, H)
        if self.cell.layer_norm:
            shapes |= {"norm_ih": (2, rows), "norm_hh": (2, rows), "norm_c": (2, H)}
        like = cast(Tensor, self.weight_ih_l0)
        for layer in range(self.num_layers):
            for suffix in ("", "_reverse")[: self.directions]:
                for name, shape in shapes.items():
                    value = torch.empty(shape, device=like.device, dtype=like.dtype)
                    self.register_parameter(f"{name}_l{layer}{suffix}", Parameter(value))
        if shapes:
            self.reset_parameters()

    def _is_supported(self, input: Tensor | PackedSequence, hx: State | None) -> bool:
        """Whether the core does this call; if not, PyTorch does it, or says what is wrong."""
        if isinstance(input, PackedSequence) or self.proj_size:
            return False
        return self._is_regular(input, hx) and input.numel() > 0

    def _is_regular(self, input: Tensor, hx: State | None) -> bool:
        """Whether input and state have the shapes that PyTorch takes."""
        if not isinstance(input, Tensor) or input.is_nested or input.dim() not in (2, 3):
            return False
        time = 1 if self.batch_first and input.dim() == 3 else 0
        if input.shape[-1] != self.input_size or input.shape[time] == 0:
            return False
        if hx is None:
            return True
        batch = () if input.dim() == 2 else (input.shape[1 - time],)
        states = self.num_layers * self.directions
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)
        return len(hx) == 2 and all(
            isinstance(s, Tensor) and s.shape == (states, *batch, size)
            for s, size in zip(hx, sizes, strict=True)
        )

    def _forward_padded(
        self, input: Tensor, hx: State | None, parameters: list[Any] | None
    ) -> tuple[Tensor, State]:
        """On the native path with these parameters, or without on the composite one."""
        batched = input.dim() == 3
        x = input if batched else input.unsqueeze(1)
        transposed = batched and self.batch_first
        if transposed:
            x = x.transpose(0, 1)
        if hx is not None and not batched:
            hx = (hx[0].unsqueeze(1), hx[1].unsqueeze(1))
        if parameters is None:
            y, h_n, c_n = self._run_composite(x, *self._initial_state(x, hx))
        else:
            y, h_n, c_n = self._run_native(x, hx, parameters, transposed)
        if transposed:
            y = y.transpose(0, 1)
        if not batched:
            return y.squeeze(1), (h_n.squeeze(1), c_n.squeeze(1))
        return y, (h_n, c_n)

    def _run_native(
        self, x: Tensor, hx: State | None, parameters: list[Any], batch_first: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        h0, c0 = hx or (None, None)
        if not self.bias:
            parameters = [p for k in range(0, len(parameters), 2)
                          for p in (*parameters[k : k + 2], None, None)]  # fmt: skip
        L, D = self.num_layers, self.directions
        options = Options(batch_first, self.checkpoint_every)
        if not (self.dropout and self.training and L > 1):
            return native.run(self._engine(0, L), x, h0, c0, parameters, options)
        # PyTorch draws the dropout between layers, so each is a call of its own.
        h_n, c_n, per_layer = [], [], len(parameters) // L
        for layer in range(L):
            states = slice(layer * D, (layer + 1) * D)
            x, h, c = native.run(
                self._engine(layer, layer + 1),
                functional.dropout(x, self.dropout) if layer else x,
                None if h0 is None else h0[states],
                None if c0 is None else c0[states],
                parameters[layer * per_layer : (layer + 1) * per_layer],
                options if layer == L - 1 else Options(False, self.checkpoint_every),
            )
            h_n.append(h)
            c_n.append(c)
        return x, torch.cat(h_n), torch.cat(c_n)

    def _engine(self, first: int, end: int) -> Engine:
        """Return the packed weights of some layers."""
        engine = self._engines.get((first, end))
        if engine is None:
            D, H = self.directions, self.hidden_size
            I, bfloat16 = D * H if first else self.input_size, self.precision == "bfloat16"
            engine = Engine(end - first, D, I, H, bfloat16)
            engine.frozen = self._frozen
            engine = self._engines.setdefault((first, end), engine)
        return engine

    def _parameters_now(self) -> list[Any]:
        """Return the parameters as they are at this moment, parametrised or swapped ones too."""
        registered = self._parameters
        return [
            registered[name] if name in registered else getattr(self, name)
            for name in self._flat_weights_names
        ]

    def _forward_packed(
        self, input: PackedSequence, hx: State | None
    ) -> tuple[PackedSequence, State]:
        """The composite path for ragged batches: padded, with steps beyond the end masked."""
        sequence = input._replace(sorted_indices=None, unsorted_indices=None)
        x, lengths = pad_packed_sequence(sequence)
        h0, c0 = self._initial_state(x, hx and self.permute_hidden(hx, input.sorted_indices))
        self.check_forward_args(input.data, (h0, c0), input.batch_sizes)
        y, h_n, c_n = self._run_composite(x, h0, c0, lengths.to(x.device))
        packed = pack_padded_sequence(y, lengths)._replace(
            sorted_indices=input.sorted_indices, unsorted_indices=input.unsorted_indices
        )
        return packed, self.permute_hidden((h_n, c_n), input.unsorted_indices)

    def _initial_state(self, x: Tensor, hx: State | None) -> State:
        if hx is not None:
            return hx
        B, states = x.shape[1], self.num_layers * self.directions
        h0 = x.new_zeros(states, B, self.proj_size or self.hidden_size)
        return h0, x.new_zeros(states, B, self.hidden_size)

    def _run_composite(
        self, x: Tensor, h0: Tensor, c0: Tensor, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        D = self.directions
        h_n, c_n = [], []
        for layer in range(self.num_layers):
            if layer and self.dropout and self.training:
                x = functional.dropout(x, self.dropout)
            outputs = []
            for d in range(D):
                k, w = layer * D + d, self.layer_weights(layer, d)
                y, h, c = composite.run(x, h0[k], c0[k], w, self.cell, d == 1, lengths)
                outputs.append(y)
                h_n.append(h)
                c_n.append(c)
            x = torch.cat(outputs, dim=2) if D == 2 else outputs[0]
        return x, torch.stack(h_n), torch.stack(c_n)
