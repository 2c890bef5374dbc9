"""Valid calls of `gatewise.nn.LSTM`: forward and backward, padded, packed and with `lengths`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tests.fuzz import draws, oracle, watch
from tests.fuzz.draws import Laid, Rng, Sizes, chance, pick
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gatewise import _native, native_info
from gatewise.nn import LSTM, masks

HAS_REGULARISERS = 0.15
LAYOUT_DRAWS = ("padded", "padded", "packed", "sorted packed", "lengths")


class Case:
    """One drawn call: a module, its inputs, and how it is called."""

    def __init__(self, rng: Rng, number: int) -> None:
        self.rng, self.number = rng, number
        self.sizes = s = draws.sizes(rng)
        self.cell = draws.cell(rng)
        self.dtype = pick(rng, (torch.float32, torch.float32, torch.float64))
        self.kind = pick(rng, ("normal",) * 12 + ("subnormal", "nan", "inf", "huge"))
        self.options: dict[str, Any] = {
            "num_layers": s.L, "bidirectional": s.D == 2, "proj_size": s.proj,
            "bias": chance(rng, 0.8), "batch_first": chance(rng, 0.4), "dtype": self.dtype,
            "cell": self.cell, "checkpoint_every": pick(rng, draws.CHECKPOINTS),
            "learn_initial_state": chance(rng, 0.1),
        }  # fmt: skip
        self.bfloat16 = self.dtype == torch.float32 and chance(rng, 0.08)
        if self.bfloat16:
            self.options["precision"] = "bfloat16"
        elif chance(rng, HAS_REGULARISERS):
            self.options |= {
                name: pick(rng, rates)
                for name, rates in (("recurrent_dropout", (0.0, 0.4)), ("weight_dropout", (0, 0.4)),
                                    ("zoneout", (0.0, 0.25, (0.3, 0.0), (0.1, 0.2))),
                                    ("dropout", (0.0, 0.3) if s.L > 1 else (0.0,)))
            }  # fmt: skip
        self.training = chance(rng, 0.7)
        self.form = pick(rng, LAYOUT_DRAWS)
        self.lengths = None if self.form == "padded" else draws.lengths(rng, s.T, s.B)
        if self.form == "sorted packed":
            self.lengths = np.sort(self.lengths)[::-1].copy()
        self.given_state = chance(rng, 0.6)
        self.unbatched = self.form == "padded" and s.B == 1 and chance(rng, 0.3)
        self.threads = pick(rng, draws.THREADS)
        self.isa = pick(rng, native_info()["available"])

        torch.manual_seed(number)
        self.lstm = LSTM(s.I, s.H, **self.options).train(self.training)
        self.arrays = self._draw_arrays(s)

    def __repr__(self) -> str:
        laid = {name: a.name for name, a in self.arrays.items() if a.name != "dense"}
        return (f"{self.sizes} {self.options} {self.form} {self.kind} training={self.training} "
                f"threads={self.threads} isa={self.isa} {laid} "
                f"lengths={None if self.lengths is None else self.lengths.tolist()}")  # fmt: skip

    def _draw_arrays(self, s: Sizes) -> dict[str, Laid]:
        rng, dtype, k = self.rng, self.dtype, s.L * s.D
        batch = (s.B, s.T) if self.options["batch_first"] else (s.T, s.B)
        shapes = {"x": (*batch, s.I), "dy": (*batch, s.D * s.P),
                  "h0": (k, s.B, s.P), "c0": (k, s.B, s.H),
                  "dh": (k, s.B, s.P), "dc": (k, s.B, s.H)}  # fmt: skip
        if self.unbatched:
            shapes["x"], shapes["dy"] = (s.T, s.I), (s.T, s.D * s.P)
            shapes |= {n: (k, shapes[n][2]) for n in ("h0", "c0", "dh", "dc")}
        return {
            n: draws.laid(rng, shape, dtype, self.kind if n in ("x", "h0") else "normal")
            for n, shape in shapes.items()
        }

    def input_of(self, x: torch.Tensor) -> Any:
        if self.form in ("packed", "sorted packed"):
            ends = torch.from_numpy(np.asarray(self.lengths))
            return pack_padded_sequence(
                x, ends, self.options["batch_first"], enforce_sorted=self.form == "sorted packed"
            )
        return x

    def run(self, lstm: LSTM, threads: int) -> dict[str, torch.Tensor]:
        """Outputs and gradients by name, y padded."""
        leaves = {n: a.leaf.detach().clone() if a.name != "unaligned"
                  else torch.from_numpy(draws.unaligned(a.leaf.numpy()))
                  for n, a in self.arrays.items()}  # fmt: skip
        before = {n: leaf.clone() for n, leaf in leaves.items()}
        for name in ("x", "h0", "c0"):
            leaves[name].requires_grad_(self.training)
        seen = {n: a.view(leaves[n]) for n, a in self.arrays.items()}
        hx = (seen["h0"], seen["c0"]) if self.given_state else None
        extra = {"lengths": self.lengths.tolist()} if self.form == "lengths" else {}  # type: ignore[union-attr]
        input = self.input_of(seen["x"])
        lstm.zero_grad()
        torch.manual_seed(self.number)
        torch.set_num_threads(threads)
        try:
            with watch.one_call(), torch.set_grad_enabled(self.training):
                y, (h, c) = lstm(input, hx, **extra)
            if isinstance(y, PackedSequence):
                y = pad_packed_sequence(y, self.options["batch_first"], 0.0, self.sizes.T)[0]
            if self.training:
                with watch.one_call():
                    torch.autograd.backward((y, h, c), [seen[n] for n in ("dy", "dh", "dc")])
        finally:
            torch.set_num_threads(1)
        oracle.check_same_bits(leaves, before, "after the call, which must only read it")
        found = {"y": y, "h_n": h, "c_n": c}
        if self.training:
            wanted = ("x", "h0", "c0") if self.given_state else ("x",)
            found |= {f"d{n}": leaves[n].grad for n in wanted}
            found |= {n: p.grad for n, p in lstm.named_parameters() if p.grad is not None}
        return {n: t.detach() for n, t in found.items() if t is not None}

    def expected(self, off: Any = lambda a: a) -> dict[str, Any]:
        """The same by the reference, in float64, with the gradients of the leaves."""
        s, D, lstm = self.sizes, self.sizes.D, self.lstm
        leaves = {n: a.leaf.double() for n, a in self.arrays.items()}
        if self.kind == "subnormal":  # the core flushes them
            leaves |= {n: torch.zeros_like(leaves[n]) for n in ("x", "h0")}
        seen = {n: a.view(leaves[n]) for n, a in self.arrays.items()}
        if self.unbatched:
            seen = {n: t.unsqueeze(1) for n, t in seen.items()}
        elif self.options["batch_first"]:
            seen |= {n: seen[n].transpose(0, 1) for n in ("x", "dy")}
        T = s.T if self.lengths is None else int(self.lengths.max())
        numbers = {n: off(t.detach().numpy()) for n, t in seen.items()}
        if not self.given_state:
            for name, size in (("h", s.P), ("c", s.H)):
                zeros = np.zeros((s.L * D, s.B, size))
                learnt = lstm.learn_initial_state
                numbers[f"{name}0"] = zeros + (
                    off(getattr(lstm, f"{name}_0").detach().double().numpy()) if learnt else 0
                )
        torch.manual_seed(self.number)
        drawn = masks.draw(lstm, T, s.B) if lstm.is_regularised else None
        grads = tuple(numbers[n] for n in ("dy", "dh", "dc"))
        found = oracle.by_reference(
            lstm, numbers["x"][:T], numbers["h0"], numbers["c0"],
            (grads[0][:T], *grads[1:]) if self.training else None,
            drawn, self._dropouts(T), self.lengths, off,
        )  # fmt: skip

        def whole(a: Any) -> Any:  # all T steps again
            return np.concatenate([a, np.zeros((s.T - T, *a.shape[1:]))])

        def as_given(name: str, a: Any) -> Any:
            if self.unbatched:
                return a[:, 0]
            return a.swapaxes(0, 1) if self.options["batch_first"] and name in ("y", "dx") else a

        for name in ("y", "dx"):
            if name in found:
                found[name] = whole(found[name])
        if self.training and lstm.learn_initial_state and not self.given_state:
            found |= {f"{n}_0": found[f"d{n}0"].sum(axis=1, keepdims=True) for n in "hc"}
        shown = ("y", "h_n", "c_n", "dx", "dh0", "dc0")
        found |= {n: as_given(n, found[n]) for n in shown if n in found}
        if self.training:
            self._to_leaves(found, leaves)
        return found

    def _to_leaves(self, found: dict[str, Any], leaves: dict[str, torch.Tensor]) -> None:
        """Gradients of views become those of the memory behind them."""
        for name in ("x", "h0", "c0"):
            if name != "x" and not self.given_state:
                found.pop(f"d{name}")
                continue
            leaf = leaves[name].detach().requires_grad_()
            view = self.arrays[name].view(leaf)
            gradient = torch.from_numpy(np.ascontiguousarray(found[f"d{name}"], np.float64))
            found[f"d{name}"] = torch.autograd.grad(view, leaf, gradient)[0].numpy()

    def _dropouts(self, T: int) -> list[Any]:
        """PyTorch's own masks between layers, which are drawn after all others."""
        s, p = self.sizes, self.lstm.dropout
        if not (p and self.training):
            return []
        found = []
        for _ in range(s.L - 1):
            if self.lengths is None:
                ones = torch.ones(T, s.B, s.D * s.P, dtype=self.dtype)
                found.append(functional.dropout(ones, p).double().numpy())
                continue
            packed = pack_padded_sequence(
                torch.ones(T, s.B, s.D * s.P, dtype=self.dtype),
                torch.from_numpy(self.lengths), enforce_sorted=False,
            )  # fmt: skip
            mask = packed._replace(data=functional.dropout(packed.data, p))
            found.append(pad_packed_sequence(mask)[0].double().numpy())
        return found


