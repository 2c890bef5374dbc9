"""A residual model as a JSON header and named arrays, and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from gatewise.forecast.models.arrays import Arrays, bounded, codes, floor, loaded, weights
from gatewise.forecast.models.residual.calibration import Errors
from gatewise.forecast.models.residual.ensemble import Ensemble
from gatewise.forecast.models.residual.members import Member, Plan
from gatewise.forecast.models.residual.model import ResidualModel
from gatewise.forecast.models.residual.network import Network, Shape
from gatewise.forecast.models.residual.origin_features import Reading
from gatewise.forecast.models.residual.recipe import Recipe


def describe(model: ResidualModel) -> tuple[dict[str, Any], Arrays]:
    """Return a fitted model as JSON values and arrays."""
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
        "shrinkage": ensemble.errors.shrinkage,
        "target": model.target,
        "probabilities": list(model.probabilities),
        "lowest": bounded(model.lowest),
        "static": [asdict(code) for code in model.static],
        "origins": model.origins,
    }
    errors = ensemble.errors
    arrays: Arrays = {
        "errors": errors.values.astype(np.float32),
        "errors.series": errors.series.astype(np.int64),
        "errors.age": errors.age.astype(np.int64),
        "bands": model.bands,
    }
    for i, member in enumerate(ensemble.members):
        arrays |= weights(member.network, f"network.{i}.")
    return header, arrays


def restore(header: dict[str, Any], arrays: Arrays) -> ResidualModel:
    """Return the model that `describe` described.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: header and arrays do not fit.
    """
    members = []
    for i, member in enumerate(header["members"]):
        with torch.random.fork_rng(devices=[]):
            network = Network(Shape(**member["shape"]))
        network = loaded(network, arrays, f"network.{i}.")
        members.append(Member(Reading(**member["reading"]), network, tuple(member["losses"])))
    plan = header["plan"] | {"recipe": Recipe(**header["plan"]["recipe"])}
    errors = Errors(
        arrays["errors"].astype(np.float64),
        arrays["errors.series"].astype(np.intp),
        arrays["errors.age"].astype(np.intp),
        header["shrinkage"],
    )
    return ResidualModel(
        Ensemble(Plan(**plan), tuple(members), errors),
        header["target"],
        tuple(header["probabilities"]),
        arrays["bands"],
        floor(header["lowest"]),
        header["origins"],
        codes(header["static"]),
    )
