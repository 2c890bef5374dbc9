"""gatewise lab: claims about tanh in LSTMs, run, shown and reported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gatewise.cli import source as s
from gatewise.cli.progress import Bars
from gatewise.errors import ConfigError, shown

lab = typer.Typer(
    help="Ask by experiment: what people say about tanh in LSTMs, and what is measured.",
    rich_markup_mode=None,
    no_args_is_help=True,
)

Store = Annotated[
    Path, typer.Option(help="Run store; it is made, and a killed run goes on from it.")
]
_STORE = Path("lab.sqlite")


@lab.command("list")
def list_(json: s.Json = False) -> None:
    """Show the claims, what is expected, and how long a run takes."""
    from gatewise.lab import experiments

    found = [
        {
            "name": e.name,
            "claim": e.claim,
            "expected": e.hypothesis,
            "trials": {size: len(e.configs(size)) for size in ("quick", "full")},
            "minutes": {size: plan.minutes for size, plan in e.plans.items()},
        }
        for e in experiments().values()
    ]
    if json:
        from gatewise.cli import render

        render.print_json(found)
        return
    for e in found:
        minutes = e["minutes"]
        typer.echo(
            f"{e['name']:18} {e['claim']}\n{'':18} {e['expected']} "
            f"About {minutes['quick']:g} min quick, {minutes['full']:g} min full."
        )


@lab.command()
def run(
    names: Annotated[list[str] | None, typer.Argument(help="Claims. Default: all.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few seeds and small tasks.")] = False,
    store: Store = _STORE,
    jobs: Annotated[int, typer.Option(help="Processes; -1 takes all cores.")] = -1,
    json: s.Json = False,
) -> None:
    """Run claims, or what is left of them, and print the verdicts."""
    from gatewise import lab as library

    chosen = names or list(library.experiments())
    for name in chosen:
        library.named(name)  # before any of them runs
    results = []
    hint = "What has ended is in the store; the same command goes on."
    with Bars(hint) as bars:
        results = [library.run(name, quick, store, jobs, bars) for name in chosen]
    _print(results, json)


@lab.command()
def show(
    name: Annotated[str, typer.Argument(help="A claim.")],
    quick: Annotated[bool, typer.Option("--quick", help="Of the quick run.")] = False,
    store: Store = _STORE,
    picture: Annotated[Path | None, typer.Option(help="File for the picture.")] = None,
    json: s.Json = False,
) -> None:
    """Print a claim's verdict and table from the store, and draw its picture."""
    from gatewise import lab as library
    from gatewise.lab.store import Store as Rows

    library.named(name)
    if not store.exists():
        raise ConfigError(
            f"There is no run store {shown(str(store))}: expected one. Try gatewise lab run {name}."
        )
    rows = Rows(store)
    try:
        found = library.result(name, rows.rows(name), quick)
    finally:
        rows.close()
    if picture is not None:
        if found.experiment.draw is None:
            raise ConfigError(f"{name} has no picture: its verdict is exact.")
        found.experiment.draw(found.rows).savefig(picture, dpi=120)
    _print([found], json, whole=True)


def _print(results: list[Any], json: bool, whole: bool = False) -> None:
    from gatewise.cli import render

    if json:
        render.print_json([
            {
                "name": r.experiment.name, "claim": r.experiment.claim, "size": r.size,
                "verdict": r.verdict.title, "sentence": r.verdict.sentence, "table": r.table,
                "trials": len(r.rows),
            }
            for r in results
        ])  # fmt: skip
        return
    for r in results:
        typer.echo(f"{r.experiment.name}: {r.verdict.title.upper()}\n  “{r.experiment.claim}”")
        typer.echo(f"  {r.verdict.sentence}")
        if whole and r.table:
            render.print_table(r.table)
