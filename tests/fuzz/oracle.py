"""What a call must give: `gatewise.reference` in float64 for whole modules, and how near is near.

Bounds, as parts of the largest magnitude of an array (or of 0.1, if all is smaller): 4e-5 in
float32 (twice that of the parity tests, since dx of one input sums all gates), 1e-12 in float64.
Where layer norm of what hardly varies, or a gate without bounds, makes more of one rounding, the
oracle itself says how much: it runs again in the precision of the call (`computing_in`) and on
inputs that are rounded otherwise, and `ROUNDINGS` times what changes is added to the bound.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray

from gatewise import Cell, reference
from gatewise.cell import SITES
from gatewise.weights import PARAMETER_NAMES, parameter_suffix

Array = NDArray[Any]
Results = dict[str, Any]

TOLERANCE = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 4e-5}
BFLOAT16_TOLERANCE = 0.2
"""Against the network that is not rounded; it finds garbage, the parity tests find the rest. A cell
that forgets nothing adds up the roundings of all steps: .11 was seen after 140."""
ROUNDINGS = 40
WILD = {"outputs": 100.0, "gradients": 1e4}
"""Networks without bounds may explode; beyond these magnitudes only crashes and bits count."""
KINKED = {"hard_sigmoid", "hard_tanh", "relu"}


class WrongResultError(AssertionError):
    """A call returned something else than it must."""


def by_reference(
    lstm: Any,
    x: Array,
    h0: Array,
    c0: Array,
    grads: tuple[Array, Array, Array] | None = None,
    drawn: Sequence[Any] | None = None,
    dropouts: Sequence[Array | None] = (),
    lengths: Array | None = None,
    off: Callable[[Array], Array] = lambda a: a,
) -> Results:
    """Outputs and, for `grads` of them, gradients by name of all layers and directions.

    Args:
        lstm: the module; its parameters are read.
        x, h0, c0: [T, B, I], [L*D, B, P], [L*D, B, H].
        grads: of y, h_n and c_n.
        drawn: `gatewise.nn.masks.Masks` for each layer and direction.
        dropouts: [T, B, D*P] that multiplies the input of each layer from the second on, or None.
        lengths: [B] valid steps of each row.
        off: how the parameters are rounded.
    """
    L, D = lstm.num_layers, lstm.directions
    runs = []
    for layer in range(L):
        if layer and dropouts and dropouts[layer - 1] is not None:
            x = x * dropouts[layer - 1]
        for d in range(D):
            k = layer * D + d
            own = {n: off(v.detach().double().numpy())
                   for n, v in vars(lstm.layer_weights(layer, d)).items()
                   if v is not None}  # fmt: skip
            masks = drawn[k] if drawn else None
            if masks and masks.weight is not None:
                own["w_hh"] = own["w_hh"] * masks.weight.numpy()
            runs.append(
                reference.forward(
                    x, reference.weights(**own), h0[k], c0[k], lstm.cell,
                    recurrent_mask=masks.recurrent if masks else None,
                    zoneout=masks.zoneout if masks else None, lengths=lengths, reverse=d == 1,
                )
            )  # fmt: skip
        x = np.concatenate([run.y for run in runs[-D:]], axis=2)
    found = {"y": x, "h_n": np.stack([r.h for r in runs]), "c_n": np.stack([r.c for r in runs])}
    if grads is None:
        return found
    dy, dh, dc = grads
    found |= {"dh0": np.empty_like(h0), "dc0": np.empty_like(c0)}
    for layer in reversed(range(L)):
        below = 0.0
        for d in range(D):
            k, P = layer * D + d, dy.shape[2] // D
            back = reference.backward(runs[k], dy[:, :, d * P : (d + 1) * P], dh[k], dc[k])
            below = below + back.x
            found["dh0"][k], found["dc0"][k] = back.h0, back.c0
            for name, value in vars(back.weights).items():
                if value is not None:
                    masked = name == "w_hh" and drawn and drawn[k].weight is not None
                    own = value * drawn[k].weight.numpy() if masked else value
                    found[PARAMETER_NAMES[name] + parameter_suffix(layer, d)] = own
        dy = below
        if layer and dropouts and dropouts[layer - 1] is not None:
            dy = dy * dropouts[layer - 1]
    return found | {"dx": dy}


@contextlib.contextmanager
def computing_in(dtype: Any) -> Iterator[None]:
    """Let the reference compute in another precision, all arrays of its own included."""

    class Numpy:
        def __getattr__(self, name: str) -> Any:
            return getattr(np, name)

        def zeros(self, shape: Any) -> Array:
            return np.zeros(shape, dtype)

        def empty(self, shape: Any) -> Array:
            return np.empty(shape, dtype)

    with mock.patch.multiple(reference.lstm, np=Numpy(), _f64=lambda a: np.asarray(a, dtype)):
        yield


def rounded_otherwise(
    expected: Callable[[Callable[[Array], Array]], Results], cell: Cell, dtype: Any
) -> Callable[[], list[Results]]:
    """What the oracle says in a call's precision of inputs that are rounded otherwise.

    Args:
        expected: the oracle, given how inputs and parameters are rounded.
        cell: at a kink, a rounding decides on which side an input stands: more and larger ones.
        dtype: the call's precision.
    """
    roundings = [(seed, 1.0) for seed in range(3)]
    roundings += [(9 + k, 16.0) for k in range(12 * is_kinked(cell))]

    def found() -> list[Results]:
        with computing_in(dtype):
            return [expected(off_by_half_units(k, dtype, units)) for k, units in roundings]

    return found


def is_wild(expected: Results) -> bool:
    """Whether the numbers explode, so that there is no bound."""
    return any(
        not np.abs(a).max(initial=0) <= WILD["outputs" if n in ("y", "h_n", "c_n") else "gradients"]
        for n, a in expected.items()
    )


def is_unbounded(cell: Cell) -> bool:
    """Whether infinities may meet in it: then the sign of a rounding decides where NaN stands."""
    return any(getattr(cell, site) in ("identity", "relu") for site in SITES)


def check_near(
    got: Results,
    expected: Results,
    dtype: Any,
    rounded_otherwise: Callable[[], list[Results]],
    tolerance: float | None = None,
) -> None:
    """Compare each array that both have.

    Raises:
        WrongResultError: one is further off than the bound.
    """
    otherwise: list[Results] | None = None
    allowed = TOLERANCE[np.dtype(dtype)] if tolerance is None else tolerance
    for name, value in expected.items():
        if name not in got:
            continue
        error = difference(got[name], value)
        if error <= allowed:
            continue
        otherwise = rounded_otherwise() if otherwise is None else otherwise
        # Unlike `error`, a NaN in here fails.
        more = ROUNDINGS * max((difference(o[name], value) for o in otherwise), default=0.0)
        if not error <= allowed + more:
            raise WrongResultError(
                f"{name}: relative error {error:.1e}, allowed {allowed + more:.1e}"
            )


def difference(got: Any, expected: Any) -> float:
    """The largest, as a part of the largest finite magnitude; infinite where only one is NaN."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    if got.shape != expected.shape:
        raise WrongResultError(f"shape {got.shape} instead of {expected.shape}")
    if not np.array_equal(np.isnan(got), np.isnan(expected)):
        return float("inf")
    equal = (got == expected) | np.isnan(expected)
    finite = np.abs(expected[np.isfinite(expected)]).max(initial=0)
    with np.errstate(invalid="ignore"):
        return float(np.abs(np.where(equal, 0, got - expected)).max(initial=0) / max(finite, 0.1))


