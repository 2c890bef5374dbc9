"""Fitted models as a JSON header and named arrays, and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gatewise.forecast import model as windows
from gatewise.forecast.config import Config
from gatewise.forecast.features import Encoder
from gatewise.forecast.fitting import Model
from gatewise.forecast.residual import network as residual
from gatewise.forecast.residual.ensemble import Ensemble
from gatewise.forecast.residual.members import Member, Plan
from gatewise.forecast.residual.model import ResidualModel
from gatewise.forecast.residual.positions import Reading
from gatewise.forecast.residual.training import Recipe
from gatewise.forecast.residual.unseen import Errors
from gatewise.forecast.ridge import Ridge
from gatewise.forecast.static import StaticCode
from gatewise.forecast.train import Epoch, Learnt, Training
from gatewise.forecast.transform import Spikes
from gatewise.forecast.windowed import WindowModel

Arrays = dict[str, NDArray[Any]]


def describe(model: Model) -> tuple[dict[str, Any], Arrays]:
    """Return a fitted model as JSON values and arrays."""
    if isinstance(model, ResidualModel):
        return _describe_residual(model)
    assert isinstance(model, WindowModel)  # there are two
    header = {
        "kind": "window",
        "shape": asdict(model.network.shape),
        "transforms": model.encoder.transforms,
        "static": [asdict(code) for code in model.encoder.static],
        "season": model.encoder.season,
        "seasons": list(model.encoder.seasons),
        "spikes": model.encoder.spikes and asdict(model.encoder.spikes),
        "context_length": model.context_length,
        "training": asdict(model.training),
    }
    ridge = model.learnt.ridge
    arrays = {"ridge.weights": ridge.weights, "ridge.error": ridge.error}
    arrays["stretch"] = model.learnt.stretch
    return header, arrays | _weights(model.network, "network.")


def restore(header: dict[str, Any], arrays: Arrays, config: Config) -> Model:
    """Return the model that `describe` described.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: header and arrays do not fit.
    """
    if header["kind"] == "residual":
        return _restore_residual(header, arrays)
    encoder = Encoder(
        header["transforms"],
        _codes(header["static"]),
        header["season"],
        tuple(header["seasons"]),
        header["spikes"] and Spikes(**header["spikes"]),
    )
    training = header["training"]
    history = tuple(Epoch(**epoch) for epoch in training["history"])
    with torch.random.fork_rng(devices=[]):
        network = windows.Network(windows.Shape(**tuples(header["shape"])))
    learnt = Learnt(
        _loaded(network, arrays, "network."),
        Ridge(arrays["ridge.weights"], arrays["ridge.error"], network.shape.values),
        arrays["stretch"],
        Training(history, training["best"], tuples(training["windows"])),
    )
    return WindowModel(config, learnt, encoder, header["context_length"])


def tuples(value: Any) -> Any:
    """Make tuples of JSON's lists, where the dataclasses have them; dicts keep their keys."""
    if isinstance(value, dict):
        return {k: tuples(v) for k, v in value.items()}
    return tuple(tuples(v) for v in value) if isinstance(value, list) else value


def _describe_residual(model: ResidualModel) -> tuple[dict[str, Any], Arrays]:
    ensemble = model.ensemble
    header = {
        "kind": "residual",
        "plan": asdict(ensemble.plan),
        "members": [
            {
                "reading": asdict(member.reading),
                "shape": asdict(member.network.shape),
                "losses": list(member.losses),
            }
            for member in ensemble.members
        ],
        "trust": ensemble.errors.trust,
        "target": model.target,
        "probabilities": list(model.probabilities),
        "positive": model.positive,
        "static": [asdict(code) for code in model.static],
        "origins": model.origins,
    }
    arrays: Arrays = {"errors": ensemble.errors.values.astype(np.float32), "bands": model.bands}
    for i, member in enumerate(ensemble.members):
        arrays |= _weights(member.network, f"network.{i}.")
    return header, arrays


def _restore_residual(header: dict[str, Any], arrays: Arrays) -> ResidualModel:
    members = []
    for i, member in enumerate(header["members"]):
        with torch.random.fork_rng(devices=[]):
            network = residual.Network(residual.Shape(**member["shape"]))
        network = _loaded(network, arrays, f"network.{i}.")
        members.append(Member(Reading(**member["reading"]), network, tuple(member["losses"])))
    plan = header["plan"] | {"recipe": Recipe(**header["plan"]["recipe"])}
    errors = Errors(arrays["errors"].astype(np.float64), header["trust"])
    return ResidualModel(
        Ensemble(Plan(**plan), tuple(members), errors),
        header["target"],
        tuple(header["probabilities"]),
        arrays["bands"],
        header["positive"],
        header["origins"],
        _codes(header["static"]),
    )


def _codes(coded: list[dict[str, Any]]) -> tuple[StaticCode, ...]:
    return tuple(StaticCode(**tuples(code)) for code in coded)


def _weights(network: torch.nn.Module, prefix: str) -> Arrays:
    return {prefix + name: value.numpy() for name, value in network.state_dict().items()}


def _loaded(network: Any, arrays: Arrays, prefix: str) -> Any:
    network.load_state_dict(
        {
            name.removeprefix(prefix): torch.from_numpy(values.copy())
            for name, values in arrays.items()
            if name.startswith(prefix)
        }
    )
    return network.eval()
