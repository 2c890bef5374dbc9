"""The packed weights of an LSTM's layers, kept from call to call."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook

from gatewise import _native
from gatewise.nn.paths import addresses_of
from gatewise.nn.spec import Spec

# PyTorch's threads look for work for milliseconds after each of its operations: beside ours they
# would contend for the cores.
_native.share_openmp_threads()


class Engine:
    """The packed weights of some layers, kept from call to call.

    They are packed again when the bits of the parameters have changed, however that came about.
    With `frozen`, the look at the bits is skipped while PyTorch counts no change: see
    `gatewise.nn.LSTM.freeze_weights`. A copy or pickle of it starts afresh. Threads may share it.

    Args:
        spec: what the layers are.
        frozen: trust PyTorch's count of changes.
    """

    def __init__(self, spec: Spec, frozen: bool = False) -> None:
        self.spec = spec
        self.frozen = frozen
        # Read at each call, so taken apart once.
        self.sizes = (spec.L, spec.D, spec.I, spec.H)
        self.projection = spec.projection
        self.cell = spec.cell
        self.names = spec.names
        names = spec.registered_names()  # None for a bias that there is not
        self._shapes = [s if n else None for n, s in zip(names, spec.shapes, strict=True)]
        # x, h0, c0 (-1: any number of steps or rows) and the parameters: without states, and with.
        states = (spec.L * spec.D, -1, spec.P), (spec.L * spec.D, -1, spec.H)
        self.usual_shapes = ((-1, -1, spec.I), None, None, *self._shapes)
        self.usual_shapes_with_states = ((-1, -1, spec.I), *states, *self._shapes)
        self._caches: dict[torch.dtype, Any] = {}
        self._seen: _Seen | None = None

    def pack(self, parameters: Sequence[Tensor | None], dtype: torch.dtype) -> Any:
        """Return the packed weights of the parameters, `names` for each layer and direction.

        Raises:
            ShapeError: one has another shape, or is missing.
        """
        if [p if p is None else p.shape for p in parameters] != self._shapes:
            self.spec.check(parameters)
        if not all(p is None or p.is_contiguous() for p in parameters):
            addresses_of(parameters)  # before they are copied
            parameters = [None if p is None else p.contiguous() for p in parameters]
        packed = self.cache(dtype)
        addresses = addresses_of(parameters)
        if not self.frozen:
            return packed.pack(addresses)
        versions = _versions(parameters)
        now = dtype, addresses, versions, _optimiser_steps()[0], _native.isa_name()
        seen = self._seen
        if seen is not None and seen.now == now and versions is not None:
            return seen.weights
        self._seen = seen = None  # lets go of the old weights, whose memory the cache uses again
        weights = packed.pack(addresses)
        storages = [None if p is None else p.untyped_storage() for p in parameters]
        self._seen = _Seen(now, weights, storages)
        return weights

    def cache(self, dtype: torch.dtype) -> Any:
        """Return the core's cache of packed weights of a dtype."""
        found = self._caches.get(dtype)
        if found is None:
            made = _native.CacheF32 if dtype == torch.float32 else _native.CacheF64
            bfloat16 = self.spec.bfloat16 and dtype == torch.float32
            cell = _native.cell_fields(self.cell)
            made_now = made(*self.sizes, bfloat16, cell, self.projection)
            found = self._caches.setdefault(dtype, made_now)
        return found

    def __reduce__(self) -> Any:
        return Engine, (self.spec, self.frozen)


def _thawed(*_: object) -> None:
    """What pickles with a `gatewise.nn.whole._Kept` call; nothing in it is needed any more."""


class _Seen(NamedTuple):
    """What was packed last; one value, so that threads see all of it or nothing.

    The storages are held so that no new parameter can come to lie at an old one's address: those of
    a parametrised module are new tensors, with a count of 0, at each call.
    """

    now: tuple[object, ...]
    weights: Any
    storages: list[Any]


@cache
def _optimiser_steps() -> list[int]:
    """Count the steps of all optimisers from now on: fused ones write past PyTorch's count."""
    count = [0]

    def after_step(*_: object) -> None:
        count[0] += 1

    register_optimizer_step_post_hook(after_step)
    return count


def _versions(parameters: Sequence[Tensor | None]) -> list[int] | None:
    """PyTorch's count of changes; None if it does not count (inference tensors)."""
    if any(p is not None and p.is_inference() for p in parameters):
        return None
    return [-1 if p is None else p._version for p in parameters]
