"""What goes into the explorer's page: arrays bit by bit, names unharmed, limits told."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import gatewise
from gatewise.cell import SITES, Activation, Cell
from gatewise.errors import ConfigError, GatewiseError, ModuleError, ShapeError
from gatewise.explorer.claims import claims
from gatewise.explorer.model import KEPT, MOST_NUMBERS, cell_data, model_data
from gatewise.explorer.page import VIEWS, as_script, page_of
from gatewise.nn import LSTM

ROOT = Path(__file__).parents[3]


def array(packed):
    found = np.frombuffer(base64.b64decode(packed["data"]), "<f4")
    return found.reshape(packed["shape"])


def data_of(page):
    """What the page holds, as its script reads it."""
    (text,) = re.findall(
        r'<script type="application/json" id="gatewise-data">(.*?)</script>', page, re.DOTALL
    )
    return json.loads(text)


@pytest.mark.parametrize("options", [
    {}, {"num_layers": 2, "bidirectional": True}, {"proj_size": 2}, {"batch_first": True},
    {"bias": False},
])  # fmt: skip
def test_weights_and_inputs_travel_as_they_are(options):
    torch.manual_seed(0)
    lstm = torch.nn.LSTM(3, 5, **options)
    x = torch.randn(7, 2, 3)
    told = model_data(lstm, x.transpose(0, 1) if options.get("batch_first") else x)
    for name, parameter in lstm.named_parameters():
        assert np.array_equal(array(told["weights"][name]), parameter.detach().numpy())
    assert told["weights"].keys() == dict(lstm.named_parameters()).keys()
    for b, series in enumerate(told["series"]):
        assert np.array_equal(array(series["x"]), x[:, b].numpy())
        assert series["time"] == [str(t) for t in range(7)]
    assert told["network"] == {
        "layers": options.get("num_layers", 1),
        "directions": 2 if options.get("bidirectional") else 1,
        "inputs": 3, "hidden": 5, "projection": options.get("proj_size", 0),
        "cell": cell_data(Cell()),
    }  # fmt: skip


def test_a_cell_is_told_site_by_site():
    own = Activation("tanh", scale=0.5, slope=0.25, shift=0.5)
    told = cell_data(Cell(input_gate=own, candidate="relu", peephole=True))
    assert told["input_gate"] == {"function": "tanh", "scale": 0.5, "slope": 0.25, "shift": 0.5}
    assert told["candidate"]["function"] == "relu"
    assert told["peephole"]
    assert not told["coupled"]
    assert set(SITES) < set(told)


def test_without_input_it_says_that_it_reads_noise():
    told = model_data(torch.nn.LSTM(2, 3))
    assert "noise" in told["about"]
    assert told["series"][0]["x"]["shape"] == [100, 2]


def test_a_read_out_is_a_linear_layer_on_the_last_h():
    lstm, linear = torch.nn.LSTM(2, 3, bidirectional=True), torch.nn.Linear(6, 2)
    told = model_data(lstm, np.zeros((4, 2), np.float32), readout=linear, outputs=["a", "b"])
    assert np.array_equal(array(told["readout"]["weight"]), linear.weight.detach().numpy())
    assert told["readout"]["names"] == ["a", "b"]
    bare = model_data(lstm, np.zeros((4, 2), np.float32), readout=(linear.weight, None))
    assert not array(bare["readout"]["bias"]).any()
    with pytest.raises(ShapeError, match=r"expected \[O, 6\]"):
        model_data(lstm, np.zeros((4, 2), np.float32), readout=torch.nn.Linear(3, 2))


@pytest.mark.parametrize(("x", "match"), [
    (np.zeros((0, 2), np.float32), "at least one"),
    (np.full((3, 2), np.nan, np.float32), "x holds NaN"),
    (np.zeros((3, 4), np.float32), "input_size=2"),
    (np.zeros((KEPT // 24 + 1, 2), np.float32), "Pass 1,666,666 steps or fewer"),
    (np.zeros((1000, MOST_NUMBERS // 2000 + 1, 2), np.float32), "Pass fewer rows or steps"),
])  # fmt: skip
def test_what_no_page_can_hold_is_told(x, match):
    with pytest.raises(GatewiseError, match=match):
        model_data(torch.nn.LSTM(2, 3), x)


@pytest.mark.parametrize(("lstm", "error"), [
    (lambda: LSTM(2, 3, zoneout=(0.0, 0.1)), ConfigError),
    (lambda: LSTM(2, 3, learn_initial_state=True), ConfigError),
    (lambda: LSTM(2, 3, cell=Cell(candidate=torch.sin)), ConfigError),
    (lambda: torch.nn.GRU(2, 3), ModuleError),
    (lambda: "LSTM", ModuleError),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:The Python function")
def test_what_the_page_does_not_run_is_told(lstm, error):
    with pytest.raises(error):
        model_data(lstm(), np.zeros((4, 2), np.float32))


HOSTILE = [
    "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<!--", "]]>",
    "\u2028\u2029", "'\"`${7*7}", "\x00\x1b[31m", "a" * 100_000, "\u202eevil", "{{constructor}}",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_names_from_strangers_stay_names(name):
    lstm = torch.nn.LSTM(2, 3)
    x = np.zeros((4, 2), np.float32)
    told = model_data(lstm, x, name=name, about=name, inputs=[name, "b"], time=[name] * 4)
    page = page_of([told], title=name, command=name)
    found = data_of(page)
    assert found["models"] == json.loads(json.dumps([told]))
    assert found["title"] == found["command"] == name
    plain = page_of([model_data(lstm, x)])
    assert page.count("<") == plain.count("<")  # no element more


def test_a_script_element_cannot_be_left():
    assert "<" not in as_script({"a": "</script>", "<b": ["<"]})


def test_the_page_is_written_whole_or_not_at_all(tmp_path):
    lstm = torch.nn.LSTM(2, 3)
    path = gatewise.explore(lstm, np.zeros((4, 2), np.float32), tmp_path / "a.html")
    assert data_of(path.read_text("utf-8"))["models"][0]["network"]["hidden"] == 3
    for wrong in (tmp_path, tmp_path / "none" / "a.html"):
        with pytest.raises(ConfigError, match="folder that is there"):
            gatewise.explore(lstm, None, wrong)
    assert [p.name for p in tmp_path.iterdir()] == ["a.html"]


def test_the_page_forbids_every_connection():
    page = page_of([])
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy"\s+content="([^"]*)"', page)
    rules = dict(part.strip().split(" ", 1) for part in policy.split(";") if part.strip())
    assert rules["default-src"] == rules["connect-src"] == "'none'"
    assert "http" not in policy
    assert "unsafe-inline" not in rules["script-src"]
    assert not re.search(r"""(?:src|href)\s*=\s*["']?https?:""", page)


