"""A loaded LSTM, whole sequences through it, and one in motion, step by step."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatewise import _native, arguments
from gatewise._native import arrays
from gatewise.arguments import Array, State
from gatewise.errors import ConfigError, ShapeError, shown
from gatewise.runtime.outputs import room_for
from gatewise.weights import LSTMWeights, load_lstm

if TYPE_CHECKING:
    from jaxtyping import Float

_PACKED: Final = "_packed"
"""Where a model keeps its packed weights: no field of it, so no part of what it equals."""


def load(path: str | os.PathLike[str], precision: _native.Precision = "full") -> Model:
    """Load an LSTM that `gatewise.weights.save_lstm` wrote.

    Args:
        path: a safetensors file.
        precision: "full" (default) or "bfloat16", as in `gatewise.nn.LSTM`: half the bytes of
            weights, for streams of wide layers.

    Raises:
        ModelFileError: the file is missing, damaged, or not an LSTM of ours.
        ConfigError: `precision` is another.

    >>> import os, tempfile, torch, gatewise.weights
    >>> path = os.path.join(tempfile.mkdtemp(), "lstm.safetensors")
    >>> gatewise.weights.save_lstm(torch.nn.LSTM(3, 4), path)
    >>> load(path).weights.config.input_size
    3
    """
    return Model(load_lstm(path), precision)


@dataclass(frozen=True)
class Model:
    """An LSTM ready to run; immutable, so threads may share it.

    Two are equal if their weights and precision are. Copies and pickles hold the weights alone and
    pack them again.

    Args:
        weights: parameters and configuration.
        precision: see `load`.

    Raises:
        ShapeError, DtypeError: the arrays are not those of the weights' configuration, or are not
            float32 or float64 throughout.
    """

    weights: LSTMWeights
    precision: _native.Precision = "full"

    def __post_init__(self) -> None:
        _native.check_precision(self.precision)
        self.weights.check()

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the parameters, and so of all results."""
        return self.weights.dtype

    def run(
        self,
        x: Float[ArrayLike, "T B I"],
        lengths: ArrayLike | None = None,
        state: State | None = None,
        *,
        out: Array | None = None,
    ) -> tuple[Array, State]:
        """Run whole sequences.

        Args:
            x: [T, B, I] (or [B, T, I] if the LSTM is batch-first), or [T, I].
            lengths: [B] valid steps of each row, 1 to T; y is zero beyond them. Default: all.
            state: (h [L*D, B, P], c [L*D, B, H]) to start from, default zeros, or what the LSTM has
                learnt to start from.
            out: where to put y; default a new array.

        Returns:
            y [T, B, D*P] laid out like x (`out` if given), and (h, c) after each row's last valid
            step.

        Raises:
            ShapeError, DtypeError: x, lengths, state or out do not fit the LSTM.

        >>> import torch, gatewise.weights
        >>> model = Model(gatewise.weights.from_module(torch.nn.LSTM(3, 4)))
        >>> y, (h, c) = model.run(np.ones((5, 2, 3), np.float32))
        >>> y.shape, h.shape, c.shape
        ((5, 2, 4), (1, 2, 4), (1, 2, 4))
        """
        config, core = self.weights.config, self.network
        plain = lengths is None and state is None and not config.batch_first
        if plain and self._starts_at_zero and isinstance(x, np.ndarray) and x.ndim == 3 and x.size:
            # The core looks at the arrays itself; what it does not take goes the long way.
            T, B, _ = x.shape
            y = np.empty((T, B, core.D * core.P), self.dtype) if out is None else out
            h, c = (np.empty((core.L * core.D, B, size), self.dtype) for size in (core.P, core.H))
            threads = _native.thread_count()
            apart = out is None or not np.may_share_memory(x, out)
            if apart and core.weights.try_run(x, y, h, c, threads):
                return y, (h, c)
        rows = arguments.numbers(x, "x", self.dtype)
        if rows.ndim not in (2, 3) or rows.shape[-1] != config.input_size:
            raise ShapeError(
                f"x has shape {rows.shape}: expected [T, B, I] or [T, I] with last axis "
                f"input_size={config.input_size}."
            )
        x_steps = _time_first(rows, config.batch_first)
        T, B, _ = x_steps.shape
        _native.check_sizes(core.L, core.D, core.I, core.H, config.proj_size, T, B)
        y = room_for(self.weights, rows, out)
        if np.may_share_memory(rows, y):
            raise ShapeError(
                "out overlaps x: expected an array of its own, since x is read to the end while y "
                "is written. Pass out=np.empty_like(...) or leave it out."
            )
        y_steps = _time_first(y, config.batch_first)
        batched = rows.ndim == 3
        h, c = arguments.states(self.weights, state, B, batched)
        ends = None if lengths is None else arguments.row_lengths(lengths, *x_steps.shape[:2])
        if ends is None or not rows.size:
            h, c = self._run_core(x_steps, h, c, y_steps, None)
        else:
            h, c = self._run_ragged(x_steps, ends, h, c, y_steps)
        return y, (h, c) if batched else (h[:, 0], c[:, 0])

    def stream(self, batch: int = 1) -> Stream:
        """Return a stream that advances `batch` rows one step at a time.

        Raises:
            ConfigError: the LSTM is bidirectional, so its output needs the future.
        """
        return Stream(self, batch)

    @property
    def network(self) -> arrays.Network:
        """The weights, packed at the first use.

        Threads that come here at once may each pack them, and all use those of the first: a lock
        held meanwhile would stay locked for ever in a process forked then.
        """
        found = self.__dict__.get(_PACKED)
        return found or self.__dict__.setdefault(_PACKED, self._pack())

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != _PACKED}

    def _pack(self) -> arrays.Network:
        config = self.weights.config
        names = _native.parameter_names(config.cell, config.proj_size)
        layers = [
            self.weights.layer(layer, direction)
            for layer in range(config.num_layers)
            for direction in range(config.directions)
        ]
        parameters = [
            [np.require(own[name], None, ("C", "A")) if name in own else None for name in names]
            for own in layers
        ]
        rounds = not (config.cell.layer_norm or config.proj_size or any(config.zoneout))
        bfloat16 = rounds and self.precision == "bfloat16"
        return arrays.Network(
            parameters, config.directions, bfloat16, config.cell, config.proj_size
        )

    @property
    def _starts_at_zero(self) -> bool:
        """Whether the core may run from zero states, with nothing said but x."""
        config = self.weights.config
        return not (config.learn_initial_state or any(config.zoneout))

    def _run_core(self, x: Array, h: Array, c: Array, y: Array, sizes: Array | None) -> State:
        core, rates = self.network, self.weights.config.zoneout
        if not len(x):  # no step that would round a state
            return h.copy(), c.copy()
        h_n, c_n = np.empty_like(h), np.empty_like(c)
        noise = arrays.Noise(rates=rates) if any(rates) else arrays.NO_NOISE
        threads = _native.thread_count()
        core.forward(x, h, c, y, h_n, c_n, None, threads, batch_sizes=sizes, noise=noise)
        return h_n, c_n

    def _run_ragged(
        self, x: Array, lengths: NDArray[np.int64], h: Array, c: Array, y: Array
    ) -> State:
        """Only the steps that each row has, the longest row first, as the core wants them."""
        order = np.argsort(-lengths, kind="stable")
        runs = np.arange(lengths.max(initial=0))[:, None] < lengths[order]
        step, row = np.nonzero(runs)
        packed = np.ascontiguousarray(x[step, order[row]])
        found = np.empty((len(packed), y.shape[2]), self.dtype)
        sizes = runs.sum(axis=1)
        h_n, c_n = np.empty_like(h), np.empty_like(c)
        h_n[:, order], c_n[:, order] = self._run_core(
            packed, np.ascontiguousarray(h[:, order]), np.ascontiguousarray(c[:, order]), found,
            sizes,
        )  # fmt: skip
        y[...] = 0
        y[step, order[row]] = found
        return h_n, c_n


