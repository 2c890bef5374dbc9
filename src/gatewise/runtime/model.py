"""A loaded LSTM, and whole sequences through it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatewise import _native, reference
from gatewise.errors import DtypeError, ShapeError
from gatewise.weights import LSTMWeights, load_lstm

if TYPE_CHECKING:
    from jaxtyping import Float

    from gatewise.runtime.stream import Stream

Array = NDArray[Any]
State = tuple[Array, Array]


def load(path: str | os.PathLike[str]) -> Model:
    """Load an LSTM that `gatewise.weights.save_lstm` wrote.

    Args:
        path: a safetensors file.

    Raises:
        ModelFileError: the file is missing, damaged, or not an LSTM of ours.
    """
    return Model(load_lstm(path))


@dataclass(frozen=True)
class Model:
    """An LSTM ready to run; immutable, so threads may share it.

    Args:
        weights: parameters and configuration.
    """

    weights: LSTMWeights

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the parameters, and so of all results."""
        return self.weights.arrays["weight_ih_l0"].dtype

    def run(
        self,
        x: Float[ArrayLike, "T B I"],
        lengths: ArrayLike | None = None,
        state: State | None = None,
    ) -> tuple[Array, State]:
        """Run whole sequences.

        Args:
            x: [T, B, I] (or [B, T, I] if the LSTM is batch-first), or [T, I].
            lengths: [B] valid steps of each row, 1 to T; y is zero beyond them. Default: all.
            state: (h [L*D, B, P], c [L*D, B, H]) to start from, default zeros.

        Returns:
            y [T, B, D*P] laid out like x, and (h, c) after each row's last valid step.

        Raises:
            ShapeError, DtypeError: x, lengths or state do not fit the LSTM.
        """
        config = self.weights.config
        rows = self._checked(x, "x")
        if rows.ndim not in (2, 3) or rows.shape[-1] != config.input_size:
            raise ShapeError(
                f"x has shape {rows.shape}: expected [T, B, I] or [T, I] with last axis "
                f"input_size={config.input_size}."
            )
        batched = rows.ndim == 3
        if not batched:
            rows = rows[:, None]
        elif config.batch_first:
            rows = rows.swapaxes(0, 1)
        h, c = self._checked_state(state, rows.shape[1], batched)
        if lengths is None:
            y, h, c = self._run_layers(rows, h, c)
        else:
            y, h, c = self._run_ragged(rows, self._checked_lengths(lengths, rows), h, c)
        if not batched:
            return y[:, 0], (h[:, 0], c[:, 0])
        return (y.swapaxes(0, 1) if config.batch_first else y), (h, c)

    def stream(self, batch: int = 1) -> Stream:
        """Return a stream that advances `batch` rows one step at a time.

        Raises:
            ConfigError: the LSTM is bidirectional, so its output needs the future.
        """
        from gatewise.runtime.stream import Stream

        return Stream(self, batch)

    def _run_layers(self, x: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        config = self.weights.config
        H, P, D = config.hidden_size, config.proj_size or config.hidden_size, config.directions
        h_n, c_n = np.empty_like(h), np.empty_like(c)
        for layer in range(config.num_layers):
            y = np.empty((*x.shape[:2], D * P), self.dtype)
            for direction in range(D):
                k = layer * D + direction
                own = self.weights.layer(layer, direction)
                columns = slice(direction * P, (direction + 1) * P)
                if config.cell.is_default and not config.proj_size and x.size and H:
                    _native.forward(
                        x, h[k], c[k], own["w_ih"], own["w_hh"], own.get("b_ih"),
                        own.get("b_hh"), y[:, :, columns], h_n[k], c_n[k], None, direction == 1,
                        _native.thread_count(),
                    )  # fmt: skip
                    continue
                order = slice(None, None, -1 if direction else 1)
                w = reference.weights(**own)
                result = reference.forward(x[order], w, h[k], c[k], config.cell)
                y[:, :, columns], h_n[k], c_n[k] = result.y[order], result.h, result.c
            x = y
        return x, h_n, c_n

    def _run_ragged(
        self, x: Array, lengths: NDArray[np.int64], h: Array, c: Array
    ) -> tuple[Array, Array, Array]:
        """Rows of equal length together, so that no step beyond an end is computed."""
        config = self.weights.config
        P = config.proj_size or config.hidden_size
        y = np.zeros((*x.shape[:2], config.directions * P), self.dtype)
        h, c = h.copy(), c.copy()
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            part = np.ascontiguousarray(x[:length, rows])
            y[:length, rows], h[:, rows], c[:, rows] = self._run_layers(
                part, np.ascontiguousarray(h[:, rows]), np.ascontiguousarray(c[:, rows])
            )
        return y, h, c

    def _checked(self, a: ArrayLike, name: str) -> Array:
        array = np.asarray(a)
        if array.dtype.kind not in "fiu":
            raise DtypeError(
                f"{name} has dtype {array.dtype}: expected real numbers. "
                f"Convert it to {self.dtype}."
            )
        return np.ascontiguousarray(array, self.dtype)

    def _checked_state(self, state: State | None, B: int, batched: bool) -> State:
        config = self.weights.config
        k, H = config.num_layers * config.directions, config.hidden_size
        sizes = (config.proj_size or H, H)
        if state is None:
            return np.zeros((k, B, sizes[0]), self.dtype), np.zeros((k, B, H), self.dtype)
        if len(state) != 2:
            raise ShapeError(f"state has {len(state)} parts: expected the pair (h, c).")
        checked = []
        for name, value, size in zip(("h", "c"), state, sizes, strict=True):
            array = self._checked(value, name)
            expected = (k, B, size) if batched else (k, size)
            if array.shape != expected:
                raise ShapeError(f"{name} has shape {array.shape}: expected {expected}.")
            checked.append(array.reshape(k, B, size))
        return checked[0], checked[1]

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
