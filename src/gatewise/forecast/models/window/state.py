"""A window model as a JSON header and named arrays, and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch

from gatewise.forecast.config import Config
from gatewise.forecast.features.outliers import Usual
from gatewise.forecast.features.transform import Spikes
from gatewise.forecast.models.arrays import Arrays, bounded, codes, floor, loaded, tuples, weights
from gatewise.forecast.models.base import Epoch, Training
from gatewise.forecast.models.window.encoder import Encoder
from gatewise.forecast.models.window.model import WindowModel
from gatewise.forecast.models.window.network import Network, Shape
from gatewise.forecast.models.window.ridge import Ridge
from gatewise.forecast.models.window.train import Learnt


def describe(model: WindowModel) -> tuple[dict[str, Any], Arrays]:
    """Return a fitted model as JSON values and arrays."""
    header = {
        "kind": "window",
        "shape": asdict(model.network.shape),
        "transforms": model.encoder.transforms,
        "static": [asdict(code) for code in model.encoder.static],
        "season_length": model.encoder.season_length,
        "seasons": list(model.encoder.seasons),
        "spikes": model.encoder.spikes and asdict(model.encoder.spikes),
        "usual": model.encoder.usual and asdict(model.encoder.usual),
        "context_length": model.context_length,
        "lowest": bounded(model.lowest),
        "training": asdict(model.training),
    }
    ridge = model.learnt.ridge
    arrays = {"ridge.weights": ridge.weights, "ridge.error": ridge.error}
    arrays["stretch"] = model.learnt.stretch
    return header, arrays | weights(model.network, "network.")


def restore(header: dict[str, Any], arrays: Arrays, config: Config) -> WindowModel:
    """Return the model that `describe` described.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: header and arrays do not fit.
    """
    encoder = Encoder(
        header["transforms"],
        codes(header["static"]),
        header["season_length"],
        tuple(header["seasons"]),
        header["spikes"] and Spikes(**header["spikes"]),
        header["usual"] and Usual(**header["usual"]),
    )
    training = header["training"]
    history = tuple(Epoch(**epoch) for epoch in training["history"])
    with torch.random.fork_rng(devices=[]):
        network = Network(Shape(**tuples(header["shape"])))
    learnt = Learnt(
        loaded(network, arrays, "network."),
        Ridge(arrays["ridge.weights"], arrays["ridge.error"], network.shape.values),
        arrays["stretch"],
        Training(history, training["best"], tuples(training["windows"])),
        encoder.target_transform != "none",
    )
    return WindowModel(config, learnt, encoder, header["context_length"], floor(header["lowest"]))
