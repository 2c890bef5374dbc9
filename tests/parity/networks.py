"""Whole networks of any cell on the core and by the reference: outputs and every gradient."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gatewise import Cell, _native, reference
from gatewise._native import arrays

NOISES = ("none", "recurrent", "zoneout", "rates", "weight", "all")
RATES = (0.25, 0.125)
STATES = ("h_n", "c_n", "dh0", "dc0")


@dataclass(frozen=True)
class Setup:
    """A network and a batch for it; `noise` is one of `NOISES`, weights' masks part of w_hh."""

    cell: Cell = field(default_factory=Cell)
    T: int = 5
    B: int = 4
    I: int = 3
    H: int = 7
    proj: int = 0
    layers: int = 1
    directions: int = 1
    noise: str = "none"
    ragged: bool = False
    dtype: Any = np.float64


@dataclass(frozen=True)
class Problem:
    """What a call is given, padded: rows in falling order of length, masks [L*D, ...]."""

    setup: Setup
    parameters: list[dict[str, Any]]
    x: Any
    h0: Any
    c0: Any
    grads: tuple[Any, Any, Any]
    noise: arrays.Noise
    lengths: Any = None

    def rows(self, part):
        """The same of some rows alone."""
        lengths, setup = self.lengths, self.setup
        T = setup.T if lengths is None else int(lengths[part].max())
        dy, dh, dc = self.grads
        masks = [
            None if mask is None else np.ascontiguousarray(mask[:, part] if k == 0 else
                                                           mask[:, :T, part])
            for k, mask in enumerate(self.noise[:3])
        ]  # fmt: skip
        return Problem(
            replace(setup, T=T, B=len(range(setup.B)[part])),
            self.parameters,
            *(np.ascontiguousarray(a) for a in (self.x[:T, part], self.h0[:, part],
                                                self.c0[:, part])),
            tuple(np.ascontiguousarray(g) for g in (dy[:T, part], dh[:, part], dc[:, part])),
            self.noise if self.noise is arrays.NO_NOISE else arrays.Noise(*masks, self.noise.rates),
            None if lengths is None else lengths[part],
        )  # fmt: skip


def draw_tame(setup, seed=0):
    """Return a problem and what the reference makes of it; nothing explodes.

    Gates without bounds multiply the state: the parameters are halved until that ends.
    """
    for scale in (1.0, 0.5, 0.2, 0.05, 0.02):
        problem = draw(setup, seed, scale)
        with np.errstate(over="ignore", invalid="ignore"):
            expected = by_reference(problem)
        if all(  # a NaN is not below it either
            np.abs(a).max(initial=0) <= (1e4 if name[0] == "d" else 100)
            for name, a in expected.items()
        ):
            return problem, expected
    raise AssertionError(f"{setup} explodes, so there is nothing to compare with")


def by_reference_rounded_otherwise(problem, draws=3, units=1.0):
    """Results of the reference with every number off by half a unit of its last place, or more."""
    rng, half_unit = np.random.default_rng(0), units * np.finfo(problem.setup.dtype).epsneg

    def off(a):
        return None if a is None else a * (1 + rng.choice([-1.0, 1.0], a.shape) * half_unit)

    for _ in range(draws):
        yield by_reference(
            replace(
                problem,
                parameters=[{n: off(a) for n, a in own.items()} for own in problem.parameters],
                **{n: off(getattr(problem, n)) for n in ("x", "h0", "c0")},
                grads=tuple(map(off, problem.grads)),
            )
        )


def draw(setup, seed=0, scale=1.0):
    """Numbers exact in the dtype; `scale` is that of the parameters."""
    rng = np.random.default_rng(seed)
    T, B, I, H, P = setup.T, setup.B, setup.I, setup.H, setup.proj or setup.H
    k, D = setup.layers * setup.directions, setup.directions

    def normal(*shape, scale=1.0):
        return (scale * rng.standard_normal(shape)).astype(setup.dtype)

    def mask(p, *shape):
        return (rng.random(shape) < p).astype(setup.dtype)

    names = _native.parameter_names(setup.cell, setup.proj)
    parameters = []
    for layer_and_direction in range(k):
        inputs = I if layer_and_direction < D else D * P
        own = {}
        for name, shape in _native.parameter_shapes(names, inputs, H, setup.proj).items():
            size = 1.0 if setup.cell.layer_norm and name in ("w_ih", "w_hh") else scale
            own[name] = normal(
                *shape, scale=size / np.sqrt((shape[-1] or 1) if name[0] == "w" else 2)
            )
            if name.startswith("norm"):
                own[name][0] = setup.dtype(scale) * (1 + own[name][0] / 4)
        if setup.noise in ("weight", "all"):
            own["w_hh"] *= 2 * mask(0.5, *own["w_hh"].shape)
        parameters.append(own)

    masks, rates = [None, None, None], (0.0, 0.0)
    if setup.noise in ("recurrent", "all"):
        masks[0] = mask(0.5, k, B, P) * setup.dtype(2)
    if setup.noise in ("zoneout", "all"):
        masks[1:] = mask(0.3, k, T, B, P), mask(0.2, k, T, B, H)
    if setup.noise == "rates":
        rates = RATES
    noise = arrays.NO_NOISE if setup.noise in ("none", "weight") else arrays.Noise(*masks, rates)
    lengths = np.sort(rng.integers(1, T + 1, B))[::-1] if setup.ragged else None
    if setup.ragged:
        lengths[0] = T
    return Problem(
        setup, parameters, normal(T, B, I), normal(k, B, P), normal(k, B, H),
        (normal(T, B, D * P), normal(k, B, P), normal(k, B, H)), noise, lengths,
    )  # fmt: skip


