"""What keeps gradients alive: the squash, or the additive state with its forget gate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch

from gatewise import reference
from gatewise.cell import Cell
from gatewise.lab import statistics
from gatewise.lab.claims.common import COLOURS, GREY, judged, median, share, success, values_of
from gatewise.lab.design import Config, Experiment, Plan, Verdict, of_arm
from gatewise.lab.store import Row
from gatewise.lab.tasks import Adding, Batch, Copy, EmbeddedReber, Task
from gatewise.lab.training import Model, Recipe, new_models, train
from gatewise.nn import LSTM

CANDIDATES: Final = ("tanh", "identity", "hard_tanh", "sigmoid")
BIASES: Final = (0, 1, 5, "chrono")
TASKS: Final = ("adding", "copy", "reber")
_SHADES: Final = (*COLOURS[:4], GREY)
_LAG: Final = 45
_RNN: Final = "tanh RNN"
_HALF: Final = 0.5
"""Copying counts as learnt from this share of the memoryless loss on."""

_DOMINATES: Final = 10
"""How many times more variance one factor must explain than the other."""


def gradient_at(model: Model, batch: Batch, lag: int = _LAG) -> dict[str, float]:
    """How gradients of the last output reach back, relative to that at the last step.

    Of dL/dc_t of the last layer (of a control dL/dh_t), L the sum of the last hidden state, over
    eight sequences.
    """
    x = batch.x[: int(batch.lengths.min())][:, :8]
    norms = _norms(model, x)
    lags = np.arange(min(lag, len(norms) - 1) + 1)
    with np.errstate(divide="ignore", invalid="ignore"):  # gradients that are gone have no slope
        slope = np.polyfit(lags, np.log(norms[::-1][lags]), 1)[0]
        kept = norms[-1 - lags[-1]] / norms[-1]
    return {"slope": float(slope), "kept": float(kept)}


def _norms(model: Model, x: Any) -> Any:
    """[T] mean norms over the sequences."""
    from gatewise import trace

    core: Any = model.core
    dy = np.zeros((len(x), x.shape[1], core.hidden_size))
    dy[-1] = 1.0
    if isinstance(core, LSTM):
        flow = trace.gradient_flow(core, x, dy)
        found = flow["cell_state"].isel(layer=-1, direction=0).values
    else:
        with torch.no_grad():
            own = [core.weight_ih_l0, core.weight_hh_l0, core.bias_ih_l0 + core.bias_hh_l0]
        found = reference.rnn_backward(
            reference.rnn_forward(x, *(p.detach().numpy() for p in own)), dy
        )
    return np.linalg.norm(found, axis=2).mean(axis=1)


def _task(config: Config) -> tuple[Task, Task, Recipe]:
    """What is learnt, what gradients are measured on, and how it is trained."""
    T = 60
    recipe = Recipe(longest=T, steps=config["steps"], check_every=100, enough=0.99)
    if config["task"] == "adding":
        return Adding(T), Adding(T), replace(recipe, batch_size=50)
    if config["task"] == "copy":
        copy = Copy(T - 20)
        return copy, copy, replace(recipe, hidden_size=24, check_every=250, test=64)
    return EmbeddedReber(), EmbeddedReber(T), replace(recipe, batch_size=10, learning_rate=1e-2)


def measure(config: Config, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Gradients before and after training, and whether the task was solved."""
    task, seen, recipe = _task(config)
    if config.get("network") == _RNN:
        recipe = replace(recipe, network="rnn")
    else:
        recipe = replace(
            recipe,
            cell=Cell(candidate=config["candidate"]),
            forget_bias=config["forget_bias"],
        )
    found = []
    fresh = new_models(task, recipe, seeds)
    for seed, new, (model, outcome) in zip(seeds, fresh, train(task, recipe, seeds), strict=True):
        batch = seen.batch(np.random.default_rng(30_000 + seed), 8)
        own = outcome.as_dict()
        if config["task"] == "copy":  # off the plateau, and by how much
            own["solved"] = outcome.loss is not None and outcome.loss < _HALF * task.trivial
        found.append(
            own
            | {
                "before": gradient_at(new, batch),
                "after": gradient_at(model, batch) if outcome.finite else {},
            }
        )
    return found


