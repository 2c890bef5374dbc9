"""The parameters of an LSTM, read from a PyTorch module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gatewise.cell import Cell
from gatewise.errors import ConfigError, DtypeError, ModuleError, ShapeError, shortened, shown
from gatewise.weights.config import (
    PARAMETER_NAMES,
    LSTMConfig,
    expected_shapes,
    parameter_suffix,
)

_EXPECTED: Final = "expected a torch.nn.LSTM or a gatewise.nn.LSTM"


@dataclass(frozen=True, eq=False)
class LSTMWeights:
    """The parameters of a whole LSTM; two are equal if configuration, dtypes and bits are.

    Args:
        config: what it is.
        arrays: every parameter under its name in the state_dict, such as "weight_ih_l0".

    >>> config = LSTMConfig(3, 4)
    >>> shapes = expected_shapes(config)
    >>> weights = LSTMWeights(config, {k: np.zeros(v, np.float32) for k, v in shapes.items()})
    >>> weights.check()
    >>> weights.layer(0, 0)["w_ih"].shape
    (16, 3)
    """

    config: LSTMConfig
    arrays: dict[str, NDArray[Any]]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the parameters."""
        return self.arrays["weight_ih_l0"].dtype

    def layer(self, layer: int, direction: int) -> dict[str, NDArray[Any]]:
        """Return the parameters of one layer and direction under their names in the equations."""
        suffix = parameter_suffix(layer, direction)
        return {
            k: self.arrays[v + suffix]
            for k, v in PARAMETER_NAMES.items()
            if v + suffix in self.arrays
        }

    def check(self) -> None:
        """Look whether the arrays are those that the configuration asks for.

        Raises:
            ShapeError: one is missing, is too many or has another shape.
            DtypeError: they are not float32 or float64 throughout.
        """
        config, found = self.config, {k: v.shape for k, v in self.arrays.items()}
        # Before shapes are made for layers that are not there.
        if config.num_layers * config.directions * 2 > len(found):
            raise ShapeError(
                f"The arrays are not those of the configuration: {config.num_layers} layers "
                f"expected, got {len(found)} parameters."
            )
        expected = expected_shapes(config)
        wrong = sorted(k for k in expected.keys() | found.keys() if expected.get(k) != found.get(k))
        if wrong:
            name = wrong[0]
            raise ShapeError(
                f"The arrays are not those of the configuration: {shortened(name)} expected "
                f"{expected.get(name, 'absent')}, got {shortened(found.get(name, 'absent'))}."
            )
        dtypes = {a.dtype for a in self.arrays.values()}
        if len(dtypes) != 1 or not dtypes <= {np.dtype(np.float32), np.dtype(np.float64)}:
            raise DtypeError(
                f"The parameters have dtype {', '.join(sorted(map(str, dtypes)))}: expected "
                "float32 or float64 throughout. Convert the module first, as with module.float()."
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LSTMWeights):
            return NotImplemented
        return (
            self.config == other.config
            and self.arrays.keys() == other.arrays.keys()
            and all(_same_bits(a, other.arrays[name]) for name, a in self.arrays.items())
        )

    def __hash__(self) -> int:
        return hash(self.config)


def from_module(module: Any, *, widen: bool = False) -> LSTMWeights:
    """Read the weights of a `torch.nn.LSTM` or `gatewise.nn.LSTM`, without copying where possible.

    Args:
        module: the LSTM itself, not a module that holds one. What it holds besides an LSTM's
            parameters is among the arrays, too.
        widen: bfloat16, which NumPy lacks, becomes float32. Default: it is refused.

    Raises:
        ModuleError: it is something else, or its parameters are not those of an LSTM.
        DtypeError: a parameter has a dtype that NumPy lacks, and `widen` is not set.

    >>> import torch
    >>> sorted(from_module(torch.nn.LSTM(3, 4)).arrays)
    ['bias_hh_l0', 'bias_ih_l0', 'weight_hh_l0', 'weight_ih_l0']
    """
    fault = _fault(module)
    if fault:
        raise ModuleError(fault)
    config = _config(module)
    arrays = {name: _array(name, value, widen) for name, value in module.state_dict().items()}
    for name, shape in expected_shapes(config).items():
        got = arrays[name].shape if name in arrays else "absent"
        if got != shape:
            raise ModuleError(
                f"{_kind(module)} has other parameters than its sizes say: {name} expected "
                f"{shape}, got {got}. Undo what replaced them, such as a parametrization "
                "(torch.nn.utils.parametrize.remove_parametrizations) or pruning "
                "(torch.nn.utils.prune.remove)."
            )
    return LSTMWeights(config, arrays)


