"""What a search found: options, trials, and pictures of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gatewise.forecast.charts import trials_chart
from gatewise.forecast.forecaster import Forecaster
from gatewise.forecast.notebook import html_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Tuned:
    """What a search found.

    Attributes:
        best: a forecaster with the best options, not fitted.
        options: those of its options that were searched, for `Forecaster(**options)`.
        score: its mean quantile loss over the validation folds, in naive errors.
        default_score: the same of the options that the search started from.
        trials: one row per trial in the caller's kind of table: trial (0 is the default), state
            ("complete", "pruned" or "failed"), score (of the folds that were run), folds, seconds,
            and each option.
        folds: how many validation folds a complete trial ran.
        seed: of the search.
        rows: the trials as dicts.
    """

    best: Forecaster
    options: dict[str, Any]
    score: float
    default_score: float
    trials: Any
    folds: int
    seed: int
    rows: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for `json.dumps`; a score that does not exist is None."""
        return {
            "options": self.options,
            "score": self.score,
            "default_score": self.default_score,
            "folds": self.folds,
            "seed": self.seed,
            "trials": [
                row | {"score": row["score"] if math.isfinite(row["score"]) else None}
                for row in self.rows
            ],
        }

    def plot(self) -> Figure:
        """Draw the loss of each trial, the best so far, and the default's.

        Returns:
            A matplotlib figure of one panel: the quantile loss, in naive errors.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        scores = np.array([row["score"] for row in self.rows], float)
        return trials_chart(scores, np.array([row["state"] == "complete" for row in self.rows]))

    def _repr_html_(self) -> str:
        """Show the best options and the trials in a notebook."""
        gain = 1 - self.score / self.default_score if self.default_score > 0 else 0.0
        told = (
            f"loss {self.score:.4g}, {gain:.1%} below the default's"
            if gain > 0
            else ("nothing was better than the default")
        )
        facts = [("trials", len(self.rows)), *self.options.items()]
        return html_of("Tuned", told, facts, self.plot, "The loss of each trial.")

    def __repr__(self) -> str:
        return (
            f"<Tuned {len(self.rows)} trials: {self.score:.4g}, default {self.default_score:.4g}>"
        )
