"""NeuralForecast's LSTM with its defaults: accuracy against time, and time per training window."""

from __future__ import annotations

import statistics
import time
from typing import Any, Final

import polars as pl

from benchmarks.forecasts import sets
from benchmarks.forecasts.measure import peak_mb
from benchmarks.forecasts.peers import numbered
from benchmarks.forecasts.scores import score
from gatewise.errors import BenchmarkError

NAME: Final = "neuralforecast LSTM"
SET: Final = "m3-monthly"
STEPS: Final = 1000
"""Its default."""

LITTLE: Final = tuple({"ensemble_size": 1, "max_epochs": epochs} for epochs in (1, 3, 10))
"""Options of ours that train little: how soon do we reach what it ends at?"""

CHECKPOINTS: Final = 5
TURN_STEPS: Final = 30
TURNS: Final = 3


def curve(steps: int, series: int | None) -> dict[str, Any]:
    """Train once; forecast and score at every fifth of the steps.

    The clock stands still while weights are copied.
    """
    task = sets.load(SET).few(series, None)
    every = max(steps // CHECKPOINTS, 1)
    watch, forecaster = _fitted(task, steps, every, accelerated=False)
    peak = peak_mb()
    points = []
    for done, (seconds, state) in watch.kept.items():
        forecaster.models[0].load_state_dict(state)
        start = time.perf_counter()
        found = numbered(forecaster.predict()).rename({"LSTM": "forecast"})
        points.append(
            {
                "steps": done,
                "fit_s": round(seconds, 2),
                "predict_s": round(time.perf_counter() - start, 2),
                "scores": {k: round(v, 6) for k, v in score(task, found).items()},
            }
        )
    model = forecaster.models[0]
    return {
        "set": SET,
        "peer": NAME,
        "options": {"steps": steps},
        "series": task.train["unique_id"].n_unique(),
        "version": _version(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "windows_per_step": model.windows_batch_size,
        "input_size": model.input_size,
        "points": points,
        "peak_mb": peak,
    }


def steps_ms(accelerated: bool, steps: int, series: int | None) -> dict[str, Any]:
    """Time its steps, as they are or with the LSTM made native by `gatewise.nn.accelerate`.

    Returns:
        step_ms: the median over steps; windows: per step.
    """
    watch, forecaster = _fitted(sets.load(SET).few(series, None), steps, steps, accelerated)
    return {
        "step_ms": 1e3 * statistics.median(watch.steps_s[1:] or watch.steps_s),
        "windows": forecaster.models[0].windows_batch_size,
    }


def side_by_side(
    call: Any, turns: int = TURNS, steps: int = TURN_STEPS, series: int | None = None
) -> dict[str, Any]:
    """Time both by turns; `call` runs a function in a process of its own.

    Returns:
        step_ms and window_us of each, the medians over turns; or missing, or fault.
    """
    found: dict[str, list[float]] = {"torch": [], "gatewise": []}
    windows = 1
    for _ in range(turns):
        for name, times in found.items():
            made = call(steps_ms, name == "gatewise", steps, series)
            if "step_ms" not in made:
                return made
            times.append(made["step_ms"])
            windows = made["windows"]
    step = {name: statistics.median(times) for name, times in found.items()}
    return {
        "step_ms": {name: round(value, 2) for name, value in step.items()},
        "window_us": {name: round(1e3 * value / windows, 1) for name, value in step.items()},
    }


def _fitted(task: sets.Task, steps: int, every: int, accelerated: bool) -> tuple[Any, Any]:
    """Train with the defaults, watched."""
    import torch
    from neuralforecast import NeuralForecast
    from neuralforecast.models import LSTM
    from pytorch_lightning.callbacks import Callback

    from gatewise.nn import accelerate

    class Watch(Callback):
        """Seconds of each step, and the weights at checkpoints."""

        def __init__(self) -> None:
            self.kept: dict[int, tuple[float, Any]] = {}
            self.steps_s: list[float] = []
            self._since = 0.0

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            self._since = time.perf_counter()

        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            self.steps_s.append(time.perf_counter() - self._since)
            done = len(self.steps_s)
            if done % every == 0:
                state = {k: v.detach().clone() for k, v in pl_module.state_dict().items()}
                self.kept[done] = (sum(self.steps_s), state)
            self._since = time.perf_counter()

    quiet = {"enable_progress_bar": False, "logger": False, "enable_checkpointing": False}
    quiet |= {"enable_model_summary": False, "accelerator": "cpu", "callbacks": [Watch()]}
    # Without padding it refuses the set: its shortest series are shorter than its window.
    model = LSTM(h=task.prediction_length, max_steps=steps, start_padding_enabled=True, **quiet)
    if accelerated:
        accelerate(model)
    forecaster = NeuralForecast(models=[model], freq=1)
    forecaster.fit(task.train.select("unique_id", pl.col("ds"), "y"))
    trained = forecaster.models[0]  # a copy of the model, and of what watches it
    if accelerated == (type(trained.hist_encoder) is torch.nn.LSTM):
        raise BenchmarkError(f"{NAME} lost its kind of LSTM: the times would be of another.")
    (watch,) = (c for c in trained.trainer_kwargs["callbacks"] if isinstance(c, Watch))
    return watch, forecaster


def _version() -> str:
    from importlib.metadata import version

    return f"neuralforecast {version('neuralforecast')}"
