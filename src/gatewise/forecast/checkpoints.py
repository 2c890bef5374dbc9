"""A backtest that goes on where it was interrupted: each finished group of folds in its own file.

A file is named by a key that hashes everything its numbers depend on: options, table, folds, the
baselines' scale and season, versions and instruction set. So a file is either the very result that
is wanted or is not looked at, and one folder can hold any number of backtests. Files are
safetensors with a JSON header: nothing in them is executed, and a SHA-256 tells damage.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from gatewise import _native
from gatewise.errors import CheckpointError
from gatewise.files import write_atomically
from gatewise.forecast.config import Config
from gatewise.forecast.folds import Benchmark, Fold, FoldForecast, forecast_folds
from gatewise.forecast.panel import Panel

FORMAT: Final = "gatewise-backtest"
VERSION: Final = 1

_PACKAGES: Final = ("gatewise", "numpy", "torch", "statsforecast")


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """A folder of finished groups of one backtest.

    Attributes:
        folder: made if it does not exist.
        base: hash of all that the groups share.
    """

    folder: Path
    base: str

    def file(self, group: Sequence[Fold]) -> Path:
        """Where a group's results are, or will be."""
        text = json.dumps([self.base, [[f.index, str(f.start), f.cuts, f.ends] for f in group]])
        key = hashlib.sha256(text.encode()).hexdigest()
        return self.folder / f"folds-{group[0].index:04d}-{key[:24]}.safetensors"


def open_checkpoints(
    folder: str | os.PathLike[str], config: Config, panel: Panel, benchmark: Benchmark
) -> Checkpoints:
    """Make the folder and the hash of what all groups share.

    Raises:
        OSError: the folder cannot be made.
    """
    options = asdict(config) | {"threads": 1}  # the numbers do not depend on it
    parts = {
        "format": VERSION,
        "options": options,
        "benchmark": asdict(benchmark),
        "columns": asdict(panel.columns),
        "versions": {name: version(name) for name in _PACKAGES},
        "isa": _native.isa_name(),
    }
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    for s in panel.series:
        digest.update(repr((s.name, s.static, len(s))).encode())
        for values in (s.time, s.target, s.past, s.future):
            digest.update(np.ascontiguousarray(values).tobytes())
    made = Path(folder)
    made.mkdir(parents=True, exist_ok=True)
    return Checkpoints(made, digest.hexdigest())


def resumed_folds(
    config: Config,
    panel: Panel,
    group: Sequence[Fold],
    benchmark: Benchmark,
    checkpoints: Checkpoints | None,
) -> list[FoldForecast]:
    """`forecast_folds`, read from the folder where it is there, written to it where it is not.

    Raises:
        CheckpointError: the group's file is damaged or foreign.
        OSError: the file cannot be written.
    """
    if checkpoints is None:
        return forecast_folds(config, panel, group, benchmark)
    file = checkpoints.file(group)
    if file.exists():
        return _read(file, group)
    made = forecast_folds(config, panel, group, benchmark)
    write_atomically(file, _packed(file.stem, made))
    return made


def _packed(name: str, made: Sequence[FoldForecast]) -> bytes:
    arrays = {}
    for k, run in enumerate(made):
        arrays[f"{k}.next_change"] = np.ascontiguousarray(run.next_change)
        for model, values in run.quantiles.items():
            arrays[f"{k}.quantiles.{model}"] = np.ascontiguousarray(values)
    header: dict[str, Any] = {
        "version": VERSION,
        "name": name,
        "folds": [
            {"series": run.series, "epochs": run.epochs, "models": list(run.quantiles)}
            for run in made
        ],
    }
    header["sha256"] = _digest(arrays, header)
    return save(arrays, metadata={FORMAT: json.dumps(header)})


def _read(file: Path, group: Sequence[Fold]) -> list[FoldForecast]:
    remedy = "Delete it, and the folds are computed again."
    try:
        with safe_open(file, framework="numpy") as opened:
            text = (opened.metadata() or {}).get(FORMAT)
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{str(file)!r} is not a readable safetensors file ({reason}): expected folds of an "
            f"earlier backtest. {remedy}"
        ) from None
    if text is None:
        raise CheckpointError(
            f"{str(file)!r} was not written by a backtest: it has no {FORMAT!r} header. {remedy}"
        )
    try:
        header = json.loads(text)
        whole = header.pop("sha256") == _digest(arrays, header) and header["name"] == file.stem
        if not whole:
            raise CheckpointError(
                f"{str(file)!r} was altered: its arrays or its name do not match its header. "
                f"{remedy}"
            )
        return [
            FoldForecast(
                fold,
                tuple(part["series"]),
                {model: arrays[f"{k}.quantiles.{model}"] for model in part["models"]},
                arrays[f"{k}.next_change"],
                part["epochs"],
                group[0].start,
            )
            for k, (fold, part) in enumerate(zip(group, header["folds"], strict=True))
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{str(file)!r} has a damaged header. {remedy}") from None


def _digest(arrays: dict[str, NDArray[Any]], header: dict[str, Any]) -> str:
    """Of the arrays as safetensors stores them, in a fixed order, and of the header."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    digest.update(save({name: arrays[name] for name in sorted(arrays)}))
    return digest.hexdigest()
