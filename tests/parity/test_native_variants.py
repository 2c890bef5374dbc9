"""Every variant of the cell on the core, each instruction set, against the NumPy reference.

The variants are a pairwise covering set: any two values of any two factors meet in one case. The
error of an array is its largest difference as a part of the largest magnitude in it: at most 1e-12
in float64, 2e-5 in float32. Where layer norm of what hardly varies, or a gate without bounds, makes
more of one rounding, the reference says how much: from inputs that are rounded otherwise.
"""

from itertools import combinations

import numpy as np
import pytest
import torch
from cells import MIXED
from layers import TOLERANCE
from networks import NOISES, Setup, by_reference_rounded_otherwise, draw_tame, native
from pairwise import covering

from gatewise import Cell
from gatewise.cell import ACTIVATIONS, SITES
from gatewise.nn import LSTM, composite

# T, B, I, H, and the size of a projection; the third has more steps than backward takes at once.
SHAPES = [(1, 1, 2, 5, 3), (4, 7, 5, 17, 3), (8, 67, 3, 9, 4), (5, 2, 7, 33, 19), (7, 14, 2, 8, 7)]
FACTORS = {
    **dict.fromkeys(SITES, tuple(ACTIVATIONS)),
    "peephole": (False, True),
    "coupled": (False, True),
    "layer_norm": (False, True),
    "shape": SHAPES,
    "proj": (False, True),
    "directions": (1, 2),
    "layers": (1, 2, 3),
    "noise": NOISES,
    "ragged": (False, True),
    "dtype": (np.float64, np.float32),
}
REGULARISERS = {
    "none": {},
    "recurrent": {"recurrent_dropout": 0.4},
    "zoneout": {"zoneout": (0.3, 0.2)},
    "rates": {"zoneout": (0.25, 0.125)},
    "weight": {"weight_dropout": 0.4},
    "all": {"recurrent_dropout": 0.4, "zoneout": (0.3, 0.2), "weight_dropout": 0.4},
}
KINKED = {"hard_sigmoid", "hard_tanh", "relu"}
ROUNDINGS = 20
"""As many times what one rounding of all inputs changes is allowed for beside the bound."""
GREFF = [
    Cell(peephole=True),
    *(Cell(**{site: "one"}, peephole=True) for site in ("input_gate", "forget_gate",
                                                        "output_gate")),
    *(Cell(**{site: "identity"}, peephole=True) for site in ("candidate", "cell_output")),
    Cell(coupled=True, peephole=True),
    Cell(coupled=True),
]  # fmt: skip


def setup_of(row):
    row = dict(row)
    cell = Cell(**{name: row.pop(name) for name in (*SITES, "peephole", "coupled", "layer_norm")})
    T, B, I, H, P = row.pop("shape")
    return Setup(cell, T, B, I, H, P if row.pop("proj") else 0, **row)


COVERING = covering(FACTORS)
SETUPS = [setup_of(row) for row in COVERING]
every_setup = pytest.mark.parametrize("number", range(len(SETUPS)))


def compare(setup, seed=0, threads=1):
    problem, expected = draw_tame(setup, seed)
    got = native(problem, threads)
    assert got.keys() == expected.keys()
    otherwise = None
    for name, value in expected.items():
        error, allowed = difference(got[name], value), TOLERANCE[np.dtype(setup.dtype)]
        if error > allowed:
            otherwise = otherwise or list(by_reference_rounded_otherwise(problem))
            allowed += ROUNDINGS * max(difference(other[name], value) for other in otherwise)
        assert error <= allowed, f"{name} of {setup}: {error:.1e}"


def difference(got, expected):
    """The largest, as a part of the largest magnitude (or of 0.1, if all is smaller)."""
    assert got.shape == expected.shape
    return np.abs(got - expected).max() / max(np.abs(expected).max(), 0.1)


def test_the_set_holds_every_pair():
    assert len(COVERING) < 120
    for a, b in combinations(FACTORS, 2):
        met = {(row[a], row[b]) for row in COVERING}
        assert len(met) == len(FACTORS[a]) * len(FACTORS[b]), (a, b)


@every_setup
def test_outputs_and_gradients_equal_the_reference(isa, number):
    compare(SETUPS[number], seed=100 + number)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("cell", [*GREFF, *MIXED, Cell(layer_norm=True)], ids=repr)
def test_the_variants_of_the_literature_equal_the_reference(isa, cell, dtype):
    compare(Setup(cell, 6, 13, 5, 19, layers=2, directions=2, dtype=dtype))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("cell", [Cell(), *GREFF], ids=repr)
def test_few_units_and_inputs_equal_the_reference(isa, cell, dtype):
    compare(Setup(cell, 3, 2, 1, 1, layers=2, directions=2, dtype=dtype))
    compare(Setup(cell, 3, 2, 1, 3, proj=1, ragged=True, noise="all", dtype=dtype))
    compare(Setup(cell, 3, 9, 2, 4, proj=2, directions=2, ragged=True, dtype=dtype))
    compare(Setup(cell, 3, 2, 4, 2, proj=1, dtype=dtype))
    compare(Setup(cell, 3, 2, 3, 21, proj=3, dtype=dtype))


@every_setup
def test_gradcheck(isa, monkeypatch, number):
    """In float64, of a small network of the same kind; the core computes both sides."""
    setup = SETUPS[number]
    torch.manual_seed(number)
    lstm = LSTM(
        2, 4, setup.layers, cell=setup.cell, bidirectional=setup.directions == 2,
        proj_size=3 if setup.proj else 0, dtype=torch.float64, **REGULARISERS[setup.noise],
    ).train(setup.noise != "rates")  # fmt: skip
    states, P = setup.layers * setup.directions, lstm.proj_size or 4
    leaves = [torch.randn(s, dtype=torch.float64, requires_grad=True)
              for s in ((3, 2, 2), (states, 2, P), (states, 2, 4))]  # fmt: skip
    lengths = [2, 3] if setup.ragged else None
    named = dict(lstm.named_parameters())
    flat = torch.cat([p.detach().flatten() for p in named.values()])
    flat += 0.2 * torch.randn_like(flat)  # off the kinks at 0

    def call(x, h0, c0, flat):
        torch.manual_seed(0)  # of the masks
        parts = flat.split([p.numel() for p in named.values()])
        own = {n: part.view_as(p) for (n, p), part in zip(named.items(), parts, strict=True)}
        y, state = torch.func.functional_call(lstm, own, (x, (h0, c0), lengths))
        return y, *state

    monkeypatch.delattr(composite, "run_layers")  # what would use it fails
    assert torch.autograd.gradcheck(call, (*leaves, flat.requires_grad_()), fast_mode=True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_variants_at_random_equal_the_reference(isa, seed):
    """Run by `make test-variants`."""
    rng = np.random.default_rng(seed)
    for k in range(100):
        row = {name: values[rng.integers(len(values))] for name, values in FACTORS.items()}
        if KINKED & {row[site] for site in SITES}:
            row["dtype"] = np.float64  # in float32 one in so many numbers lies on the other side
        compare(setup_of(row), seed=1000 * seed + k, threads=int(rng.integers(1, 5)))
