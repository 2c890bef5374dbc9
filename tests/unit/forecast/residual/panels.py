"""Panels of seasonal series, made anew in each test."""

import numpy as np

from gatewise.forecast.models.residual.histories import flatten
from gatewise.forecast.models.residual.members import Plan
from gatewise.forecast.models.residual.recipe import Recipe


def seasonal(count, rows=48, season_length=4, seed=0):
    """Positive series with a level, a trend and a season each."""
    rng = np.random.default_rng(seed)
    t = np.arange(rows)
    made = []
    for _ in range(count):
        shape = rng.normal(size=season_length) * 0.2
        log = 4 + rng.normal() + 0.01 * rng.normal() * t + shape[t % season_length]
        made.append(np.exp(log + 0.05 * rng.normal(size=rows)))
    return made


def panel(count=24, rows=48, season_length=4, seed=0):
    return flatten(seasonal(count, rows, season_length, seed), season_length)


def plan(members=2, steps=4, season_length=4, h=3, **options):
    recipe = Recipe(steps=steps, batch_size=8)
    return Plan(season_length, h, "log", members=members, hidden_size=8, recipe=recipe, **options)