def native(problem, threads=1):
    """Outputs and gradients by name; all room, that of the tape too, is full of NaN before."""
    s, p = problem.setup, problem
    names = _native.parameter_names(s.cell, s.proj)
    net = arrays.Network(
        [[own[n] for n in names] for own in p.parameters], s.directions, False, s.cell, s.proj
    )
    runs = sizes = None
    if s.ragged:
        runs = np.arange(s.T)[:, None] < p.lengths
        sizes = runs.sum(1)

    def pack(a, axis=0):
        if a is None or runs is None:
            return a
        return np.ascontiguousarray(a[runs] if axis == 0 else a[:, runs])

    def unpack(a):
        if runs is None:
            return a
        padded = np.zeros((s.T, s.B, a.shape[-1]), a.dtype)
        padded[runs] = a
        return padded

    def room(*shape):
        return np.full(shape, np.nan, s.dtype)

    mask, zone_h, zone_c, rates = p.noise
    noise = p.noise
    if noise is not arrays.NO_NOISE:
        noise = arrays.Noise(mask, pack(zone_h, 1), pack(zone_c, 1), rates)
    x, dy = pack(p.x), pack(p.grads[0])
    y, dx = room(*dy.shape), room(*x.shape)
    h_n, c_n, dh0, dc0 = (room(*a.shape) for a in (p.h0, p.c0, p.h0, p.c0))
    tape = net.tape(s.T, s.B, 0, sizes)
    tape.fill(np.nan)
    call = {"threads": threads, "batch_sizes": sizes, "noise": noise}
    net.forward(x, p.h0, p.c0, y, h_n, c_n, tape, **call)
    # b_ih and b_hh have one gradient.
    found = [{n: room(*own[n].shape) for n in names if n != "b_hh"} for own in p.parameters]
    gradients = [list(own.values()) for own in found]
    net.backward(x, p.h0, p.c0, y, tape, dy, *p.grads[1:], dx, dh0, dc0, gradients, **call)
    out = {"y": unpack(y), "h_n": h_n, "c_n": c_n, "dx": unpack(dx), "dh0": dh0, "dc0": dc0}
    return out | {f"d{n}_{k}": v for k, own in enumerate(found) for n, v in own.items()}


def evaluated(problem, threads=1):
    """y, h_n and c_n without a tape, of a batch that is not ragged."""
    s, p = problem.setup, problem
    names = _native.parameter_names(s.cell, s.proj)
    parameters = [[own[n] for n in names] for own in p.parameters]
    net = arrays.Network(parameters, s.directions, False, s.cell, s.proj)
    out = {"y": np.empty_like(p.grads[0]), "h_n": np.empty_like(p.h0), "c_n": np.empty_like(p.c0)}
    net.forward(p.x, p.h0, p.c0, *out.values(), threads=threads, noise=p.noise)
    return out


def by_reference(problem):
    """The same by `gatewise.reference`, in float64."""
    s, p = problem.setup, problem
    mask, zone_h, zone_c, rates = p.noise
    D, P = s.directions, s.proj or s.H
    runs, x = [], p.x
    for k, own in enumerate(p.parameters):
        zones = rates if zone_h is None else (zone_h[k], zone_c[k])
        runs.append(
            reference.forward(
                x, reference.weights(**own), p.h0[k], p.c0[k], s.cell,
                recurrent_mask=None if mask is None else mask[k], zoneout=zones,
                lengths=p.lengths, reverse=k % D == 1,
            )
        )  # fmt: skip
        if k % D == D - 1:
            x = np.concatenate([run.y for run in runs[-D:]], axis=2)
    out = {"y": x, "h_n": np.stack([r.h for r in runs]), "c_n": np.stack([r.c for r in runs])}
    dy, dh, dc = p.grads
    back = [None] * len(runs)
    for layer in reversed(range(s.layers)):
        own = range(layer * D, (layer + 1) * D)
        for d, k in enumerate(own):
            back[k] = reference.backward(runs[k], dy[:, :, d * P : (d + 1) * P], dh[k], dc[k])
        dy = sum(back[k].x for k in own)
    out |= {"dx": dy, "dh0": np.stack([b.h0 for b in back]), "dc0": np.stack([b.c0 for b in back])}
    names = [n for n in p.parameters[0] if n != "b_hh"]
    return out | {f"d{n}_{k}": getattr(b.weights, n) for k, b in enumerate(back) for n in names}
