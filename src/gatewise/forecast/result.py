"""`Backtest`: what a backtest found, as tables, numbers and one sentence."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gatewise.forecast.leaks import LeakCheck
from gatewise.forecast.significance import DieboldMariano, Direction


@dataclass(frozen=True, eq=False)
class Backtest:
    """A finished backtest.

    Attributes:
        metrics: one row per model, gatewise first, in the caller's kind of table: model, mae, mse,
            rmse, mase, crps, coverage-80, ... (in `unit`), mse_ratio (over the last value's),
            mae-level, mape, smape (in the target's own unit), and dm_p: in a baseline's row the
            one-sided p-value that gatewise is better than it; in gatewise's, than the best of them.
        verdict: one sentence.
        skill: whether it claims skill.
        checks: the leak checks, empty if they were not run.
        forecasts: every forecast row: series, time, origin, step, actual, forecast, lo-80, hi-80,
            ..., and the point forecast of each baseline under its name. `origin` is the time of
            the window's first row.
        direction: signs of the next row's change, from every row of the windows.
        pit: edges, observed and expected shares of actual values between forecast quantiles.
        folds: one dict per origin: fold, start, rows (forecast), best_epoch, mae of each model.
        tests: Diebold-Mariano per baseline.
        best_baseline: the baseline with the lowest absolute loss.
        unit: scale of the losses: "log" (of the target, so that they are cumulative log-returns)
            or "level".
        prediction_length, levels, seed: of the forecaster.
        notes: what was done to the table, for people to read.
    """

    metrics: Any
    verdict: str
    skill: bool
    checks: list[LeakCheck]
    forecasts: Any
    direction: Direction
    pit: dict[str, list[float]]
    folds: list[dict[str, Any]]
    tests: dict[str, DieboldMariano]
    best_baseline: str
    unit: str
    prediction_length: int
    levels: tuple[float, ...]
    seed: int
    notes: list[str]
    scores: dict[str, dict[str, float]]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the forecast rows, ready for `json.dumps`; NaN becomes None."""
        return _plain(
            {
                "verdict": self.verdict,
                "skill": self.skill,
                "unit": self.unit,
                "prediction_length": self.prediction_length,
                "levels": list(self.levels),
                "seed": self.seed,
                "metrics": [{"model": k, **v} for k, v in self.scores.items()],
                "tests": {k: asdict(v) for k, v in self.tests.items()},
                "best_baseline": self.best_baseline,
                "direction": asdict(self.direction),
                "pit": self.pit,
                "checks": [asdict(c) for c in self.checks],
                "folds": self.folds,
                "notes": self.notes,
            }
        )

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write one self-contained HTML page.

        Raises:
            OSError: the file cannot be written.
        """
        from gatewise.forecast.report import write_backtest

        write_backtest(self, path)

    def __repr__(self) -> str:
        return f"<Backtest {len(self.folds)} origins: {self.verdict}>"


_ORIGINS_PER_LAG = 8
"""With fewer overlapping origins the test rejects too often (13 to 18 % instead of 5)."""


def verdict(
    checks: list[LeakCheck],
    tests: dict[str, DieboldMariano],
    best: str,
    last_value: str,
    ratio: float,
) -> tuple[str, bool]:
    """The sentence, and whether it claims skill.

    Skill is claimed only if every leak check passed and both tests say so at 5 %: against the best
    baseline and against the last value.

    Args:
        checks: outcome of the leak checks; none means that they were not run.
        tests: Diebold-Mariano per baseline.
        best: the baseline with the lowest loss.
        last_value: name of the last-value baseline.
        ratio: mean absolute error over that of the last value.

    >>> tests = {"last value": DieboldMariano(0.3, 0.61, 24)}
    >>> sentence, skill = verdict([], tests, "last value", "last value", 1.02)
    >>> skill, sentence[:65]
    (False, 'No evidence of skill over the random walk (DM p = 0.61, 24 origin')
    """
    failed = [c for c in checks if not c.passed]
    if failed:
        c = failed[0]
        more = f" ({len(failed) - 1} more failed)" if len(failed) > 1 else ""
        return f"Not to be trusted: the check {c.name!r} failed{more}. {c.detail}", False
    naive, strongest = tests[last_value], tests[best]
    n = naive.origins
    needed = max(3, _ORIGINS_PER_LAG * naive.lag)
    if n < needed:
        return (
            f"No verdict: {n} origins are too few for a test. Use at least {needed} folds.",
            False,
        )
    size = f"{abs(1 - ratio) * 100:.1f} % {'lower' if ratio < 1 else 'higher'}"
    if not math.isfinite(ratio):  # the last value made no error at all
        size = "no lower"
    if naive.p_value >= 0.05:
        return (
            f"No evidence of skill over the random walk (DM p {_p(naive.p_value)}, {n} origins): "
            f"the absolute error is {size} than the last value's.",
            False,
        )
    if strongest.p_value >= 0.05:
        return (
            f"Better than the last value (DM p {_p(naive.p_value)}, {n} origins), but not shown "
            f"to be better than the best baseline, {best} (p {_p(strongest.p_value)}).",
            False,
        )
    also = "" if best == last_value else f" and than {best} (p {_p(strongest.p_value)})"
    unchecked = "" if checks else " The leak checks were not run."
    return (
        f"Skill: better than the last value (DM p {_p(naive.p_value)}){also}, the best baseline, "
        f"over {n} origins; the absolute error is {size} than the last value's.{unchecked}",
        bool(checks),
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}" if value < 0.1 else f"= {value:.2f}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
