"""The floor of a target: what its forecasts do not go below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from gatewise.errors import ConfigError, shown
from gatewise.forecast.data.panel import Array

NO_FLOOR: Final = -np.inf


def find_floor(targets: Sequence[Array], asked: float | str | None, name: str = "y") -> float:
    """Return what forecasts of a target are not below; -inf if they may be anything.

    Args:
        targets: the values of each series, [n], in the target's unit; NaN where missing.
        asked: "auto": 0 if no value is negative, else none; None: none; or the floor itself.
        name: of the target, for the message.

    Raises:
        ConfigError: a value is below the floor that is asked for.

    >>> find_floor([np.array([0.0, 2.0])], "auto"), find_floor([np.array([-1.0, 2.0])], "auto")
    (0.0, -inf)
    >>> find_floor([np.array([3.0, 2.0])], 1.5), find_floor([np.array([3.0, 2.0])], None)
    (1.5, -inf)
    """
    if asked is None:
        return NO_FLOOR
    lows = [float(np.nanmin(y)) for y in targets if not np.isnan(y).all()]
    lowest = min(lows, default=0.0)
    if isinstance(asked, str):  # "auto", which `Config` has checked
        return 0.0 if lowest >= 0 else NO_FLOOR
    if lowest < asked:
        raise ConfigError(
            f"lower is {asked:g}, and target {shown(name)} goes down to {lowest:g}: expected no "
            "value below. Use a lower value, or lower=None."
        )
    return float(asked)


def floor_note(floor: float, asked: float | str | None) -> list[str]:
    """What people should know of the floor: one sentence if there is one.

    >>> floor_note(0.0, "auto")[0][:26], floor_note(-np.inf, "auto")
    ('The target is never negati', [])
    """
    if not np.isfinite(floor):
        return []
    why = "The target is never negative" if isinstance(asked, str) else f"lower is {floor:g}"
    rest = " (lower=None, --lower none, allows that)" if isinstance(asked, str) else ""
    return [f"{why}: no forecast is below {floor:g}{rest}."]
