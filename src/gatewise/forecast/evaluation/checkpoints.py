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

from gatewise import _native
from gatewise.errors import CheckpointError, shortened, shown
from gatewise.files import read_whole, write_atomically
from gatewise.forecast.config import Config
from gatewise.forecast.data.panel import Panel
from gatewise.forecast.evaluation.baselines import Baseline
from gatewise.forecast.evaluation.folds import Fold, FoldForecast, forecast_folds
from gatewise.sealed import SealError, seal, unseal

FORMAT: Final = "gatewise-backtest"
VERSION: Final = 4

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
    folder: str | os.PathLike[str], config: Config, panel: Panel, baseline: Baseline, each_row: bool
) -> Checkpoints:
    """Make the folder and the hash of what all groups share.

    Raises:
        OSError: the folder cannot be made.
    """
    options = asdict(config) | {"threads": 1}  # the numbers do not depend on it
    parts = {
        "format": VERSION,
        "options": options,
        "baseline": asdict(baseline),
        "each_row": each_row,
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
    baseline: Baseline,
    each_row: bool,
    checkpoints: Checkpoints | None,
) -> list[FoldForecast]:
    """`forecast_folds`, read from the folder where it is there, written to it where it is not.

    Raises:
        CheckpointError: the group's file cannot be read, is damaged or foreign.
        OSError: the file cannot be written.
    """
    if checkpoints is None:
        return forecast_folds(config, panel, group, baseline, each_row)
    file = checkpoints.file(group)
    if os.path.lexists(file):
        return _read(file, group)
    made = forecast_folds(config, panel, group, baseline, each_row)
    write_atomically(file, _packed(file.stem, made))
    return made


def _packed(name: str, made: Sequence[FoldForecast]) -> bytes:
    arrays = {}
    for k, run in enumerate(made):
        arrays[f"{k}.next_change"] = run.next_change
        for model, values in run.quantiles.items():
            arrays[f"{k}.quantiles.{model}"] = values
    header: dict[str, Any] = {
        "name": name,
        "folds": [
            {
                "series": run.series,
                "epochs": run.epochs,
                "models": list(run.quantiles),
                "replaced": run.replaced,
            }
            for run in made
        ],
    }
    return seal(arrays, header, FORMAT, VERSION)


def _read(file: Path, group: Sequence[Fold]) -> list[FoldForecast]:
    try:
        header, arrays = unseal(read_whole(file), FORMAT, VERSION)
        if header["name"] != file.stem:
            raise SealError("was altered: its name does not match its header")
        return [
            FoldForecast(
                fold,
                tuple(part["series"]),
                {model: arrays[f"{k}.quantiles.{model}"] for model in part["models"]},
                arrays[f"{k}.next_change"],
                part["epochs"],
                group[0].start,
                part["replaced"],
            )
            for k, (fold, part) in enumerate(zip(group, header["folds"], strict=True))
        ]
    except SealError as error:
        fault = str(error)
    except OSError as error:
        fault = f"cannot be read ({shortened(error.strerror or error)})"
    except (KeyError, TypeError, ValueError, AttributeError):
        fault = "has a damaged header"
    raise CheckpointError(
        f"{shown(str(file))} {fault}: expected folds of an earlier backtest. Delete it, and the "
        "folds are computed again."
    )
