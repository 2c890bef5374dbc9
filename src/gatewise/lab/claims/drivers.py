"""Positive and negative correlations: planted ones, and those of real indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch

from gatewise.cell import Cell
from gatewise.lab import statistics
from gatewise.lab.claims.common import BLUE, GREEN, ORANGE, dots, judged, median, share, values_of
from gatewise.lab.design import Config, Experiment, Plan, Verdict, of_arm, paired
from gatewise.lab.store import Row
from gatewise.lab.tasks import IndexReturns, PlantedDriver
from gatewise.lab.training import Model, Recipe, train

CANDIDATES: Final = ("tanh", "sigmoid", "relu")
CORRELATIONS: Final = (-0.9, -0.5, 0.0, 0.5, 0.9)
INDICES: Final = ("nasdaq", "vix")
_MARGIN: Final = 0.02
"""Of R²: what differs by less is no difference."""


def measure(config: Config, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Train on series with a driver, and forecast what was not seen."""
    recipe = Recipe(
        cell=Cell(candidate=config["candidate"]), hidden_size=8, steps=config["steps"],
        check_every=config["steps"], enough=2.0, schedule="one-cycle", learning_rate=1e-2,
    )  # fmt: skip
    if "index" in config:
        test = IndexReturns(config["index"], "test")
        trained = train(IndexReturns(config["index"]), recipe, seeds, test.whole())
        return [outcome.as_dict() | _on_returns(model, test) for model, outcome in trained]
    task = PlantedDriver(config["rho"])
    return [
        outcome.as_dict() | _on_planted(model, task, seed)
        for seed, (model, outcome) in zip(seeds, train(task, recipe, seeds), strict=True)
    ]


def _forecast(model: Model, x: Any) -> Any:
    with torch.no_grad():
        return model(torch.from_numpy(x))[..., 0].numpy()


def _on_planted(model: Model, task: PlantedDriver, seed: int) -> dict[str, float]:
    batch = task.batch(np.random.default_rng(30_000 + seed), 256)
    forecast, y = _forecast(model, batch.x), batch.target[..., 0]
    slope = np.polyfit(batch.x[..., 0].ravel(), forecast.ravel(), 1)[0]
    return {"r2": float(1 - ((y - forecast) ** 2).mean() / (y**2).mean()), "slope": float(slope)}


def _on_returns(model: Model, test: IndexReturns) -> dict[str, float]:
    """Out of sample: R² over the zero return, Diebold & Mariano's test, and of the price itself."""
    from statsmodels.api import OLS

    batch = test.whole()
    forecast, y = (a.T.ravel() for a in (_forecast(model, batch.x), batch.target[..., 0]))
    gain = y**2 - (y - forecast) ** 2  # positive: better than no change
    tested: Any = OLS(gain, np.ones(len(gain))).fit(cov_type="HAC", cov_kwds={"maxlags": 10})
    train_part = IndexReturns(test.driver).returns()
    ols = np.linalg.lstsq(train_part[:-1], train_part[1:, 0], rcond=None)[0]
    linear = (batch.x @ ols).T.ravel()
    price = np.cumsum(y)  # of log prices, in standard deviations of a day
    before = price - y
    spread = ((price - price.mean()) ** 2).mean()
    low, high = _interval(gain, y**2)
    return {
        "r2": float(gain.mean() / (y**2).mean()), "r2_low": low, "r2_high": high,
        "dm_p": float(tested.pvalues[0]),
        "r2_linear": float(1 - ((y - linear) ** 2).mean() / (y**2).mean()),
        "price_r2": float(1 - ((price - before - forecast) ** 2).mean() / spread),
        "price_r2_yesterday": float(1 - ((price - before) ** 2).mean() / spread),
        "with_driver": float(np.corrcoef(batch.x[..., 0].ravel(), batch.x[..., 1].ravel())[0, 1]),
    }  # fmt: skip


def _interval(gain: Any, square: Any) -> tuple[float, float]:
    """Of R², by the stationary block bootstrap (Politis & Romano 1994), blocks of 20 days."""
    from arch.bootstrap import StationaryBootstrap

    drawn = StationaryBootstrap(20, gain, square, seed=0)
    found: Any = drawn.conf_int(lambda g, s: g.mean() / s.mean(), 400, method="percentile")
    return float(found[0, 0]), float(found[1, 0])


