"""Record every gate of an LSTM at every step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatewise.arguments import names
from gatewise.errors import ModuleError
from gatewise.trace import running
from gatewise.trace.deferred import deferred, may_defer
from gatewise.trace.given import Given, check_cell, checked, weights_of
from gatewise.trace.keep import Keep, Kept, check_memory, kept
from gatewise.trace.trace import Trace, made, need_xarray
from gatewise.weights import from_module

Array = NDArray[Any]


def record(
    lstm: Any,
    x: Any,
    state: tuple[ArrayLike, ArrayLike] | None = None,
    lengths: ArrayLike | None = None,
    time: ArrayLike | None = None,
    keep: Any = None,
    *,
    inputs: Any = None,
    units: Any = None,
) -> Trace:
    """Run an LSTM on an input and keep every gate and state.

    Runs on the native core in the dtype of the parameters, some steps at a time, in evaluation mode
    (no dropout; zoneout at its rates).

    Args:
        lstm: a `torch.nn.LSTM`, a `gatewise.nn.LSTM`, a `gatewise.runtime.Model`, or the
            `LSTMWeights` of one.
        x: [T, B, I], or [B, T, I] if the LSTM is batch-first, or [T, I].
        state: (h0 [L*D, B, P], c0 [L*D, B, H]), default zeros, or what the LSTM has learnt to start
            from; without B for an unbatched x.
        lengths: [B] valid steps of each row, 1 to T; the variables are NaN beyond them, and the
            reverse direction starts there. Default: all.
        time: [T] labels of the steps, default 0 to T-1.
        keep: what to keep: a `Keep`, or names of variables. Default: all.
        inputs: I names of the inputs; default 0 to I-1.
        units: H names of the hidden units; default 0 to H-1.

    Returns:
        A `Trace`. In the reverse direction, entry t is the step that read x_t.

    Raises:
        ModuleError: `lstm` is another module, or none.
        ShapeError, DtypeError: x, state, lengths or time does not fit the LSTM.
        ConfigError: `keep` names what there is not, the trace does not fit into memory, or the cell
            holds a Python function.
        MissingExtraError: xarray is not installed.

    >>> import torch
    >>> trace = record(torch.nn.LSTM(3, 4), torch.zeros(5, 2, 3))
    >>> dict(trace.data["forget_gate"].sizes)
    {'layer': 1, 'direction': 1, 'time': 5, 'batch': 2, 'hidden': 4}
    """
    weights = weights_of(lstm)
    given = checked(weights, x, state, lengths, time)
    chosen = kept(keep, weights.config, given.x.shape[0], given.x.dtype)
    check_memory(chosen.bytes(weights.config, given.x.shape[1]))
    for label, name, n in (
        (inputs, "inputs", weights.config.input_size),
        (units, "units", weights.config.hidden_size),
    ):
        if label is not None:
            names(label, name, n)
    variables = deferred(given) if may_defer(given, keep) else run_all(given, chosen)
    return made(given, chosen, variables, inputs, units)


def run_all(given: Given, chosen: Kept, edits: Any = None) -> dict[str, Array]:
    """Run all layers, and return what is kept of them: [L, D, T, B, *] by name.

    Args:
        given: the LSTM and its input.
        chosen: what to keep.
        edits: called with a layer, a direction and its steps; see `gatewise.trace.edits`.
    """
    config, x = given.weights.config, given.x
    T, B, _ = x.shape
    D = config.directions
    lead = (len(chosen.layers), D, len(chosen.steps), B)
    out = {k: np.empty((*lead, chosen.size_of(k, config)), chosen.dtype) for k in chosen.variables}
    last = max(chosen.layers, default=-1)
    for layer in range(last + 1):
        keeps, goes_on = layer in chosen.layers, layer < last
        above = np.empty((T, B, D * (config.proj_size or config.hidden_size)), x.dtype)
        for d in range(D):
            own = running.direction_of(given.weights, layer, d, x.dtype)
            k = layer * D + d
            P = own.output_size
            wanted = frozenset(chosen.variables if keeps else ()) | {"hidden_state"}
            rows = given.turned(x) if d else x
            index = chosen.layers.index(layer) if keeps else 0
            turned = (
                np.empty_like(above[..., :P]) if d and goes_on else above[..., d * P :][..., :P]
            )
            store = _Store(chosen, out, (index, d), given, bool(d)) if keeps else None

            def take(steps: slice, found: dict[str, Array], to: Any = turned, store: Any = store,
                     goes_on: bool = goes_on) -> None:  # fmt: skip
                if goes_on:
                    to[steps] = found["hidden_state"]
                if store is not None:
                    store.put(steps, found)

            given_edits, spans = (None, None) if edits is None else edits(layer, d, own)
            running.run(own, rows, given.h[k], given.c[k], wanted, take, given_edits, spans)
            if d and goes_on:
                above[..., d * P :] = given.turned(turned)
        x = above
    if given.lengths is not None:
        beyond = chosen.steps[:, None] >= given.lengths
        for array in out.values():
            array[:, :, beyond] = np.nan
    return out


class _Store:
    """Where a direction's variables go: kept steps and units, in the input's order."""

    def __init__(
        self, chosen: Kept, out: dict[str, Array], at: tuple[int, int], given: Given, turned: bool
    ) -> None:
        self.chosen, self.out, self.at, self.given, self.turned = chosen, out, at, given, turned

    def put(self, steps: slice, found: dict[str, Array]) -> None:
        """Keep what is wanted of these steps."""
        for name, array in self.out.items():
            value = found[name]
            if name != "hidden_state" or not self.given.weights.config.proj_size:
                value = value if self.chosen.all_units else value[..., self.chosen.units]
            own = array[self.at]
            if not self.turned:
                places, rows = self._places(np.arange(steps.start, steps.stop))
                if self.chosen.all_steps:
                    own[steps] = value
                else:
                    own[places] = value[rows]
            else:
                self._put_turned(own, steps, value)

    def _places(self, times: NDArray[np.int64]) -> tuple[Array, Array]:
        """Which of these times are kept: their places among the kept, and among these."""
        place = np.searchsorted(self.chosen.steps, times)
        fits = place < len(self.chosen.steps)
        fits[fits] = self.chosen.steps[place[fits]] == times[fits]
        return place[fits], np.flatnonzero(fits)

    def _put_turned(self, own: Array, steps: slice, value: Array) -> None:
        run = np.arange(steps.start, steps.stop)
        if self.given.lengths is None:
            times = len(self.given.x) - 1 - run
            places, rows = self._places(times[::-1])
            own[places] = value[::-1][rows]
            return
        for b, length in enumerate(self.given.lengths):
            valid = run < length
            places, rows = self._places((length - 1 - run[valid])[::-1])
            own[places, b] = value[valid, b][::-1][rows]


class Traces(dict[str, Trace]):
    """Traces by the name of the LSTM in its model: of its last call; `calls` has those of all."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[str, list[Trace]] = {}


