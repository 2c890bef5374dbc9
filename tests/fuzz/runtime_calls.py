"""Valid calls of `gatewise.runtime`: whole sequences, streams, states in and out, `out=`."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from tests.fuzz import draws, oracle, watch
from tests.fuzz.draws import Rng, Sizes, chance, pick
from tests.fuzz.oracle import WrongResultError

from gatewise import _native, native_info
from gatewise.nn import LSTM, masks
from gatewise.runtime import Model
from gatewise.weights import from_module

Array = Any


def run(rng: Rng, number: int) -> str:
    """One model, run whole and streamed.

    Raises:
        WrongResultError: a result is not what it must be.
    """
    streams = chance(rng, 0.5)
    s = draws.sizes(rng, directions=1 if streams else 2)
    dtype = pick(rng, (torch.float32, torch.float32, torch.float64))
    options: dict[str, Any] = {
        "num_layers": s.L, "bidirectional": s.D == 2, "proj_size": s.proj,
        "bias": chance(rng, 0.8), "batch_first": chance(rng, 0.3), "dtype": dtype,
        "cell": draws.cell(rng), "zoneout": pick(rng, (0.0, 0.0, 0.0, (0.1, 0.2))),
        "learn_initial_state": chance(rng, 0.2),
    }  # fmt: skip
    precision = pick(rng, ("full",) * 9 + ("bfloat16",))
    kind = pick(rng, ("normal",) * 8 + ("subnormal", "nan", "inf", "huge"))
    threads, isa = pick(rng, draws.THREADS), pick(rng, native_info()["available"])
    torch.manual_seed(number)
    lstm = LSTM(s.I, s.H, **options).eval()
    _native.select_isa(isa)
    model = Model(copy.deepcopy(from_module(lstm)), precision)
    x = draws.values(rng, (s.T, s.B, s.I), dtype, kind).numpy()
    state = tuple(draws.values(rng, (s.L * s.D, s.B, n), dtype).numpy() for n in (s.P, s.H))
    given = state if chance(rng, 0.5) else None
    lengths = draws.lengths(rng, s.T, s.B) if chance(rng, 0.4) and not streams else None
    what = f"{s} {options} {precision} {kind} threads={threads} isa={isa} streams={streams} " \
           f"lengths={None if lengths is None else lengths.tolist()}"  # fmt: skip
    try:
        got = _whole(rng, model, s, x, given, lengths, threads)
        alone = _whole(rng, model, s, x, given, lengths, 1)
        oracle.check_same_bits(got, alone, f"with {threads} threads than with 1")
        if streams:
            stepped = _stepped(rng, model, s, x, given, threads)
            oracle.check_same_bits(stepped, got, "step by step than at once")
        if kind == "huge":
            return "bits"
        return _compare(lstm, s, x, given or _start(lstm, s), lengths, got, kind, precision)
    except Exception as fault:
        fault.add_note(what)
        raise


def _start(lstm: LSTM, s: Sizes) -> tuple[Array, Array]:
    """What the LSTM starts from where no state is given."""
    found = []
    for name, size in (("h_0", s.P), ("c_0", s.H)):
        zeros = np.zeros((s.L * s.D, s.B, size))
        learnt = lstm.learn_initial_state
        found.append(zeros + getattr(lstm, name).detach().numpy() if learnt else zeros)
    return found[0], found[1]


def _whole(
    rng: Rng, model: Model, s: Sizes, x: Array, state: Any, lengths: Any, threads: int
) -> dict[str, Array]:
    """`run`, time first, with x and out in any place and order of memory."""
    batch_first = model.weights.config.batch_first
    rows = odd(rng, x.swapaxes(0, 1) if batch_first else x)
    before, out = rows.copy(), None
    if chance(rng, 0.4):
        shape = (*rows.shape[:-1], s.D * s.P)
        out = np.full(shape, np.nan, model.dtype)
    hx = None if state is None else tuple(odd(rng, a) for a in state)
    torch.set_num_threads(threads)
    try:
        with watch.one_call():
            y, (h, c) = model.run(rows, lengths, hx, out=out)
    finally:
        torch.set_num_threads(1)
    if out is not None and y is not out:
        raise WrongResultError("run returned another array than out")
    oracle.check_same_bits({"x": rows}, {"x": before}, "after the call, which must only read it")
    return {"y": y.swapaxes(0, 1) if batch_first else y, "h_n": h, "c_n": c}


def _stepped(
    rng: Rng, model: Model, s: Sizes, x: Array, state: Any, threads: int
) -> dict[str, Array]:
    """The same by a stream, its state taken out and put back on the way."""
    torch.set_num_threads(threads)
    try:
        stream, ys = model.stream(s.B), []
        if chance(rng, 0.3):
            stream.step(x[0])
            stream.reset()
        if state is not None:
            stream.state = state
        for x_t in x:
            single = s.B == 1 and chance(rng, 0.3)
            row = odd(rng, x_t[0] if single else x_t)
            out = None
            if chance(rng, 0.6):
                out = np.full((s.P,) if single else (s.B, s.P), np.nan, model.dtype)
            with watch.one_call():
                y = stream.step(row, out=out)
            if out is not None and y is not out:
                raise WrongResultError("step returned another array than out")
            ys.append(y.reshape(s.B, s.P).copy())
            if chance(rng, 0.2):
                saved = stream.state
                stream = model.stream(s.B) if chance(rng, 0.5) else stream
                stream.state = saved
        h, c = stream.state
        return {"y": np.stack(ys), "h_n": h, "c_n": c}
    finally:
        torch.set_num_threads(1)


def odd(rng: Rng, a: Array) -> Array:
    """The same numbers as they may lie in memory: flipped, with gaps, columns first, unaligned."""
    kind = pick(rng, ("dense",) * 4 + ("flipped", "gaps", "columns first", "unaligned"))
    if kind == "flipped":
        axes = tuple(k for k in range(a.ndim) if chance(rng, 0.5))
        return np.flip(np.ascontiguousarray(np.flip(a, axes)), axes)
    if kind == "gaps":
        room = np.full((*a.shape[:-1], 2 * a.shape[-1]), np.nan, a.dtype)
        room[..., ::2] = a
        return room[..., ::2]
    if kind == "columns first":
        return np.asfortranarray(a)
    if kind == "unaligned":
        return draws.unaligned(a, pick(rng, (1, 2, 3)))
    return np.ascontiguousarray(a)


def _compare(
    lstm: LSTM, s: Sizes, x: Array, state: Any, lengths: Any, got: Any, kind: str, precision: str
) -> str:
    if kind == "subnormal":  # the core flushes them
        x = np.zeros_like(x)
    T = s.T if lengths is None else int(lengths.max())
    drawn = masks.draw(lstm, T, s.B) if lstm.is_regularised else None

    def expected(off: Any = lambda a: a) -> dict[str, Array]:
        numbers = [off(a.astype(np.float64)) for a in (x[:T], *state)]
        found = oracle.by_reference(lstm, *numbers, None, drawn, (), lengths, off)
        rest = np.zeros((s.T - T, *found["y"].shape[1:]))
        return found | {"y": np.concatenate([found["y"], rest])}

    with np.errstate(all="ignore"):
        exact = expected()
        if kind in ("nan", "inf"):
            # The reference multiplies by masks, where the core chooses: 0 times infinity is NaN.
            if lengths is not None or drawn or oracle.is_unbounded(lstm.cell):
                return "bits"
        elif oracle.is_wild(exact):
            return "bits"
        tolerance = oracle.BFLOAT16_TOLERANCE if precision == "bfloat16" else None
        otherwise = oracle.rounded_otherwise(expected, lstm.cell, x.dtype)
        oracle.check_near(got, exact, x.dtype, otherwise, tolerance)
    return "oracle"