class Stream:
    """An LSTM in motion: each `step` takes one input and returns one output.

    Not for two threads at once; make one stream per thread from the same `Model`. With `out`, and
    an input of the model's dtype, a step takes no memory and makes no copy. A copy of a stream
    (`copy.copy`, `copy.deepcopy`) is another stream with the same state.

    Args:
        model: the LSTM.
        batch: rows that advance together.

    Raises:
        ConfigError: the LSTM is bidirectional, or `batch` is below 1.
    """

    __slots__ = ("_batch", "_core", "_model", "_threads")

    def __init__(self, model: Model, batch: int = 1) -> None:
        if model.weights.config.bidirectional:
            raise ConfigError(
                "A bidirectional LSTM cannot stream: its output at a step needs the steps after "
                "it. Use run() on whole sequences."
            )
        if isinstance(batch, bool) or not isinstance(batch, (int, np.integer)) or batch < 1:
            raise ConfigError(f"batch is {shown(batch)}: expected a whole number of at least 1.")
        config, batch = model.weights.config, int(batch)
        core = model.network
        try:
            _native.check_sizes(core.L, core.D, core.I, core.H, config.proj_size, 1, batch)
        except ShapeError as error:
            raise ConfigError(f"batch is {shown(batch)}. {error} Choose fewer rows.") from None
        self._model, self._batch, self._threads = model, batch, _native.thread_count()
        self._core: Any = core.weights.stream(batch, *config.zoneout)
        self.reset()

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy is a stream of its own, with the same state; so is what a pickle gives.
        return Stream, (self._model, self._batch), self.state

    def __setstate__(self, state: State) -> None:
        self.state = state

    @property
    def state(self) -> State:
        """(h [L, B, P], c [L, B, H]) after the last step; assign to continue from another."""
        h, c = arguments.initial_state(self._model.weights, self._batch)
        self._core.get_state(h.ctypes.data, c.ctypes.data)
        return h, c

    @state.setter
    def state(self, value: State) -> None:
        h, c = arguments.states(self._model.weights, value, self._batch)
        self._core.set_state(h.ctypes.data, c.ctypes.data)

    def reset(self) -> None:
        """Start again from a zero state, or from what the LSTM has learnt to start from."""
        self.state = arguments.initial_state(self._model.weights, self._batch)

    def step(self, x: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Advance one step.

        Args:
            x: [B, I], or [I] if the batch is 1.
            out: where to put y; default a new array.

        Returns:
            y [B, P], or [P] for input [I] (`out` if given).

        Raises:
            ShapeError, DtypeError: x or out does not fit the LSTM; the state is as it was.
            StreamError: another thread uses this stream; or the process was forked while one did,
                and `state` has not been set since. Reading `state` raises it likewise.

        >>> import os, tempfile, torch, numpy as np, gatewise.runtime, gatewise.weights
        >>> path = os.path.join(tempfile.mkdtemp(), "lstm.safetensors")
        >>> gatewise.weights.save_lstm(torch.nn.LSTM(3, 4), path)
        >>> stream, y = gatewise.runtime.load(path).stream(), np.empty(4, np.float32)
        >>> stream.step(np.ones(3, np.float32), out=y) is y
        True
        """
        # The core looks at the arrays itself; what it does not take as it is goes the long way.
        if out is not None and self._core.try_step(x, out, self._threads):
            return out
        return self._step_checked(x, out)

    def _step_checked(self, x: ArrayLike, out: NDArray[Any] | None) -> NDArray[Any]:
        weights = self._model.weights
        rows = arguments.numbers(x, "x", weights.dtype)
        I = weights.config.input_size
        single = self._batch == 1 and rows.shape == (I,)
        if not single and rows.shape != (self._batch, I):
            raise ShapeError(f"x has shape {rows.shape}: expected ({self._batch}, {I}).")
        y = room_for(weights, rows, out)
        self._core.step(rows, y, self._threads)
        return y


def _time_first(a: Array, batch_first: bool) -> Array:
    """View as [T, B, *]."""
    if a.ndim == 2:
        return a[:, None]
    return a.swapaxes(0, 1) if batch_first else a
