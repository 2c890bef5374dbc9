"""A backtest's numbers and pictures as the template takes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gatewise.forecast.evaluation.metrics import DEFINITIONS
from gatewise.forecast.report import figures
from gatewise.page.numerals import signed, significant
from gatewise.page.rendering import Picture, picture

if TYPE_CHECKING:
    from gatewise.forecast.evaluation.result import Result


def backtest_parts(result: Result) -> dict[str, Any]:
    """Everything of a backtest that the template shows."""
    covered = [f"coverage-{level:g}" for level in result.levels]
    widths = [f"winkler-{level:g}" for level in result.levels]
    errors = ["mae", "mse_ratio", "mase", "smape", "wql", "dm_p", "dm_p_holm"]
    return {
        "verdict": result.verdict,
        "skill": result.skill,
        "tiles": _tiles(result),
        "checks": result.checks,
        "sentences": [_direction(result), _intervals(result)],
        "tables": [
            (_errors_title(result), errors, _rows(result, errors)),
            ("Intervals", [*covered, *widths, "wis"], _rows(result, [*covered, *widths, "wis"])),
        ],
        "definitions": DEFINITIONS,
        "adaptive": [
            (f"{a['level']:g} %", f"{a['before']:.1%}", f"{a['after']:.1%}", f"{a['width']:.2f} ×")
            for a in result.adaptive
        ],
        "unit": result.unit,
        "naive": result.naive,
        "best_baseline": result.best_baseline,
        "origins": len(result.folds),
        "fits": len({fold["fitted_before"] for fold in result.folds}),
        "horizon": result.prediction_length,
        "pictures": _pictures(result),
    }


def _errors_title(result: Result) -> str:
    return f"Errors and tests; mse_ratio is relative to the {result.naive}"


def _pictures(result: Result) -> dict[str, Picture]:
    made = {
        "standing": picture(
            lambda width: figures.standing_chart(result, width),
            "standing",
            "Absolute error of gatewise relative to each baseline, with 95 % intervals. Left of 0 "
            "gatewise is better. Blue: better after the correction for all comparisons. Orange: "
            "worse. Grey: the difference may be chance.",
        ),
        "windows": picture(
            lambda width: figures.windows_chart(result, width),
            "windows",
            "The forecasts from the latest origins and the actual values of the first series.",
        ),
        "folds": picture(
            lambda width: figures.backtest_chart(result, width),
            "folds",
            f"Mean absolute error at each origin: gatewise, the {_rivals(result)}. Lower is "
            "better.",
        ),
        "calibration": picture(
            lambda width: figures.calibration_chart(result, width),
            "calibration",
            "Where the actual values lie in the forecast distribution (PIT). A calibrated forecast "
            "is flat at 1. High ends mean that the intervals are too narrow.",
        ),
    }
    if result.adaptive:
        made["coverage"] = picture(
            lambda width: figures.coverage_chart(result, width),
            "coverage",
            "Share of actual values inside the intervals: a moving mean over an eighth of the "
            "origins. Grey: as forecast. Blue: adapted after the misses of each origin.",
        )
    return made


def _rivals(result: Result) -> str:
    """The rival of the verdict, and the best baseline if that is another."""
    if result.best_baseline == result.naive:
        return result.naive
    return f"{result.naive}, and the best baseline, {result.best_baseline}"


def _tiles(result: Result) -> list[tuple[str, str, str]]:
    """The numbers to see first: name, value, remark."""
    mine, rival = result.scores["gatewise"], result.scores[result.naive]
    best = result.scores[result.best_baseline]
    level = max(result.levels)
    relative = f"relative to the {result.naive}"
    remark = relative
    if result.best_baseline != result.naive:
        remark += f"; {_change(mine['mae'], best['mae'])} to the best, {result.best_baseline}"
    share = f"{mine[f'coverage-{level:g}']:.1%}"
    return [
        ("absolute error", _change(mine["mae"], rival["mae"]), remark),
        ("Quantile loss, the whole distribution", _change(mine["wql"], rival["wql"]), relative),
        (f"inside the {level:g} % interval", share, "of actual values"),
    ]


def _change(mine: float, theirs: float) -> str:
    return signed(mine / theirs - 1, 1, percent=True) if theirs > 0 else "–"


def _direction(result: Result) -> str:
    d = result.direction
    if not d.calls:
        return "The forecast has no direction: every forecast change is zero."
    return (
        f"Direction of the next change: right in {d.hits} of {d.calls} ({d.hit_rate:.1%}, 95 % "
        f"interval {d.low:.1%} to {d.high:.1%}); always calling the more frequent direction is "
        f"right in {d.majority_rate:.1%}."
    )


def _intervals(result: Result) -> str:
    mine, theirs = (result.scores[name]["wql"] for name in ("gatewise", result.cone))
    p = result.intervals.p_value
    shown = "< 0.001" if p < 0.001 else f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"
    return (
        f"Intervals: the quantile loss is {_change(mine, theirs)} relative to the {result.cone}’s "
        f"(DM p {shown})."
    )


def _rows(result: Result, names: Sequence[str]) -> list[tuple[str, list[str]]]:
    return [
        (model, [_number(row.get(name, math.nan), name.startswith("coverage")) for name in names])
        for model, row in result.scores.items()
    ]


def _number(value: float, is_share: bool) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.1%}" if is_share else significant(value, 4)
