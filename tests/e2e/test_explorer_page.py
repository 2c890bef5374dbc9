"""Every view of the explorer's page from a file: its values are those of `gatewise.trace`."""

import re

import numpy as np
import polars as pl
import pytest
import torch
from tests.e2e.browser import pick, until

import gatewise
from gatewise import _native, trace
from gatewise.cell import Cell
from gatewise.explorer.forecast import forecaster_data
from gatewise.explorer.model import model_data
from gatewise.explorer.page import page_of
from gatewise.forecast.explain.readout import Readout
from gatewise.nn import LSTM

T, I, H, L = 40, 3, 8, 2
VALUES = {
    "i": "input_gate", "f": "forget_gate", "g": "candidate", "o": "output_gate",
    "c": "cell_state", "h": "hidden_state",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def portable():
    """The page's core has the bits of the portable build."""
    before = _native.isa_name()
    _native.select_isa("portable")
    yield
    _native.select_isa(before)


def lstm_of(cell=None):
    torch.manual_seed(1)
    lstm = LSTM(I, H, L, cell=cell or Cell())
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in lstm.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.7)
    return lstm


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).standard_normal((T, 1, I)).astype(np.float32)


@pytest.fixture(scope="module")
def head():
    torch.manual_seed(3)
    return torch.nn.Linear(H, 1)


def bent():
    """A read-out with a layer before it."""
    rng = np.random.default_rng(4)
    V, a, W, b = (rng.standard_normal(n) for n in ((5, H), 5, (2, 5), 2))
    return Readout(V, a, W, b, np.ones(2), ["one", "two"])


@pytest.fixture(scope="module")
def path(tmp_path_factory, x, head):
    from gatewise.forecast import Forecaster

    table = pl.DataFrame({
        "ds": range(90), "y": [20.0 + t % 12 + 0.1 * t for t in range(90)],
    })  # fmt: skip
    forecaster = Forecaster.pretrained(6).fit(table)
    models = [
        model_data(lstm_of(), x, name="two layers", readout=head, outputs=["told"]),
        forecaster_data(forecaster, name="forecaster"),
        model_data(lstm_of(), x, name="bent", readout=bent()),
    ]
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(page_of(models), "utf-8")
    return path


def number(page, name):
    """The full number of an element."""
    return float(page.get_by_test_id(name).first.get_attribute("data-value"))


def go_to(page, step):
    page.get_by_test_id("step").fill(str(step))


def settled(page, name, wanted, tolerance=0.0):
    """Wait until an element shows a number."""
    until(
        page,
        """([name, wanted, tolerance]) => {
            const found = document.querySelector(`[data-testid="${name}"]`);
            return found && Math.abs(Number(found.dataset.value) - wanted) <= tolerance;
        }""",
        [name, wanted, tolerance],
    )


def test_the_cells_values_are_the_traces_to_the_bit(opened, path, x):
    page, seen = opened(path), trace.record(lstm_of(), x).data
    for layer, unit, step in ((0, 0, 0), (0, 5, 17), (1, 7, T - 1), (1, 2, 1)):
        pick(page, layer=layer, unit=unit)
        go_to(page, step)
        here = {"layer": layer, "time": step, "hidden": unit}
        for name, variable in VALUES.items():
            wanted = float(np.float32(seen[variable].isel(here).squeeze().item()))
            settled(page, f"value-{name}", wanted)
            shown = page.get_by_test_id(f"value-{name}").first.text_content().replace("−", "-")
            assert float(shown) == pytest.approx(wanted, rel=5e-4)
        before = (
            seen["cell_state"].isel(here | {"time": step - 1}).squeeze().item() if step else 0.0
        )
        assert number(page, "value-c-prev") == float(np.float32(before))
        psi = np.tanh(np.float64(number(page, "value-c")))
        assert number(page, "value-psi") == pytest.approx(psi, rel=1e-6)
    assert "no tanh" in page.get_by_test_id("equations").text_content()


def test_time_is_scrubbed_and_played(opened, path):
    page = opened(path)
    go_to(page, 10)
    slider = page.get_by_test_id("step")
    slider.press("ArrowRight")
    assert slider.input_value() == "11"
    slider.press("End")
    assert slider.input_value() == str(T - 1)
    go_to(page, 0)
    page.get_by_test_id("play").click()
    until(page, "Number(document.querySelector('[data-testid=step]').value) > 3")
    page.get_by_test_id("play").click()
    stopped = slider.input_value()
    page.wait_for_timeout(400)
    assert slider.input_value() == stopped


