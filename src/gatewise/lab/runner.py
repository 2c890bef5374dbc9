"""Trials over all cores, each piece in a process of joblib's; rows are written as pieces end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import Any

from gatewise.errors import ConfigError
from gatewise.lab.design import Config, Experiment, Size
from gatewise.lab.store import Row, Store, key_of

Progress = Callable[[str, int, int], None]


def sweep(
    experiment: Experiment,
    store: Store,
    size: Size = "quick",
    jobs: int = -1,
    progress: Progress | None = None,
) -> int:
    """Run what the store does not yet have, and return how many trials that was.

    Args:
        experiment: what to run.
        store: where rows go, piece by piece; a killed sweep goes on from there.
        size: "quick" or "full".
        jobs: processes; -1 (default) takes all cores.
        progress: called with the name, trials done and trials in all.

    Raises:
        ConfigError: its data are not there, or jobs is 0.
    """
    from joblib import Parallel, delayed

    if jobs == 0:
        raise ConfigError(
            "jobs is 0: expected a number of processes from 1 on, or -1 for all cores."
        )
    if experiment.missing():
        raise ConfigError(f"{experiment.name} lacks its data. {experiment.missing()}")
    tell, total, ran = progress or (lambda *_: None), experiment.trials(size), 0
    for stage in ("tuning", "judging"):
        if stage == "tuning":
            configs = experiment.tuning(size)
        else:
            configs = experiment.configs(size, store.rows(experiment.name))
        there = store.keys(experiment.name)
        left = [c for c in configs if key_of(experiment.name, c) not in there]
        done = total - len(left) if stage == "judging" else len(configs) - len(left)
        tell(experiment.name, done, total)
        run: Any = Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch="n_jobs")
        together = experiment.plans[size].together
        for rows in run(delayed(trials)(experiment.name, p) for p in _pieces(left, together)):
            store.add_all(rows)
            done, ran = done + len(rows), ran + len(rows)
            tell(experiment.name, done, total)
    return ran


def _pieces(configs: Sequence[Config], together: int) -> Iterator[list[Config]]:
    """Configurations that differ in the seed alone, some at a time."""
    arms: dict[str, list[Config]] = {}
    for config in configs:
        arm = {k: v for k, v in config.items() if k != "seed"}
        arms.setdefault(key_of("", arm), []).append(config)
    for first in range(0, max(map(len, arms.values()), default=0), together):
        for own in arms.values():
            if own[first : first + together]:
                yield own[first : first + together]


def trials(name: str, configs: Sequence[Config]) -> list[Row]:
    """Run a trial for each seed of one arm, on one thread."""
    import torch

    from gatewise import _native
    from gatewise.lab.claims import everything

    torch.set_num_threads(1)
    start = time.perf_counter()
    arm = {k: v for k, v in configs[0].items() if k not in ("seed", "tuning")}
    results = everything()[name].measure(arm, [c["seed"] for c in configs])
    seconds = (time.perf_counter() - start) / len(configs)
    versions = {
        "gatewise": version("gatewise"), "torch": torch.__version__, "isa": _native.isa_name()
    }  # fmt: skip
    return [
        Row(name, config, result, seconds, versions)
        for config, result in zip(configs, results, strict=True)
    ]