def _config(module: Any) -> LSTMConfig:
    try:
        return LSTMConfig(
            int(module.input_size),
            int(module.hidden_size),
            int(module.num_layers),
            bool(module.bias),
            bool(module.batch_first),
            bool(module.bidirectional),
            int(module.proj_size),
            getattr(module, "cell", Cell()),
            getattr(module, "zoneout", (0.0, 0.0)),
            getattr(module, "learn_initial_state", False),
        )
    except (AttributeError, ConfigError) as error:
        raise ModuleError(
            f"{_kind(module)} does not tell what it is ({shortened(error)}): {_EXPECTED}."
        ) from None


def _array(name: str, value: Any, widen: bool) -> NDArray[Any]:
    if widen and str(value.dtype) == "torch.bfloat16":
        value = value.float()
    try:
        return value.detach().cpu().numpy()
    except NotImplementedError:  # a tensor of the meta device
        raise ModuleError(
            f"{shortened(name)} is on the device {value.device} and holds no numbers: expected "
            "parameters with values. Load them first, as with module.to_empty and load_state_dict."
        ) from None
    except (TypeError, RuntimeError):
        raise DtypeError(
            f"{shortened(name)} has dtype {value.dtype}: expected one that NumPy has. "
            "Convert the module first, as with module.float()."
        ) from None


def _fault(module: Any) -> str:
    """What is wrong with this as an LSTM, and what helps; empty if nothing is."""
    kind, classes = _kind(module), {c.__name__: c.__module__ for c in type(module).__mro__}
    if isinstance(module, type):
        return f"Got the class {module.__name__}: {_EXPECTED}. Make one first."
    if "ScriptModule" in classes:
        return (
            f"{kind} is compiled by TorchScript and hides what it is: {_EXPECTED}. Pass the module "
            "that was scripted."
        )
    if any("quantized" in home or "quantizable" in home for home in classes.values()):
        return (
            f"{kind} holds quantized weights: {_EXPECTED}. Pass the module as it was before "
            "quantization."
        )
    if "Module" not in classes or not hasattr(module, "state_dict"):
        return f"{kind} is no module: {_EXPECTED}, or the LSTMWeights of one."
    if _mode(module) in ("GRU", "RNN_TANH", "RNN_RELU"):
        return f"{kind} is a recurrent layer of another kind: {_EXPECTED}. Train an LSTM instead."
    if _mode(module) == "LSTM":
        return ""
    inside = [shown(name, 60) for name, part in module.named_modules() if _mode(part) == "LSTM"]
    if not inside:
        return f"{kind} is not an LSTM and holds none: {_EXPECTED}."
    return (
        f"{kind} is not an LSTM but holds one as {' and '.join(inside[:3])}: {_EXPECTED}. Pass the "
        f"LSTM itself, as module.get_submodule({inside[0]})."
    )


def _mode(module: Any) -> Any:
    """PyTorch's word for the kind of a recurrent layer; other modules have other modes."""
    return getattr(module, "mode", None)


def _kind(module: Any) -> str:
    return f"An object of {type(module).__module__}.{type(module).__qualname__}"


def _same_bits(a: NDArray[Any], b: NDArray[Any]) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
