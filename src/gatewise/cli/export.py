"""gatewise export: a saved LSTM as an ONNX model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatewise.cli import source as s
from gatewise.errors import ConfigError, shown

if TYPE_CHECKING:
    from gatewise.export import Signature


def export(
    model: Annotated[Path, typer.Argument(help="File that gatewise.weights.save_lstm wrote.")],
    out: Annotated[Path, typer.Argument(help="File for the ONNX model.")],
    lengths: Annotated[
        bool, typer.Option("--lengths", help="The model takes the length of each row.")
    ] = False,
    no_state: Annotated[
        bool,
        typer.Option(
            "--no-state", help="The model takes no state: it starts from zeros, or as learnt."
        ),
    ] = False,
    float32: Annotated[
        bool,
        typer.Option(
            "--float32", help="Round float64 parameters; ONNX Runtime computes float32 only."
        ),
    ] = False,
    opset: Annotated[int, typer.Option(help="Version of ONNX's operators, from 14 on.")] = 17,
    json: s.Json = False,
) -> None:
    """Write an LSTM as an ONNX model, for ONNX Runtime and its like.

    One LSTM operator for each layer, time and batch free. A cell that the operator cannot compute
    is refused.
    """
    from gatewise.cli import render
    from gatewise.export import to_onnx
    from gatewise.weights import load_lstm

    if not out.parent.is_dir():
        raise ConfigError(
            f"There is no folder {shown(str(out.parent))} to write {shown(out.name)} to."
        )
    made = to_onnx(
        load_lstm(model), out, opset=opset, lengths=lengths, state=not no_state, float32=float32
    )
    if made.dtype == "float64":
        typer.echo(
            "note: the model is float64, which ONNX Runtime does not compute: see --float32",
            err=True,
        )
    if json:
        render.print_json({"file": str(out), **asdict(made)})
    else:
        _show(made, out)


def _show(made: Signature, out: Path) -> None:
    for title, values in (("inputs", made.inputs), ("outputs", made.outputs)):
        shown = ", ".join(f"{name} [{', '.join(map(str, v))}]" for name, v in values.items())
        typer.echo(f"{title}: {shown}")
    typer.echo(f"Wrote {out} ({made.dtype}, opset {made.opset})")
