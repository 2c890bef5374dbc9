"""One step at a time, with the state kept inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatewise.errors import ConfigError, ShapeError

if TYPE_CHECKING:
    from gatewise.runtime.model import Model, State


class Stream:
    """An LSTM in motion: each `step` takes one input and returns one output.

    Not for two threads at once; make one stream per thread from the same `Model`.

    Args:
        model: the LSTM.
        batch: rows that advance together.

    Raises:
        ConfigError: the LSTM is bidirectional, or `batch` is below 1.
    """

    def __init__(self, model: Model, batch: int = 1) -> None:
        if model.weights.config.bidirectional:
            raise ConfigError(
                "A bidirectional LSTM cannot stream: its output at a step needs the steps after "
                "it. Use run() on whole sequences."
            )
        if batch < 1:
            raise ConfigError(f"batch is {batch}: expected at least 1.")
        self._model, self._batch = model, batch
        self.reset()

    @property
    def state(self) -> State:
        """(h [L, B, P], c [L, B, H]) after the last step; assign to continue from another."""
        return self._h.copy(), self._c.copy()

    @state.setter
    def state(self, value: State) -> None:
        self._h, self._c = (a.copy() for a in self._model._checked_state(value, self._batch, True))

    def reset(self) -> None:
        """Start again from a zero state."""
        self._h, self._c = self._model._checked_state(None, self._batch, True)

    def step(self, x: ArrayLike) -> NDArray[Any]:
        """Advance one step.

        Args:
            x: [B, I], or [I] if the batch is 1.

        Returns:
            y [B, P], or [P] for input [I].

        Raises:
            ShapeError, DtypeError: x does not fit the LSTM.
        """
        rows = self._model._checked(x, "x")
        I = self._model.weights.config.input_size
        single = self._batch == 1 and rows.shape == (I,)
        if not single and rows.shape != (self._batch, I):
            raise ShapeError(f"x has shape {rows.shape}: expected ({self._batch}, {I}).")
        y, self._h, self._c = self._model._run_layers(
            rows.reshape(1, self._batch, I), self._h, self._c
        )
        return np.ascontiguousarray(y[0, 0] if single else y[0])
