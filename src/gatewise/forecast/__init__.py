"""Forecasting with an LSTM, judged honestly.

A table goes through these packages in order, and imports go the other way only::

    data         readers, streams, table, values, gaps, grouping, timestamps, spellings, codes,
                 zones, panel, calendar, fields, future_rows, datasets
    features     transform, season, static
    uncertainty  conformal, paths, shrinkage
    models       base, window | residual, fit (chooses one), io (files)
    predicting   what a fitted model says of the rows ahead
    forecaster   fit, predict, save
    evaluation   folds, baselines, scoring, metrics, significance, leaks, result, checkpoints,
                 tuning
    explain      drivers, share, baseline, readout
    report       pages and pictures
    backtesting  backtest

`charts` draws plain arrays for any of them. Steps are rows: only the gaps of a regular calendar
are filled (`data.gaps`), and the times of the future continue the observed calendar
(`data.calendar`). Scaling is computed inside each window, from its past only
(`models.window.windows`).

Only `models` and what stands on it needs torch; importing this package does not import it. The
package stands on `gatewise.nn`; the command line stands on it. It never prints, and it knows
nothing of the network's kernels.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from gatewise.errors import MissingExtraError

if TYPE_CHECKING:
    from gatewise.forecast.backtesting import Backtest, backtest
    from gatewise.forecast.data import datasets
    from gatewise.forecast.data.readers import read_table
    from gatewise.forecast.evaluation.leaks import LeakCheck
    from gatewise.forecast.evaluation.tuned import Tuned
    from gatewise.forecast.evaluation.tuning import tune
    from gatewise.forecast.explain.drivers import DriverEffect, driver_effects
    from gatewise.forecast.forecaster import Forecaster

_HOME: Final = {
    "Backtest": "backtesting",
    "DriverEffect": "explain.drivers",
    "Forecaster": "forecaster",
    "LeakCheck": "evaluation.leaks",
    "Tuned": "evaluation.tuned",
    "backtest": "backtesting",
    "driver_effects": "explain.drivers",
    "read_table": "data.readers",
    "tune": "evaluation.tuning",
}

__all__ = [
    "Backtest",
    "DriverEffect",
    "Forecaster",
    "LeakCheck",
    "Tuned",
    "backtest",
    "datasets",
    "driver_effects",
    "read_table",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'gatewise.forecast' has no attribute {name!r}")
    try:
        if name == "datasets":
            return import_module("gatewise.forecast.data.datasets")
        return getattr(import_module(f"gatewise.forecast.{_HOME[name]}"), name)
    except ModuleNotFoundError as error:
        raise MissingExtraError("Forecasting", "forecast") from error


def __dir__() -> list[str]:
    return sorted(__all__)
