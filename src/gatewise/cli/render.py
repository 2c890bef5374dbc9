"""Results as text or JSON, on stdout."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    import polars as pl

    from gatewise.forecast.backtesting import Backtest
    from gatewise.forecast.evaluation.tuned import Tuned
    from gatewise.forecast.explain.drivers import DriverEffect

_SHOWN_ROWS = 24
_WIDTH = 200


def print_json(value: Any) -> None:
    """Print a value as JSON; dates as ISO text, NaN as null."""
    typer.echo(json.dumps(_plain(value), indent=2, allow_nan=False))


def print_forecast(table: pl.DataFrame) -> None:
    """Print a forecast, its first rows if it is long."""
    _print(table.columns, table.head(_SHOWN_ROWS).rows(), "Forecast")
    if len(table) > _SHOWN_ROWS:
        typer.echo(f"... {len(table) - _SHOWN_ROWS} more rows")


def print_backtest(result: Backtest) -> None:
    """Print a backtest: the table, the checks, the verdict."""
    shares = [f"coverage-{level:g}" for level in result.levels]
    names = ["mae", "mse_ratio", "mase", "wql", *shares, "dm_p", "dm_p_holm"]
    rows = [
        [model, *(None if row.get(n) is None else f"{row[n]:.4g}" for n in names)]
        for model, row in result.scores.items()
    ]
    _print(["model", *names], rows, f"Backtest, {len(result.folds)} origins")
    for check in result.checks:
        typer.echo(f"{'passed' if check.passed else 'FAILED'}  {check.name}: {check.detail}")
    for found in result.adaptive:
        typer.echo(
            f"{found['level']:g} % interval: covers {found['before']:.1%}, adapted at each origin "
            f"{found['after']:.1%} at {found['width']:.2f} x the width"
        )
    typer.echo(f"\n{result.verdict}")


def print_tuned(found: Tuned) -> None:
    """Print a search: its trials, the best last, and what it gains."""
    names = [name for name in found.rows[0] if name != "folds"]
    worst_first = {"failed": 0, "pruned": 1, "complete": 2}
    order = sorted(found.rows, key=lambda row: (worst_first[row["state"]], -row["score"]))
    _print(names, [[row[n] for n in names] for row in order], f"{len(order)} trials, best last")
    gain = 1 - found.score / found.default_score if found.default_score > 0 else 0.0
    chosen = ", ".join(f"{name} {value}" for name, value in found.options.items())
    typer.echo(f"Best: {chosen}")
    typer.echo(
        f"Its loss over {found.folds} validation folds is {gain:.1%} below the default's."
        if gain > 0
        else "Nothing was better than the default."
    )


def print_table(rows: Sequence[Mapping[str, Any]], title: str = "") -> None:
    """Print rows that name their columns."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    _print(names, [[row.get(name) for name in names] for row in rows], title)


def print_drivers(effects: Sequence[DriverEffect]) -> None:
    """Print each driver's sign and lag, if there are drivers."""
    if effects:
        names = ["driver", "known", "sign", "lag", "effect", "low", "high", "reason"]
        rows = [[getattr(e, n) for n in ("name", "kind", *names[2:])] for e in effects]
        _print(names, rows, "Drivers")


def print_speeds(result: dict[str, Any]) -> None:
    """Print a benchmark: one table for each mode and number of threads."""
    from gatewise.bench import summary

    for mode, threads, rows in summary.groups(result):
        unit, scale = summary.unit(mode)
        peers = summary.columns(rows)
        cells = []
        for row in rows:
            times = [row["times"].get(peer) for peer in peers]
            shown = [summary.digits(t and t["median"] * scale) for t in times]
            part = summary.limit_fraction(row)
            limit = [row["limit"]["by"], f"{part:.0%}"] if part is not None else [None, None]
            cells.append(
                [summary.shape(row).name, *shown, summary.digits(summary.ratio(row)), *limit]
            )
        names = ["BxTxIxH", *(f"{peer}, {unit}" for peer in peers), "best peer / ours"]
        names += ["limited by", "of the limit"]
        found = summary.ratios(rows)
        mean = f", {summary.geometric_mean(found):.2f} on average" if found else ""
        _print(names, cells, f"{mode}, {threads} thread{'s' * (threads > 1)}{mean}")


def _print(names: Sequence[str], rows: Sequence[Sequence[Any]], title: str) -> None:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for k, name in enumerate(names):
        table.add_column(name, justify="right" if k else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(_text(v) for v in row))
    # Wide tables are not cut: what is piped or copied must be whole.
    Console(width=_WIDTH).print(table, crop=False)
    typer.echo()


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    return f"{value + 0.0:.6g}" if isinstance(value, float) else str(value)  # no -0


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (datetime.date, datetime.datetime)):
        return value.isoformat()
    return value
