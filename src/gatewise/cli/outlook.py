"""What a command is about to do, where it takes more than seconds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gatewise.forecast.config import Config
    from gatewise.forecast.data.panel import Panel

PRETRAINED: Final = (
    "Networks were trained for this table. --pretrained takes those that come with the package: "
    "about a second instead of the training."
)


def training(
    config: Config, panel: Panel, folds: int | None, refit_every: int, step: int, more: int = 0
) -> str:
    """A sentence about the networks that will be trained, and how often; "" for none.

    Args:
        config: of the forecaster.
        panel: the table.
        folds: of the backtest; 0 for none, None for the default.
        refit_every: origins that share a fit.
        step: rows between origins.
        more: fits besides the backtest's.
    """
    from gatewise.forecast.evaluation.folds import NoFoldFitsError, rolling_origins
    from gatewise.forecast.features import season as seasons
    from gatewise.forecast.models.fit import model_of

    found = config.season_length or seasons.find(panel)
    model = model_of(replace(config, season_length=found), panel)
    if model == "pretrained":
        return ""
    fits = more
    if folds != 0:
        try:
            origins = len(rolling_origins(panel, config, folds, step))
        except NoFoldFitsError:
            origins = 0  # whoever asked for the backtest is told by it
        fits += -(-origins // refit_every)
    many = config.ensemble_size > 1 and model == "residual"
    what = f"{config.ensemble_size} networks are" if many else "A network is"
    return f"{what} trained {'once' if fits == 1 else f'{fits} times'}." if fits else ""
