"""Forecasters as functions: fit a table, then forecast.

A forecast table has the columns unique_id, step (1 to h), forecast, lo-50, hi-50, lo-80, hi-80,
lo-95 and hi-95.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import polars as pl

from benchmarks.forecasts import linear
from benchmarks.forecasts.sets import PARTS, Task

LEVELS: Final = (50, 80, 95)
EDGES: Final = ("lo-95", "lo-80", "lo-50", "forecast", "hi-50", "hi-80", "hi-95")
"""Columns of the quantiles, ascending."""

HELD_OUT: Final = Path("build/pretrained")
"""Networks trained without the source in the file's name: `make pretrained-held-out`."""

Predict = Callable[[pl.DataFrame | None, pl.DataFrame | None], pl.DataFrame]
"""Called with rows up to a later origin (None: those that were fitted) and the drivers ahead."""

Fit = Callable[[Task, pl.DataFrame, dict[str, Any]], Predict]


@dataclass(frozen=True)
class Peer:
    """A forecaster.

    Attributes:
        fit: the function.
        modules: what it imports, before anything is timed.
        packages: whose versions are told.
        parts: of the benchmark that it is asked for; see `PARTS`.
    """

    fit: Fit
    modules: tuple[str, ...]
    packages: tuple[str, ...]
    parts: tuple[str, ...] = ("competitions", "general")

    @property
    def version(self) -> str:
        """Packages and versions; those that are not installed are left out."""
        found = []
        for name in self.packages:
            try:
                found.append(f"{name} {version(name)}")
            except PackageNotFoundError:
                continue
        return ", ".join(found)

    def load(self) -> None:
        """Import all it needs.

        Raises:
            ImportError: it is not installed.
        """
        for name in self.modules:
            import_module(name)


def known_options(task: Task, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the options of the `Forecaster`: its defaults on one core, but for what is asked."""
    options = {
        "prediction_length": task.prediction_length,
        "season_length": task.season_length,
        "threads": 1,
    }
    return options | {"levels": LEVELS} | asked


def _gatewise(task: Task, table: pl.DataFrame, asked: dict[str, Any]) -> Predict:
    from gatewise.forecast import Forecaster

    fitted = Forecaster(**known_options(task, asked)).fit(table, future=task.future)
    return lambda history, ahead: numbered(fitted.predict(future=ahead, history=history))


def _joint(task: Task, table: pl.DataFrame, asked: dict[str, Any]) -> Predict:
    from gatewise.forecast import Forecaster, datasets
    from gatewise.forecast.models.residual.pretraining import SETS, source_of

    own = source_of(task.name)
    others = [datasets.load(name).table for name in SETS if source_of(name) != own]
    fitted = Forecaster(**known_options(task, asked)).fit(table, related=others)
    return lambda history, ahead: numbered(fitted.predict(future=ahead, history=history))


def _pretrained(task: Task, table: pl.DataFrame, _: dict[str, Any]) -> Predict:
    """The package's networks; on the sets they learnt from, ones that did not."""
    from gatewise.forecast import Forecaster
    from gatewise.forecast.models.residual.pretraining import SETS, source_of

    options = known_options(task, {})
    if task.name in SETS:
        options["networks"] = HELD_OUT / f"without-{source_of(task.name)}.safetensors"
    fitted = Forecaster.pretrained(**options).fit(table)
    return lambda history, ahead: numbered(fitted.predict(future=ahead, history=history))


def _statsforecast(model: str) -> Fit:
    def fit(task: Task, table: pl.DataFrame, _: dict[str, Any]) -> Predict:
        from statsforecast import StatsForecast, models

        made = StatsForecast(
            [getattr(models, model)(season_length=task.season_length)], 1, n_jobs=1
        )
        asked: dict[str, Any] = {"h": task.prediction_length, "level": [*LEVELS]}

        def predict(history: pl.DataFrame | None, _: pl.DataFrame | None) -> pl.DataFrame:
            if history is None:
                found = made.predict(**asked)
            else:
                found = made.forecast(df=_integer_times(history), **asked)
            return numbered(found.rename(lambda name: name.removeprefix(f"{model}-"))).rename(
                {model: "forecast"}
            )

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # seasons that AutoETS leaves out, short series
            made.fit(_integer_times(table))
        return predict

    return fit


def numbered(forecasts: pl.DataFrame) -> pl.DataFrame:
    """Put the step in the place of the time: rows are joined by it, whatever the calendar."""
    return forecasts.with_columns(step=pl.int_range(1, pl.len() + 1).over("unique_id")).drop("ds")


def _integer_times(table: pl.DataFrame) -> pl.DataFrame:
    return table.select("unique_id", pl.int_range(pl.len()).over("unique_id").alias("ds"), "y")


_OURS: Final = ("torch", "gatewise.forecast.forecaster"), ("gatewise", "torch")
_NIXTLA: Final = ("statsforecast.models",), ("statsforecast",)

PEERS: Final = {
    "gatewise": Peer(_gatewise, *_OURS, parts=(*PARTS,)),
    "gatewise, joint": Peer(_joint, *_OURS, parts=("competitions",)),
    "gatewise, pretrained": Peer(_pretrained, *_OURS),
    "seasonal naive": Peer(_statsforecast("SeasonalNaive"), *_NIXTLA, parts=(*PARTS,)),
    "AutoETS": Peer(_statsforecast("AutoETS"), *_NIXTLA),
    "AutoTheta": Peer(_statsforecast("AutoTheta"), *_NIXTLA),
    "least squares": Peer(linear.fit, ("numpy",), ("numpy",), parts=("drivers",)),
}
