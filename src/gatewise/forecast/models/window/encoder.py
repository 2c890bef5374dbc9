"""Panels to arrays: the fitted `Encoder` holds every choice, `Encoded` every row of every series.

The encoder's choices (transforms, codes of the static columns, season) come from the table it was
fitted on; encoding another table uses them and looks at no row's future.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gatewise.forecast.data.calendar import observe
from gatewise.forecast.data.fields import phase
from gatewise.forecast.data.panel import Array, Panel, forward_fill
from gatewise.forecast.features import transform as tf
from gatewise.forecast.features.outliers import Usual, find_usual
from gatewise.forecast.features.static import StaticCode, encode_static, static_codes

_TIMES: Final = 4
"""A season beside the first counts if the longest series is at least so many long."""

_SMOOTH: Final = 24
_LONG: Final = 40
"""Within a season of so many rows a level hardly moves from row to row. Of a series with so many
seasons it is told at a season's lag whether it persists: a price does, a load curve comes back."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """Every row of every series, one after the other. N rows, S series, C columns.

    Attributes:
        working: [N] the target on its working scale, NaN where missing.
        levels: [N, C] the last observed value of each column up to and including the row, on its
            working scale.
        inputs: [N, C] what the network reads, NaN where missing: target, past, future.
        phases: [N, K] calendar features, known ahead.
        static: [S, D] codes.
        first, stop: [S] each series' rows are first <= row < stop.
        begin: [S] first row with a target; what is before it counts as before the series.
        stale: [N] rows since the last one with a target, 0 if the row has one.
        centred: [C] whether the column is centred in a window (transform "none").
        future: how many of the last columns are known ahead.
        seasons: rows per season of each season, ascending; empty without one.
    """

    working: Array
    levels: Array
    inputs: Array
    phases: Array
    static: Array
    first: NDArray[np.intp]
    stop: NDArray[np.intp]
    begin: NDArray[np.intp]
    stale: NDArray[np.intp]
    centred: NDArray[np.bool_]
    future: int
    seasons: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Encoder:
    """Choices made on the fitted table.

    Attributes:
        transforms: by column, the target first, then past and future drivers.
        static: codes of the static columns.
        season_length: rows per season of the observed calendar, 1 without one.
        seasons: every season that the table is long enough for (an hour's day and week, say),
            ascending; empty without one.
        spikes: how the target's spikes are tamed; None if they are not.
        usual: outside of which a value of the target counts as missing; None without bounds.
    """

    transforms: dict[str, str]
    static: tuple[StaticCode, ...]
    season_length: int
    seasons: tuple[int, ...] = ()
    spikes: tf.Spikes | None = None
    usual: Usual | None = None

    @property
    def target_transform(self) -> str:
        """Transform of the target."""
        return next(iter(self.transforms.values()))

    def input_names(self) -> list[str]:
        """Name of each feature the LSTM reads, in order."""
        values = list(self.transforms)
        phases = [
            f"{'season' if m == self.season_length else f'{m} rows'} {f}{j + 1}"
            for m in self.seasons
            for j in range(_harmonics(m))
            for f in ("sin", "cos")
        ]
        return [*values, *(f"{v} observed" for v in values), *phases]

    def encode(self, panel: Panel) -> Encoded:
        """Encode every row of a panel with the columns this encoder was fitted on."""
        working, levels, inputs, phases = [], [], [], []
        names = list(self.transforms.items())
        for s in panel.series:
            columns = [s.target, *s.past.T, *s.future.T]
            if self.usual is not None:
                columns[0] = self.usual.only(columns[0])
            if self.spikes is not None:
                columns[0] = self.spikes.tame(columns[0])
            scaled = [tf.to_working(v, kind) for v, (_, kind) in zip(columns, names, strict=True)]
            working.append(scaled[0])
            levels.append(forward_fill(np.column_stack(scaled)))
            inputs.append(
                np.column_stack(
                    [tf.to_inputs(v, kind) for v, (_, kind) in zip(scaled, names, strict=True)]
                )
            )
            phases.append(self._phases(panel.clock(s.time)))
        flat = panel.flat()
        gaps = [_stale(y) for y in working]
        return Encoded(
            np.concatenate(working),
            np.concatenate(levels),
            np.concatenate(inputs),
            np.concatenate(phases),
            encode_static(self.static, panel.series),
            flat.first,
            flat.stop,
            flat.first + np.array([int((gap < 0).sum()) for gap in gaps], dtype=np.intp),
            np.maximum(np.concatenate(gaps), 0),
            np.array([kind == "none" for _, kind in names]),
            len(panel.columns.future),
            self.seasons,
        )

    def _phases(self, time: NDArray[Any]) -> Array:
        waves = []
        for m in self.seasons:
            turn = 2 * np.pi * ((time / m) % 1 if time.dtype.kind != "M" else phase(time, m))
            waves += [f((j + 1) * turn) for j in range(_harmonics(m)) for f in (np.sin, np.cos)]
        return np.column_stack(waves) if waves else np.empty((len(time), 0))


def fit_encoder(
    panel: Panel, wanted: str = "auto", season_length: int | None = None, *, tame: bool = False
) -> Encoder:
    """Make every choice on a panel.

    Args:
        panel: the table to be fitted.
        wanted: transform of the target, default "auto"; drivers always choose for themselves.
        season_length: rows per season; None (default) takes the calendar's.
        tame: whether to tame spikes of a target that is read as it is, if it has any.
    """
    c = panel.columns
    longest = max(panel.series, key=len)
    calendar = observe(longest.time, panel.zone)
    season_length = season_length or calendar.season_length
    every = sorted({m for m in (season_length, *calendar.seasons) if m > 1})
    seasons = tuple(m for m in every if m == season_length or len(longest) >= _TIMES * m)
    long = next((m for m in seasons if m >= _SMOOTH and len(longest) >= _LONG * m), 1)
    target = [s.target for s in panel.series]
    usual = find_usual(target, season_length)
    target = target if usual is None else [usual.only(y) for y in target]
    transforms = {c.target: tf.choose(target, wanted, c.target, long)}
    for i, name in enumerate(c.past):
        transforms[name] = tf.choose(
            [s.past[:, i] for s in panel.series], name=name, season_length=long
        )
    for i, name in enumerate(c.future):
        transforms[name] = tf.choose(
            [s.future[:, i] for s in panel.series], name=name, season_length=long
        )
    tame = tame and wanted == "auto" and transforms[c.target] == "none"
    spikes = tf.find_spikes(target) if tame else None
    return Encoder(transforms, static_codes(panel), season_length, seasons, spikes, usual)


def _stale(values: Array) -> NDArray[np.intp]:
    """[n] rows since the last value, 0 where there is one; -1 before the first."""
    rows = np.arange(len(values))
    last = np.maximum.accumulate(np.where(np.isnan(values), -1, rows))
    return np.where(last < 0, -1, rows - last)


def _harmonics(season_length: int) -> int:
    """Number of sine and cosine pairs that describe a season."""
    return min(season_length // 2, 3)
