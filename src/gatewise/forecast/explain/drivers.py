"""What a fitted network makes of each driver: nudge it, and see how the forecast moves.

The driver is raised by one window-sigma at one lag, and everything else is left as it is; the
answer is the change of the next row's median, in window-sigmas of the target, by the linear
baseline and the network together. It describes the model, not the
world: a driver with an effect here need not cause anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import ConfigError
from gatewise.forecast.data.panel import Array, Panel
from gatewise.forecast.forecaster import Forecaster
from gatewise.forecast.models.window.model import WindowModel
from gatewise.forecast.models.window.windows import MIN_CONTEXT, Windows

_ORIGINS: Final = 200
_LAGS: Final = 10
_DRAWS: Final = 1000
NEGLIGIBLE: Final = 0.05
"""In standard deviations of the target: a quarter of a percent of its variance."""


@dataclass(frozen=True, slots=True)
class DriverEffect:
    """Effect of one driver on the next row's forecast.

    Attributes:
        name: of the column.
        kind: "past" or "future".
        lag: rows before the forecast row at which it acts most; 0 for a known-future driver.
        effect: change of the median per window-sigma of the driver, in window-sigmas of the
            target, averaged over origins.
        low, high: 95 % interval over origins, by a moving-block bootstrap.
        sign: "+", "-", or "unclear": `reason` says why.
        profile: effect at lag 1, 2, ... (only lag 0 for a known-future driver).
    """

    name: str
    kind: str
    lag: int
    effect: float
    low: float
    high: float
    sign: str
    profile: tuple[float, ...]

    @property
    def reason(self) -> str:
        """Why the sign is unclear: the interval holds 0, or the effect is too small; "" if clear.

        >>> DriverEffect("x", "past", 1, 0.02, 0.01, 0.03, "unclear", (0.02,)).reason
        'smaller than 0.05 σ of the target'
        """
        if self.sign != "unclear":
            return ""
        if self.low <= 0 <= self.high:
            return "the interval includes 0"
        return f"smaller than {NEGLIGIBLE} σ of the target"


def driver_effects(f: Forecaster, table: Any = None) -> list[DriverEffect]:
    """Perturb each driver of a fitted forecaster, in the order of its columns.

    Args:
        f: a fitted forecaster.
        table: whose latest 200 origins to use; default the fitted table. A loaded forecaster
            holds no table and needs one.

    Raises:
        NotFittedError: `fit` was not called.
        ConfigError: a loaded forecaster was given no table.

    >>> import numpy as np, polars as pl
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=300)
    >>> y = 0.9 * np.concatenate([[0], x[:-1]]) + 0.3 * rng.normal(size=300)
    >>> f = Forecaster(prediction_length=2).fit(
    ...     pl.DataFrame({"ds": range(300), "y": y, "x": x}), past=["x"])
    >>> [(e.name, e.lag, e.sign) for e in driver_effects(f)]
    [('x', 1, '+')]
    """
    fitted = f.fitted
    columns = fitted.tail.columns
    if not columns.past and not columns.future:
        return []
    panel = fitted.panel if table is None else fitted.read(table)
    if panel is None:
        raise ConfigError(
            "A loaded forecaster holds no table: expected driver_effects(f, table) with its rows."
        )
    model = fitted.model
    assert isinstance(model, WindowModel)  # the one that takes drivers
    windows = _latest(model, panel)
    middle = fitted.config.probabilities.index(0.5)
    rng = np.random.default_rng(fitted.config.seed)
    block = fitted.config.prediction_length
    still = model.learnt.outputs(windows)[:, 0, middle]

    effects = []
    for i, name in enumerate(columns.past, start=1):
        lags = range(1, min(_LAGS, model.context_length) + 1)
        moved = [_nudged_past(model, windows, i, lag) for lag in lags]
        changes = [model.learnt.outputs(w)[:, 0, middle] - still for w, _ in moved]
        kept = [c[observed] for c, (_, observed) in zip(changes, moved, strict=True)]
        effects.append(_summarise(name, "past", kept, block, rng))
    for i, name in enumerate(columns.future):
        nudged, observed = _nudged_future(windows, i, len(columns.future))
        change = model.learnt.outputs(nudged)[:, 0, middle] - still
        effects.append(_summarise(name, "future", [change[observed]], block, rng))
    return effects


def _latest(model: WindowModel, panel: Panel) -> Windows:
    """Windows at the latest origins with a whole context, shared out over the series."""
    share = max(1, _ORIGINS // len(panel.series))
    h = model.config.prediction_length if panel.columns.future else 0
    where = []
    for i, s in enumerate(panel.series[:_ORIGINS]):
        start = max(len(s) - h - share, min(model.context_length, len(s) - h), MIN_CONTEXT)
        where += [(i, end) for end in range(start, len(s) - h + 1)]
    if not where:
        raise ConfigError("No series of the table is long enough to nudge a driver in.")
    series, ends = zip(*where, strict=True)
    return model.windows(panel, series, ends)


def _nudged_past(
    model: WindowModel, windows: Windows, column: int, lag: int
) -> tuple[Windows, NDArray[np.bool_]]:
    """One sigma more in a past driver at a lag; and where it was observed at all."""
    context = windows.context.copy()
    context[-lag, :, column] += 1.0
    observed = windows.context[-lag, :, len(model.encoder.transforms) + column] > 0
    return replace(windows, context=context), observed


def _nudged_future(windows: Windows, column: int, count: int) -> tuple[Windows, NDArray[np.bool_]]:
    """One sigma more in a known-future driver of the first row to forecast."""
    ahead = windows.ahead.copy()
    k = np.arange(1, ahead.shape[1] + 1, dtype=np.float32)
    ahead[:, 0, column] += 1.0
    ahead[:, :, count + column] += 1.0 / np.sqrt(k)
    return replace(windows, ahead=ahead), windows.ahead[:, 0, 2 * count + column] > 0


def _summarise(
    name: str,
    kind: str,
    kept: list[Array],
    block: int,
    rng: np.random.Generator,
) -> DriverEffect:
    first_lag = 1 if kind == "past" else 0
    profile = tuple(float(c.mean()) if len(c) else 0.0 for c in kept)
    at = int(np.argmax(np.abs(profile)))
    effect = profile[at]
    low, high = _block_bootstrap(kept[at], block, rng)
    clear = abs(effect) >= NEGLIGIBLE and low * high > 0
    sign = ("+" if effect > 0 else "-") if clear else "unclear"
    return DriverEffect(name, kind, first_lag + at, effect, low, high, sign, profile)


def _block_bootstrap(values: Array, block: int, rng: np.random.Generator) -> tuple[float, float]:
    """95 % interval of the mean from moving blocks (Künsch 1989)."""
    n = len(values)
    if not n:
        return 0.0, 0.0
    block = max(1, min(block, n // 4))
    starts = rng.integers(0, n - block + 1, size=(_DRAWS, -(-n // block)))
    rows = (starts[:, :, None] + np.arange(block)).reshape(_DRAWS, -1)[:, :n]
    low, high = np.quantile(values[rows].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)
