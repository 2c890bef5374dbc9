"""What the WebAssembly module is held to: the native portable build, bit for bit.

Two things are left out. WebAssembly does not say which NaN an operation gives; and it has no mode
that flushes subnormal numbers to zero, as the native core does: they count as the zeros that they
are there.
"""

import platform
from dataclasses import replace

import numpy as np
import pytest
from wasm_module import ACTIVITY

from gatewise import _native
from gatewise._native import arrays

TINY = np.finfo(np.float32).tiny
FUSES_NOTHING = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"),
    reason="the portable build fuses multiply-adds on other processors",
)


def single(setup):
    return replace(setup, dtype=np.float32)


def same_bits(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        own = found[name]
        assert own.shape == array.shape, name
        flushed = np.where(np.abs(own) < TINY, np.copysign(np.float32(0), own), own)
        same = (flushed.view(np.uint32) == array.view(np.uint32)) | (
            np.isnan(own) & np.isnan(array)
        )
        assert same.all(), f"{name}: {(~same).sum()} of {array.size} differ"


def by_native(problem, edits=None, keep=True):
    p, s = problem, problem.setup
    names = _native.parameter_names(s.cell, s.proj)
    count, P = s.layers * s.directions, s.proj or s.H
    net = arrays.Network(
        [[own.get(n) for n in names] for own in p.parameters], s.directions, False, s.cell, s.proj
    )

    def room(*shape):
        return np.zeros(shape, np.float32)

    out = {
        "y": room(s.T, s.B, s.directions * P),
        "h_n": room(count, s.B, P),
        "c_n": room(count, s.B, s.H),
    }
    tape = net.tape(s.T, s.B) if keep else None
    net.forward(p.x, p.h0, p.c0, *out.values(), tape, edits=edits)
    if keep:
        activity = {name: room(count, s.T, s.B, s.H) for name in ACTIVITY}
        net.read_tape(p.x, tape, **activity)
        out |= activity
    if keep and not edits:
        own = [{n: room(*w.shape) for n, w in p.items() if n != "b_hh"} for p in p.parameters]
        wanted = [[w.get(n) for n in names if n != "b_hh"] for w in own]
        states = {"dx": room(*p.x.shape), "dh0": room(count, s.B, P), "dc0": room(count, s.B, s.H)}
        gates = room(count, s.T, s.B, 4, s.H)
        net.backward(
            p.x, p.h0, p.c0, out["y"], tape, *p.grads, *states.values(), wanted,
            gate_gradients=gates,
        )  # fmt: skip
        out |= states | {"gates": gates}
        out |= {f"d{n}_{k}": a for k, w in enumerate(own) for n, a in w.items()}
    return out


def edits_of(setup, sites, seed=1):
    """Numbers at a third of the places, NaN at the others."""
    rng = np.random.default_rng(seed)
    shape = (setup.layers * setup.directions, setup.T, setup.B, setup.H)
    return {
        site: np.where(rng.random(shape) < 1 / 3, rng.standard_normal(shape), np.nan).astype("f4")
        for site in sites
    }
