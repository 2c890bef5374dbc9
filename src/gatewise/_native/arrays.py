"""The core on NumPy arrays: checks what the compiled module takes on trust, then calls it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatewise._native import _core
from gatewise._native.call import make_call
from gatewise._native.network import (
    cell_fields,
    check_sizes,
    parameter_names,
    parameter_shapes,
)
from gatewise.cell import Cell

Array = NDArray[Any]


class Noise(NamedTuple):
    """What disturbs the states; see lstm.h. Masks of each layer and direction, first axis L*D.

    recurrent_mask [L*D, B, P]; zoneout_h [L*D, T, B, P] and zoneout_c [L*D, T, B, H], or where
    they are None the `rates` of both.
    """

    recurrent_mask: Array | None = None
    zoneout_h: Array | None = None
    zoneout_c: Array | None = None
    rates: tuple[float, float] = (0.0, 0.0)


NO_NOISE = Noise()


class Network:
    """The parameters of an LSTM, packed for the core. Immutable, so threads may share it.

    Args:
        parameters: for each layer, and within it for each direction: those that
            `parameter_names` tells; the biases may be None.
        directions: D.
        bfloat16: round weights and what meets them; float32 only.
        cell: which LSTM.
        projection: proj_size, 0 for none.
    """

    def __init__(
        self,
        parameters: Sequence[Sequence[Array | None]],
        directions: int = 1,
        bfloat16: bool = False,
        cell: Cell = Cell(),
        projection: int = 0,
    ) -> None:
        w_ih = parameters[0][0]
        assert w_ih is not None
        self.dtype = w_ih.dtype
        if self.dtype not in (np.float32, np.float64):
            raise ValueError(f"w_ih: expected float32 or float64, got {self.dtype}.")
        self.cell, self.projection = cell, projection
        self.L, self.D = len(parameters) // directions, directions
        self.H, self.I = w_ih.shape[0] // 4, w_ih.shape[1]
        self.P = projection or self.H
        check_sizes(self.L, self.D, self.I, self.H, projection)
        names = parameter_names(cell, projection)
        for k, given in enumerate(parameters):
            inputs = self.I if k < self.D else self.D * self.P
            shapes = parameter_shapes(names, inputs, self.H, projection)
            for array, (name, shape) in zip(given, shapes.items(), strict=True):
                self._check(name, array, shape)
        made = _core.CacheF32 if self.dtype == np.float32 else _core.CacheF64
        bfloat16 = bfloat16 and self.dtype == np.float32
        cache = made(self.L, self.D, self.I, self.H, bfloat16, cell_fields(cell), projection)
        self.weights = cache.pack(tuple(_address(a) for p in parameters for a in p))

    def tape(
        self, T: int, B: int, checkpoint_every: int = 0, batch_sizes: Array | None = None
    ) -> Array:
        """Room for what `forward` keeps for `backward`, from memory that is used again."""
        return self.weights.tape_array(T, B, min(checkpoint_every, T), _ragged(batch_sizes))

    def room(self, *shape: int) -> Array:
        """An array of any numbers, from memory that is used again."""
        return self.weights.pooled_array(math.prod(shape)).reshape(shape)

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
        batch_sizes: Array | None = None,
        noise: Noise = NO_NOISE,
        edits: Mapping[str, Array] | None = None,
    ) -> None:
        """Run forward; see lstm.h for the shapes.

        With `batch_sizes` [T] the batch is ragged: x and y hold the rows of all steps, [N, *].
        `edits` are arrays [L*D, T, B, H] by the name of a site, or "cell_state": a number stands in
        place of what the cell computes there, NaN leaves it alone.

        Raises:
            ValueError: an array has another shape or dtype, or has gaps.
        """
        T, B, ragged = self._sizes(x, batch_sizes)
        self._check("x", x, (*x.shape[:-1], self.I), rows=True)
        self._check("y", y, (*x.shape[:-1], self.D * self.P), rows=True)
        self._check_states(B, h0=h0, h_n=h_n, c0=c0, c_n=c_n)
        if tape is not None:
            self._check_tape(tape, T, B, checkpoint_every, ragged)
        for site, array in (edits or {}).items():
            self._check(site, array, (self.L * self.D, T, B, self.H))
        call = self._call(T, B, threads, x, h0, c0, checkpoint_every, ragged, noise, edits)
        self.weights.forward(
            call, y=_rows(y), h_n=_address(h_n), c_n=_address(c_n), tape=_address(tape)
        )

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
        dh0: Array | None,
        dc0: Array | None,
        gradients: Sequence[Sequence[Array | None]],
        threads: int = 1,
        checkpoint_every: int = 0,
        batch_sizes: Array | None = None,
        noise: Noise = NO_NOISE,
        gate_gradients: Array | None = None,
    ) -> None:
        """Run backward; `gradients` are dw_ih, dw_hh, db of each layer and direction, out.

        After them those of the cell's other parameters, in the order of `parameter_names`. Outputs
        that are None are not computed. `gate_gradients` [L*D, T, B, 4, H] are those of the gates
        before their activation.

        Raises:
            ValueError: an array has another shape or dtype, or has gaps.
        """
        T, B, ragged = self._sizes(x, batch_sizes)
        for name, a, size in (("x", x, self.I), ("dx", dx, self.I), ("y", y, self.D * self.P),
                              ("dy", dy, self.D * self.P)):  # fmt: skip
            self._check(name, a, (*x.shape[:-1], size), rows=True)
        self._check_states(B, h0=h0, dh_n=dh_n, dh0=dh0, c0=c0, dc_n=dc_n, dc0=dc0)
        self._check_tape(tape, T, B, checkpoint_every, ragged)
        self._check("gate_gradients", gate_gradients, (self.L * self.D, T, B, 4, self.H))
        self.weights.backward(
            self._call(T, B, threads, x, h0, c0, checkpoint_every, ragged, noise),
            y=_rows(y),
            tape=_address(tape),
            dy=_rows(dy),
            dh_n=_address(dh_n),
            dc_n=_address(dc_n),
            dx=_rows(dx),
            dh0=_address(dh0),
            dc0=_address(dc0),
            gradients=tuple(_address(a) for g in gradients for a in g),
            gate_gradients=_address(gate_gradients),
        )

    def read_tape(self, x: Array, tape: Array, threads: int = 1, **out: Array | None) -> None:
        """Read what `forward` has kept of a dense batch.

        Args:
            x, tape: as `forward` had them.
            threads: at most so many.
            out: input_gate, forget_gate, candidate, output_gate (after their activation) and
                cell_state, each [L*D, T, B, H] or None.
        """
        T, B, _ = self._sizes(x, None)
        self._check_tape(tape, T, B, 0, None)
        names = ("input_gate", "forget_gate", "candidate", "output_gate", "cell_state")
        for name in names:
            self._check(name, out.get(name), (self.L * self.D, T, B, self.H))
        call = self._call(T, B, threads, x, None, None, 0, None, NO_NOISE)
        addresses = {name: _address(out.get(name)) for name in names}
        self.weights.read_tape(call, tape=_address(tape), **addresses)

    def _call(
        self,
        T: int,
        B: int,
        threads: int,
        x: Array,
        h0: Array | None,
        c0: Array | None,
        checkpoint_every: int,
        ragged: _core.Ragged | None,
        noise: Noise,
        edits: Mapping[str, Array] | None = None,
    ) -> _core.Call:
        """What forward and backward share."""
        self._check_noise(noise, x, B)
        masks = None if noise is NO_NOISE else noise[:3]
        return make_call(
            _address, _rows, T=T, B=B, threads=threads, x=x, h0=h0, c0=c0,
            checkpoint_every=checkpoint_every, ragged=ragged, masks=masks, rates=noise.rates,
            edits=edits,
        )  # fmt: skip

    def _check_tape(
        self, tape: Array, T: int, B: int, checkpoint_every: int, ragged: _core.Ragged | None
    ) -> None:
        size = self.weights.tape_size(T, B, min(checkpoint_every, T), ragged)
        self._check("tape", tape, (size,))

    def _sizes(self, x: Array, batch_sizes: Array | None) -> tuple[int, int, _core.Ragged | None]:
        if batch_sizes is None:
            if x.ndim != 3:
                raise ValueError(f"x: expected [T, B, I], got shape {x.shape}.")
            return x.shape[0], x.shape[1], None
        sizes = np.ascontiguousarray(batch_sizes, np.int64)
        N = int(sizes.sum())
        if not _core.is_well_packed(sizes.ctypes.data, len(sizes), N):
            raise ValueError(f"batch_sizes: expected falling numbers from 1 on, got {batch_sizes}.")
        if x.ndim != 2 or len(x) != N:
            raise ValueError(f"x: expected [{N}, I], got shape {x.shape}.")
        return len(sizes), int(sizes[0]), _ragged(sizes)

    def _check_noise(self, noise: Noise, x: Array, B: int) -> None:
        count, steps = self.L * self.D, x.shape[:-1]
        self._check("recurrent_mask", noise.recurrent_mask, (count, B, self.P))
        self._check("zoneout_h", noise.zoneout_h, (count, *steps, self.P))
        self._check("zoneout_c", noise.zoneout_c, (count, *steps, self.H))

    def _check_states(self, B: int, **states: Array | None) -> None:
        for name, array in states.items():
            self._check(name, array, (self.L * self.D, B, self.P if "h" in name else self.H))

    def _check(
        self, name: str, array: Array | None, shape: tuple[int, ...], rows: bool = False
    ) -> None:
        if array is None:
            return
        unit = array.strides[-1] == array.itemsize or array.shape[-1] <= 1
        dense = unit if rows else array.flags.c_contiguous
        fits = array.shape == shape and array.dtype == self.dtype and array.flags.aligned
        if not fits or (array.size and not dense):
            raise ValueError(
                f"{name}: expected aligned {self.dtype} {shape} without gaps in its "
                f"{'rows' if rows else 'memory'}, got {array.dtype} {array.shape}."
            )


def _address(array: Array | None) -> int:
    return 0 if array is None else array.ctypes.data


def _ragged(batch_sizes: Array | None) -> _core.Ragged | None:
    """The batch of these sizes, int64 and never increasing."""
    if batch_sizes is None:
        return None
    sizes = np.ascontiguousarray(batch_sizes, np.int64)
    return _core.Ragged(sizes.ctypes.data, len(sizes))


def _rows(array: Array | None) -> tuple[int, int, int]:
    """Address, and the strides of time and batch; of a ragged batch, [N, *], only that of rows."""
    if array is None:
        return 0, 0, 0
    strides = [stride // array.itemsize for stride in array.strides[:-1]]
    return array.ctypes.data, strides[0], strides[-1]
