"""What an activation was given: its points stand on its curve, in numbers and in pictures."""

import numpy as np
import pytest
import torch
from traced_cells import CELLS, lstm_of

from gatewise import Cell
from gatewise.cell import SITES
from gatewise.errors import ConfigError
from gatewise.trace import operating, plot_operating_points, plot_sites, record
from gatewise.trace.measures import site_input

X = torch.randn(9, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
KINDS = [{}, {"zoneout": (0.2, 0.4)}, {"zoneout": (0.2, 0.0), "proj_size": 3}]
every_kind = pytest.mark.parametrize("kw", KINDS, ids=repr)
every_cell = pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)


def has_input(cell, site):
    return site == "cell_output" or cell.used_gates[SITES.index(site)]


@every_kind
@every_cell
def test_the_input_of_a_site_gives_its_output(cell, kw):
    trace = record(lstm_of(cell, num_layers=2, bidirectional=True, **kw), X, lengths=[9, 4, 6])
    for site in SITES:
        found = site_input(trace, site)
        if not has_input(cell, site):
            assert found is None
            continue
        y = trace.cell.activation(site).function(found.values)
        valid = np.isfinite(y)
        assert valid.sum() == 2 * 2 * 6 * (9 + 4 + 6)
        np.testing.assert_allclose(trace.data[site].values[valid], y[valid], rtol=1e-11, atol=1e-12)


@every_kind
@every_cell
def test_the_dots_of_the_pictures_stand_on_the_curves(cell, kw):
    trace = record(lstm_of(cell, **kw), X)
    for figure, sites in (
        (plot_sites(trace), SITES),
        (plot_operating_points(trace), ("candidate", "cell_output")),
    ):
        for axis, site in zip(figure.axes, sites, strict=False):
            (dots,) = axis.collections
            x, y = dots.get_offsets().T
            assert len(x) == (9 * 3 * 6 if has_input(cell, site) else 0)
            np.testing.assert_allclose(
                cell.activation(site).function(np.asarray(x)), y, rtol=1e-11, atol=1e-12
            )


def test_the_forget_gate_of_a_coupled_cell_is_drawn_without_a_curve():
    axis = plot_sites(record(lstm_of(CELLS["coupled"]), X)).axes[1]
    assert axis.get_title(loc="left") == "forget gate: 1 - i"
    assert not axis.lines


@pytest.mark.parametrize(
    ("cell", "site"),
    [(Cell(coupled=True), "forget_gate"), (Cell(output_gate="one"), "output_gate")],
    ids=repr,
)
def test_a_site_without_an_input_works_nowhere(cell, site):
    with pytest.raises(ConfigError, match=f"{site} of .* has no input of its own"):
        operating(record(lstm_of(cell), X), site)


@pytest.mark.parametrize("cell", [Cell(), Cell(layer_norm=True)], ids=repr)
@pytest.mark.parametrize("zoneout", [0.0, 0.4])
def test_operating_counts_what_psi_sees(cell, zoneout):
    trace = record(lstm_of(cell, zoneout=zoneout), X)
    seen = np.arctanh(trace.data["cell_output"].values)
    expected = (abs(seen) > 0.5).mean((2, 3))
    np.testing.assert_allclose(operating(trace, "cell_output", 0.5), expected)
