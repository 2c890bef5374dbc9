"""Which input moves which unit, as the page tells it."""

import numpy as np
import pytest
import torch
from traced_cells import lstm_of

from gatewise.trace import record
from gatewise.trace.inspection import inspection
from gatewise.trace.report import write_inspection

STEPS = torch.randn(30, 1, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def seen(lstm, x):
    return inspection(lstm, x, pictures=[])


def test_one_step_has_no_spread_to_compare_with(tmp_path):
    found = seen(lstm_of(), STEPS[:1])
    assert found.links == []
    assert "nothing to compare with" in found.links_note
    write_inspection(tmp_path / "page.html", lstm_of(), STEPS[:1])
    page = (tmp_path / "page.html").read_text()
    assert found.links_note in page
    assert "<th>moves</th>" not in page


def test_a_unit_that_stands_still_has_no_share():
    lstm = lstm_of()
    with torch.no_grad():
        for parameter in lstm.parameters():
            parameter[12 + 2] = 0  # the candidate of unit 2
    for row in seen(lstm, STEPS).links:
        assert "unit 2 " not in row["units"]
        assert row["units"].count("unit") == 3


def test_a_share_is_the_influence_in_standard_deviations_of_the_unit():
    lstm = lstm_of()
    with torch.no_grad():
        for parameter in lstm.parameters():
            parameter.zero_()
        lstm.weight_ih_l0[12 + 3, 1] = -2.0
    found = seen(lstm, STEPS)
    c = found.trace.data["cell_state"].values[0, 0, :, 0, 3]
    share = float(found.links[1]["units"].split("(")[1].split(")")[0].replace("−", "-"))
    assert found.links[1]["units"].startswith("unit 3 down")
    raised = STEPS[:, 0, 1].std(correction=0) * torch.eye(4, dtype=torch.float64)[1]
    up, down = (
        record(lstm, STEPS + sign * raised).data["cell_state"].values[..., 3].mean()
        for sign in (1, -1)
    )
    assert share == pytest.approx((up - down) / 2 / c.std(), abs=0.005)


@pytest.mark.parametrize(("inputs", "note"), [(20, ""), (25, "The first 20 of 25 inputs.")])
def test_what_is_left_out_is_told(inputs, note):
    x = np.random.default_rng(0).standard_normal((30, 1, inputs))
    found = seen(lstm_of(sizes=(inputs, 6)), x)
    assert len(found.links) == 20
    assert found.links_note == note
