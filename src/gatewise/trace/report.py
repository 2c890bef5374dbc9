"""One self-contained page about what an LSTM did on an input: findings first, then pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from gatewise.files import write_atomically
from gatewise.trace.inspection import Inspection, inspection


def write_inspection(
    path: str | os.PathLike[str],
    lstm: Any,
    x: Any,
    *,
    inputs: Sequence[str] | None = None,
    time: Any = None,
    title: str = "What the cell did",
    source: str = "",
    command: str = "",
    notes: Sequence[str] = (),
    live: str = "",
) -> Inspection:
    """Write the page about an LSTM on an input, whole or not at all.

    Args:
        path: the file.
        lstm, x: as in `gatewise.trace.record`; x of one row.
        inputs: names of the inputs.
        time: labels of the steps.
        title, source: of the page: what it is of, where the input comes from.
        command: that repeats it.
        notes: to show below.
        live: a page of `gatewise.explorer` to show in it.

    Returns:
        What the page shows.

    Raises:
        MissingExtraError: matplotlib or jinja2 is not installed.
        OSError: the file cannot be written.
        ModuleError, ShapeError, DtypeError: as in `record`.
    """
    found = inspection(lstm, x, inputs=inputs, time=time)
    from gatewise.page.rendering import render  # with jinja2, which `inspection` has looked for

    template = files("gatewise.trace").joinpath("report.html.j2").read_text("utf-8")
    told = {"title": title, "source": source, "command": command, "notes": notes, "live": live}
    write_atomically(path, render(template, seen=found, **told))
    return found
