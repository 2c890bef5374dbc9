"""Calls that must be refused: a clean error, the module as it was, and right results after it.

Where PyTorch has the same LSTM, it is the judge: what it computes, ours must compute too.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from tests.fuzz import oracle
from tests.fuzz.draws import Rng, chance, pick, unaligned
from tests.fuzz.oracle import WrongResultError
from torch.nn import Parameter
from torch.nn.utils.rnn import PackedSequence

from gatewise import Cell
from gatewise._native import arrays
from gatewise.nn import LSTM
from gatewise.runtime import Model
from gatewise.weights import from_module

Call = Callable[[Any], Any]
HUGE = (2**44, 2**58, 2**61, 2**62, sys.maxsize)
"""Sizes whose memory no machine has, and whose products with 4, 8 or 64 do not fit 64 bits."""


def run(rng: Rng, number: int) -> str:
    """One refused call of a drawn kind.

    Raises:
        WrongResultError: it was taken, or it changed something.
    """
    name = pick(rng, list(KINDS))
    try:
        KINDS[name](rng)
    except Exception as fault:
        fault.add_note(f"refused call: {name}")
        raise
    return "refused"


def one_refused(rng: Rng, calls: list[Callable[[], Any]], what: str) -> None:
    number = int(rng.integers(len(calls)))
    refused(calls[number], f"{what}, call {number} of its list,")


def refused(call: Callable[[], Any], what: str) -> None:
    try:
        call()
    except Exception as error:
        if not str(error) and not isinstance(error, MemoryError):
            raise WrongResultError(f"{what}: {type(error).__name__} without a word") from error
        return
    raise WrongResultError(f"{what} was taken")


# --- gatewise.nn ---------------------------------------------------------------------------------


def _module(rng: Rng) -> tuple[dict[str, Any], LSTM]:
    options: dict[str, Any] = {
        "num_layers": int(rng.integers(1, 3)), "bidirectional": chance(rng, 0.4),
        "proj_size": pick(rng, (0, 0, 3)), "batch_first": chance(rng, 0.3),
    }  # fmt: skip
    torch.manual_seed(int(rng.integers(1000)))
    own = {"learn_initial_state": chance(rng, 0.3), "cell": pick(rng, (Cell(), Cell(), _OTHER))}
    return options, LSTM(4, 8, **options, **own)


_OTHER = Cell(candidate="softsign", peephole=True)


def judged(rng: Rng, make: Callable[[Rng, LSTM], tuple[Call, str, bool]]) -> None:
    """Call with a fault; compare with PyTorch where it has the same LSTM."""
    options, lstm = _module(rng)
    lstm.train(chance(rng, 0.5))
    good = torch.randn(5, 2, 4)
    with torch.no_grad():
        before = lstm(good)[0] if chance(rng, 0.7) else None
    saved = {n: p.detach().clone() for n, p in lstm.state_dict().items()}
    call, what, mutates = make(rng, lstm)
    twin: Any = None
    if lstm.cell.is_default and (not lstm.learn_initial_state or make is _bad_state):
        twin = torch.nn.LSTM(4, 8, **options)
        twin.load_state_dict({n: t for n, t in saved.items() if n not in ("h_0", "c_0")})
    what = f"{what} of {lstm}"
    outcome = _outcome(call, lstm)
    if make is _false_attributes:
        twin = _with_less(lstm, saved, options) or twin
    if isinstance(outcome, Exception):
        if not str(outcome):
            raise WrongResultError(f"{what}: {type(outcome).__name__} without a word")
    elif twin is None:
        raise WrongResultError(f"{what} was taken")
    else:
        theirs = _outcome(call, twin)
        if isinstance(theirs, Exception):
            raise WrongResultError(f"{what} was taken, where PyTorch says: {theirs}")
        for a, b in zip(_flat(outcome), _flat(theirs), strict=True):
            if oracle.difference(a, b.double()) > oracle.TOLERANCE[np.dtype(np.float32)]:
                raise WrongResultError(f"{what} is computed otherwise than by PyTorch")
    if mutates:
        return
    oracle.check_same_bits(dict(lstm.state_dict()), saved, "after a refused call")
    if before is not None:
        with torch.no_grad():
            oracle.check_same_bits({"y": lstm(good)[0]}, {"y": before}, "after a refused call")


def _with_less(lstm: LSTM, saved: dict[str, Any], options: dict[str, Any]) -> LSTM | None:
    """The network that fewer layers or directions of the parameters make.

    PyTorch computes it where it can, which it cannot with projections.
    """
    fewer = lstm.num_layers < options["num_layers"] or lstm.bidirectional < options["bidirectional"]
    if not fewer:
        return None
    options = options | {"num_layers": lstm.num_layers, "bidirectional": lstm.bidirectional}
    own = {"learn_initial_state": lstm.learn_initial_state, "cell": lstm.cell}
    less = LSTM(4, 8, **options, **own).train(lstm.training)
    try:
        less.load_state_dict({n: saved[n] for n in less.state_dict()})
    except (KeyError, RuntimeError):
        return None
    return less


def _outcome(call: Call, module: Any) -> Any:
    with torch.no_grad():
        try:
            return call(module)
        except Exception as error:
            return error


def _flat(result: Any) -> list[torch.Tensor]:
    y, states = result
    return [y.data if isinstance(y, PackedSequence) else y, *states]


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_shown, value))})"
    if isinstance(value, torch.Tensor):
        return f"{tuple(value.shape)} {value.dtype} {value.layout} {value.device}"
    return f"{type(value).__name__} {value!r:.40}"


def _bad_input(rng: Rng, lstm: LSTM) -> tuple[Call, str, bool]:
    x = pick(rng, (
        torch.randn(5, 2, 3), torch.randn(5, 2, 0), torch.randn(4), torch.randn(1, 5, 2, 4),
        torch.randn(5, 2, 4).long(), torch.randn(5, 2, 4) > 0, torch.randn(5, 2, 4).double(),
        torch.randn(5, 2, 4, dtype=torch.complex64), torch.randn(5, 2, 4).half(),
        torch.randn(5, 2, 4, device="meta"),
        torch.zeros((2, 0, 4) if lstm.batch_first else (0, 2, 4)), torch.randn(()), None,
        [[1.0] * 4], np.zeros((5, 2, 4), np.float32),
    ))  # fmt: skip
    return lambda m: m(x), f"input {_shown(x)}", False


def _huge_input(rng: Rng, lstm: LSTM) -> tuple[Call, str, bool]:
    n = pick(rng, HUGE)
    shape = pick(rng, ((n, 1, 4), (1, n, 4), (n, 4)))
    try:
        x = torch.empty(()).expand(shape)
    except RuntimeError:
        x = torch.empty(()).expand(2**44, 1, 4)
    return lambda m: m(x), f"input {_shown(x)}", False


def _bad_state(rng: Rng, lstm: LSTM) -> tuple[Call, str, bool]:
    k, P = lstm.num_layers * lstm.directions, lstm.proj_size or 8
    h, c = torch.zeros(k, 2, P), torch.zeros(k, 2, 8)
    if lstm.batch_first:
        h, c = torch.zeros(k, 5, P), torch.zeros(k, 5, 8)
    hx = pick(rng, (
        (h[:, :1], c), (h, c[:, :1]), (h[..., :-1], c), (h, c[..., 1:]), (h.double(), c),
        (h, c.half()), (h,), (h, c, c), (h[0], c[0]), (h, None), (None, c), h,
        (h.repeat(2, 1, 1), c),
        (torch.zeros(0), torch.zeros(0)), (h.to("meta"), c), (),
    ))  # fmt: skip
    x = torch.randn(5, 2, 4)
    return lambda m: m(x, hx), f"state {_shown(hx)}", False


SIZES = (
    (3, [2, 3]), (3, [2, 0, 1]), (3, [-1, 4]), (3, [2, 2]), (9, [3, 2, 1]), (0, [1]),
    (2, []), (6, [3, 3, 2**62]), (6, [2**62, 2**62, 2**62]), (2, [2, 0]), (4, [2**63 - 1, 2]),
)  # fmt: skip


def _bad_packed(rng: Rng, lstm: LSTM) -> tuple[Call, str, bool]:
    rows, sizes = pick(rng, SIZES)
    batch = torch.tensor(sizes, dtype=torch.int64)
    if chance(rng, 0.2):
        batch = pick(rng, (batch.int(), batch.float(), batch[None], batch[:0]))
    indices: Any = (None, None)
    if chance(rng, 0.3):
        rows, batch = 5, torch.tensor([3, 2])
        wrong = pick(rng, ([0, 1, 7], [0, 1, -9], [0], [0, 1, 2, 2**62]))
        indices = (torch.tensor(wrong), torch.tensor(wrong))
    packed = PackedSequence(torch.randn(rows, 4), batch, *indices)
    return lambda m: m(packed), f"{rows} rows, batch_sizes {batch}, indices {indices[0]}", False


def _bad_lengths(rng: Rng, lstm: LSTM) -> tuple[Call, str, bool]:
    T, B = (2, 5) if lstm.batch_first else (5, 2)
    fine = [T] * B
    wrong = pick(rng, (
        [*fine, 1], fine[1:], [0, *fine[1:]], [T + 1, *fine[1:]], [-1, *fine[1:]],
        [2**62, *fine[1:]], [float(n) for n in fine], [True] * B, [fine], 3, [],
        torch.tensor(fine).float(), torch.full((B,), T, device="meta"), ["a"] * B, [[]] * B,
    ))  # fmt: skip
    x = torch.randn(5, 2, 4)

    def call(m: Any) -> Any:
        if not isinstance(m, LSTM):
            raise ValueError("PyTorch has no lengths")
        return m(x, lengths=wrong)

    return call, f"lengths {wrong}", False


def _false_attributes(rng: Rng, lstm: LSTM) -> tuple[Call, str, bool]:
    """Attributes that no longer tell what the parameters are, as structured pruning leaves them."""
    changes = [
        (name, value)
        for name, value in (
            ("input_size", 3), ("input_size", 9), ("hidden_size", 5), ("hidden_size", 20),
            ("num_layers", lstm.num_layers + 1), ("num_layers", 1), ("bidirectional", True),
            ("bidirectional", False), ("proj_size", 0), ("proj_size", 5), ("bias", False),
        ) if getattr(lstm, name) != value
    ]  # fmt: skip
    name, value = pick(rng, changes)
    I = value if name == "input_size" else 4

    def call(m: Any) -> Any:
        setattr(m, name, value)
        return m(torch.ones(5, 2, I))

    return call, f"{name} set to {value}", True


def _false_parameters(rng: Rng, lstm: LSTM) -> tuple[Call, str, bool]:
    """A parameter of another shape or dtype in the place of one."""
    name = pick(rng, [n for n, _ in lstm.named_parameters() if not n.startswith(("h_", "c_"))])
    shape = list(getattr(lstm, name).shape)
    how = pick(rng, ("shorter", "longer", "one", "empty", "double", "meta"))
    axis = int(rng.integers(len(shape)))

    def call(m: Any) -> Any:
        new = shape.copy()
        new[axis] += {"shorter": -1, "longer": 3}.get(how, 0)
        if how in ("one", "empty"):
            new = [1] if how == "one" else [0] * len(shape)
        made = torch.ones(new, device="meta" if how == "meta" else "cpu")
        setattr(m, name, Parameter(made.double() if how == "double" else made))
        return m(torch.ones(5, 2, 4))

    return call, f"{name} replaced ({how}, axis {axis})", True


CONSTRUCTIONS: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...] = (
    ((-1, 4), {}), ((4, -1), {}), ((4, 0), {}), ((4, 4, 0), {}), ((4, 4), {"proj_size": 4}),
    ((4, 4), {"proj_size": -1}), ((4, 4), {"dropout": 2}), ((4, 4), {"dropout": "a"}),
    ((4, 4), {"checkpoint_every": -1}), ((4, 4), {"checkpoint_every": 1.5}),
    ((4, 4), {"checkpoint_every": True}), ((4, 4), {"precision": "half"}),
    ((4, 4), {"precision": None}), ((4, 4), {"zoneout": (0.1,)}), ((4, 4), {"zoneout": 1.0}),
    ((4, 4), {"recurrent_dropout": float("nan")}), ((4, 4), {"weight_dropout": -0.1}),
    ((4, 4), {"cell": "lstm"}), ((4, 4), {"learn_initial_state": 1}), ((2**58, 4), {}),
    ((4, 2**58), {}), ((4, 2**61), {}), ((4, 2**62), {}), (("4", 4), {}), ((4.5, 4), {}), ((), {}),
)  # fmt: skip


def _construction(rng: Rng) -> None:
    args, kw = pick(rng, CONSTRUCTIONS)
    if args == (4, 0):
        return  # PyTorch refuses it or not, by version
    refused(lambda: LSTM(*args, **kw), f"LSTM{args} {kw}")


# --- gatewise.runtime ----------------------------------------------------------------------------


def _model(rng: Rng) -> Model:
    torch.manual_seed(int(rng.integers(1000)))
    return Model(copy.deepcopy(from_module(LSTM(4, 8, num_layers=2))))


def _runtime(rng: Rng) -> None:
    model, x = _model(rng), np.ones((5, 2, 4), np.float32)
    before = model.run(x)[0]
    huge = np.broadcast_to(np.float32(0), (pick(rng, HUGE[:2]), 1, 4))
    y, state = np.empty((5, 2, 8), np.float32), np.zeros((2, 2, 8), np.float32)
    frozen = y.copy()
    frozen.flags.writeable = False
    calls: list[Callable[[], Any]] = [
        lambda: model.run(x[..., :3]), lambda: model.run(x[0, 0]), lambda: model.run(x[None]),
        lambda: model.run(x.astype(complex)), lambda: model.run(x > 0), lambda: model.run("x"),
        lambda: model.run(None), lambda: model.run(huge), lambda: model.run(x, out=frozen),
        lambda: model.run(x, out=y[:, :1]), lambda: model.run(x, out=y.astype(np.float64)),
        lambda: model.run(x, out=y[::-1]), lambda: model.run(x, out=y.tolist()),
        lambda: model.run(x, lengths=[6, 1]), lambda: model.run(x, lengths=[0, 1]),
        lambda: model.run(x, lengths=[1.0, 1.0]), lambda: model.run(x, lengths=[1]),
        lambda: model.run(x, lengths=[2**62, 1]), lambda: model.run(x, lengths=5),
        lambda: model.run(x, state=(state,)), lambda: model.run(x, state=(state, state[:, :1])),
        lambda: model.run(x, state=(state[..., :7], state)), lambda: model.run(x, state=state),
        lambda: model.run(x, state=(state > 0, state)),
    ]  # fmt: skip
    one_refused(rng, calls, "run")
    oracle.check_same_bits({"y": model.run(x)[0]}, {"y": before}, "after a refused run")


def _stream(rng: Rng) -> None:
    model, x = _model(rng), np.ones((2, 4), np.float32)
    stream = model.stream(2)
    stream.step(x)
    before, y = stream.state, np.empty((2, 8), np.float32)
    frozen = y.copy()
    frozen.flags.writeable = False
    zeros = np.zeros((2, 2, 8), np.float32)
    calls: list[Callable[[], Any]] = [
        lambda: stream.step(x[0]), lambda: stream.step(x[:, :3]), lambda: stream.step(x[None]),
        lambda: stream.step(x.astype(complex)), lambda: stream.step(None),
        lambda: stream.step(x, y[:1]), lambda: stream.step(x, y.astype(np.float64)),
        lambda: stream.step(x, frozen), lambda: stream.step(x, y[:, ::-1]),
        lambda: stream.step(x[:1], y), lambda: stream.step(unaligned(x)[:, :3], y),
        lambda: stream.step(x, unaligned(frozen)[:1]),
        lambda: setattr(stream, "state", (zeros,)), lambda: setattr(stream, "state", zeros),
        lambda: setattr(stream, "state", (zeros, zeros[:1])),
        lambda: setattr(stream, "state", (zeros, zeros.astype(str))),
        lambda: model.stream(0), lambda: model.stream(-1), lambda: model.stream(-(2**62)),
    ]  # fmt: skip
    one_refused(rng, calls, "step")
    for name, a, b in zip("hc", stream.state, before, strict=True):
        oracle.check_same_bits({name: a}, {name: b}, "after a refused step")


def _huge_stream(rng: Rng) -> None:
    batch = pick(rng, (*HUGE, 2**63, 2**64, 1.5, "2", None))
    refused(lambda: _model(rng).stream(batch), f"stream({batch!r})")


# --- the core ------------------------------------------------------------------------------------


def _network(rng: Rng) -> None:
    def ones(*shape: int) -> Any:
        return np.ones(shape, np.float32)

    own = [ones(32, 4), ones(32, 8), ones(32), ones(32)]
    net, x, y, h = arrays.Network([own]), ones(5, 2, 4), ones(5, 2, 8), ones(1, 2, 8)
    n = pick(rng, HUGE)
    calls: list[Callable[[], Any]] = [
        lambda: arrays.Network([[own[0][:, :3], own[1][:, :3], *own[2:]]]),
        lambda: arrays.Network([[own[0][:31], *own[1:]]]),
        lambda: arrays.Network([own, own]),
        lambda: arrays.Network([[*own[:2], own[2].astype(np.float64), own[3]]]),
        lambda: arrays.Network([own], projection=9),
        lambda: arrays.Network([own[:3]]),
        lambda: net.forward(x[..., :3], h, h, y, h, h), lambda: net.forward(x[0], h, h, y, h, h),
        lambda: net.forward(x, h[:, :1], h, y, h, h), lambda: net.forward(x, h, h, y[1:], h, h),
        lambda: net.forward(x.astype(np.float64), h, h, y, h, h),
        lambda: net.forward(x, h, h, y[..., ::-1], h, h),
        lambda: net.forward(x, h, h, y, h, h, ones(3)),
        lambda: net.forward(x[0], h, h, y[0], h, h, batch_sizes=np.array([1, 2])),
        lambda: net.forward(x[0], h, h, y[0], h, h, batch_sizes=np.array([3, -1])),
        lambda: net.forward(x[0], h, h, y[0], h, h, batch_sizes=np.array([2**62] * 4)),
        lambda: net.forward(x[0], h, h, y[0], h, h, batch_sizes=np.array([], np.int64)),
        lambda: net.tape(n, 2), lambda: net.tape(2, n), lambda: net.tape(n, n),
        lambda: net.tape(-1, 2), lambda: net.tape(2, -5),
    ]  # fmt: skip
    one_refused(rng, calls, "the core")


KINDS: dict[str, Callable[[Rng], None]] = {
    "input": lambda rng: judged(rng, _bad_input),
    "huge input": lambda rng: judged(rng, _huge_input),
    "state": lambda rng: judged(rng, _bad_state),
    "packed": lambda rng: judged(rng, _bad_packed),
    "lengths": lambda rng: judged(rng, _bad_lengths),
    "attributes": lambda rng: judged(rng, _false_attributes),
    "parameters": lambda rng: judged(rng, _false_parameters),
    "construction": _construction,
    "run": _runtime,
    "stream": _stream,
    "huge stream": _huge_stream,
    "network": _network,
}
