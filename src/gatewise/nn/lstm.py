"""`LSTM`: a `torch.nn.LSTM` whose layers run on the native core."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.fx import Proxy
from torch.nn import Parameter
from torch.nn.utils.rnn import PackedSequence

from gatewise._native import Precision, check_precision
from gatewise.cell import Cell
from gatewise.errors import ConfigError, ShapeError
from gatewise.nn import arguments, autocast, masks, paths, ragged, stepwise, tools
from gatewise.nn.composite import LayerWeights
from gatewise.nn.core import Core
from gatewise.nn.explanation import Explanation, Path
from gatewise.nn.init import torch_default_
from gatewise.nn.noise import disturbed
from gatewise.nn.options import Options, ragged_of
from gatewise.nn.spec import Spec
from gatewise.nn.usual import usual
from gatewise.nn.variants import check_whole, checked_cell, register_parameters
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
            to bfloat16 where they meet (sums, gates and cell states stay float32), which halves the
            bytes of the weights and so the time of small batches of wide layers; outputs differ
            from float32 by about 0.01. Gradients are those of the rounded network, rounding taken
            for the identity (with ``create_graph=True`` of the full one). For float32 where the
            core runs, and an LSTM without layer norm, projection and regularisers; else full.
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

    weight_hh_l0: Tensor
    cell: Cell = Cell()
    checkpoint_every: int = 0
    precision: Precision = "full"
    recurrent_dropout: float = 0.0
    weight_dropout: float = 0.0
    learn_initial_state: bool = False
    _zoneout: tuple[float, float] = (0.0, 0.0)
    _weights_frozen: bool = False
    _core: Core | None = None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
        *,
        cell: Cell = Cell(),
        checkpoint_every: int = 0,
        precision: Precision = "full",
        recurrent_dropout: float = 0.0,
        zoneout: float | tuple[float, float] = 0.0,
        weight_dropout: float = 0.0,
        learn_initial_state: bool = False,
    ) -> None:
        checked_cell(cell)
        check_whole(checkpoint_every)
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
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            proj_size, device, dtype,
        )  # fmt: skip
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
            for name, state in zip(INITIAL_STATE_NAMES, stepwise.zeros(self, 1, like), strict=True):
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
        if lengths is None and not torch.compiler.is_compiling():
            core = self.__dict__.get("_core")
            usual = None if core is None else core.usual  # once: another thread may drop it
            if usual is not None:
                found = usual.call(self, input, hx)
                if found is not None:
                    return found
        return self._forward(input, hx, lengths)

    def _forward(
        self,
        input: Tensor | PackedSequence,
        hx: State | None,
        lengths: Tensor | Sequence[int] | None,
    ) -> tuple[Tensor | PackedSequence, State]:
        """Run any call; `forward` takes the usual ones itself."""
        if isinstance(input, Proxy):
            return tools.leaf_call(self, input, hx, lengths)
        if lengths is not None:
            return ragged.run(self._on_its_path, input, hx, lengths, self.batch_first)
        if isinstance(input, PackedSequence) and not torch.compiler.is_compiling():
            ragged.check_packed(input)
        return self._on_its_path(input, hx)

    def _on_its_path(
        self, input: Tensor | PackedSequence, hx: State | None
    ) -> tuple[Tensor | PackedSequence, State]:
        """Find out which path the call takes, and take it; of a packed batch the sizes are good."""
        core = self._core_of_now()
        if hx is None and self.learn_initial_state:
            hx = stepwise.learnt_state(self, core.spec, input)
        parameters = core.parameters_of(self)
        path, tensors, _ = self._decide(core, parameters, input, hx)
        if path == "torch":
            self._check_for_torch(core, parameters, input, hx)
            return cast(Any, super().forward(input, hx))
        if path == "composite":
            paths.check_dtypes(tensors)
        if isinstance(input, PackedSequence):
            if path == "native":
                return self._run_packed(core, input, hx, parameters)
            return stepwise.run_packed(self, input, hx)
        if path == "composite":
            if not arguments.are_regular(core.spec, self.batch_first, input, hx):
                super().forward(input, hx)  # raises: its messages are the ones that people know
                raise ShapeError(f"input has the shape {input.shape}, not that of this LSTM's.")
            run = partial(stepwise.run, self)
        else:
            run = partial(self._run, core, parameters, path == "autocast")
            if path == "native" and not torch.compiler.is_compiling():
                core.usual = usual(self, core.engine(0, self.num_layers), parameters)
        return arguments.run_time_first(run, input, hx, self.batch_first)

    def explain(
        self,
        input: Tensor | PackedSequence,
        hx: State | None = None,
        lengths: Tensor | Sequence[int] | None = None,
    ) -> Explanation:
        """Tell which path a call with these arguments takes, and why. Nothing is computed.

        >>> print(LSTM(8, 16).explain(torch.randn(5, 3, 8)))
        The native core runs this call.
        """
        if lengths is not None:
            input = ragged.packed_of_lengths(input, lengths, self.batch_first) or input
        if isinstance(input, PackedSequence):
            ragged.check_packed(input)
        core = self._core_of_now()
        if hx is None and self.learn_initial_state:
            hx = stepwise.learnt_state(self, core.spec, input)
        path, _, reason = self._decide(core, core.parameters_of(self), input, hx)
        return Explanation(path, reason)

    def freeze_weights(self, frozen: bool = True) -> None:
        """Promise that the weights change only in ways that PyTorch counts.

        The core keeps packed weights from call to call. To never use stale ones, it reads the
        parameters' bits at each call: a few per cent of a sequence's time, but about as much again
        as a single step. Frozen, it asks PyTorch's version counters instead, which see optimisers,
        in-place operations and `load_state_dict`, but not writes through ``.data`` or NumPy views.
        That takes a few microseconds, too: it pays for layers of some 100 units and more.

        >>> lstm = LSTM(8, 16).eval()
        >>> lstm.freeze_weights()
        """
        self._weights_frozen = frozen
        self.__dict__.pop("_core", None)

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

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        core = self.__dict__.get("_core")
        if core is not None:
            core.usual = None  # which holds the parameter that may have been replaced
        if name == "qconfig":
            tools.meet_quantiser(self, torch.nn.LSTM, value)

    def __prepare_scriptable__(self) -> torch.nn.Module:
        return tools.scriptable(self, torch.nn.LSTM)

    def __getstate__(self) -> dict[str, Any]:
        state = cast(dict[str, Any], super().__getstate__())
        state.pop("_core", None)  # a copy makes its own
        return state

    def __setstate__(self, d: dict[str, Any]) -> None:
        super().__setstate__({k: v for k, v in d.items() if k != "_kept_for_the_core"})

    @property
    def has_regularisers(self) -> bool:
        """Whether any rate is not 0."""
        return bool(self.recurrent_dropout or self.weight_dropout or any(self.zoneout))

    @property
    def is_regularised(self) -> bool:
        """Whether this call multiplies by masks or rates: outside training only zoneout's."""
        return self.has_regularisers and (self.training or any(self.zoneout))

    def _core_of_now(self) -> Core:
        """The core for what this module is now: sizes and cell may have changed since a call."""
        spec = Spec(
            self.num_layers, self.directions, self.input_size, self.hidden_size, self.proj_size,
            bool(self.bias), tools.rounds(self), self.cell,
        )  # fmt: skip
        if torch.compiler.is_compiling():
            return Core(spec)  # a graph needs to know what it is, no more
        core = self.__dict__.get("_core")
        if core is None or core.spec != spec:
            core = self.__dict__["_core"] = Core(spec, self._weights_frozen)
        return core

    def _decide(
        self, core: Core, parameters: list[Any], input: Tensor | PackedSequence, hx: State | None
    ) -> tuple[Path, list[Any], str | None]:
        """The path of a call, the tensors that it reads, and what keeps it from the core."""
        given = parameters if self.bias else [p for p in parameters if p is not None]
        x = input.data if isinstance(input, PackedSequence) else input
        tensors = [x, *given, *(() if hx is None else hx)]
        plain = self.cell.is_default and not self.is_regularised
        unfit = arguments.why_unfit(core.spec, self.batch_first, input, hx)
        cell = None if plain else self.cell
        path = paths.choose(cell, tensors, unfit)
        if path == "native":
            return path, tensors, None
        padded = not isinstance(input, PackedSequence)
        if path == "torch" and padded and autocast.is_for_the_core(core.spec, tensors, unfit):
            return "autocast", tensors, None
        return path, tensors, paths.obstacle(cell, tensors, unfit)

    def _check_for_torch(
        self, core: Core, parameters: list[Any], input: Tensor | PackedSequence, hx: State | None
    ) -> None:
        """Refuse what some of PyTorch's kernels take on trust: weights, packed states of any shape.

        Raises:
            ShapeError, RuntimeError: a parameter, the input or a state does not fit.
        """
        if torch.compiler.is_compiling() or paths.is_tracing():
            return
        core.spec.check_given(parameters)
        if isinstance(input, PackedSequence):
            if hx is None:
                self.check_input(input.data, input.batch_sizes)
            else:
                self.check_forward_args(input.data, hx, input.batch_sizes)

    def _run(
        self, core: Core, parameters: list[Any], under_autocast: bool, x: Tensor, hx: State | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run all layers on the core; x is [T, B, I]."""
        options = Options(self.batch_first and x.dim() == 3, self.checkpoint_every)
        if self.is_regularised:
            drawn = masks.draw(self, x.shape[0], x.shape[1])
            parameters, noise = disturbed(parameters, drawn, core.spec.names)
            options = options._replace(noise=noise, checkpoint_every=0)
        dropout = self.dropout if self.training else 0.0
        if under_autocast:
            rounded = not self.has_regularisers
            return autocast.run(core, x, hx, parameters, options, dropout, rounded)
        return core.run(x, hx, parameters, options, dropout)

    def _run_packed(
        self, core: Core, input: PackedSequence, hx: State | None, parameters: list[Any]
    ) -> tuple[PackedSequence, State]:
        """Run all layers on the core, without padding."""
        sizes = input.batch_sizes
        batch = ragged_of(sizes)
        options = Options(batch_sizes=sizes, ragged=batch)
        if self.is_regularised:
            drawn = masks.draw(self, batch.T, batch.B)
            parameters, noise = disturbed(parameters, drawn, core.spec.names)
            options = options._replace(noise=noise and noise.packed(input))
        dropout = self.dropout if self.training else 0.0
        return core.run_packed(input, hx, parameters, options, dropout)
