"""What a backtest found: tables, numbers and one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gatewise.forecast.evaluation.leaks import LeakCheck
from gatewise.forecast.evaluation.significance import DieboldMariano, Direction, hardest


@dataclass(frozen=True, eq=False)
class Result:
    """A finished backtest.

    Attributes:
        metrics: one row per model, gatewise first, in the caller's kind of table: model, mae, mse,
            rmse, mase, wql, wis, coverage-80, winkler-80, ... (in `unit`), mse_ratio, mae-level,
            mape, smape (in the target's own unit), and dm_p, dm_p_holm: in a baseline's row the
            one-sided p-value that gatewise is better than it; in gatewise's, than the best of them.
            `gatewise.forecast.evaluation.metrics.DEFINITIONS` defines each.
        verdict: one sentence.
        skill: whether it claims skill.
        checks: the leak checks, empty if they were not run.
        forecasts: every forecast row: series, time, origin, step, actual, forecast, lo-80, hi-80,
            ..., and the point forecast of each baseline under its name. `origin` is the time of
            the window's first row.
        direction: signs of the next row's change, from every row of the windows.
        pit: edges, observed and expected shares of actual values between forecast quantiles.
        folds: one dict per origin: fold, start, fitted_before (time of the first row that its fit
            was not given), rows (forecast), best_epoch, mae of each model.
        tests: Diebold-Mariano per baseline, with the values corrected for their number (Holm).
        naive: the rival of the verdict and the report. Two forecasts know nothing: the last value,
            and the mean (of a stationary target) or the drift (of one in changes). Of these it is
            the one that is hardest to beat.
        best_baseline: the baseline with the lowest absolute loss.
        intervals: Diebold-Mariano of gatewise's quantile loss against that of `cone`.
        cone: whose intervals those are: those of `naive`. The last value's are the
            historical-volatility cone.
        adaptive: one dict per level, coverage before and after adaptive conformal inference over
            the origins: level, rows, before, after, width (ratio), and per origin fold,
            covered_before, covered_after. All rows count, so that `before` is the coverage of
            `metrics`. Empty with too few rows to learn from.
        unit: scale of the losses: "log" (of the target, so that they are cumulative log-returns)
            or "level".
        prediction_length, levels, seed: of the forecaster.
        notes: what was done to the table, for people to read.
        target: name of the target column.
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
    naive: str
    best_baseline: str
    intervals: DieboldMariano
    cone: str
    adaptive: list[dict[str, Any]]
    unit: str
    prediction_length: int
    levels: tuple[float, ...]
    seed: int
    notes: list[str]
    scores: dict[str, dict[str, float]]
    target: str = "target"

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
                "naive": self.naive,
                "best_baseline": self.best_baseline,
                "intervals": {"against": self.cone, **asdict(self.intervals)},
                "adaptive": self.adaptive,
                "direction": asdict(self.direction),
                "pit": self.pit,
                "checks": [asdict(c) for c in self.checks],
                "folds": self.folds,
                "notes": self.notes,
            }
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self.folds)} origins: {self.verdict}>"


_LEVEL = 0.05

_ORIGINS_PER_LAG = 8
"""With fewer overlapping origins the test rejects too often (13 to 18 % instead of 5)."""


def verdict(
    checks: list[LeakCheck],
    tests: Mapping[str, DieboldMariano],
    naives: Sequence[str],
    best: str,
    errors: Mapping[str, float],
) -> tuple[str, bool]:
    """The sentence, and whether it claims skill.

    Skill is claimed only if every leak check passed and both naive forecasts are beaten at 5 %
    after the correction for all baselines. The sentence then tells how the forecaster stands to
    the best baseline, which may well be as good.

    Args:
        checks: outcome of the leak checks; none means that they were not run.
        tests: Diebold-Mariano per baseline.
        naives: names of the naive forecasts.
        best: the baseline with the lowest loss.
        errors: mean absolute error of each model.

    >>> tests = {"last value": DieboldMariano(0.3, 0.61, 24)}
    >>> errors = {"gatewise": 1.02, "last value": 1.0}
    >>> sentence, skill = verdict([], tests, ["last value"], "last value", errors)
    >>> skill, sentence[:59]
    (False, 'No evidence of skill over the last value (DM p = 0.61, adju')
    """
    failed = [c for c in checks if not c.passed]
    if failed:
        c = failed[0]
        more = f" ({len(failed) - 1} more failed)" if len(failed) > 1 else ""
        return f"Not to be trusted: the check {c.name!r} failed{more}. {c.detail}", False
    rival = hardest(naives, tests, errors)
    test = tests[rival]
    needed = max(3, _ORIGINS_PER_LAG * test.lag)
    if test.origins < needed:
        return (
            f"No verdict: {test.origins} origins are too few for a test. "
            f"Use at least {needed} folds.",
            False,
        )
    evidence = f"(DM p {_p(test.p_value)}, adjusted {_p(test.p_adjusted, '')}, "
    evidence += f"{test.origins} origins)"
    size = _size(errors["gatewise"], errors[rival])
    if test.p_adjusted >= _LEVEL:
        worse = _relative_to_best(tests[best], best) if best not in naives else ""
        return (
            f"No evidence of skill over the {rival} {evidence}: the absolute error is {size} than "
            f"the {rival}'s.{worse if worse.startswith(' Worse') else ''}",
            False,
        )
    beaten = " and the ".join(naives)
    also = _relative_to_best(tests[best], best) if best not in naives else " No baseline is better."
    unchecked = "" if checks else " The leak checks were not run."
    return (
        f"Skill: better than the {beaten} {evidence}; the absolute error is {size} than the "
        f"{rival}'s.{also}{unchecked}",
        bool(checks),
    )


def _relative_to_best(test: DieboldMariano, best: str) -> str:
    if test.p_adjusted < _LEVEL:
        return f" Better than the best baseline, {best} (adjusted p {_p(test.p_adjusted)})."
    if test.p_worse_adjusted < _LEVEL:
        return f" Worse than the best baseline, {best} (adjusted p {_p(test.p_worse_adjusted)})."
    return (
        f" Not shown to be better than the best baseline, {best} "
        f"(adjusted p {_p(test.p_adjusted)})."
    )


def _size(mine: float, theirs: float) -> str:
    if not theirs > 0:  # the other made no error at all
        return "no lower"
    ratio = mine / theirs
    return f"{abs(1 - ratio) * 100:.1f} % {'lower' if ratio < 1 else 'higher'}"


def _p(value: float, equals: str = "= ") -> str:
    if value < 0.001:
        return "< 0.001"
    return f"{equals}{value:.3f}" if value < 0.1 else f"{equals}{value:.2f}"


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