def judge(rows: Sequence[Row]) -> Verdict:
    """Contradicted if the forget bias explains ten times what the candidate does of the slope.

    The share of the variance of the gradients' slope is meant, on every task, before training and
    after it; supported if it is the other way everywhere, else it depends.
    """
    table = []
    for task in TASKS:
        for bias in BIASES:
            for name in CANDIDATES:
                own = of_arm(rows, task=task, forget_bias=bias, candidate=name)
                table += [_line(own, task, str(bias), name)] if own else []
        own = of_arm(rows, task=task, network=_RNN)
        table += [_line(own, task, "(none)", _RNN)] if own else []

    def verdict() -> Verdict:
        ratios: dict[tuple[str, str], float] = {}
        told, first = [], {}
        for task in TASKS:
            own = [r for r in rows if r.config["task"] == task and "candidate" in r.config]
            shares = {when: _explained(own, when, "slope") for when in ("before", "after")}
            for when, (bias, candidate) in shares.items():
                ratios[task, when] = bias / max(candidate, 1e-9)
            first[task] = shares["before"]
            solved = _explained(own, "solved")
            told.append(
                f"{task} {share(shares['before'][0])} and {share(shares['before'][1])} before "
                f"training, {share(shares['after'][0])} and {share(shares['after'][1])} after it, "
                f"of success {share(solved[0])} and {share(solved[1])}"
            )
        sentence = (
            "Share of the variance of the gradients' slope that the forget bias and the "
            f"candidate's function explain: {'; '.join(told)}. {_contrast(rows)}"
        )
        plain = (
            "Before training the forget bias explains "
            f"{share(first['adding'][0])} of how fast gradients fade on adding, the candidate's "
            f"function {share(first['adding'][1])}."
        )
        clear = [k for k, ratio in ratios.items() if ratio >= _DOMINATES]
        if len(clear) == len(ratios):
            return Verdict("contradicted", sentence, table, plain=plain)
        if max(ratios.values()) <= 1 / _DOMINATES:
            return Verdict("supported", sentence, table, plain=plain)
        on = "training and the task"
        if all(ratios[task, "before"] >= _DOMINATES for task in TASKS):
            after = [task for task in TASKS if (task, "after") in clear]
            on = (
                "training: before it the forget gate decides, not tanh; after it so on "
                f"{' and '.join(after) or 'no task'}"
            )
        return Verdict("depends", sentence, table, on=on, plain=plain)

    return judged(rows, EXPERIMENT.arms(), verdict, table)


def _explained(rows: Sequence[Row], *path: str) -> tuple[float, float]:
    """Shares of the variance that forget bias and candidate explain; NaN where nothing varies."""
    known = [(row, v) for row, v in zip(rows, values_of(rows, *path), strict=True) if v is not None]
    values = np.array([float(v) for _, v in known])
    if not len(values) or not np.ptp(values):
        return float("nan"), float("nan")
    factors = {k: [row.config[k] for row, _ in known] for k in ("forget_bias", "candidate")}
    found = statistics.explained(values, factors)
    return found["forget_bias"], found["candidate"]


def _contrast(rows: Sequence[Row]) -> str:
    """What is left of the gradient, with and without tanh."""
    free = _left(of_arm(rows, task="adding", forget_bias=5, candidate="identity"))
    rnn = _left(of_arm(rows, task="adding", network=_RNN))
    return (
        f"On adding, {_LAG} steps back, a cell without tanh in the candidate and a forget bias of "
        f"5 keeps {free:.2g} of the gradient, a tanh RNN with PyTorch's weights {rnn:.1g}."
    )


