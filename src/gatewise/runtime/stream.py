"""One step at a time, with the state kept inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatewise import _native
from gatewise.errors import ConfigError, ShapeError, shown

if TYPE_CHECKING:
    from gatewise.runtime.model import Model, State


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
        h, c = self._model._initial_state(self._batch)
        self._core.get_state(h.ctypes.data, c.ctypes.data)
        return h, c

    @state.setter
    def state(self, value: State) -> None:
        h, c = self._model._checked_state(value, self._batch, True)
        self._core.set_state(h.ctypes.data, c.ctypes.data)

    def reset(self) -> None:
        """Start again from a zero state, or from what the LSTM has learnt to start from."""
        self.state = self._model._initial_state(self._batch)

    def step(self, x: ArrayLike, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Advance one step.

        Args:
            x: [B, I], or [I] if the batch is 1.
            out: where to put y; default a new array.

        Returns:
            y [B, P], or [P] for input [I] (`out` if given).

        Raises:
            ShapeError, DtypeError: x or out does not fit the LSTM; the state is as it was.

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
        model, config = self._model, self._model.weights.config
        rows = model._checked(x, "x")
        I = config.input_size
        single = self._batch == 1 and rows.shape == (I,)
        if not single and rows.shape != (self._batch, I):
            raise ShapeError(f"x has shape {rows.shape}: expected ({self._batch}, {I}).")
        y = model._room_for(rows, out)
        self._core.step(rows, y, self._threads)
        return y
