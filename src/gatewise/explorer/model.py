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

MOST_STEPS: Final = 100_000
"""Steps that the page can draw and compute in a browser's memory."""

_NOISE_STEPS: Final = 100


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
            or two layers with a tanh between them, as `gatewise.forecast.readout.Readout`.
        outputs: O names.

    Raises:
        ModuleError: lstm is none.
        ShapeError, DtypeError: x, readout or a name does not fit it.
        ConfigError: it is a cell that the page cannot run, or more than a page can hold.
    """
    weights = weights_of(lstm)
    config = weights.config
    _check_runs(weights)
    if x is None:
        x = np.random.default_rng(0).standard_normal((_NOISE_STEPS, config.input_size))
        x = x.astype(weights.dtype if weights.dtype == np.float64 else np.float32)
        about = f"{about} It reads standard normal noise: no input was given.".strip()
    given = checked(weights, x, time=time)
    T, B, I = given.x.shape
    if not T or not B:
        raise ShapeError(f"x holds {T} steps and {B} rows: expected at least one of each.")
    size = sum(a.size for a in weights.arrays.values()) + given.x.size
    if size > MOST_NUMBERS or T > MOST_STEPS:
        raise ConfigError(
            f"The page would hold {size:,} weights and inputs of {T:,} steps: expected at most "
            f"{MOST_NUMBERS:,} and {MOST_STEPS:,}. Pass fewer rows or steps, x[-10_000:] say, or "
            "record a trace (gatewise.trace.record) and save it."
        )
    if not np.isfinite(given.x).all():
        raise ConfigError("x holds NaN or infinity: expected numbers. Fill or leave out such rows.")
    labels = [str(t) for t in (range(T) if given.time is None else given.time)]
    data: dict[str, Any] = {
        "name": name,
        "about": about,
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
        ShapeError: it does not fit.
    """
    if hasattr(readout, "weight"):
        weight, bias = readout.weight, getattr(readout, "bias", None)
    else:
        weight, bias = readout
    weight = _array(weight)
    bias = np.zeros(len(weight)) if bias is None else _array(bias)
    if weight.ndim != 2 or weight.shape[1] != width or bias.shape != (len(weight),):
        raise ShapeError(
            f"The read-out has weight {weight.shape} and bias {bias.shape}: expected [O, {width}] "
            "and [O], a linear layer on h of the last layer."
        )
    return weight, bias


def _array(value: Any) -> NDArray[Any]:
    """A tensor or array as an array."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().double().numpy()
    return np.asarray(value, dtype=np.float64)


def _names(given: Sequence[str] | None, count: int, what: str, stem: str) -> list[str]:
    """The names as text, or made-up ones."""
    if given is None:
        return [stem] if count == 1 else [f"{stem} {k + 1}" for k in range(count)]
    if isinstance(given, str):
        raise ShapeError(f"{what} is {shown(given)}: expected a sequence of {count} names.")
    return [str(v) for v in names(list(given), what, count)]