def judge(rows: Sequence[Row]) -> Verdict:
    """Contradicted if cells whose candidate has one sign find every sign and forecast as well."""
    table = []
    for rho in CORRELATIONS:
        for name in CANDIDATES:
            own = of_arm(rows, rho=rho, candidate=name)
            if own:
                right = sum(r.result["slope"] * rho > 0 for r in own)
                found = statistics.proportion(right, len(own))
                table.append({
                    "data": f"planted, ρ = {rho:+.1f}", "candidate": name, "seeds": len(own),
                    "sign found": found.value if rho else None, "low": found.low if rho else None,
                    "R²": median(own, "r2"), "best R²": rho**2,
                })  # fmt: skip
    for index in INDICES:
        for name in CANDIDATES:
            own = of_arm(rows, index=index, candidate=name)
            if own:
                table.append({
                    "data": f"S&P 500 with {index}", "candidate": name, "seeds": len(own),
                    "sign found": None, "low": None, "R²": median(own, "r2"), "best R²": None,
                    "R² 95 %": f"{median(own, 'r2_low'):.3f} to {median(own, 'r2_high'):.3f}",
                    "DM p (median)": median(own, "dm_p"),
                    "R² of a regression": median(own, "r2_linear"),
                    "R² of the price": median(own, "price_r2"),
                    "R² of yesterday's price": median(own, "price_r2_yesterday"),
                })  # fmt: skip

    def verdict() -> Verdict:
        shares, same = {}, []
        for name in CANDIDATES:
            own = [r for r in rows if r.config.get("rho") and r.config["candidate"] == name]
            right = sum(r.result["slope"] * r.config["rho"] > 0 for r in own)
            shares[name] = statistics.proportion(right, len(own))
        for name in CANDIDATES[1:]:
            for rho in CORRELATIONS:
                a, b = paired(*(of_arm(rows, rho=rho, candidate=n) for n in ("tanh", name)))
                one, two = values_of(a, "r2"), values_of(b, "r2")
                same.append(statistics.equivalent(one, two, _MARGIN) < 0.05)
        real = {i: median(of_arm(rows, index=i, candidate="tanh"), "r2") or 0 for i in INDICES}
        price = median(of_arm(rows, index="nasdaq", candidate="tanh"), "price_r2") or 0
        naive = median(of_arm(rows, index="nasdaq", candidate="tanh"), "price_r2_yesterday") or 0
        told = (
            "The planted driver's sign is found by "
            + ", ".join(f"{share(e.value)} ({name})" for name, e in shares.items())
            + f" of the runs; R² of {sum(same)} of {len(same)} comparisons with tanh on planted "
            f"data is the same within {_MARGIN}. On real returns R² is {real['nasdaq']:+.3f} "
            f"(NASDAQ) and {real['vix']:+.3f} (VIX); of the price {price:.3f}, where yesterday's "
            f"price has {naive:.3f}."
        )
        plain = (
            "The sign of a planted driver is found by cells with this candidate: "
            + ", ".join(f"{name} {share(e.value)}" for name, e in shares.items())
            + "."
        )
        others = [shares[n].low > 0.9 for n in CANDIDATES[1:]]
        if all(others) and all(same):
            return Verdict("contradicted", told, table, plain=plain)
        if shares["tanh"].low > 0.9 and not any(others):
            return Verdict("supported", told, table, plain=plain)
        on = "the correlation and on the candidate"
        return Verdict("depends", told, table, on=on, plain=plain)

    return judged(rows, EXPERIMENT.arms(), verdict, table)


def draw(rows: Sequence[Row]) -> Any:
    """R² by correlation and candidate."""
    arms, colours = {}, {}
    for rho in CORRELATIONS:
        for name, colour in zip(CANDIDATES, (BLUE, ORANGE, GREEN), strict=True):
            arms[f"ρ = {rho:+.1f}, {name}"] = values_of(of_arm(rows, rho=rho, candidate=name), "r2")
            colours[f"ρ = {rho:+.1f}, {name}"] = colour
    for index in INDICES:
        own = of_arm(rows, index=index, candidate="tanh")
        arms[f"S&P 500, {index}"] = values_of(own, "r2")
    return dots(arms, "R² out of sample (dashed: no better than the mean)", line=0, colours=colours)


EXPERIMENT = Experiment(
    name="correlation",
    network=(
        "8 units, 20 rows a batch, Adam with a one-cycle rate of .01, gradients clipped at "
        "1; forget bias 1."
    ),
    claim="Thanks to tanh an LSTM can model positive and negative correlations.",
    hypothesis="Signed weights suffice. On real returns about the baseline.",
    factors={"rho": CORRELATIONS, "candidate": CANDIDATES},
    controls=[{"index": i, "candidate": c} for i in INDICES for c in CANDIDATES],
    measure=measure,
    judge=judge,
    draw=draw,
    plans={"quick": Plan(3, 1, {"steps": 200}), "full": Plan(30, 8, {"steps": 600})},
    metric="sign of the driver's effect; R² out of sample against the zero return",
    statistic="Wilson; two one-sided t-tests; Diebold-Mariano with HAC; stationary block bootstrap",
    margin=f"R² within {_MARGIN}",
    literature=(
        "The question's own example: a good launch and a market crash. Random walk: Meese & Rogoff "
        "1983; a forecast of prices that looks good is usually yesterday's price."
    ),
)
