"""Panels to arrays: the fitted `Encoder` holds every choice, `Encoded` every row of every series.

The encoder's choices (transforms, codes of the static columns, season) come from the table it was
fitted on; encoding another table uses them and looks at no row's future.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatewise.forecast import transform as tf
from gatewise.forecast.calendar import observe, phase
from gatewise.forecast.panel import Array, Panel, forward_fill


@dataclass(frozen=True, slots=True)
class StaticCode:
    """How a static column becomes numbers: z-scores over the series, or one column per category."""

    name: str
    mean: float = 0.0
    std: float = 1.0
    categories: tuple[str, ...] = ()

    def encode(self, value: float | str) -> list[float]:
        """[1] or [categories] numbers; an unknown category or a missing number is all zero."""
        if self.categories:
            return [float(value == c) for c in self.categories]
        number = (float(value) - self.mean) / self.std if not isinstance(value, str) else 0.0
        return [number if np.isfinite(number) else 0.0]


@dataclass(frozen=True, eq=False)
class Encoded:
    """Every row of every series, one after the other. N rows, S series, C columns.

    Attributes:
        working: [N] the target on its working scale, NaN where missing.
        last: [N] the last observed `working` up to and including the row.
        inputs: [N, C] what the network reads, NaN where missing: target, past, future.
        phases: [N, K] calendar features, known ahead.
        static: [S, D] codes.
        first, stop: [S] each series' rows are first <= row < stop.
        centred: [C] whether the column is centred in a window (transform "none").
        future: how many of the last columns are known ahead.
    """

    working: Array
    last: Array
    inputs: Array
    phases: Array
    static: Array
    first: NDArray[np.intp]
    stop: NDArray[np.intp]
    centred: NDArray[np.bool_]
    future: int


@dataclass(frozen=True, slots=True)
class Encoder:
    """Choices made on the fitted table.

    Attributes:
        transforms: by column, the target first, then past and future drivers.
        static: codes of the static columns.
        season: rows per season of the observed calendar, 1 without one.
    """

    transforms: dict[str, str]
    static: tuple[StaticCode, ...]
    season: int

    @property
    def target_transform(self) -> str:
        """Transform of the target."""
        return next(iter(self.transforms.values()))

    @property
    def harmonics(self) -> int:
        """Number of sine and cosine pairs that describe the season."""
        return min(self.season // 2, 3)

    def input_names(self) -> list[str]:
        """Name of each feature the LSTM reads, in order."""
        values = list(self.transforms)
        phases = [
            f"{f}{j + 1}" for j in range(self.harmonics) for f in ("season sin", "season cos")
        ]
        return [*values, *(f"{v} observed" for v in values), *phases]

    def encode(self, panel: Panel) -> Encoded:
        """Encode every row of a panel with the columns this encoder was fitted on."""
        working, last, inputs, phases = [], [], [], []
        names = list(self.transforms.items())
        for s in panel.series:
            columns = [s.target, *s.past.T, *s.future.T]
            scaled = [tf.to_working(v, kind) for v, (_, kind) in zip(columns, names, strict=True)]
            working.append(scaled[0])
            last.append(forward_fill(scaled[0]))
            inputs.append(
                np.column_stack(
                    [tf.to_inputs(v, kind) for v, (_, kind) in zip(scaled, names, strict=True)]
                )
            )
            phases.append(self._phases(s.time))
        lengths = np.array([len(s) for s in panel.series])
        codes = [
            [x for code, v in zip(self.static, s.static, strict=True) for x in code.encode(v)]
            for s in panel.series
        ]
        return Encoded(
            np.concatenate(working),
            np.concatenate(last),
            np.concatenate(inputs),
            np.concatenate(phases),
            np.array(codes, dtype=np.float64).reshape(len(lengths), -1),
            np.cumsum(lengths) - lengths,
            np.cumsum(lengths),
            np.array([kind == "none" for _, kind in names]),
            len(panel.columns.future),
        )

    def _phases(self, time: NDArray[Any]) -> Array:
        if not self.harmonics:
            return np.empty((len(time), 0))
        integers = time.dtype.kind != "M"
        turn = 2 * np.pi * ((time / self.season) % 1 if integers else phase(time, self.season))
        waves = [f((j + 1) * turn) for j in range(self.harmonics) for f in (np.sin, np.cos)]
        return np.column_stack(waves)


def fit_encoder(panel: Panel, wanted: str = "auto", season: int | None = None) -> Encoder:
    """Make every choice on a panel.

    Args:
        panel: the table to be fitted.
        wanted: transform of the target, default "auto"; drivers always choose for themselves.
        season: rows per season; None (default) takes the calendar's.
    """
    c = panel.columns
    transforms = {c.target: tf.choose([s.target for s in panel.series], wanted, c.target)}
    for i, name in enumerate(c.past):
        transforms[name] = tf.choose([s.past[:, i] for s in panel.series], name=name)
    for i, name in enumerate(c.future):
        transforms[name] = tf.choose([s.future[:, i] for s in panel.series], name=name)
    static = tuple(
        _static_code(name, [s.static[i] for s in panel.series]) for i, name in enumerate(c.static)
    )
    longest = max(panel.series, key=len)
    return Encoder(transforms, static, season or observe(longest.time).season)


def _static_code(name: str, values: list[float | str]) -> StaticCode:
    texts = sorted({v for v in values if isinstance(v, str)})
    if texts:
        return StaticCode(name, categories=tuple(texts))
    numbers = np.array(values, dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers) or numbers.std() == 0:
        return StaticCode(name, mean=float(numbers.mean()) if len(numbers) else 0.0)
    return StaticCode(name, float(numbers.mean()), float(numbers.std()))