@contextmanager
def recording(model: Any, keep: Any = None) -> Iterator[Traces]:
    """Record every LSTM inside a model while it runs as it always does.

    Each call of an LSTM is run once more, on the core and in evaluation mode, on what it was given.
    So in training, with dropout or other regularisers, a trace shows the LSTM without them. What
    is in bfloat16 or float16 is run in float32.

    Args:
        model: a PyTorch module that holds `torch.nn.LSTM`s or `gatewise.nn.LSTM`s, or is one.
        keep: as in `record`.

    Yields:
        The traces, by the name of the LSTM in the model ("" for the model itself).

    Raises:
        ModuleError: there is no LSTM in the model, or one cannot be read.
        ConfigError: an LSTM holds a Python function, or `keep` names what one has not. Within the
            context, a call raises it where `keep` has steps that its input lacks, or where the
            trace does not fit into memory.
        MissingExtraError: xarray is not installed.

    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.LSTM(3, 4))
    >>> with recording(model) as traces:
    ...     y, _ = model(torch.zeros(5, 1, 2))
    >>> traces["1"].data.sizes["hidden"]
    4
    """
    named = getattr(model, "named_modules", None)
    found = {name: m for name, m in named() if _is_lstm(m)} if named else {}
    if not found:
        raise ModuleError(
            f"There is no LSTM in this {type(model).__name__}: expected a PyTorch module that "
            "holds a torch.nn.LSTM or is one."
        )
    if keep is not None and not isinstance(keep, (str, Keep)) and isinstance(keep, Iterable):
        keep = Keep(list(keep))
    need_xarray()
    for module in found.values():  # now: an error inside of forward would come as a surprise
        weights = from_module(module, widen=True)
        check_cell(weights)
        kept(replace(keep, steps=None) if isinstance(keep, Keep) else keep, weights.config, 0,
             weights.dtype)  # fmt: skip
    traces = Traces()

    def hook(name: str) -> Any:
        def after(module: Any, args: Any, kwargs: Any, _: Any) -> None:
            given = dict(zip(("input", "hx", "lengths"), args, strict=False)) | kwargs
            x, lengths = given.pop("input"), given.get("lengths")
            state = given.get("hx")
            if hasattr(x, "batch_sizes"):
                x, lengths = _padded(x, module.batch_first)
            if isinstance(state, Iterable):
                state = tuple(_widened(s) for s in state)
            weights = from_module(module, widen=True)
            trace = record(weights, _widened(x), state, lengths, keep=keep)
            traces[name] = trace
            traces.calls.setdefault(name, []).append(trace)

        return after

    handles = [m.register_forward_hook(hook(k), with_kwargs=True) for k, m in found.items()]
    try:
        yield traces
    finally:
        for handle in handles:
            handle.remove()


def _is_lstm(module: Any) -> bool:
    return any(
        base.__name__ == "LSTM" and base.__module__ == "torch.nn.modules.rnn"
        for base in type(module).__mro__
    )


def _widened(value: Any) -> Any:
    """A tensor of bfloat16, which NumPy lacks, in float32; all else as it is."""
    return value.float() if str(getattr(value, "dtype", "")) == "torch.bfloat16" else value


def _padded(packed: Any, batch_first: bool) -> tuple[Array, Array]:
    """A `PackedSequence` as a padded batch in the caller's order, and its lengths."""
    data, sizes = _widened(packed.data).detach().cpu().numpy(), packed.batch_sizes.numpy()
    lengths = (sizes[:, None] > np.arange(sizes[0])).sum(axis=0)
    x = np.zeros((len(sizes), sizes[0], data.shape[1]), data.dtype)
    step, row = np.nonzero(np.arange(len(sizes))[:, None] < lengths)
    x[step, row] = data
    if packed.unsorted_indices is not None:
        order = packed.unsorted_indices.cpu().numpy()
        x, lengths = x[:, order], lengths[order]
    return (x.swapaxes(0, 1) if batch_first else x), lengths
