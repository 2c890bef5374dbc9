"""A series that one driver leads by a row: forecast it, test it, see the sign of the driver."""

import numpy as np
import polars as pl

from gatewise.forecast import Forecaster, backtest, driver_effects

rng = np.random.default_rng(0)
driver = rng.normal(size=500)
sales = 10 + np.roll(driver, 1) + rng.normal(size=500)
table = pl.DataFrame({"week": range(500), "sales": sales, "visits": driver})
columns = {"time": "week", "target": "sales", "past": ["visits"]}

forecaster = Forecaster(prediction_length=2).fit(table, **columns)
print(forecaster.predict())

for effect in driver_effects(forecaster):
    print(f"{effect.name}: sign {effect.sign} at lag {effect.lag}, effect {effect.effect:.2f}")

result = backtest(forecaster, table, folds=20, refit_every=20, **columns)
print(result.verdict)
