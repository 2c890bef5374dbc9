"""A backtest's numbers and pictures as the template takes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gatewise.forecast.evaluation.metrics import DEFINITIONS
from gatewise.forecast.report import figures
from gatewise.page.rendering import Picture, picture

if TYPE_CHECKING:
    from gatewise.forecast.evaluation.result import Result


def backtest_parts(result: Result) -> dict[str, Any]:
    """Everything of a backtest that the template shows."""
    covered = [f"coverage-{level:g}" for level in result.levels]
    widths = [f"winkler-{level:g}" for level in result.levels]
    errors = ["mae", "mse_ratio", "mase", "smape", "crps", "dm_p", "dm_p_holm"]
    return {
        "verdict": result.verdict,
        "skill": result.skill,
        "tiles": _tiles(result),
        "checks": result.checks,
        "sentences": [_direction(result), _intervals(result)],
        "tables": [
            ("Errors and tests", errors, _rows(result, errors)),
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


def _pictures(result: Result) -> dict[str, Picture]:
    made = {
        "standing": picture(
            figures.standing_chart(result),
            "standing",
            "Gatewise’s absolute error beside each baseline’s, with 95 % intervals. Blue: better "
            "after the correction for all comparisons; orange: worse; grey: not told apart.",
        ),
        "windows": picture(
            figures.windows_chart(result),
            "windows",
            "What was forecast from the latest origins, over what came (first series).",
        ),
        "folds": picture(
            figures.backtest_chart(result),
            "folds",
            "Mean absolute error over the origins; lower is better.",
        ),
        "calibration": picture(
            figures.calibration_chart(result),
            "calibration",
            "Where the actual values fell in the forecast distribution (PIT). Flat at 1 is "
            "calibrated; high ends mean intervals that are too narrow.",
        ),
    }
    if result.adaptive:
        made["coverage"] = picture(
            figures.coverage_chart(result),
            "coverage",
            "Share of actual values inside the intervals, a moving mean over an eighth of the "
            "origins: as forecast, and with the level moved after each origin’s misses.",
        )
    return made


def _tiles(result: Result) -> list[tuple[str, str, str]]:
    """The numbers to see first: name, value, remark."""
    mine, naive = result.scores["gatewise"], result.scores[result.naive]
    best = result.scores[result.best_baseline]
    level = max(result.levels)
    cone = result.scores[result.cone]
    tiles = [(f"error beside the {result.naive}", _change(mine["mae"], naive["mae"]), "absolute")]
    if result.best_baseline != result.naive:
        name = f"beside the best, {result.best_baseline}"
        tiles.append((name, _change(mine["mae"], best["mae"]), "absolute"))
    name = f"CRPS beside the {result.cone}"
    tiles.append((name, _change(mine["crps"], cone["crps"]), "whole distribution"))
    share = f"{mine[f'coverage-{level:g}']:.1%}"
    return [*tiles, (f"inside the {level:g} % interval", share, "of actual values")]


def _change(mine: float, theirs: float) -> str:
    return f"{mine / theirs - 1:+.1%}".replace("-", "−") if theirs > 0 else "–"


def _direction(result: Result) -> str:
    d = result.direction
    if not d.calls:
        return "No direction was forecast: every forecast change is zero."
    return (
        f"Direction of the next change: right in {d.hits} of {d.calls} ({d.hit_rate:.1%}, 95 % "
        f"interval {d.low:.1%} to {d.high:.1%}); always calling the more frequent direction is "
        f"right in {d.majority_rate:.1%}."
    )


def _intervals(result: Result) -> str:
    cone = "historical-volatility cone" if result.cone == "last value" else f"{result.cone}’s"
    mine, theirs = (result.scores[name]["crps"] for name in ("gatewise", result.cone))
    p = result.intervals.p_value
    shown = "< 0.001" if p < 0.001 else f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"
    return f"Intervals against the {cone}: CRPS {_change(mine, theirs)} (DM p {shown})."


def _rows(result: Result, names: Sequence[str]) -> list[tuple[str, list[str]]]:
    return [
        (model, [_number(row.get(name, math.nan), name.startswith("coverage")) for name in names])
        for model, row in result.scores.items()
    ]


def _number(value: float, is_share: bool) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.1%}" if is_share else f"{value:.4g}"
