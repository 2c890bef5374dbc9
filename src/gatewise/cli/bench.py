"""gatewise bench: the LSTM's speed on this machine, side by side with peers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatewise.cli import source as s
from gatewise.cli.progress import Bars
from gatewise.errors import BenchmarkError, ConfigError, shown
from gatewise.files import write_atomically

if TYPE_CHECKING:
    from gatewise.bench import Plan

BUSY = 0.5
"""Average number of running programs from which a machine is not quiet."""


def bench(
    shapes: Annotated[
        str,
        typer.Option(
            help="BxTxIxH by commas, such as 32x100x16x64; -l2 for two layers, -bi for both "
            "directions. Default: a grid."
        ),
    ] = "",
    modes: Annotated[
        str,
        typer.Option(
            help="Of inference, training, streaming, training-step; by commas. Default: all."
        ),
    ] = "",
    threads: Annotated[
        str,
        typer.Option(
            help="Threads inside each measured call, by commas; not worker processes, as in other "
            "commands. Default: 1,2."
        ),
    ] = "",
    peers: Annotated[
        str,
        typer.Option(
            help="Of gatewise, gatewise-runtime, gatewise-bfloat16, torch, torch-no-mkldnn, "
            "torch-lstmcell, onnxruntime, openvino, jax; by commas. Default: those installed."
        ),
    ] = "",
    quick: Annotated[
        bool, typer.Option("--quick", help="Few shapes, short turns, one thread: half a minute.")
    ] = False,
    json: s.Json = False,
    out: Annotated[Path | None, typer.Option(help="File for the results as JSON.")] = None,
) -> None:
    """Measure the LSTM's speed on this machine, side by side with peers.

    Each peer runs in its own process, is checked against PyTorch's numbers, and then takes turns
    with the others. Without --quick this takes about a quarter of an hour.
    """
    from gatewise.bench import run, to_json

    plan = _plan(shapes, modes, threads, peers, quick)
    if out is not None and not out.parent.is_dir():
        raise ConfigError(
            f"There is no folder {shown(str(out.parent))} to write {shown(out.name)} to."
        )
    with Bars() as bars:
        result = run(plan, s.command_line(), bars)
    if out is not None:
        write_atomically(out, to_json(result))
    _show(result, json, out)


def _plan(shapes: str, modes: str, threads: str, peers: str, quick: bool) -> Plan:
    from gatewise.bench import GRID, MODES, PEERS, QUICK, Plan, Shape, cases, core_count

    whole = not (quick or shapes or modes or peers)
    defaults = (1,) if quick else tuple(n for n in (1, 2) if n <= core_count())
    return Plan(
        cases=cases(
            s.split_names(modes) or tuple(MODES),
            [Shape.parse(name) for name in s.split_names(shapes)],
            QUICK if quick else GRID,
        ),
        threads=_numbers(threads) or defaults,
        peers=s.split_names(peers) or tuple(PEERS),
        contended=whole and core_count() > 1,
        **({"turns": 3, "turn_s": 0.03} if quick else {}),
    )


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in s.split_names(text))
    except ValueError:
        raise ConfigError(
            f"--threads is {shown(text)}: expected numbers separated by commas, such as 1,2."
        ) from None


def _show(result: dict[str, Any], json: bool, out: Path | None) -> None:
    from gatewise.cli import render

    load = result["machine"]["load"]
    if load is not None and load > BUSY:
        typer.echo(
            f"note: other programs were running (load {load}): figures on several threads may be "
            "far off, in anyone's favour",
            err=True,
        )
    for peer, reason in result["missing"].items():
        typer.echo(f"note: left out {peer}: {reason}", err=True)
    if any("not installed" in reason for reason in result["missing"].values()):
        typer.echo("note: more peers: pip install 'gatewise[bench]'", err=True)
    if json:
        render.print_json(result)
    else:
        render.print_speeds(result)
        if out is not None:
            typer.echo(f"Wrote {out}")
    if result["faults"]:
        first = result["faults"][0]
        raise BenchmarkError(
            f"{len(result['faults'])} measurements were left out. The first, {first['mode']} of "
            f"{first['shape']} on {first['threads']} threads: {first['fault']}."
        )
