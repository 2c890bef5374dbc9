"""An LSTM and its inputs as the page takes them: see `web/src/data.ts`."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatewise.arguments import names
from gatewise.cell import SITES, Cell
from gatewise.errors import ConfigError, ShapeError, shown
from gatewise.trace.given import checked, weights_of
from gatewise.weights import LSTMWeights

MOST_NUMBERS: Final = 8_000_000
"""Weights and inputs that a page may hold: some 45 MB of text."""

KEPT: Final = 40_000_000
"""Numbers of one run that the page keeps: 8 for each unit and step (LIMIT in web/src/worker)."""

_NOISE_STEPS: Final = 100
_LONGEST_LABEL: Final = 40


def packed(array: ArrayLike) -> dict[str, Any]:
    """An array as float32, little endian, in base64.

    >>> packed([1.0, 2.0])
    {'shape': [2], 'data': 'AACAPwAAAEA='}
    """
    a = np.ascontiguousarray(array, dtype="<f4")
    return {"shape": list(a.shape), "data": base64.b64encode(a.tobytes()).decode()}


def model_data(
    lstm: Any,
    x: Any = None,
    *,
    name: str = "LSTM",
    about: str = "",
    inputs: Sequence[str] | None = None,
    time: Any = None,
    readout: Any = None,
    outputs: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return an LSTM and its inputs as the page takes them.

    Args:
        lstm: a torch.nn.LSTM, a gatewise.nn.LSTM, a `runtime.Model` or `LSTMWeights`.
        x: [T, B, I] or [T, I] ([B, T, I] with batch_first): each row is a series. Default: 100
            steps of standard normal noise, which the page says.
        name: of the model.
        about: one sentence on what it is.
        inputs: I names.
        time: [T] labels of the steps.
        readout: a torch.nn.Linear on the h of the last layer, or its (weight [O, D * P], bias [O]);
            or two layers with a tanh between them, as `gatewise.forecast.explain.readout.Readout`.
        outputs: O names.

    Raises:
        ModuleError: lstm is none.
        ShapeError, DtypeError: x, readout or a name does not fit it.
        ConfigError: it is a cell that the page cannot run, or more than a page can hold.
    """
    weights = weights_of(lstm)
    config = weights.config
    _check_runs(weights)
    if outputs is not None and readout is None:
        raise ConfigError("outputs names what a read-out tells: expected a readout, too.")
    about = about or ""
    if _own_forward(lstm):
        about += f" {type(lstm).__name__} has a forward of its own; shown is the LSTM alone."
    if x is None:
        x = np.random.default_rng(0).standard_normal((_NOISE_STEPS, config.input_size))
        x = x.astype(weights.dtype if weights.dtype == np.float64 else np.float32)
        about = f"{about} It reads standard normal noise: no input was given.".strip()
    given = checked(weights, x, time=time)
    T, B, I = given.x.shape
    if not T or not B:
        raise ShapeError(f"x holds {T} steps and {B} rows: expected at least one of each.")
    _check_fits(weights, T, given.x.size)
    _check_numbers("x", given.x, "Fill or leave out such rows.")
    for key, array in weights.arrays.items():
        _check_numbers(key, array, "Was the network trained with too high a rate?")
    labels = _labels(given.time, T)
    if inputs is None and hasattr(x, "columns"):
        inputs = [str(c) for c in x.columns]
    data: dict[str, Any] = {
        "name": str(name),
        "about": str(about).strip(),
        "network": _network(weights),
        "weights": {k: packed(v) for k, v in weights.arrays.items()},
        "inputs": _names(inputs, I, "inputs", "input"),
        "series": [
            {
                "name": "input" if B == 1 else f"row {b + 1}",
                "time": labels,
                "x": packed(given.x[:, b]),
            }
            for b in range(B)
        ],
    }
    if readout is not None:
        width = config.directions * (config.proj_size or config.hidden_size)
        data["readout"] = _readout(readout, width, outputs)
    return data


def _readout(readout: Any, width: int, outputs: Sequence[str] | None) -> dict[str, Any]:
    """A read-out as the page takes it."""
    told: dict[str, Any] = {}
    if hasattr(readout, "hidden_weight"):
        V, a = _linear((readout.hidden_weight, readout.hidden_bias), width)
        told["hidden"] = {"weight": packed(V), "bias": packed(a)}
        outputs, width = outputs or readout.names, len(a)
    weight, bias = _linear(readout, width)
    names = _names(outputs, len(bias), "outputs", "output")
    return told | {"weight": packed(weight), "bias": packed(bias), "names": names}


def _check_fits(weights: LSTMWeights, T: int, inputs: int) -> None:
    """Refuse more than a page can hold or keep.

    Raises:
        ConfigError: there are too many weights, inputs, or values of a run.
    """
    config = weights.config
    own = sum(a.size for a in weights.arrays.values())
    if own > MOST_NUMBERS:
        raise ConfigError(
            f"The LSTM has {own:,} parameters: expected at most {MOST_NUMBERS:,} in a page. Use "
            "gatewise inspect, or trace.record."
        )
    if own + inputs > MOST_NUMBERS:
        raise ConfigError(
            f"The page would hold {own + inputs:,} parameters and inputs: expected at most "
            f"{MOST_NUMBERS:,}. Pass fewer rows or steps, x[-10_000:] say."
        )
    kept = 8 * config.num_layers * config.directions * config.hidden_size * T
    if kept > KEPT:
        most = KEPT * T // kept
        raise ConfigError(
            f"A run of {T:,} steps makes {kept:,} numbers: expected at most {KEPT:,} in a page. "
            f"Pass {most:,} steps or fewer, or record a trace (gatewise.trace.record)."
        )


