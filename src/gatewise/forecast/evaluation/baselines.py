"""The forecasts that usually win: every backtest stands beside them.

All work on the working scale of the target, and each reads every row before its origin. The
univariate ones are statsforecast's (Nixtla); those whose form has to be searched are fitted as
often as the network is. The one that reads drivers, too, stands in `linear`.

A method that a history is too short for is replaced by a simpler one, and says so: see
`BaselineForecast`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import MissingExtraError
from gatewise.forecast.config import Config
from gatewise.forecast.data.panel import Array, Panel, forward_fill
from gatewise.forecast.features.season import beside, find
from gatewise.forecast.models.window.encoder import fit_encoder

LAST_VALUE: Final = "last value"
MEAN: Final = "mean"
DRIFT: Final = "drift"
SEASONAL: Final = "seasonal naive"
ETS: Final = "AutoETS"
MSTL: Final = "MSTL with AutoETS"
WITHOUT_SEASON: Final = "AutoETS without a season"

_CONE_ROWS: Final = 250
"""Changes that make the historical volatility, a trading year."""

_ETS_ROWS: Final = 400
"""AutoETS is fitted to the last rows only: its search takes seconds on thousands, and changes
little."""

_ETS_SEASON: Final = 24
"""AutoETS takes no longer season."""

_MSTL_SEASONS: Final = 12
"""MSTL is fitted to so many of its longest seasons, or to `_ETS_ROWS` if they are more."""

_ETS_LEAST: Final = 8
"""AutoETS refuses shorter histories."""


def naive_names(unit: str) -> tuple[str, str]:
    """The two forecasts that know nothing, of which skill must beat both.

    For a target in changes: no change, and the mean change. For a stationary one: the last value,
    which is poor where values revert to their mean, and that mean.

    Args:
        unit: transform whose working scale is forecast.

    >>> naive_names("none"), naive_names("log-return")
    (('last value', 'mean'), ('last value', 'drift'))
    """
    return (LAST_VALUE, MEAN if unit == "none" else DRIFT)


@dataclass(frozen=True, slots=True)
class Baseline:
    """How the baselines see a table, and what losses are measured in: chosen once.

    Attributes:
        unit: transform whose working scale they are fitted on, and all losses measured on.
        seasons: rows per season, ascending; empty without one.
    """

    unit: str
    seasons: tuple[int, ...] = ()

    @property
    def season_length(self) -> int:
        """The shortest season; 1 without one."""
        return self.seasons[0] if self.seasons else 1

    @classmethod
    def of(cls, history: Panel, config: Config, whole: Panel) -> Baseline:
        """Choose on the rows before the first origin, as a fit on them would.

        Args:
            history: those rows.
            config: of the forecaster.
            whole: the table; of a value that is not positive, the log is no unit.
        """
        season_length = config.season_length or find(history)
        longer = beside(history, season_length, config.long_season_length)
        unit = fit_encoder(history, config.transform, season_length).target_transform
        if unit == "log-return" and not all(np.nanmin(s.target) > 0 for s in whole.series):
            unit = "difference"
        return cls(unit, tuple(m for m in (season_length, longer) if m > 1))


@dataclass(frozen=True, slots=True, eq=False)
class BaselineForecast:
    """What one baseline forecast of one series.

    Attributes:
        quantiles: [F, h, Q] on the working scale.
        replaced: [F] at which origins the history did not allow the method.
        by: what stood in for it there, such as "last value" or "AutoETS without a season"; "" if
            nothing did.
    """

    quantiles: Array
    replaced: NDArray[np.bool_]
    by: str = ""


def univariate(
    history: Array,
    cuts: Sequence[int],
    prediction_length: int,
    seasons: Sequence[int],
    probabilities: Sequence[float],
    *,
    centred: bool = False,
) -> dict[str, BaselineForecast]:
    """Forecast one series from its own past, from several origins after one fit.

    `Naive`, `RandomWalkWithDrift`, `HistoricAverage`, `SeasonalNaive`, `AutoETS` and `MSTL` of
    statsforecast. The seasonal naive needs one season, AutoETS and MSTL need two. The intervals of
    the last value are the historical-volatility cone: those of a `Naive` that reads the latest 250
    changes only.

    Args:
        history: [n] working values; NaN are filled forward.
        cuts: [F] rows known at each origin, ascending; AutoETS and MSTL are fitted at the first.
        prediction_length: h.
        seasons: rows per season, ascending; empty without one. AutoETS takes the first, if it has
            24 rows at most; if it has more, or there are several, MSTL stands beside it.
        probabilities: quantiles to return, ascending and symmetric around 0.5.
        centred: whether the target is forecast as it is, not as a change: adds the mean.

    Raises:
        MissingExtraError: statsforecast is not installed.

    >>> made = univariate(np.arange(20.0), [20], 2, (), (0.1, 0.5, 0.9))
    >>> [made[name].quantiles[0, :, 1].tolist() for name in ("last value", "drift")]
    [[19.0, 19.0], [20.0, 21.0]]
    """
    models = _models()
    filled = forward_fill(history)
    first = int(np.isnan(filled).sum())  # only leading ones are left
    y = filled[first:]
    known = [cut - first for cut in cuts]
    season_length = seasons[0] if seasons else 1

    def at_each(model: Any, least: int = 1, rows: int | None = None) -> BaselineForecast:
        """Fit a model anew at each origin; too short a history leaves the last value."""
        short = np.array([n < least for n in known])
        made = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of one row, or one season: a spread of nothing
            for n in known:
                fitted, seen = (
                    model if n >= least else models.Naive(),
                    y[max(n - (rows or n), 0) : n],
                )
                found = fitted.forecast(seen, prediction_length, level=_levels(probabilities))
                made.append(_columns(found, probabilities))
        return BaselineForecast(np.array(made), short, LAST_VALUE if short.any() else "")

    made = {LAST_VALUE: at_each(models.Naive(), rows=_CONE_ROWS + 1)}
    if centred:
        made[MEAN] = at_each(models.HistoricAverage())
    made[DRIFT] = at_each(models.RandomWalkWithDrift(), least=3)
    if season_length > 1:
        made[SEASONAL] = at_each(models.SeasonalNaive(season_length), least=season_length)

    def once(model: Any, rows: int = _ETS_ROWS, by: str = "") -> BaselineForecast:
        """Fit a model at the first origin alone; `by` says that it stands in for another."""
        made = _run_on(model, y, known, rows, prediction_length, probabilities)
        return BaselineForecast(made, np.full(len(known), by != ""), by)

    if known[0] < _ETS_LEAST:
        made[ETS] = at_each(models.Naive(), least=len(y) + 1)
    elif season_length > 1 and (season_length > _ETS_SEASON or known[0] < 2 * season_length):
        made[ETS] = once(models.AutoETS(), by=WITHOUT_SEASON)
    else:
        made[ETS] = once(models.AutoETS(season_length=season_length))
    if season_length > _ETS_SEASON or len(seasons) > 1:
        taken = [m for m in seasons if 2 * m <= known[0]]
        made[MSTL] = made[ETS]
        if taken and known[0] >= _ETS_LEAST:  # else AutoETS without a season stands in, or less
            model = models.MSTL(taken, trend_forecaster=models.AutoETS(model="ZZN"))
            by = "" if len(taken) == len(seasons) else f"{MSTL} without its longer season"
            made[MSTL] = once(model, max(_ETS_ROWS, _MSTL_SEASONS * taken[-1]), by)
    return made


def _models() -> Any:
    try:
        from statsforecast import models
    except ImportError:
        raise MissingExtraError("A backtest", "forecast") from None
    return models


def _run_on(
    model: Any,
    y: Array,
    known: Sequence[int],
    rows: int,
    h: int,
    probabilities: Sequence[float],
) -> Array:
    """[F, h, Q]: form and parameters found at the first origin, the states run on from there."""
    start, first = max(known[0] - rows, 0), known[0]
    levels = _levels(probabilities)
    quantiles = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of constant or very short histories
        model.fit(y[start:first])
        for n in known:
            if n > first and y[first:n].min() <= 0 < y[start:first].min():
                model.fit(y[start:n])  # a multiplicative form does not hold any longer
                first = n
            seen = y[start:n]
            ahead = model.predict(h, level=levels) if n == first else None
            quantiles.append(_columns(ahead or model.forward(seen, h, level=levels), probabilities))
    return np.array(quantiles)


def _columns(made: dict[str, NDArray[Any]], probabilities: Sequence[float]) -> Array:
    columns = []
    for p in probabilities:
        if p == 0.5:
            columns.append(made["mean"])
        else:
            columns.append(made[f"{'lo' if p < 0.5 else 'hi'}-{_level(p)}"])
    quantiles = np.column_stack(columns).astype(np.float64)
    return np.where(np.isfinite(quantiles), quantiles, quantiles[:, [len(columns) // 2]])


def _levels(probabilities: Sequence[float]) -> list[Any]:
    return sorted(_level(p) for p in probabilities if p < 0.5)


def _level(probability: float) -> int | float:
    """The central interval, in percent, that has a quantile as its edge."""
    level = round(abs(100 - 200 * probability), 6)
    return int(level) if level == int(level) else level
