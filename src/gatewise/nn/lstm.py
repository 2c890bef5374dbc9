"""`LSTM`: a `torch.nn.LSTM` whose layers run on the native core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from gatewise._native import Precision, check_precision
from gatewise.cell import Cell
from gatewise.errors import ConfigError, ShapeError
from gatewise.nn import composite, masks, paths, ragged, whole
from gatewise.nn.composite import LayerWeights
from gatewise.nn.init import torch_default_
from gatewise.nn.variants import checked_cell, register_parameters, warn_of_a_detour
from gatewise.weights import INITIAL_STATE_NAMES, PARAMETER_NAMES, parameter_suffix

State = tuple[Tensor, Tensor]


class LSTM(torch.nn.LSTM):
    """A drop-in `torch.nn.LSTM` on the native core: same parameters, names, results and errors.

    Float32 and float64 on the CPU run natively: every cell of built-in activations, projections,
    regularisers, packed sequences. Other devices and dtypes run through PyTorch's own LSTM, where
    it is the same one. All else (double backward, `torch.func` transforms, Python functions as
    activations, other cells on other devices) runs step by step as a composite of PyTorch
    operations, with the same numbers.

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
            all. Used where the core runs, on padded batches without layer norm, projection and
            regularisers.
        precision: "full" (default), or "bfloat16": weights, inputs and hidden states are rounded
            to bfloat16 where they meet (sums, gates and cell states stay float32; `native_info`
            tells whether the products are the processor's own or emulated), which halves
            the bytes of the weights and so the time of small batches of wide layers; outputs
            differ from float32 by about 0.01. Gradients are those of the rounded network, rounding
            taken for the identity. For float32 where the core runs, and an LSTM without layer norm,
            projection and regularisers; else full.
        recurrent_dropout: in training, zero each entry of h_{t-1} where it meets W_hh with this
            probability and scale the others by 1/(1-p), the same entries at all steps (Gal &
            Ghahramani 2016). Default 0.
        zoneout: rate, or pair (z_h, z_c), at which entries of h and c stay as they were, drawn
            anew for each step in training; in evaluation their expectation (Krueger et al. 2017).
            Default 0.
        weight_dropout: in training, zero each entry of W_hh with this probability and scale the
            others by 1/(1-p), once per call (DropConnect; Merity et al. 2018). Default 0.
        learn_initial_state: start from the parameters ``h_0`` [L*D, 1, P] and ``c_0`` [L*D, 1, H],
            zero at first, where no state is given. Default False.

    `gatewise.nn.masks` documents what the three regularisers draw and in which order.

    Raises:
        ConfigError: `cell` is not a `Cell`, `checkpoint_every` is negative, `precision` is
            another, or a rate is not in [0, 1); and whatever `torch.nn.LSTM` raises.

    >>> _ = torch.manual_seed(0)
    >>> lstm = LSTM(8, 16, num_layers=2)
    >>> y, (h, c) = lstm(torch.randn(5, 3, 8))
    >>> y.shape, h.shape, c.shape
    (torch.Size([5, 3, 16]), torch.Size([2, 3, 16]), torch.Size([2, 3, 16]))
    """

    cell: Cell
    checkpoint_every: int = 0
    precision: Precision = "full"
    recurrent_dropout: float = 0.0
    weight_dropout: float = 0.0
    learn_initial_state: bool = False
    _zoneout: tuple[float, float] = (0.0, 0.0)

    def __init__(
        self,
        *args: Any,
        cell: Cell = Cell(),
        checkpoint_every: int = 0,
        precision: Precision = "full",
        recurrent_dropout: float = 0.0,
        zoneout: float | tuple[float, float] = 0.0,
        weight_dropout: float = 0.0,
        learn_initial_state: bool = False,
        **kwargs: Any,
    ) -> None:
        checked_cell(cell)
        if type(checkpoint_every) is not int or checkpoint_every < 0:
            raise ConfigError(
                f"checkpoint_every is {checkpoint_every!r}: expected 0 (keep all) or a number of "
                "steps."
            )
        check_precision(precision)
        rates = (
            masks.checked_rate(recurrent_dropout, "recurrent_dropout"),
            masks.checked_zoneout(zoneout),
            masks.checked_rate(weight_dropout, "weight_dropout"),
        )
        if not isinstance(learn_initial_state, bool):
            raise ConfigError(
                f"learn_initial_state is {learn_initial_state!r}: expected True or False."
            )
        super().__init__(*args, **kwargs)
        self.cell = cell
        self.checkpoint_every = checkpoint_every
        self.precision = precision
        self.recurrent_dropout, self.zoneout, self.weight_dropout = rates
        self.learn_initial_state = learn_initial_state
        like = cast(Tensor, self.weight_ih_l0)
        suffixes = [parameter_suffix(layer, d) for layer in range(self.num_layers)
                    for d in range(self.directions)]  # fmt: skip
        if register_parameters(self, cell, suffixes, like):
            self.reset_parameters()
        if learn_initial_state:
            for name, state in zip(INITIAL_STATE_NAMES, self._zeros(1, like), strict=True):
                self.register_parameter(name, Parameter(state))

    def forward(  # type: ignore[override]
        self,
        input: Tensor | PackedSequence,
        hx: State | None = None,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> tuple[Tensor | PackedSequence, State]:
        """Run the sequence; see `torch.nn.LSTM`.

        Args:
            input: [T, B, I], or [B, T, I] if `batch_first`, or [T, I], or a `PackedSequence`.
            hx: (h0 [L*D, B, P], c0 [L*D, B, H]), default zeros or the learnt states; without B for
                unbatched input.
            lengths: [B] integers from 1 to T, in any order: the valid steps of each row of a padded
                batch. The output is zero beyond them, the states are those after each row's last
                valid step, and the reverse direction starts there. Default: all T.

        Returns:
            output [T, B, D*P] (laid out like the input), (h_n, c_n).

        Raises:
            ShapeError, ConfigError: `lengths` does not fit the input; else what PyTorch raises.
        """
        if lengths is not None:
            return ragged.forward(self, input, hx, lengths)
        if hx is None and self.learn_initial_state:
            hx = self._learnt_state(input)
        parameters = whole.parameters_of(self)
        given = parameters if self.bias else [p for p in parameters if p is not None]
        x = input.data if isinstance(input, PackedSequence) else input
        tensors = [x, *given, *(() if hx is None else hx)]
        plain = self.cell.is_default and not self.is_regularised
        supported = self._is_supported(input, hx)
        path = paths.choose(None if plain else self.cell, tensors, supported)
        if path == "torch":
            return cast(Any, super().forward(input, hx))
        if path == "composite":
            paths.check_dtypes(tensors)
        if isinstance(input, PackedSequence):
            if path == "native":
                return whole.run_packed(self, input, hx, parameters)
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
        whole.freeze(self, frozen)

    def reset_parameters(self) -> None:
        """Initialise as `torch.nn.LSTM` does; see `gatewise.nn.init.torch_default_`."""
        torch_default_(self)

    def extra_repr(self) -> str:
        """Show the cell where it is not PyTorch's, and the regularisers in use."""
        shown = [super().extra_repr()]
        if not self.cell.is_default:
            shown.append(f"cell={self.cell}")
        names = ("recurrent_dropout", "zoneout", "weight_dropout", "learn_initial_state")
        changed = (name for name in names if getattr(self, name) not in (0, (0, 0)))
        shown += [f"{name}={getattr(self, name)}" for name in changed]
        return ", ".join(shown)

    def layer_weights(self, layer: int, direction: int) -> LayerWeights:
        """Return the parameters of one layer and direction (0 forward, 1 reverse)."""
        suffix = parameter_suffix(layer, direction)
        found = {k: getattr(self, v + suffix, None) for k, v in PARAMETER_NAMES.items()}
        return LayerWeights(**cast(dict[str, Tensor], found))

    @property
    def zoneout(self) -> tuple[float, float]:
        """Rates (z_h, z_c) of zoneout. Set it to one for both, or to a pair."""
        return self._zoneout

    @zoneout.setter
    def zoneout(self, rates: float | tuple[float, float]) -> None:
        self._zoneout = masks.checked_zoneout(rates)

    @property
    def directions(self) -> int:
        """Number of directions D."""
        return 2 if self.bidirectional else 1

    def __setstate__(self, d: dict[str, Any]) -> None:
        d.setdefault("cell", Cell())
        super().__setstate__(d)

    @property
    def has_regularisers(self) -> bool:
        """Whether any rate is not 0."""
        return bool(self.recurrent_dropout or self.weight_dropout or any(self.zoneout))

    @property
    def is_regularised(self) -> bool:
        """Whether this call multiplies by masks or rates: outside training only zoneout's."""
        return self.has_regularisers and (self.training or any(self.zoneout))

    def _is_supported(self, input: Tensor | PackedSequence, hx: State | None) -> bool:
        """Whether the core does this call; if not, PyTorch does it, or says what is wrong."""
        if not isinstance(input, PackedSequence):
            return self._is_regular(input, hx) and input.numel() > 0
        if torch.compiler.is_compiling():
            return False  # how many rows there are, stands in a tensor
        data = input.data
        if data.dim() != 2 or data.shape[1] != self.input_size or not data.numel():
            return False
        if not ragged.is_well_packed(input):
            return False
        return hx is None or self._are_states(hx, (int(input.batch_sizes[0]),))

    def _is_regular(self, input: Tensor, hx: State | None) -> bool:
        """Whether input and state have the shapes that PyTorch takes."""
        if not isinstance(input, Tensor) or input.is_nested or input.dim() not in (2, 3):
            return False
        time = 1 if self.batch_first and input.dim() == 3 else 0
        if input.shape[-1] != self.input_size or input.shape[time] == 0:
            return False
        return self._are_states(hx, () if input.dim() == 2 else (input.shape[1 - time],))

    def _are_states(self, hx: State | None, batch: tuple[int, ...]) -> bool:
        """Whether the states, if given, are those of such a batch."""
        if hx is None:
            return True
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
            y, h_n, c_n = self._run_composite(x, *(hx or self._zeros(x.shape[1], x)))
        else:
            y, h_n, c_n = whole.run(self, x, hx, parameters, transposed)
        if transposed:
            y = y.transpose(0, 1)
        if not batched:
            return y.squeeze(1), (h_n.squeeze(1), c_n.squeeze(1))
        return y, (h_n, c_n)

    def _forward_packed(
        self, input: PackedSequence, hx: State | None
    ) -> tuple[PackedSequence, State]:
        """The composite path for ragged batches: padded, with steps beyond the end masked.

        Rows stand in the caller's order here, that of the states and of the masks.
        """
        if not torch.compiler.is_compiling() and not ragged.is_well_packed(input):
            raise ShapeError(
                f"input has {len(input.data)} rows and batch_sizes "
                f"{input.batch_sizes.tolist()[:8]}: expected numbers from 1 on that never "
                "rise and add up to the rows. Pack it with torch.nn.utils.rnn.pack_sequence."
            )
        x, lengths = pad_packed_sequence(input)
        h0, c0 = hx or self._zeros(x.shape[1], x)
        self.check_forward_args(input.data, (h0, c0), input.batch_sizes)
        y, h_n, c_n = self._run_composite(x, h0, c0, lengths.to(x.device))
        return ragged.packed_like(input, y, lengths), (h_n, c_n)

    def _learnt_state(self, input: Tensor | PackedSequence) -> State | None:
        """Return the learnable states for each row; None if PyTorch refuses the input."""
        h, c = (cast(Tensor, getattr(self, name)) for name in INITIAL_STATE_NAMES)
        if isinstance(input, PackedSequence):
            B = int(input.batch_sizes[0])
        elif not self._is_regular(input, None):
            return None
        elif input.dim() == 2:
            return h.squeeze(1), c.squeeze(1)
        else:
            B = input.shape[0 if self.batch_first else 1]
        return h.expand(-1, B, -1), c.expand(-1, B, -1)

    def _zeros(self, B: int, like: Tensor) -> State:
        states, H = self.num_layers * self.directions, self.hidden_size
        return like.new_zeros(states, B, self.proj_size or H), like.new_zeros(states, B, H)

    def _run_composite(
        self, x: Tensor, h0: Tensor, c0: Tensor, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run all layers as PyTorch operations; x is [T, B, I]."""
        T, B, _ = x.shape
        if not self.cell.has_callables:  # of those was warned before
            warn_of_a_detour(x, ragged=lengths is not None)
        weights = [self.layer_weights(layer, d) for layer in range(self.num_layers)
                   for d in range(self.directions)]  # fmt: skip
        return composite.run_layers(
            x, h0, c0, weights, self.cell, self.num_layers, lengths, masks.draw(self, T, B),
            self.dropout if self.training else 0.0,
        )  # fmt: skip