def test_the_maps_are_read_by_keyboard_and_by_ear(opened, path, x):
    page, seen = opened(path, "#view=time&layer=1&unit=3&step=20"), trace.record(lstm_of(), x).data
    for name in VALUES:
        assert page.get_by_test_id(f"heatmap-{name}").is_visible()
    page.locator("[data-testid^='heatmap-'][tabindex='0']").focus()
    page.keyboard.press("PageDown")  # from the map of i to that of f
    page.keyboard.press("ArrowRight")
    until(page, "document.querySelector('[data-testid=step]').value === '21'")
    wanted = seen["forget_gate"].isel(layer=1, time=21, hidden=3).squeeze().item()
    said = page.get_by_test_id("live")
    until(
        page,
        "wanted => document.querySelector('[data-testid=live]').textContent.includes(wanted)",
        f"{wanted:.3g}",
    )
    assert "unit 3" in said.text_content()
    pick(page, sort="saturation")
    until(page, "location.hash.includes('sort=saturation')")


def test_a_zoom_is_in_the_address_and_undone(opened, path):
    page = opened(path, "#view=time&unit=3&step=20")
    page.get_by_test_id("heatmap-c").scroll_into_view_if_needed()
    box = page.get_by_test_id("heatmap-c").locator("canvas").first.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.25, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, y, steps=5)
    page.mouse.up()
    until(page, "location.hash.includes('zoom=')")
    low, high = map(int, re.search(r"zoom=(\d+)-(\d+)", page.url).groups())
    assert (low, high) == (pytest.approx(T * 0.25, abs=1), pytest.approx(T * 0.5, abs=1))
    page.get_by_test_id("zoom-out").click()
    until(page, "!location.hash.includes('zoom=')")


def test_the_gradient_view_draws_and_tells(opened, path):
    page = opened(path, "#view=gradient&layer=1&unit=3&step=39")
    assert page.get_by_test_id("gradient-chart").is_visible()
    go_to(page, 5)
    page.get_by_test_id("gradient-last").click()
    assert page.get_by_test_id("step").input_value() == str(T - 1)


@pytest.mark.parametrize("site", ["cell_output", "candidate", "forget_gate"])
def test_a_swap_gives_what_that_cell_would(opened, path, x, head, site):
    def told(cell):
        with torch.no_grad():
            return head(lstm_of(cell)(torch.from_numpy(x))[0][-1]).item()

    page, name = (
        opened(path, "#view=swap&unit=0&step=0"),
        "one" if site == "forget_gate" else "relu",
    )
    pick(page, **{f"swap-{site}": name})
    wanted = told(Cell(**{site: name})) - told(Cell())
    settled(page, "readout-change", wanted, 2e-6 * (1 + abs(wanted)))
    page.get_by_test_id("swap-reset").click()
    settled(page, "readout-change", 0.0)


def test_a_read_out_of_two_layers_is_followed(opened, path, x):
    def told(cell):
        with torch.no_grad():
            return bent()(lstm_of(cell)(torch.from_numpy(x))[0][-1, 0].double().numpy())[0]

    page = opened(path, "#view=swap&model=2&unit=0&step=0&swap=candidate.relu")
    wanted = told(Cell(candidate="relu")) - told(Cell())
    settled(page, "readout-change", wanted, 1e-5 * (1 + abs(wanted)))
    gradient = opened(path, f"#view=gradient&model=2&of=readout&unit=1&step={T - 1}")
    assert gradient.get_by_test_id("gradient-chart").is_visible()


@pytest.mark.parametrize(("what", "field", "fill", "edit"), [
    ("clamp-f", "clamp-f", "0",
     trace.Edit("forget_gate", 0.0, units=[4], steps=slice(36, None), layer=0)),
    ("edit", "edit-value", "2.5", trace.Edit("cell_state", 2.5, units=[4], steps=36, layer=0)),
])  # fmt: skip
def test_a_held_gate_and_a_set_memory_give_what_the_core_gives(
    opened, path, x, head, what, field, fill, edit
):
    def told(*edits):
        h = trace.run_on(lstm_of(), x, edits).data["hidden_state"]
        with torch.no_grad():
            return head(torch.tensor(h.isel(layer=1, time=-1).values.reshape(1, H))).item()

    page = opened(path, "#view=swap&layer=0&unit=4&step=36")
    pick(page, **{"clamp-scope": "one"})
    page.get_by_test_id(field).fill(fill)
    page.get_by_test_id(f"{what}-apply").click()
    wanted = told(edit) - told()
    assert abs(wanted) > 1e-4
    settled(page, "readout-change", wanted, 1e-5)
    page.get_by_test_id("edit-remove-0").click()
    settled(page, "readout-change", 0.0)


def test_a_forecast_is_shown_where_there_is_one(opened, path):
    page = opened(path, "#view=forecast&model=1")
    assert page.locator("main svg").first.is_visible()
    without = opened(path, "#view=forecast")
    assert "carries no forecast" in without.locator("main").text_content()


def test_the_labs_cards_are_the_verdicts(opened, path):
    from gatewise.explorer.claims import claims

    page = opened(path, "#view=lab")
    for claim in claims():
        card = page.get_by_test_id(f"claim-{claim['name']}")
        assert claim["claim"] in card.text_content()
        assert claim["command"] in card.text_content()
    page.get_by_test_id("verdict-contradicted").click()
    until(page, "location.hash.includes('verdict=contradicted')")
    shown = page.locator("[data-testid^='claim-']:visible").count()
    assert shown == sum(c["word"] == "contradicted" for c in claims())


