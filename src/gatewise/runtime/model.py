"""A loaded LSTM, and whole sequences through it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatewise import _native, reference
from gatewise._native import arrays
from gatewise.errors import DtypeError, ShapeError, shortened
from gatewise.weights import INITIAL_STATE_NAMES, LSTMWeights, load_lstm

if TYPE_CHECKING:
    from jaxtyping import Float

    from gatewise.runtime.stream import Stream

_PACKED: Final = "_packed"
"""Where a model keeps its packed weights: no field of it, so no part of what it equals."""

Array = NDArray[Any]
State = tuple[Array, Array]


def load(path: str | os.PathLike[str], precision: _native.Precision = "full") -> Model:
    """Load an LSTM that `gatewise.weights.save_lstm` wrote.

    Args:
        path: a safetensors file.
        precision: "full" (default) or "bfloat16", as in `gatewise.nn.LSTM`: half the bytes of
            weights, for streams of wide layers.

    Raises:
        ModelFileError: the file is missing, damaged, or not an LSTM of ours.
        ConfigError: `precision` is another.
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
        return self.weights.arrays["weight_ih_l0"].dtype

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
        """
        config, core = self.weights.config, self.network
        plain = lengths is None and state is None and not config.batch_first
        if plain and self._starts_at_zero and isinstance(x, np.ndarray) and x.ndim == 3:
            # The core looks at the arrays itself; what it does not take goes the long way.
            T, B, _ = x.shape
            y = np.empty((T, B, core.D * core.P), self.dtype) if out is None else out
            h, c = (np.empty((core.L * core.D, B, size), self.dtype) for size in (core.P, core.H))
            threads = _native.thread_count()
            apart = out is None or not np.may_share_memory(x, out)
            if apart and core.weights.try_run(x, y, h, c, threads):
                return y, (h, c)
        rows = self._checked(x, "x")
        if rows.ndim not in (2, 3) or rows.shape[-1] != config.input_size:
            raise ShapeError(
                f"x has shape {rows.shape}: expected [T, B, I] or [T, I] with last axis "
                f"input_size={config.input_size}."
            )
        y = self._room_for(rows, out)
        if np.may_share_memory(rows, y):
            raise ShapeError(
                "out overlaps x: expected an array of its own, since x is read to the end while y "
                "is written. Pass out=np.empty_like(...) or leave it out."
            )
        x_steps, y_steps = _time_first(rows, config.batch_first), _time_first(y, config.batch_first)
        batched = rows.ndim == 3
        h, c = self._checked_state(state, x_steps.shape[1], batched)
        ends = None if lengths is None else self._checked_lengths(lengths, x_steps)
        if ends is None or not rows.size:
            h, c = self._run_layers(x_steps, h, c, y_steps)
        else:
            h, c = self._run_ragged(x_steps, ends, h, c, y_steps)
        return y, (h, c) if batched else (h[:, 0], c[:, 0])

    def stream(self, batch: int = 1) -> Stream:
        """Return a stream that advances `batch` rows one step at a time.

        Raises:
            ConfigError: the LSTM is bidirectional, so its output needs the future.
        """
        from gatewise.runtime.stream import Stream

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
        h_n, c_n = np.empty_like(h), np.empty_like(c)
        noise = arrays.Noise(rates=rates) if any(rates) else arrays.NO_NOISE
        threads = _native.thread_count()
        core.forward(x, h, c, y, h_n, c_n, None, threads, batch_sizes=sizes, noise=noise)
        return h_n, c_n

    def _run_layers(self, x: Array, h: Array, c: Array, y: Array) -> State:
        """Fill y; return the states after the last step."""
        if x.size:
            return self._run_core(x, h, c, y, None)
        h_n, c_n = np.empty_like(h), np.empty_like(c)
        config = self.weights.config
        D = config.directions
        for layer in range(config.num_layers):
            outputs = []
            for direction in range(D):
                k, order = layer * D + direction, slice(None, None, -1 if direction else 1)
                w = reference.weights(**self.weights.layer(layer, direction))
                rates = config.zoneout
                result = reference.forward(x[order], w, h[k], c[k], config.cell, zoneout=rates)
                outputs.append(result.y[order])
                h_n[k], c_n[k] = result.h, result.c
            x = np.concatenate(outputs, axis=2)
        y[...] = x
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

    def _room_for(self, x: Array, out: Array | None) -> Array:
        config = self.weights.config
        size = config.directions * (config.proj_size or config.hidden_size)
        shape = (*x.shape[:-1], size)
        if out is None:
            return np.empty(shape, self.dtype)
        if not isinstance(out, np.ndarray) or out.dtype != self.dtype:
            raise DtypeError(
                f"out is {getattr(out, 'dtype', type(out).__name__)}: expected an array of "
                f"{self.dtype}."
            )
        if out.shape != shape or not out.flags.carray:
            raise ShapeError(
                f"out has shape {out.shape}: expected {shape}, aligned, C-contiguous and "
                f"writeable, got {_layout(out)}. "
                f"Pass np.empty({shape}, {str(self.dtype)!r})."
            )
        return out

    def _checked(self, a: ArrayLike, name: str) -> Array:
        try:
            array = np.asarray(a)
        except ValueError as error:  # lists of different lengths
            raise ShapeError(
                f"{name} is no array ({shortened(error)}): expected rows of one length."
            ) from None
        if array.dtype.kind not in "fiu":
            raise DtypeError(
                f"{name} has dtype {array.dtype}: expected real numbers. "
                f"Convert it to {self.dtype}."
            )
        return np.require(array, self.dtype, ("C", "A"))

    def _checked_state(self, state: State | None, B: int, batched: bool) -> State:
        config = self.weights.config
        k, H = config.num_layers * config.directions, config.hidden_size
        sizes = (config.proj_size or H, H)
        if state is None:
            return self._initial_state(B)
        parts = len(state) if isinstance(state, (tuple, list)) else 0
        if parts != 2:
            raise ShapeError(f"state has {parts} parts: expected the pair (h, c).")
        checked = []
        for name, value, size in zip(("h", "c"), state, sizes, strict=True):
            array = self._checked(value, name)
            expected = (k, B, size) if batched else (k, size)
            if array.shape != expected:
                raise ShapeError(f"{name} has shape {array.shape}: expected {expected}.")
            checked.append(array.reshape(k, B, size))
        return checked[0], checked[1]

    def _initial_state(self, B: int) -> State:
        """Zeros, or what the LSTM has learnt to start from."""
        config = self.weights.config
        k, H = config.num_layers * config.directions, config.hidden_size
        states = [np.zeros((k, B, size), self.dtype) for size in (config.proj_size or H, H)]
        if config.learn_initial_state:
            for state, name in zip(states, INITIAL_STATE_NAMES, strict=True):
                state[...] = self.weights.arrays[name]
        return states[0], states[1]

    @staticmethod
    def _checked_lengths(lengths: ArrayLike, x: Array) -> NDArray[np.int64]:
        array = np.asarray(lengths)
        T, B = x.shape[:2]
        if array.shape != (B,) or array.dtype.kind not in "iu":
            raise ShapeError(
                f"lengths has shape {array.shape} and dtype {array.dtype}: expected {B} integers, "
                "one for each row."
            )
        if B and (array.min() < 1 or array.max() > T):
            raise ShapeError(
                f"lengths run from {array.min()} to {array.max()}: expected 1 to T={T}. "
                "Drop empty rows."
            )
        return array.astype(np.int64)


def _layout(a: Array) -> str:
    """What the core asks of an array's memory and this one has not."""
    wanted = {"C-contiguous": a.flags.c_contiguous, "aligned": a.flags.aligned}
    missing = [word for word, has in (wanted | {"writeable": a.flags.writeable}).items() if not has]
    return f"one that is not {' nor '.join(missing)}" if missing else "another shape"


def _time_first(a: Array, batch_first: bool) -> Array:
    """View as [T, B, *]."""
    if a.ndim == 2:
        return a[:, None]
    return a.swapaxes(0, 1) if batch_first else a