def _left(own: Sequence[Row]) -> float:
    """The geometric mean over seeds of what is left of the gradient."""
    kept = [max(v, 1e-300) for v in values_of(own, "before", "kept")]
    return math.exp(float(np.mean(np.log(kept))))


def _line(own: Sequence[Row], task: str, bias: str, name: str) -> dict[str, Any]:
    return {
        "task": task, "forget bias": bias, "candidate": name,
        "slope of ln |∂L/∂c| per step, untrained": median(own, "before", "slope"),
        f"left after {_LAG} steps, untrained": _left(own),
        "slope, trained": median(own, "after", "slope"),
        **success(own),
    }  # fmt: skip


def draw(rows: Sequence[Row]) -> Any:
    """The slope by forget bias, a colour for each candidate, and how many seeds solve the task."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.2, 5.2), layout="constrained")
    axes = figure.subplots(2, len(TASKS), sharex=True, squeeze=False)
    places: tuple[Any, ...] = (*BIASES, _RNN)
    for column, task in enumerate(TASKS):
        top, low = axes[:, column]
        for k, (name, colour) in enumerate(zip((*CANDIDATES, _RNN), _SHADES, strict=True)):
            for at, place in enumerate(places):
                if (name == _RNN) != (place == _RNN):
                    continue
                levels = {"forget_bias": place, "candidate": name}
                own = of_arm(rows, task=task, **({"network": _RNN} if name == _RNN else levels))
                if not own:
                    continue
                x = at + (0 if name == _RNN else (k - 1.5) * 0.2)
                slopes = values_of(own, "before", "slope")
                label = name if at == 0 else None
                top.plot(np.full(len(own), x), slopes, "o", ms=2.5, color=colour, label=label)
                found = statistics.proportion(sum(values_of(own, "solved")), len(own))
                error = [[found.value - found.low], [found.high - found.value]]
                low.errorbar(x, found.value, error, fmt="o", ms=4, color=colour)
        top.set_title(task, fontsize=9)
        low.set_ylim(-0.04, 1.04)
        low.set_xticks(range(len(places)), [*map(str, BIASES), "tanh\nRNN"])
        low.set_xlabel("forget bias")
        for axis in (top, low):
            axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("slope of ln |∂L/∂c|, untrained")
    axes[1, 0].set_ylabel("solved")
    if rows:
        axes[0, 0].legend(frameon=False, fontsize=7, title="candidate", title_fontsize=7)
    return figure


EXPERIMENT = Experiment(
    name="vanishing",
    network=(
        "16 units (copy: 24), Adam at .005 (Reber: .01), gradients clipped at 1; 50 rows a batch "
        "on adding, 20 on copy, 10 on Reber. Adding has 60 steps, copy recalls over 40, gradients "
        "on Reber go back over 60. Copy counts as solved at half of the memoryless loss. With "
        "chrono the biases of the input gate change, too."
    ),
    claim="tanh prevents vanishing gradients.",
    hypothesis="Contradicted: the additive state and its forget gate do.",
    factors={"task": TASKS, "forget_bias": BIASES, "candidate": CANDIDATES},
    controls=[{"task": task, "network": _RNN} for task in TASKS],
    measure=measure,
    judge=judge,
    draw=draw,
    plans={"quick": Plan(3, 2, {"steps": 200}), "full": Plan(30, 25, {"steps": 1500})},
    metric="slope of ln |∂L/∂c_t| against the lag, before training; success",
    statistic="share of variance by factor (η²); Wilson intervals of success",
    margin=f"one factor explains {_DOMINATES} times the variance of the other",
    amended=(
        "The rule first looked at gradients before training alone, where nearly no candidate is "
        "squashed, and said contradicted."
    ),
    literature=(
        "At 100 steps Π f with f = σ(b) for b = 0, 1, 5 is 8e-31, 2.5e-14, .51: no tanh is in it. "
        "Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000."
    ),
)