def check_same_bits(got: Results, expected: Results, what: str) -> None:
    """Compare bit by bit; one NaN is as good as another.

    Raises:
        WrongResultError: they differ.
    """
    if got.keys() != expected.keys():
        raise WrongResultError(f"{what}: {sorted(got)} instead of {sorted(expected)}")
    for name, value in expected.items():
        if not same_bits(got[name], value):
            raise WrongResultError(f"{name} has other bits {what}")


def same_bits(a: Any, b: Any) -> bool:
    """Whether two arrays or tensors hold the same numbers, signs of zeros included."""
    a, b = (t.detach().numpy() if isinstance(t, torch.Tensor) else np.asarray(t) for t in (a, b))
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    nan = np.isnan(a) & np.isnan(b) if a.dtype.kind == "f" else np.zeros(a.shape, bool)
    return bool((nan | ((a == b) & (np.signbit(a) == np.signbit(b)))).all())


def is_kinked(cell: Cell) -> bool:
    """Whether a rounding can decide on which side of a kink a number lies."""
    return any(getattr(cell, site) in KINKED for site in SITES)


def off_by_half_units(seed: int, dtype: Any, units: float = 1.0) -> Callable[[Array], Array]:
    """Return a rounding: every number off by half a unit of its last place, up or down."""
    rng, half_unit = np.random.default_rng(seed), units * float(np.finfo(dtype).epsneg)
    return lambda a: a * (1 + rng.choice([-1.0, 1.0], np.shape(a)) * half_unit)