def test_views_are_chosen_by_name():
    assert data_of(page_of([], views=["cell", "time"]))["views"] == ["cell", "time"]
    assert "views" not in data_of(page_of([]))
    assert len(set(VIEWS)) == len(VIEWS)
    with pytest.raises(ConfigError, match="no view 'sell'"):
        page_of([], views=["sell"])


def test_the_labs_results_come_along():
    names = {claim["name"] for claim in claims()}
    assert {"vanishing", "output-squash", "counting"} <= names
    assert {c["name"] for c in data_of(page_of([]))["lab"]} == names
    assert data_of(page_of([], lab=False))["lab"] == []
    for claim in claims():
        assert claim["word"]
        assert claim["sentence"]
        assert claim["table"]["rows"]
        assert claim["picture"].startswith("<svg") or not claim["picture"]


def test_a_widget_holds_the_page():
    widget = gatewise.explorer.Widget(torch.nn.LSTM(2, 3), np.zeros((4, 2), np.float32), height=500)
    assert widget.height == 500
    assert data_of(widget.page)["models"][0]["network"]["inputs"] == 2
    assert "srcdoc" in widget._esm


def test_the_page_keeps_as_much_as_python_lets_through():
    text = (ROOT / "web" / "src" / "worker" / "runs.ts").read_text("utf-8")
    (limit,) = re.findall(r"LIMIT = ([0-9e]+);", text)
    assert float(limit) == KEPT