def run(rng: Rng, number: int) -> str:
    """One call; returns what was compared.

    Raises:
        WrongResultError: it is not what it must be.
    """
    case = Case(rng, number)
    _native.select_isa(case.isa)
    try:
        return check(case)
    except Exception as fault:
        fault.add_note(repr(case))
        raise


def check(case: Case) -> str:
    weights = {n: p.detach().clone() for n, p in case.lstm.named_parameters()}
    got = case.run(case.lstm, case.threads)
    again = case.run(case.lstm, 1)
    oracle.check_same_bits(got, again, f"with {case.threads} threads than with 1")
    oracle.check_same_bits(
        dict(case.lstm.named_parameters()), weights, "after the call, which must only read it"
    )
    if case.kind == "huge":
        return "bits"
    with np.errstate(all="ignore"):
        expected = case.expected()
        if case.kind in ("nan", "inf"):
            # The reference multiplies by masks, where the core chooses: 0 times infinity is NaN.
            masked = case.lengths is not None or case.lstm.is_regularised
            if masked or oracle.is_unbounded(case.cell):
                return "bits"
            expected = {n: expected[n] for n in ("y", "h_n", "c_n")}
        elif oracle.is_wild(expected):
            return "bits"
        single = np.float32 if case.dtype == torch.float32 else np.float64
        otherwise = oracle.rounded_otherwise(case.expected, case.cell, single)
        tolerance = oracle.BFLOAT16_TOLERANCE if case.bfloat16 else None
        if case.bfloat16:
            expected = {n: expected[n] for n in ("y", "h_n", "c_n")}
        oracle.check_near(got, expected, single, otherwise, tolerance)
    return "oracle"
