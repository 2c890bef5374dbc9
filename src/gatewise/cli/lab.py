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


Names = Annotated[list[str] | None, typer.Argument(help="Which. Default: all.")]
Quick = Annotated[
    bool, typer.Option("--quick", help="Few seeds and small tasks: says what it is too few for.")
]
Jobs = Annotated[
    int,
    typer.Option(
        "--threads",
        "--jobs",
        help="Worker processes for all of the command's work. The results do not depend on it. "
        "-1 is one per core.",
    ),
]


@lab.command("list")
def list_(json: s.Json = False) -> None:
    """Show claims and published results, what is expected, and how long a run takes."""
    from gatewise.lab import experiments, reproductions

    found = [
        {
            "name": e.name,
            "kind": e.kind,
            "claim": e.claim,
            "expected": e.hypothesis,
            "trials": {size: e.trials(size) for size in ("quick", "full")},
            "minutes": {size: plan.minutes for size, plan in e.plans.items()},
            "missing": e.missing(),
        }
        for e in (*experiments().values(), *reproductions().values())
    ]
    if json:
        from gatewise.cli import render

        render.print_json(found)
        return
    for e in found:
        minutes = e["minutes"]
        typer.echo(
            f"{e['name']:20} {e['claim']}\n{'':20} Expected before the first run: {e['expected']} "
            f"About {minutes['quick']:g} min quick, {minutes['full']:g} min full."
            + (f"\n{'':20} {e['missing']}" if e["missing"] else "")
        )


@lab.command()
def run(
    names: Names = None,
    quick: Quick = False,
    store: Store = _STORE,
    jobs: Jobs = -1,
    json: s.Json = False,
) -> None:
    """Run claims, or what is left of them, and print the verdicts."""
    from gatewise.lab import experiments

    _run_all(names, list(experiments()), quick, store, jobs, json)


@lab.command()
def reproduce(
    names: Names = None,
    quick: Quick = False,
    store: Store = _STORE,
    jobs: Jobs = -1,
    json: s.Json = False,
) -> None:
    """Run published experiments again, and compare the results."""
    from gatewise.lab import reproductions

    _run_all(names, list(reproductions()), quick, store, jobs, json)


def _run_all(
    names: list[str] | None, known: list[str], quick: bool, store: Path, jobs: int, json: bool
) -> None:
    from gatewise import lab as library

    chosen = names or known
    lacking = {name: library.named(name).missing() for name in chosen}  # before any of them runs
    for name, missing in lacking.items():
        if missing and names:
            raise ConfigError(f"{name} lacks its data. {missing}")
        if missing:
            typer.echo(f"Left out: {name}. {missing}", err=True)
    hint = " What had ended is in the store; the same command goes on from it."
    with Bars(hint, lost="the trials that were running are lost") as bars:
        found = [
            library.run(name, quick, store, jobs, bars) for name in chosen if not lacking[name]
        ]
    _print(found, json)


@lab.command()
def show(
    name: Annotated[str, typer.Argument(help="A claim or reproduction.")],
    quick: Quick = False,
    store: Store = _STORE,
    picture: Annotated[
        Path | None, typer.Option(help="File for the picture: .png, .svg or .pdf.")
    ] = None,
    json: s.Json = False,
) -> None:
    """Print a verdict and its table from the store, and draw its picture."""
    from gatewise import lab as library

    library.named(name)
    found = library.result(name, _rows(store, name), quick)
    if picture is not None:
        draw = found.experiment.draw
        if draw is None:
            raise ConfigError(f"{name} has no picture.")
        if not picture.parent.is_dir():
            raise ConfigError(f"There is no folder {shown(str(picture.parent))} to write to.")
        try:
            draw(found.rows).savefig(picture, dpi=120)
            typer.echo(f"Wrote {picture}", err=True)
        except ValueError as error:
            raise ConfigError(f"{shown(str(picture))} is no picture's name: {error}") from None
    _print([found], json, whole=True)


@lab.command()
def report(
    out: Annotated[Path, typer.Option(help="Folder of the pages.")] = Path("out/lab"),
    quick: Quick = False,
    store: Store = _STORE,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Write Markdown and picture files instead of HTML.")
    ] = False,
) -> None:
    """Write a page for each claim and reproduction in the store."""
    from gatewise import lab as library
    from gatewise.lab.report import write_pages

    found = library.results(_rows(store, "--quick" if quick else ""), quick)
    if not found:
        raise ConfigError(
            f"{shown(str(store))} has no {'quick' if quick else 'full'} run: expected some. Try "
            f"gatewise lab run{' --quick' if quick else ''}."
        )
    written = write_pages(out, found, markdown=markdown, of_results="results")
    typer.echo(f"{written[-1]}: {len(found)} pages")


def _rows(store: Path, name: str) -> list[Any]:
    """All rows of a store.

    Raises:
        ConfigError: there is no store.
    """
    from gatewise.lab.store import Store as Rows

    if not store.exists():
        raise ConfigError(
            f"There is no run store {shown(str(store))}: expected one. Try gatewise lab run {name}."
        )
    rows = Rows(store)
    try:
        return list(rows.rows())
    finally:
        rows.close()


@lab.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(help="Folder of exported rows: *.jsonl.")],
    store: Store = _STORE,
) -> None:
    """Bring exported rows into the store, so that a run goes on from them."""
    from gatewise.lab.store import Store as Rows

    if not folder.is_dir():
        raise ConfigError(f"{shown(str(folder))} is no folder: expected one with *.jsonl.")
    rows = Rows(store)
    try:
        typer.echo(f"{rows.bring(folder)} new trials")
    finally:
        rows.close()


@lab.command("export")
def export_(
    folder: Annotated[Path, typer.Argument(help="Folder for a file of each experiment.")],
    store: Store = _STORE,
) -> None:
    """Write the store's rows as lines of JSON, to be committed."""
    from gatewise.lab.store import Store as Rows

    _rows(store, "")
    rows = Rows(store)
    try:
        for path in rows.export(folder):
            typer.echo(str(path))
    finally:
        rows.close()


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
