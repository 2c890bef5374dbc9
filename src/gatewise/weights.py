"""Parameter names, and LSTM weights in and out of safetensors files.

Knows PyTorch's names and layout but not PyTorch: modules are read through `state_dict`. Tensors
keep their dtype; the configuration stands as JSON in the file's header.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from gatewise.cell import SITES, Cell
from gatewise.errors import ConfigError, DtypeError, ModelFileError
from gatewise.files import write_atomically

FORMAT: Final = "gatewise-lstm"
VERSION: Final = 1

PARAMETER_NAMES: Final = {
    "w_ih": "weight_ih",
    "w_hh": "weight_hh",
    "b_ih": "bias_ih",
    "b_hh": "bias_hh",
    "w_hr": "weight_hr",
    "peephole": "weight_peephole",
    "norm_ih": "norm_ih",
    "norm_hh": "norm_hh",
    "norm_c": "norm_c",
}
"""Names in the equations (see `gatewise.reference.Weights`) and in a module's state_dict."""

INITIAL_STATE_NAMES: Final = ("h_0", "c_0")
"""Names of the learnable initial states of all layers and directions."""


@dataclass(frozen=True, slots=True)
class LSTMConfig:
    """What an LSTM is, apart from its numbers; the names are those of `gatewise.nn.LSTM`.

    Of the regularisers only zoneout stands here: the others do nothing outside training.
    """

    input_size: int
    hidden_size: int
    num_layers: int = 1
    bias: bool = True
    batch_first: bool = False
    bidirectional: bool = False
    proj_size: int = 0
    cell: Cell = Cell()
    zoneout: tuple[float, float] = (0.0, 0.0)
    learn_initial_state: bool = False

    @property
    def directions(self) -> int:
        """Number of directions D."""
        return 2 if self.bidirectional else 1


@dataclass(frozen=True)
class LSTMWeights:
    """The parameters of a whole LSTM.

    Args:
        config: what it is.
        arrays: every parameter under its name in the state_dict, such as "weight_ih_l0".
    """

    config: LSTMConfig
    arrays: dict[str, NDArray[Any]]

    def layer(self, layer: int, direction: int) -> dict[str, NDArray[Any]]:
        """Return the parameters of one layer and direction under their names in the equations."""
        suffix = parameter_suffix(layer, direction)
        return {
            k: self.arrays[v + suffix]
            for k, v in PARAMETER_NAMES.items()
            if v + suffix in self.arrays
        }


def parameter_suffix(layer: int, direction: int) -> str:
    """Return what follows a parameter's name in a state_dict.

    >>> parameter_suffix(1, 0), parameter_suffix(0, 1)
    ('_l1', '_l0_reverse')
    """
    return f"_l{layer}{'_reverse' if direction else ''}"


def from_module(module: Any) -> LSTMWeights:
    """Read the weights of a `torch.nn.LSTM` or `gatewise.nn.LSTM`, without copying where possible.

    Args:
        module: anything with PyTorch's LSTM attributes and a `state_dict`.

    Raises:
        DtypeError: a parameter has a dtype that NumPy lacks, such as bfloat16.
    """
    config = LSTMConfig(
        module.input_size,
        module.hidden_size,
        module.num_layers,
        bool(module.bias),
        module.batch_first,
        module.bidirectional,
        module.proj_size,
        getattr(module, "cell", Cell()),
        getattr(module, "zoneout", (0.0, 0.0)),
        getattr(module, "learn_initial_state", False),
    )
    arrays = {}
    for name, value in module.state_dict().items():
        try:
            arrays[name] = value.detach().cpu().numpy()
        except TypeError:
            raise DtypeError(
                f"{name} has dtype {value.dtype}: expected one that NumPy has. "
                "Convert the module first, as with module.float()."
            ) from None
    return LSTMWeights(config, arrays)


def save_lstm(module: Any, path: str | os.PathLike[str]) -> None:
    """Write an LSTM's weights and configuration to a safetensors file.

    Args:
        module: a `torch.nn.LSTM` or `gatewise.nn.LSTM`, or the `LSTMWeights` of one.
        path: the file; written whole or not at all.

    Raises:
        ConfigError: a Python function stands at a site of the cell.
        OSError: the folder does not exist or is not writable, or the disk is full.
    """
    weights = module if isinstance(module, LSTMWeights) else from_module(module)
    if weights.config.cell.has_callables:
        sites = [s for s in SITES if callable(getattr(weights.config.cell, s))]
        raise ConfigError(
            f"{weights.config.cell} has a Python function as {' and '.join(sites)}: a model file "
            "expects built-in activations. Save the module's state_dict() and make the module "
            "anew in code."
        )
    header = {"version": VERSION, **asdict(weights.config)}
    arrays = {k: np.ascontiguousarray(v) for k, v in weights.arrays.items()}
    write_atomically(path, save(arrays, metadata={FORMAT: json.dumps(header)}))


