"""The commands put together; errors as one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer

from gatewise.cli.backtest import backtest
from gatewise.cli.bench import bench
from gatewise.cli.explore import explore
from gatewise.cli.export import export
from gatewise.cli.forecast import forecast
from gatewise.cli.inspect import inspect
from gatewise.cli.lab import lab
from gatewise.cli.progress import Interrupted
from gatewise.cli.tune import tune
from gatewise.errors import GatewiseError, shown

FAILED, USAGE, INTERRUPTED = 1, 2, 130

# Typer keeps its own copy of click, or uses the package, depending on the release; its public
# BadParameter leads to the base class in either.
_UsageError: type[typer.BadParameter] = typer.BadParameter.__bases__[0]  # type: ignore[assignment]

app = typer.Typer(
    help="An LSTM you can see into: forecast time series, and see what the cell did.",
    rich_markup_mode=None,  # plain help: quick, and the same in docs
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(forecast)
app.command()(backtest)
app.command()(tune)
app.command()(inspect)
app.command()(explore)
app.command()(bench)
app.command()(export)
app.add_typer(lab, name="lab")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"gatewise {version('gatewise')}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """An LSTM you can see into: forecast time series, and see what the cell did."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code. Errors are one line on stderr."""
    if sys.stdout is None:  # closed by the caller: results go nowhere, files are written
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  (for the life of the process)
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code = app(args=given or ["--help"], prog_name="gatewise", standalone_mode=False)
        if code == INTERRUPTED:  # some releases of typer return where others raise
            raise typer.Abort
        sys.stdout.flush()
    except typer.Exit as exit_:
        return exit_.exit_code
    except _UsageError as error:
        return _fail(error.format_message(), USAGE)
    except GatewiseError as error:
        return _fail(str(error), FAILED)
    except Interrupted as error:
        return _fail(str(error), INTERRUPTED)
    except (typer.Abort, KeyboardInterrupt):
        return _fail("Interrupted.", INTERRUPTED)
    except BrokenPipeError:  # the reader of our stdout has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        where = f" {shown(error.filename)}" if error.filename else ""
        return _fail(f"Cannot use{where}: {error.strerror or error}.", FAILED)
    return 0


def _fail(message: str, code: int) -> int:
    print("gatewise:", " ".join(message.split()), file=sys.stderr)
    return code