def test_a_network_is_trained_paused_and_changed(opened, path):
    page = opened(path, "#view=train")
    page.get_by_test_id("train-run").click()
    until(
        page,
        "Number(document.querySelector('[data-testid=train-step-count]').dataset.value) > 40",
        seconds=60,
    )
    page.get_by_test_id("train-run").click()
    page.wait_for_timeout(500)
    paused = number(page, "train-step-count")
    loss = number(page, "train-loss")
    assert np.isfinite(loss)
    page.wait_for_timeout(400)
    assert number(page, "train-step-count") == paused
    pick(page, **{"train-cell-candidate": "identity"})
    page.get_by_test_id("train-step").click()
    settled(page, "train-step-count", paused + 1)
    until(page, "location.hash.includes('candidate.identity')")
    for task in ("copy", "sine"):
        pick(page, **{"train-task": task})
        page.get_by_test_id("train-step").click()
        settled(page, "train-step-count", 1)


def test_another_seed_shows_another_network(opened, path):
    shown = []
    for seed in ("3", "4"):
        page = opened(path, f"#view=train&train=adding~{seed}~1")
        shown.append(picture_of(page))
    page = opened(path, "#view=train&train=adding~3~1")
    assert picture_of(page) == shown[0] != shown[1]
    page.get_by_test_id("train-seed").fill("4")
    page.get_by_test_id("train-seed").press("Enter")
    until(page, "location.hash.includes('adding~4')")
    page.wait_for_timeout(800)
    assert picture_of(page) == shown[1]  # not the run of the network before it


def picture_of(page):
    """What is drawn of the cell state of the network that is trained, once it no longer changes."""
    drawn = "document.querySelector('[data-testid=train-map-c]')?.toDataURL()"
    until(page, drawn)
    before, now = None, page.evaluate(drawn)
    while before != now:
        page.wait_for_timeout(700)
        before, now = now, page.evaluate(drawn)
    return now


def test_training_repeats_from_its_seed(opened, path):
    losses = []
    for _ in range(2):
        page = opened(path, "#view=train&train=adding~7~1&trained=20")
        settled(page, "train-step-count", 20)
        losses.append(number(page, "train-loss"))
    assert losses[0] == losses[1]


def test_the_address_restores_the_page(opened, path):
    page = opened(path)
    page.get_by_test_id("tab-swap").click()
    pick(page, layer=1, unit=6)
    go_to(page, 23)
    pick(page, **{"swap-cell_output": "softsign"})
    until(page, "location.hash.includes('softsign')")
    until(
        page, "Number(document.querySelector('[data-testid=readout-change]').dataset.value) !== 0"
    )
    change, fragment = number(page, "readout-change"), "#" + page.url.split("#")[1]
    again = opened(path, fragment)
    settled(again, "readout-change", change)
    for name, value in (("layer", "1"), ("unit", "6"), ("step", "23")):
        assert again.get_by_test_id(name).input_value() == value
    assert again.get_by_test_id("swap-cell_output").input_value() == "softsign"


def test_two_clicks_take_the_tanh_away_and_the_answer_moves(opened, path):
    page = opened(path)
    page.get_by_test_id("tour-start").click()
    page.get_by_test_id("tour-next").click()
    until(
        page,
        """() => {
            const [a, b] = ["tour-before", "tour-after"].map(
                (name) => document.querySelector(`[data-testid=${name}]`));
            return a && b && a.textContent !== b.textContent;
        }""",
    )
    texts = {page.get_by_test_id("tour-text").text_content()}
    for _ in range(4):
        page.get_by_test_id("tour-next").click()
        page.wait_for_timeout(200)
        texts.add(page.get_by_test_id("tour-text").text_content())
    assert len(texts) == 5
    until(page, "location.hash.includes('view=lab')")
    page.get_by_test_id("tour-back").click()
    until(page, "!location.hash.includes('view=lab')")
    page.get_by_test_id("tour-close").click()
    assert page.get_by_test_id("tour-text").count() == 0


def test_the_bare_page_trains_a_network_of_its_own(opened, tmp_path):
    (tmp_path / "bare.html").write_text(page_of([], lab=False), "utf-8")
    page = opened(tmp_path / "bare.html")
    assert page.get_by_test_id("bare-note").first.is_visible()


def test_a_plain_torch_lstm_is_explored(opened, tmp_path):
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(2, 4, bidirectional=True, batch_first=True)
    given = torch.randn(3, 9, 2)
    page = opened(gatewise.explore(lstm, given, tmp_path / "a.html"))
    pick(page, series=2, layer=1, unit=3)
    go_to(page, 4)
    with torch.no_grad():
        h = lstm(given)[0][2, 4, 4 + 3].item()
    settled(page, "value-h", h, 2e-6)
