"""The core on NumPy arrays: checks what the compiled module takes on trust, then calls it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise._native import _core

Array = NDArray[Any]
PER_DIRECTION = ("w_ih", "w_hh", "b_ih", "b_hh")


class Network:
    """The parameters of an LSTM, packed for the core. Immutable, so threads may share it.

    Args:
        parameters: for each layer, and within it for each direction: w_ih [4H, inputs],
            w_hh [4H, H], b_ih and b_hh [4H] or None.
        directions: D.
        bfloat16: round weights and what meets them; float32 only.
    """

    def __init__(
        self,
        parameters: Sequence[Sequence[Array | None]],
        directions: int = 1,
        bfloat16: bool = False,
    ) -> None:
        w_ih = parameters[0][0]
        assert w_ih is not None
        self.dtype = w_ih.dtype
        self.L, self.D = len(parameters) // directions, directions
        self.H, self.I = w_ih.shape[0] // 4, w_ih.shape[1]
        for k, given in enumerate(parameters):
            I = self.I if k < self.D else self.D * self.H
            shapes = ((4 * self.H, I), (4 * self.H, self.H), (4 * self.H,), (4 * self.H,))
            for name, array, shape in zip(PER_DIRECTION, given, shapes, strict=True):
                if array is not None:
                    self._check(name, array, shape)
        made = _core.CacheF32 if self.dtype == np.float32 else _core.CacheF64
        cache = made(self.L, self.D, self.I, self.H, bfloat16 and self.dtype == np.float32)
        self.weights = cache.pack(tuple(_address(a) for p in parameters for a in p))

    def tape(self, T: int, B: int, checkpoint_every: int = 0) -> Array:
        """Room for what `forward` keeps for `backward`."""
        return np.empty(self.weights.tape_size(T, B, checkpoint_every), self.dtype)

    def forward(
        self,
        x: Array,
        h0: Array | None,
        c0: Array | None,
        y: Array,
        h_n: Array,
        c_n: Array,
        tape: Array | None = None,
        threads: int = 1,
        checkpoint_every: int = 0,
    ) -> None:
        """Run forward; see lstm.h for the shapes.

        Raises:
            ValueError: an array has another shape or dtype, or has gaps.
        """
        T, B, states = self._sizes(x)
        self._check("x", x, (T, B, self.I), rows=True)
        self._check("y", y, (T, B, self.D * self.H), rows=True)
        for name, a in (("h0", h0), ("c0", c0), ("h_n", h_n), ("c_n", c_n)):
            self._check(name, a, states)
        if tape is not None:
            self._check("tape", tape, (self.weights.tape_size(T, B, checkpoint_every),))
        self.weights.forward(
            T, B, threads, *_rows(x), _address(h0), _address(c0), *_rows(y), _address(h_n),
            _address(c_n), _address(tape), checkpoint_every,
        )  # fmt: skip

    def backward(
        self,
        x: Array,
        h0: Array | None,
        c0: Array | None,
        y: Array,
        tape: Array,
        dy: Array | None,
        dh_n: Array | None,
        dc_n: Array | None,
        dx: Array | None,
        dh0: Array,
        dc0: Array,
        gradients: Sequence[tuple[Array, Array, Array]],
        threads: int = 1,
        checkpoint_every: int = 0,
    ) -> None:
        """Run backward; `gradients` are dw_ih, dw_hh, db of each layer and direction, out.

        Raises:
            ValueError: an array has another shape or dtype, or has gaps.
        """
        T, B, states = self._sizes(x)
        for name, a, size in (("x", x, self.I), ("dx", dx, self.I), ("y", y, self.D * self.H),
                              ("dy", dy, self.D * self.H)):  # fmt: skip
            self._check(name, a, (T, B, size), rows=True)
        for name, a in (("h0", h0), ("c0", c0), ("dh_n", dh_n), ("dc_n", dc_n), ("dh0", dh0),
                        ("dc0", dc0)):  # fmt: skip
            self._check(name, a, states)
        self._check("tape", tape, (self.weights.tape_size(T, B, checkpoint_every),))
        self.weights.backward(
            T, B, threads, *_rows(x), _address(h0), _address(c0), *_rows(y), _address(tape),
            *_rows(dy), _address(dh_n), _address(dc_n), *_rows(dx), _address(dh0), _address(dc0),
            tuple(_address(a) for g in gradients for a in g), checkpoint_every,
        )  # fmt: skip

    def _sizes(self, x: Array) -> tuple[int, int, tuple[int, int, int]]:
        if x.ndim != 3:
            raise ValueError(f"x: expected [T, B, I], got shape {x.shape}.")
        return x.shape[0], x.shape[1], (self.L * self.D, x.shape[1], self.H)

    def _check(
        self, name: str, array: Array | None, shape: tuple[int, ...], rows: bool = False
    ) -> None:
        if array is None:
            return
        unit = array.strides[-1] == array.itemsize or array.shape[-1] <= 1
        dense = unit if rows else array.flags.c_contiguous
        if array.shape != shape or array.dtype != self.dtype or (array.size and not dense):
            raise ValueError(
                f"{name}: expected {self.dtype} {shape} without gaps in its "
                f"{'rows' if rows else 'memory'}, got {array.dtype} {array.shape}."
            )


def _address(array: Array | None) -> int:
    return 0 if array is None else array.ctypes.data


def _rows(array: Array | None) -> tuple[int, int, int]:
    if array is None:
        return 0, 0, 0
    time, batch, _ = array.strides
    return array.ctypes.data, time // array.itemsize, batch // array.itemsize
