"""A fitted forecaster and what it forecasts, as the page takes them: see `web/src/data.ts`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from gatewise.explorer.model import model_data
from gatewise.forecast.data.timestamps import column_clock
from gatewise.forecast.explain.readout import Readout, lstm_readout
from gatewise.forecast.explain.share import LstmShare, lstm_share
from gatewise.page.time_axis import time_labels

if TYPE_CHECKING:
    from gatewise.forecast.backtesting import Backtest
    from gatewise.forecast.explain.drivers import DriverEffect
    from gatewise.forecast.forecaster import Forecaster

_SERIES: Final = 6
"""Series with a fan chart, as in the report."""

_PAST_ROWS: Final = 6
"""Rows of the past before a fan, in horizons."""

_FOLDS: Final = 12
"""Latest origins of a backtest that are shown."""

_SCORES: Final = ("mae", "mase", "wql", "mse_ratio", "dm_p", "dm_p_holm")


def forecaster_data(
    forecaster: Forecaster,
    *,
    history: Any = None,
    future: Any = None,
    forecast: Any = None,
    result: Backtest | None = None,
    effects: Sequence[DriverEffect] = (),
    name: str = "",
) -> dict[str, Any]:
    """Return the LSTM of a fitted forecaster, what it read, and what was forecast.

    Args:
        forecaster: fitted.
        history: table that is forecast from, if not the fitted one.
        future: the drivers that are known ahead, as in its `predict`.
        forecast: what its `predict` returned. Default: it is asked; where it needs drivers that are
            known ahead and future does not hold them, the page has no forecast and says so.
        result: a backtest of it, if there is one.
        effects: what `driver_effects` returned.
        name: of the model. Default: what it forecasts.

    Raises:
        NotFittedError: `fit` was not called.
        TableError: the history does not fit it.
    """
    fitted, target = forecaster.fitted, forecaster.fitted.tail.columns.target
    window, share = forecaster.lstm_input(history), lstm_share(forecaster, history)
    readout = lstm_readout(forecaster, history)
    h = forecaster.config.prediction_length
    data = model_data(
        fitted.network.lstm,
        window.x[window.padding :],
        name=name or f"forecast of {target}",
        about=_about(share, readout, target),
        inputs=window.names,
        time=time_labels(fitted.tail.clock(window.time)),
        readout=readout,
    )
    panel = fitted.known(history)
    own = next((s for s in panel.series if str(s.name) == str(window.series)), panel.series[0])
    at = dict(zip(own.time.tolist(), own.target.tolist(), strict=True))
    values = [_number(at.get(t)) for t in window.time.tolist()]
    data["series"][0] |= {
        "name": str(window.series) if window.series else str(target),
        "target": {"name": str(target), "values": values},
    }
    if forecast is None and fitted.tail.columns.future and future is None:
        data["about"] += " The forecast needs drivers that are known ahead, which were not given."
        return data
    table = forecast
    if forecast is None:
        table = forecaster.predict(history=history, future=future)
    data["forecast"] = {
        "sentence": _sentence(result, h, target),
        "series": _fans(panel, table, h),
        "folds": [] if result is None else _folds(result, panel.columns),
        "scores": None if result is None else _scores(result),
        "drivers": [_driver(e) for e in effects],
    }
    return data


def _about(share: LstmShare | None, readout: Readout | None, target: Any) -> str:
    told = share.sentence if share else f"The first LSTM of a forecast of {target}."
    if readout is None:
        return told
    shares = ", ".join(
        f"{100 * t:.0f} % for {name}"
        for t, name in zip(readout.shrinkage, readout.names, strict=True)
    )
    return (
        f"{told} What the model says is what the network would add to the baseline's forecast, in "
        f"units of the baseline's error; the forecast takes {shares}."
    )


def _sentence(result: Backtest | None, h: int, target: Any) -> str:
    if result is not None:
        return result.verdict
    return f"The next {h} rows of {target}. There is no backtest, so nothing is said of its skill."


def _columns(table: Any) -> dict[str, NDArray[Any]]:
    frame = nw.from_native(table, eager_only=True)
    return {name: frame[name].to_numpy() for name in frame.columns}


def _fans(panel: Any, table: Any, h: int) -> list[dict[str, Any]]:
    columns, time = _columns(table), panel.columns.time
    frame = nw.from_native(table, eager_only=True)
    columns[time] = time_labels(column_clock(frame[time], panel.style))
    names = None if panel.columns.series is None else columns[panel.columns.series]
    fans: list[dict[str, Any]] = []
    for series in panel.series[:_SERIES]:
        own = columns if names is None else {k: v[names == series.name] for k, v in columns.items()}
        keep = slice(-max(_PAST_ROWS * h, 1), None)
        quantiles = {"0.5": own["forecast"]}
        for name, values in own.items():
            side, _, level = name.partition("-")
            if side in ("lo", "hi") and level:
                p = 0.5 + (1 if side == "hi" else -1) * float(level) / 200
                quantiles[f"{p:.4g}"] = values
        fans.append({
            "name": str(series.name) if names is not None else str(panel.columns.target),
            "history": {
                "time": list(time_labels(panel.clock(series.time[keep]))),
                "values": [_number(v) for v in series.target[keep].tolist()],
            },
            "time": list(own[time]),
            "quantiles": {p: quantiles[p].tolist() for p in sorted(quantiles, key=float)},
        })  # fmt: skip
    return fans


def _folds(result: Backtest, names: Any) -> list[dict[str, Any]]:
    """The latest origins of the first series: what came, what we said, and what the others."""
    columns = _columns(result.forecasts)
    rows = np.ones(len(columns["forecast"]), bool)
    series = names.target
    if names.series in columns:
        series = columns[names.series][0]
        rows = columns[names.series] == series
    others = [n for n in result.scores if n in columns]
    folds = []
    for origin in list(dict.fromkeys(columns["origin"][rows].tolist()))[-_FOLDS:]:
        here = rows & (columns["origin"] == np.array(origin, columns["origin"].dtype))
        said = {"gatewise": columns["forecast"]} | {n: columns[n] for n in others}
        folds.append({
            "series": str(series),
            "origin": str(time_labels(columns["origin"][here][:1])[0]),
            "time": list(time_labels(columns[names.time][here])),
            "actual": [_number(v) for v in columns["actual"][here].tolist()],
            "forecasts": {n: [_number(v) for v in a[here].tolist()] for n, a in said.items()},
        })  # fmt: skip
    return folds


def _scores(result: Backtest) -> dict[str, Any]:
    names = [n for n in _SCORES if any(n in line for line in result.scores.values())]
    return {
        "columns": ["model", *names],
        "rows": [
            [model, *(_number(line.get(n)) for n in names)] for model, line in result.scores.items()
        ],
    }


def _driver(effect: DriverEffect) -> dict[str, Any]:
    return {
        "name": effect.name,
        "effect": [float(v) for v in effect.profile],
        "first": 0 if effect.kind == "future" else 1,
        "sign": effect.sign if effect.sign in ("+", "-") else "0",
        "known": effect.kind,
    }


def _number(value: Any) -> float | None:
    """A number JSON can hold."""
    return float(value) if value is not None and np.isfinite(value) else None
