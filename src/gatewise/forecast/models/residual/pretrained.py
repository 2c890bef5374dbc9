"""Networks that come with the package, trained on other series: a forecast without training.

They read the same features whatever the season and forecast any horizon. `pretraining` makes them;
what they learnt from stands in the header of the file.
"""

from __future__ import annotations

from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from gatewise.errors import ModelFileError, shortened, shown
from gatewise.files import write_atomically
from gatewise.forecast.models.residual.network import Network, Shape
from gatewise.sealed import model_content, seal, unseal

_FILE: Final = "pretrained.safetensors"
_KIND: Final = "gatewise-pretrained"
_VERSION: Final = 2


def networks(path: str | None = None) -> tuple[Network, ...]:
    """Return the networks of a file, in evaluation mode; by default the package's own.

    Raises:
        ModelFileError: the file is missing, or holds something else.

    >>> all(network.shape.universal for network in networks())
    True
    """
    try:
        told, arrays = unseal(_content(path), _KIND, _VERSION)
        shapes = [Shape(**shape) for shape in told["shapes"]]
        return tuple(_restored(shape, arrays, f"{i}.") for i, shape in enumerate(shapes))
    except ModelFileError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelFileError(
            f"{shown(path)} holds no pretrained networks ({shortened(error)}): expected a file "
            "written by python -m gatewise.forecast.models.residual.pretraining."
        ) from None


def header(path: str | None = None) -> dict[str, Any]:
    """Return what the networks of a file were trained on, and how."""
    return unseal(_content(path), _KIND, _VERSION)[0]


def _content(path: str | None) -> bytes:
    if path is None:
        return files("gatewise.forecast.models.residual").joinpath(_FILE).read_bytes()
    return model_content(path)


def _restored(shape: Shape, arrays: dict[str, NDArray[Any]], prefix: str) -> Network:
    with torch.random.fork_rng(devices=[]):
        network = Network(shape)
    network.load_state_dict(
        {
            name.removeprefix(prefix): torch.from_numpy(values.astype(np.float32))
            for name, values in arrays.items()
            if name.startswith(prefix)
        }
    )
    return network.eval()


def write(path: Path, made: tuple[Network, ...], told: dict[str, Any]) -> None:
    """Write networks, in half precision: what they forecast is not that exact."""
    arrays = {
        f"{i}.{name}": value.numpy().astype(np.float16)
        for i, network in enumerate(made)
        for name, value in network.state_dict().items()
    }
    header = {"shapes": [asdict(network.shape) for network in made], **told}
    write_atomically(path, seal(arrays, header, _KIND, _VERSION))
