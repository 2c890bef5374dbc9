"""Sections of a forecast's page: the baseline, the drivers, the training, the facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gatewise.forecast.report import figures
from gatewise.page.numerals import significant
from gatewise.page.rendering import Picture, picture

if TYPE_CHECKING:
    from gatewise.forecast.explain.baseline import BaselinePaths
    from gatewise.forecast.explain.drivers import DriverEffect
    from gatewise.forecast.forecaster import Forecaster
    from gatewise.forecast.models.base import Training


def training_picture(training: Training) -> Picture | None:
    """Draw the losses; None where nothing was trained, as with the networks of the package."""
    if len(training.history) < 2:
        return None
    return picture(
        lambda width: figures.training_chart(training, width),
        "training",
        "Loss after each epoch: the mean over all networks. If the last rows are held back for "
        "validation, the weights with the lowest validation loss are kept.",
    )


def baseline_parts(
    past_time: NDArray[Any],
    past: NDArray[np.float64],
    time: NDArray[Any],
    paths: BaselinePaths,
    target: str,
) -> dict[str, Any]:
    """Return a sentence and a picture of an ensemble's baseline and of what its networks add.

    Args:
        past_time, past: [N] times and values of the latest rows.
        time: [h] of the forecast rows.
        paths: of the baseline.
        target: name of the target column.
    """
    caption = (
        "The baseline of the forecast, part by part: the level, the slope added to it, and the "
        "season added to both. The networks add the distance from the orange line to the blue one."
    )
    return {
        "sentence": (
            f"A simple baseline forecasts {target} first: a level, a slope and a season. The "
            f"networks then move that forecast by {significant(paths.added)} on average."
        ),
        "picture": picture(
            lambda width: figures.baseline_chart(past_time, past, time, paths, target, width),
            "baseline",
            caption,
        ),
    }


def driver_parts(effects: Sequence[DriverEffect]) -> dict[str, Any] | None:
    """Return the table and the picture of driver effects; None without drivers."""
    if not effects:
        return None
    caption = (
        "Effect of each driver at each lag: the change of the next row's forecast if the driver is "
        "one standard deviation of its window higher. The dot is the strongest lag, with its 95 % "
        "interval. Effects are in standard deviations of the target."
    )
    return {
        "picture": picture(lambda width: figures.drivers_chart(effects, width), "drivers", caption),
        "rows": [
            {
                "name": e.name,
                "kind": e.kind,
                "sign": e.sign.replace("-", "−") + (f": {e.reason}" if e.reason else ""),
                "lag": e.lag,
                "effect": significant(e.effect),
                "interval": f"{significant(e.low)} to {significant(e.high)}",
            }
            for e in effects
        ],
    }


def facts_of(forecaster: Forecaster) -> list[tuple[str, str]]:
    """Return names and values of what was fitted, and how."""
    fitted = forecaster.fitted
    return [
        ("rows", f"{fitted.rows:,}"),
        ("series", f"{len(fitted.tail.series):,}"),
        ("horizon", f"{forecaster.config.prediction_length} rows"),
        ("context", f"{fitted.context_length} rows"),
        ("parameters", f"{fitted.parameters:,}"),
        *(
            (
                ("epochs", f"{fitted.epochs}, kept {fitted.training.best}"),
                ("training time", f"{fitted.seconds:.1f} s"),
            )
            if fitted.epochs
            else (("training", "none: the networks come with the package"),)
        ),
        ("seed", str(fitted.seed)),
        *((f"transform of {name}", kind) for name, kind in fitted.transforms.items()),
    ]
