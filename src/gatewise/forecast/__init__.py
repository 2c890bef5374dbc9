"""Forecasting with an LSTM, judged honestly.

Data flows one way, and each file is one step of it::

    files, datasets -> table -> panel -> features -> windows -> model, train -> fitting
         streams, grouping, timestamps                               |
         forecaster (fit, predict, save) <- storage, ahead <--------+
         rolling (backtest) <- folds, baselines, scoring, metrics, significance, leaks,
                               conformal, checkpoints
         tuning (tune: a search judged on rolling validation)
         drivers (what the network makes of each driver) <----------+

Steps are rows: no grid is ever filled, and the time stamps of the future come from the observed
calendar (`calendar`). Scaling is computed inside each window, from its past only (`windows`).

Only `model`, `train` and what stands on them need torch; importing this package does not import
it. The package stands on `gatewise.nn`; the command line stands on it. It never prints, and it
knows nothing of the network's kernels.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from gatewise.errors import MissingExtraError

if TYPE_CHECKING:
    from gatewise.forecast import datasets
    from gatewise.forecast.drivers import DriverEffect, driver_effects
    from gatewise.forecast.files import read_table
    from gatewise.forecast.forecaster import Forecaster
    from gatewise.forecast.leaks import LeakCheck
    from gatewise.forecast.result import Backtest
    from gatewise.forecast.rolling import backtest
    from gatewise.forecast.tuning import Tuned, tune

_HOME: Final = {
    "Backtest": "result",
    "DriverEffect": "drivers",
    "Forecaster": "forecaster",
    "LeakCheck": "leaks",
    "Tuned": "tuning",
    "backtest": "rolling",  # not backtest.py: a submodule of that name would hide the function
    "driver_effects": "drivers",
    "read_table": "files",
    "tune": "tuning",  # likewise
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
            return import_module("gatewise.forecast.datasets")
        return getattr(import_module(f"gatewise.forecast.{_HOME[name]}"), name)
    except ModuleNotFoundError as error:
        raise MissingExtraError("Forecasting", "forecast") from error


def __dir__() -> list[str]:
    return sorted(__all__)