def load_lstm(path: str | os.PathLike[str]) -> LSTMWeights:
    """Read what `save_lstm` wrote.

    Raises:
        ModelFileError: the file is missing, cut short, or not an LSTM of ours.
    """
    file = Path(path)
    if not file.is_file():
        raise ModelFileError(f"There is no model file {str(file)!r}: expected a safetensors file.")
    try:
        with safe_open(file, framework="numpy") as opened:
            header = (opened.metadata() or {}).get(FORMAT)
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ModelFileError(
            f"{file.name!r} is not a readable safetensors file ({reason}): expected one written "
            "by save_lstm. It may be cut short."
        ) from None
    if header is None:
        raise ModelFileError(
            f"{file.name!r} has no {FORMAT!r} header: expected a file written by save_lstm."
        )
    config = _read_header(header, file.name)
    _check_arrays(config, arrays, file.name)
    return LSTMWeights(config, arrays)


def expected_shapes(config: LSTMConfig) -> dict[str, tuple[int, ...]]:
    """Return the shape of every parameter of an LSTM, under its name in the state_dict."""
    H, D = config.hidden_size, config.directions
    P = config.proj_size or H
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(config.num_layers):
        for direction in range(D):
            own: dict[str, tuple[int, ...]] = {
                "w_ih": (4 * H, D * P if layer else config.input_size),
                "w_hh": (4 * H, P),
            }
            if config.bias:
                own |= {"b_ih": (4 * H,), "b_hh": (4 * H,)}
            if config.proj_size:
                own["w_hr"] = (P, H)
            own |= variant_shapes(config.cell, H)
            suffix = parameter_suffix(layer, direction)
            shapes |= {PARAMETER_NAMES[k] + suffix: v for k, v in own.items()}
    if config.learn_initial_state:
        for name, size in zip(INITIAL_STATE_NAMES, (P, H), strict=True):
            shapes[name] = (config.num_layers * D, 1, size)
    return shapes


def variant_shapes(cell: Cell, H: int) -> dict[str, tuple[int, int]]:
    """Return the shapes of what a cell has beyond PyTorch's parameters, by names of the equations.

    >>> variant_shapes(Cell(peephole=True), 5)
    {'peephole': (3, 5)}
    """
    shapes = {"peephole": (3, H)} if cell.peephole else {}
    if cell.layer_norm:
        shapes |= {"norm_ih": (2, 4 * H), "norm_hh": (2, 4 * H), "norm_c": (2, H)}
    return shapes


def _read_header(header: str, name: str) -> LSTMConfig:
    """The configuration, or a `ModelFileError` whatever the header holds."""
    try:
        fields = json.loads(header)
        version = fields.pop("version")
        zoneout = _read_zoneout(fields.get("zoneout", [0.0, 0.0]))
        config = LSTMConfig(**(fields | {"cell": Cell(**fields["cell"]), "zoneout": zoneout}))
        for key, default in asdict(LSTMConfig(1, 1)).items():
            value = getattr(config, key)
            if key != "cell" and type(value) is not type(default):
                raise TypeError(f"{key} is {value!r}: expected {type(default).__name__}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ModelFileError(f"{name!r} has a damaged header: {reason}.") from None
    if version != VERSION:
        raise ModelFileError(
            f"{name!r} has format version {version}: expected {VERSION}. "
            "Use the release that wrote it."
        )
    return config


def _read_zoneout(rates: Any) -> tuple[float, float]:
    if len(rates) != 2 or not all(type(r) is float and 0 <= r < 1 for r in rates):
        raise ValueError(f"zoneout is {rates!r}: expected two rates from 0 to below 1")
    return rates[0], rates[1]


def _check_arrays(config: LSTMConfig, arrays: dict[str, NDArray[Any]], name: str) -> None:
    if config.num_layers * config.directions * 2 > len(arrays):
        raise ModelFileError(
            f"{name!r} does not hold what its header says: {config.num_layers} layers expected, "
            f"got {len(arrays)} parameters."
        )
    expected = expected_shapes(config)
    found = {k: v.shape for k, v in arrays.items()}
    wrong = sorted(k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k))
    if wrong:
        raise ModelFileError(
            f"{name!r} does not hold what its header says: {wrong[0]} expected "
            f"{expected.get(wrong[0], 'absent')}, got {found.get(wrong[0], 'absent')}."
        )
    dtypes = {a.dtype for a in arrays.values()}
    if len(dtypes) != 1 or not dtypes <= {np.dtype(np.float32), np.dtype(np.float64)}:
        raise ModelFileError(
            f"{name!r} holds parameters of dtype {', '.join(sorted(map(str, dtypes)))}: expected "
            "float32 or float64 throughout. Convert the module before saving it."
        )
