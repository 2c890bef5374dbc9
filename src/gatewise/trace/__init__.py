"""What a cell does, step by step: record every gate, explain it, change it, measure it, draw it.

    recorder.py   record(lstm, x) -> Trace; recording(model): every LSTM of a model while it runs
    trace.py      Trace: labelled arrays of every gate and state, in files too
    recorded.py   what the functions read of a trace that Trace itself calls
    keep.py       what a trace keeps
    sources.py    attention: what a cell state is made of, exactly
    flow.py       gradient_flow: how the gradient comes back, in parts
    lyapunov.py   how fast neighbouring states part or meet
    edits.py      run_on: gates clamped, cells set, squashes swapped
    patching.py   patch, path_patch: what one number of another run changes
    inputs.py     which input moves which unit
    reading.py    lens and probe: what can be read from a state
    measures.py   numbers on a trace: saturation, memory, rank, similar states
    sentences.py  findings: the same in plain words
    plots.py, charts.py   pictures
    inspection.py, report.py  all of that for one LSTM and input; the same as a page
    notebook.py   a trace as a notebook shows it
    given.py, running.py, deferred.py  what a caller hands over; one layer and direction on the
                  core; variables that are read when somebody looks at them

NumPy, xarray, matplotlib and the native core; never torch (modules are read through
`gatewise.weights`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gatewise.trace.charts import (
        plot_attention,
        plot_gradient,
        plot_intervention,
        plot_saturation,
        plot_sites,
    )
    from gatewise.trace.edits import Edit, run_on
    from gatewise.trace.flow import gradient_flow
    from gatewise.trace.inputs import influence, integrated_gradients
    from gatewise.trace.keep import Keep
    from gatewise.trace.lyapunov import lyapunov_exponents
    from gatewise.trace.measures import (
        effective_rank,
        forget_path,
        half_life,
        memory,
        operating,
        saturation,
        similar_states,
    )
    from gatewise.trace.patching import patch, path_patch
    from gatewise.trace.plots import plot_gates, plot_operating_points
    from gatewise.trace.reading import lens, probe
    from gatewise.trace.recorder import record, recording
    from gatewise.trace.sentences import Finding, findings
    from gatewise.trace.sources import attention
    from gatewise.trace.trace import Trace

_HOME: Final = {
    "Edit": "edits",
    "Finding": "sentences",
    "Keep": "keep",
    "Trace": "trace",
    "attention": "sources",
    "effective_rank": "measures",
    "findings": "sentences",
    "forget_path": "measures",
    "gradient_flow": "flow",
    "half_life": "measures",
    "influence": "inputs",
    "integrated_gradients": "inputs",
    "lens": "reading",
    "lyapunov_exponents": "lyapunov",
    "memory": "measures",
    "operating": "measures",
    "patch": "patching",
    "path_patch": "patching",
    "plot_attention": "charts",
    "plot_gates": "plots",
    "plot_gradient": "charts",
    "plot_intervention": "charts",
    "plot_operating_points": "plots",
    "plot_saturation": "charts",
    "plot_sites": "charts",
    "probe": "reading",
    "record": "recorder",
    "recording": "recorder",
    "run_on": "edits",
    "saturation": "measures",
    "similar_states": "measures",
}

__all__ = [
    "Edit",
    "Finding",
    "Keep",
    "Trace",
    "attention",
    "effective_rank",
    "findings",
    "forget_path",
    "gradient_flow",
    "half_life",
    "influence",
    "integrated_gradients",
    "lens",
    "lyapunov_exponents",
    "memory",
    "operating",
    "patch",
    "path_patch",
    "plot_attention",
    "plot_gates",
    "plot_gradient",
    "plot_intervention",
    "plot_operating_points",
    "plot_saturation",
    "plot_sites",
    "probe",
    "record",
    "recording",
    "run_on",
    "saturation",
    "similar_states",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"gatewise.trace.{_HOME[name]}"), name)
    raise AttributeError(f"module 'gatewise.trace' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
