"""The explorer's page with odd models: of other sizes, coupled, overflowing, of one unit."""

import pytest
import torch
from tests.e2e.browser import pick, until

from gatewise.cell import Cell
from gatewise.explorer.model import model_data
from gatewise.explorer.page import page_of
from gatewise.nn import LSTM


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Models of other sizes; a coupled one; one that overflows when its squashes are taken away."""
    torch.manual_seed(0)
    small, large = torch.nn.LSTM(2, 3), torch.nn.LSTM(2, 16)
    wild = torch.nn.LSTM(2, 4)
    with torch.no_grad():
        for parameter in wild.parameters():
            parameter.copy_(torch.randn_like(parameter) * 3)
    models = [
        model_data(m, torch.randn(n, 1, 2), name=name, readout=torch.nn.Linear(m.hidden_size, 1))
        for m, n, name in (
            (small, 10, "small"), (large, 60, "large"), (wild, 400, "wild"),
            (LSTM(2, 4, cell=Cell(coupled=True)), 20, "coupled"),
            (torch.nn.LSTM(2, 1), 1, "one step"),
        )
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("odd") / "page.html"
    path.write_text(page_of(models), "utf-8")
    return path


@pytest.mark.parametrize("sort", ["memory", "saturation", "influence"])
def test_a_larger_model_is_chosen_on_a_sorted_view(opened, odd, sort):
    page = opened(odd, f"#view=time&sort={sort}&unit=15&model=0")
    pick(page, model=1)
    until(page, "document.querySelector('[data-testid=unit]').options.length === 16")
    page.wait_for_timeout(300)
    assert "60" in page.get_by_test_id("zoom-out").text_content()


def test_infinite_values_leave_the_maps_readable(opened, odd):
    swaps = "candidate.identity;cell_output.identity;forget_gate.identity;input_gate.relu"
    for view in ("time", "cell", "swap"):
        page = opened(odd, f"#view={view}&model=2&unit=1&step=350&swap={swaps}")
        page.wait_for_timeout(500)
        told = page.locator("main").text_content()
        assert "∞" in told or "–" in told  # the run does overflow
        assert "Infinity" not in told
        assert "NaN" not in told
        for scale in page.locator(".scale").all_text_contents():
            assert "∞" not in scale


def test_a_coupled_cell_has_no_forget_gate_to_swap(opened, odd):
    page = opened(odd, "#view=swap&model=3&swap=forget_gate.relu")
    assert "nothing is changed" in page.get_by_test_id("readout-change").text_content()
    assert page.get_by_text("Changed:").count() == 0


def test_a_network_of_one_unit_and_one_step(opened, odd):
    for view in ("cell", "time", "gradient", "swap"):
        page = opened(odd, f"#view={view}&model=4")
        page.wait_for_timeout(300)
        assert page.get_by_role("alert").count() == 0, view
        assert page.locator("main svg, main canvas").count() > 0, view


def test_the_speed_of_training_is_kept_between_views(opened, odd):
    page = opened(odd, "#view=train")
    pick(page, **{"train-speed": "1"})
    page.get_by_test_id("tab-cell").click()
    page.get_by_test_id("tab-train").click()
    assert page.get_by_test_id("train-speed").input_value() == "1"