def test_numbers_beyond_float32_are_refused():
    lstm = torch.nn.LSTM(2, 3, dtype=torch.float64)
    with pytest.raises(ConfigError, match="x holds NaN, infinity or a number beyond float32"):
        model_data(lstm, np.full((4, 2), 1e300))
    with torch.no_grad():
        lstm.weight_ih_l0[0, 0] = torch.nan
    with pytest.raises(ConfigError, match="weight_ih_l0 holds NaN"):
        model_data(lstm, np.zeros((4, 2)))


@pytest.mark.parametrize("readout", [
    torch.nn.Sequential(torch.nn.Linear(3, 1)), torch.ones(1, 3), "x", 3, torch.nn.Identity(),
    torch.nn.Linear(3, 1, device="meta"), ["a", "b"], (torch.ones(1, 3) * 1j, None),
])  # fmt: skip
def test_what_is_no_read_out_is_told(readout):
    with pytest.raises(ShapeError, match=r"expected a torch\.nn\.Linear"):
        model_data(torch.nn.LSTM(2, 3), np.zeros((4, 2), np.float32), readout=readout)


def test_a_read_out_holds_numbers_and_a_name_has_something_to_name():
    x = np.zeros((4, 2), np.float32)
    with pytest.raises(ConfigError, match="The read-out holds NaN"):
        model_data(torch.nn.LSTM(2, 3), x, readout=(np.full((1, 3), np.nan), None))
    with pytest.raises(ConfigError, match="expected a readout"):
        model_data(torch.nn.LSTM(2, 3), x, outputs=["a"])
    with pytest.raises(ConfigError, match="no model to describe"):
        gatewise.explore(None, inputs=["a", "b"])
    with pytest.raises(ConfigError, match="no argument 'imputs'"):
        gatewise.explore(torch.nn.LSTM(2, 3), x, imputs=["a", "b"])
    with pytest.raises(ShapeError, match="inputs"):
        model_data(torch.nn.LSTM(2, 3), x, inputs=5)
    with pytest.raises(ConfigError, match="expected at most"):
        model_data(torch.nn.LSTM(2, 1500), x)


def test_names_and_times_of_a_frame_are_kept():
    import pandas as pd

    frame = pd.DataFrame({"price": [1.0, 2.0], "volume": [3.0, 4.0]}, dtype="float32")
    days = pd.date_range("2024-02-28", periods=2)
    told = model_data(torch.nn.LSTM(2, 3), frame, time=days, name=ROOT)
    assert told["inputs"] == ["price", "volume"]
    assert told["series"][0]["time"] == ["2024-02-28", "2024-02-29"]
    told = model_data(torch.nn.LSTM(2, 3), frame.to_numpy(), time=[0.1 + 0.2, 1.0])
    assert told["series"][0]["time"] == ["0.3", "1"]


def test_a_subclass_with_a_forward_of_its_own_is_told():
    class Doubled(torch.nn.LSTM):
        def forward(self, given, state=None):
            return super().forward(2 * given, state)

    assert "a forward of its own" in model_data(Doubled(2, 3))["about"]
    assert "a forward of its own" not in model_data(LSTM(2, 3))["about"]


def test_a_backtest_of_one_series_belongs_to_its_fan():
    import polars as pl

    from gatewise.explorer.forecast import forecaster_data
    from gatewise.forecast import Forecaster, backtest

    table = pl.DataFrame({"ds": range(90), "y": [20.0 + t % 12 for t in range(90)]})
    forecaster = Forecaster.pretrained(6)
    result = backtest(forecaster, table, 3)
    told = forecaster_data(forecaster.fit(table), result=result)["forecast"]
    assert {fold["series"] for fold in told["folds"]} == {s["name"] for s in told["series"]}
    assert len(told["folds"]) == 3
    for fold in told["folds"]:
        assert set(fold["forecasts"]) == set(result.scores)
        assert all(len(said) == 6 for said in fold["forecasts"].values())
    assert told["sentence"] == result.verdict