def _check_numbers(what: str, array: NDArray[Any], remedy: str) -> None:
    """Refuse what is no finite float32.

    Raises:
        ConfigError: a number is NaN, infinite, or too large.
    """
    with np.errstate(over="ignore"):
        if not np.isfinite(np.asarray(array).astype(np.float32)).all():
            raise ConfigError(
                f"{what} holds NaN, infinity or a number beyond float32: expected finite numbers. "
                f"{remedy}"
            )


def _own_forward(lstm: Any) -> bool:
    """Whether a module is a subclass that computes something of its own."""
    return "forward" in vars(type(lstm)) and not type(lstm).__module__.startswith(
        ("torch.nn.", "gatewise.nn.")
    )


def _labels(time: NDArray[Any] | None, T: int) -> list[str]:
    """Short text for each step.

    >>> _labels(np.array(["2024-01-01", "2024-01-02"], "datetime64[ns]"), 2)
    ['2024-01-01', '2024-01-02']
    """
    if time is None:
        return [str(t) for t in range(T)]
    if time.dtype.kind == "M":
        day = (time.astype("datetime64[D]") == time).all()
        texts = np.datetime_as_string(time.astype("datetime64[D]" if day else "datetime64[s]"))
        return [text.replace("T", " ") for text in texts.tolist()]
    texts = [f"{t:.6g}" if isinstance(t, float) else str(t) for t in time.tolist()]
    return [t if len(t) <= _LONGEST_LABEL else t[: _LONGEST_LABEL - 1] + "…" for t in texts]


def _check_runs(weights: LSTMWeights) -> None:
    """Refuse what the page's core is not told.

    Raises:
        ConfigError: zoneout, or a learnt initial state.
    """
    config = weights.config
    if any(config.zoneout):
        raise ConfigError(
            f"The LSTM has zoneout={config.zoneout}: expected none, which the page does not run. "
            "Use gatewise inspect, or trace.record."
        )
    if config.learn_initial_state:
        raise ConfigError(
            "The LSTM learns its initial state: expected one that starts at zeros, as the page "
            "does. Use gatewise inspect, or trace.record."
        )


def _network(weights: LSTMWeights) -> dict[str, Any]:
    config = weights.config
    return {
        "layers": config.num_layers,
        "directions": config.directions,
        "inputs": config.input_size,
        "hidden": config.hidden_size,
        "projection": config.proj_size,
        "cell": cell_data(config.cell),
    }


def cell_data(cell: Cell) -> dict[str, Any]:
    """A cell as the page takes it.

    >>> cell_data(Cell())["candidate"]
    {'function': 'tanh', 'scale': 1.0, 'slope': 1.0, 'shift': 0.0}
    """
    sites = {}
    for site in SITES:
        a = cell.activation(site)
        sites[site] = {"function": a.name, "scale": a.scale, "slope": a.slope, "shift": a.shift}
    flags = ("coupled", "peephole", "layer_norm")
    return {**sites, **{name: getattr(cell, name) for name in flags}}


def _linear(readout: Any, width: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Weight [O, width] and bias [O] of a linear layer.

    Raises:
        ShapeError: it is none, or does not fit.
        ConfigError: it holds what is no number.
    """
    try:
        if isinstance(readout, tuple | list):
            weight, bias = readout
        else:
            weight, bias = readout.weight, getattr(readout, "bias", None)
        weight = _array(weight)
        bias = np.zeros(len(weight)) if bias is None else _array(bias)
    except (AttributeError, TypeError, ValueError, NotImplementedError):  # whatever was handed in
        raise ShapeError(
            f"readout is {shown(readout)}: expected a torch.nn.Linear, or its (weight, bias)."
        ) from None
    if weight.ndim != 2 or weight.shape[1] != width or bias.shape != (len(weight),):
        raise ShapeError(
            f"The read-out has weight {weight.shape} and bias {bias.shape}: expected [O, {width}] "
            "and [O], linear on h of the last layer."
        )
    if weight.size > MOST_NUMBERS:
        raise ConfigError(
            f"The read-out has {weight.size:,} weights: expected at most {MOST_NUMBERS:,} in a "
            "page. Pass some of its rows."
        )
    for array in (weight, bias):
        _check_numbers("The read-out", array, "Pass a trained one.")
    return weight, bias


def _array(value: Any) -> NDArray[Any]:
    """A tensor or array of real numbers as an array."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if np.iscomplexobj(value):
        raise TypeError("complex")
    return np.asarray(value, dtype=np.float64)


def _names(given: Sequence[str] | None, count: int, what: str, stem: str) -> list[str]:
    """The names as text, or made-up ones."""
    if given is None:
        return [stem] if count == 1 else [f"{stem} {k + 1}" for k in range(count)]
    return [str(v) for v in names(given, what, count)]
