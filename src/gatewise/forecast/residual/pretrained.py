"""Networks that come with the package, trained on other series: a forecast without training.

They read the same features whatever the season and forecast any horizon. `pretraining` makes them;
what they learnt from stands in the header of the file.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.numpy import load, save

from gatewise.files import write_atomically
from gatewise.forecast.residual.network import Network, Shape

_FILE: Final = "pretrained.safetensors"
_HEADER: Final = "gatewise-pretrained"


def networks(path: Path | None = None) -> tuple[Network, ...]:
    """Return the networks of a file, in evaluation mode; by default the package's own.

    >>> all(network.shape.universal for network in networks())
    True
    """
    content = (path or files("gatewise.forecast.residual").joinpath(_FILE)).read_bytes()
    arrays = load(content)
    found = []
    for i, shape in enumerate(header(path)["shapes"]):
        with torch.random.fork_rng(devices=[]):
            network = Network(Shape(**shape))
        prefix = f"{i}."
        state = {
            name.removeprefix(prefix): torch.from_numpy(values.astype(np.float32))
            for name, values in arrays.items()
            if name.startswith(prefix)
        }
        network.load_state_dict(state)
        found.append(network.eval())
    return tuple(found)


def header(path: Path | None = None) -> dict[str, Any]:
    """Return what the networks of a file were trained on, and how."""
    content = (path or files("gatewise.forecast.residual").joinpath(_FILE)).read_bytes()
    size = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + size])["__metadata__"][_HEADER])


def write(path: Path, made: tuple[Network, ...], told: dict[str, Any]) -> None:
    """Write networks, in half precision: what they forecast is not that exact."""
    arrays = {
        f"{i}.{name}": value.numpy().astype(np.float16)
        for i, network in enumerate(made)
        for name, value in network.state_dict().items()
    }
    from dataclasses import asdict

    text = json.dumps({"shapes": [asdict(network.shape) for network in made], **told})
    write_atomically(path, save(arrays, metadata={_HEADER: text}))
