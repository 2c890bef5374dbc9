"""The lab: what people say about tanh in LSTMs, each sentence an experiment.

    tasks/          seeded generators with their definitions and trivial losses
    networks.py     recurrent networks, one alone or many at once
    training.py     networks of several seeds on one task, trained together
    design.py       an experiment as a value: claim, factors, metric, rule of the verdict
    claims/         the claims
    report.py       pages from the store
    store.py        the run store: SQLite, rows only added; lines of JSON to commit
    runner.py       trials over all cores, resumed where they stopped
    statistics.py   Wilson, McNemar, log-rank, bootstrap, Holm: by SciPy and statsmodels

Stands on `nn` and `trace`; knows nothing of the command line.

>>> import gatewise.lab
>>> gatewise.lab.experiments()["placement"].claim
'The second tanh stands in the update of the cell state.'
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gatewise.errors import (
    ConfigError,
    MissingExtraError,
    ModelFileError,
    nearest,
    shortened,
    shown,
)

if TYPE_CHECKING:
    from gatewise.lab.design import Experiment, Size, Verdict
    from gatewise.lab.runner import Progress
    from gatewise.lab.store import Row

__all__ = ["Result", "experiments", "named", "reproductions", "result", "results", "run"]


@dataclass(frozen=True)
class Result:
    """What the store says of one claim.

    Attributes:
        experiment: what was run.
        size: "quick" or "full".
        rows: its trials.
        verdict: by the experiment's rule, from the rows alone.
    """

    experiment: Experiment
    size: Size
    rows: tuple[Row, ...]
    verdict: Verdict

    @property
    def table(self) -> list[Mapping[str, Any]]:
        """The numbers behind the verdict, a mapping for each line."""
        return list(self.verdict.table)


def experiments() -> Mapping[str, Experiment]:
    """Return every claim's experiment by its name.

    Raises:
        MissingExtraError: PyTorch, joblib, SciPy or statsmodels is not installed.
    """
    return {name: e for name, e in _everything().items() if e.kind == "claim"}


def reproductions() -> Mapping[str, Experiment]:
    """Return the experiments that repeat published ones.

    Raises:
        MissingExtraError: as in `experiments`.
    """
    return {name: e for name, e in _everything().items() if e.kind == "reproduction"}


def _everything() -> Mapping[str, Experiment]:
    try:
        from gatewise.lab.claims import everything

        return everything()
    except ModuleNotFoundError as error:
        raise MissingExtraError("The lab", "lab") from error


def run(
    name: str,
    quick: bool = True,
    store: str | os.PathLike[str] = "lab.sqlite",
    jobs: int = -1,
    progress: Progress | None = None,
) -> Result:
    """Run what the store does not yet have of a claim, and judge it.

    Args:
        name: one of `experiments()` or `reproductions()`.
        quick: the small size, a few minutes; it mostly says "underpowered".
        store: the run store, a file.
        jobs: processes; -1 takes all cores.
        progress: called with the name, trials done and trials in all.

    Raises:
        ConfigError: there is no such experiment.
        ModelFileError: the store is damaged, or of another version.
    """
    from gatewise.lab.runner import sweep
    from gatewise.lab.store import Store

    experiment, size = named(name), _size(quick)
    opened = Store(store)
    try:
        sweep(experiment, opened, size, jobs, progress)
        return result(experiment.name, opened.rows(experiment.name), quick)
    finally:
        opened.close()


def result(name: str, rows: Any, quick: bool = True) -> Result:
    """Judge rows of a store: those of the experiment's present design and size.

    Raises:
        ConfigError: there is no such experiment, or no row of it.
        ModelFileError: a row holds what was not measured.
    """
    experiment, size = named(name), _size(quick)
    rows = list(rows)
    wanted = experiment.keys(size, rows)
    own = tuple(row for row in rows if row.key in wanted)
    if not own:
        raise ConfigError(
            f"There is no {size} run of {name} in the store: expected one. "
            f"{_other(rows, name, quick)}"
        )
    return Result(experiment, size, own, _judged(experiment, own))


def _other(rows: list[Row], name: str, quick: bool) -> str:
    """What to do where a run of this size is not there."""
    there = [r for r in rows if r.experiment == name and r.config.get("size") != _size(quick)]
    if there and not quick:
        return f"There is a quick one: gatewise lab show {name} --quick."
    if there:
        return f"There is a full one: gatewise lab show {name}."
    return f"Try gatewise lab run {name}{' --quick' if quick else ''}."


def _judged(experiment: Experiment, rows: tuple[Row, ...]) -> Verdict:
    """The verdict; anyone may have edited a row.

    Raises:
        ModelFileError: a row lacks what was measured, or holds something else.
    """
    for row in rows:
        for name in ("finite", "solved"):
            if name in row.result and not isinstance(row.result[name], bool):
                raise _foreign(experiment, f"{name} is {shown(row.result[name])}")
    try:
        return experiment.judge(rows)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _foreign(experiment, shortened(error)) from error


def _foreign(experiment: Experiment, fault: str) -> ModelFileError:
    return ModelFileError(
        f"A row of {experiment.name} holds no result of it ({fault}): expected what gatewise lab "
        "measured. Restore the store or the exported file."
    )


def results(rows: Any, quick: bool = True) -> list[Result]:
    """Judge all rows of a store, in the order of the pages; what has no row is left out."""
    rows, size = list(rows), _size(quick)
    found = []
    for name, experiment in _everything().items():
        own = [row for row in rows if row.experiment == name]
        if experiment.keys(size, own) & {row.key for row in own}:
            found.append(result(name, own, quick))
    return found


def _size(quick: bool) -> Size:
    return "quick" if quick else "full"


def named(name: str) -> Experiment:
    """Return an experiment.

    Raises:
        ConfigError: there is none of that name.
    """
    known = _everything()
    if name not in known:
        raise ConfigError(f"There is no experiment {shown(name)}. {nearest(name, list(known))}")
    return known[name]
