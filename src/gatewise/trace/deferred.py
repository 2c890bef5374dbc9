"""A trace's variables, read from what the core has kept only when somebody looks at them.

Recording then costs about as much as a forward in training. xarray loads such variables as it loads
those of a file that is open.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from gatewise.trace.given import Given
from gatewise.trace.running import GATES, PRE, Ran, direction_of, run_chunk, variables_of

Array = NDArray[Any]

_MOST_BYTES: Final = 256 << 20
"""Of all tapes together: what is longer runs in parts."""

_GROUPS: Final = (frozenset({*GATES, "cell_state"}), frozenset(PRE))
"""What is worked out together, since it is read together."""


def may_defer(given: Given, keep: Any) -> bool:
    """Whether all is kept, of rows of one length, and the core's tapes are small enough to stay."""
    config = given.weights.config
    T, B, _ = given.x.shape
    numbers = 6 * config.num_layers * config.directions * T * B * config.hidden_size
    fits = numbers * given.x.itemsize <= _MOST_BYTES
    return keep is None and given.lengths is None and fits


def deferred(given: Given, edits: Any = None) -> dict[str, Any]:
    """Run all layers; return all variables, [L, D, T, B, *] by name, for xarray to load.

    Args:
        given: the LSTM and its input.
        edits: as in `gatewise.trace.recorder.run_all`.
    """
    config = given.weights.config
    D, x = config.directions, given.x
    runs: list[list[list[Ran]]] = []
    for layer in range(config.num_layers):
        runs.append([])
        for d in range(D):
            own, k = direction_of(given.weights, layer, d, x.dtype), layer * D + d
            rows = given.turned(x) if d else x
            values, spans = (None, None) if edits is None else edits(layer, d, own)
            h, c, ran = given.h[k], given.c[k], []
            for steps, cell in spans or [(slice(0, len(x)), own.cell)]:
                part = None if values is None else {k: v[steps] for k, v in values.items()}
                ran.append(run_chunk(own, own.network(cell), rows[steps], h, c, part))
                h, c = ran[-1].last
            runs[-1].append(ran)
        sides = [np.concatenate([r.y for r in ran]) if ran[1:] else ran[0].y for ran in runs[-1]]
        outputs = [given.turned(y) if d else y for d, y in enumerate(sides)]
        x = outputs[0] if D == 1 else np.concatenate(outputs, axis=2)
    source = _Source(runs, given.x.shape[0])
    return {name: _loaded_on_access(_Variable(source, name)) for name in variables_of(config)}


def _loaded_on_access(array: BackendArray) -> Any:
    """As `xarray.open_dataset` wraps the arrays of a file: read once, copied when written to."""
    lazily: Any = indexing.LazilyIndexedArray(array)
    return indexing.MemoryCachedArray(indexing.CopyOnWriteArray(lazily))


class _Source:
    """What has run, by layer, direction and span of steps, and what was read of it so far."""

    def __init__(self, runs: list[list[list[Ran]]], T: int) -> None:
        self.runs, self.T, self.dtype = runs, T, runs[0][0][0].x.dtype
        self._read: dict[str, Array] = {}

    def shape(self, name: str) -> tuple[int, ...]:
        run = self.runs[0][0][0]
        _, B, P = run.y.shape
        last = P if name == "hidden_state" else run.network.H
        return (len(self.runs), len(self.runs[0]), self.T, B, last)

    def read(self, name: str) -> Array:
        if name not in self._read:
            together = next((group for group in _GROUPS if name in group), frozenset({name}))
            self._read.update(self._variables(together))
        return self._read[name]

    def _variables(self, names: frozenset[str]) -> dict[str, Array]:
        room = self.runs[0][0][0].network.room
        out = {name: room(*self.shape(name)) for name in names}
        for layer, directions in enumerate(self.runs):
            for d, spans in enumerate(directions):
                own, start = {name: array[layer, d] for name, array in out.items()}, 0
                for ran in spans:
                    stop = start + len(ran.x)
                    if d:
                        part = {k: a[self.T - stop : self.T - start][::-1] for k, a in own.items()}
                    else:
                        part = {k: a[start:stop] for k, a in own.items()}
                    for name, value in ran.variables(names, None if d else part).items():
                        if not np.may_share_memory(value, part[name]):
                            part[name][...] = value
                    start = stop
        return out


class _Variable(BackendArray):
    """One variable, as xarray asks a file for it."""

    def __init__(self, source: _Source, name: str) -> None:
        self.source, self.name = source, name
        self.shape = source.shape(name)
        self.dtype = source.dtype

    def __getitem__(self, key: Any) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._part
        )

    def _part(self, key: Any) -> Array:
        return self.source.read(self.name)[key]

    def __reduce__(self) -> Any:  # a copy or a pickle holds the numbers alone
        return indexing.NumpyIndexingAdapter, (self.source.read(self.name),)
