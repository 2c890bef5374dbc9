"""Data to develop the page with: two networks trained here, and the lab's results.

python web/dev/make_fixture.py            writes web/dev/fixture.json, not committed
python web/dev/make_fixture.py --big      besides a network of 256 units on 10,000 steps
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gatewise import lab
from gatewise.cell import SITES, Activation
from gatewise.lab.report import page_of, text
from gatewise.lab.store import Store
from gatewise.lab.tasks.arithmetic import Adding
from gatewise.nn import LSTM
from gatewise.page.svg import to_svg

HERE = Path(__file__).parent
RESULTS = HERE.parents[1] / "docs" / "lab" / "results"


def packed(array: Any) -> dict[str, Any]:
    """A float32 array as the page takes it."""
    values = np.ascontiguousarray(
        array.detach() if isinstance(array, torch.Tensor) else array, "<f4"
    )
    return {"shape": list(values.shape), "data": base64.b64encode(values.tobytes()).decode()}


def network(lstm: Any) -> dict[str, Any]:
    """Sizes and cell of an LSTM."""
    cell = lstm.cell
    sites = {}
    for site in SITES:
        a: Activation = cell.activation(site)
        sites[site] = {"function": a.name, "scale": a.scale, "slope": a.slope, "shift": a.shift}
    switches = {name: getattr(cell, name) for name in ("coupled", "peephole", "layer_norm")}
    return {
        "layers": lstm.num_layers, "directions": 2 if lstm.bidirectional else 1,
        "inputs": lstm.input_size, "hidden": lstm.hidden_size, "projection": lstm.proj_size,
        "cell": sites | switches,
    }  # fmt: skip


def model(name: str, about: str, lstm: Any, head: Any, **more: Any) -> dict[str, Any]:
    """A model with its weights."""
    found = {
        "name": name, "about": about, "network": network(lstm),
        "weights": {k: packed(v) for k, v in lstm.state_dict().items()},
    }  # fmt: skip
    if head is not None:
        names = more.pop("outputs")
        found["readout"] = {
            "weight": packed(head.weight), "bias": packed(head.bias), "names": names,
        }  # fmt: skip
    return found | more


def trained_adding(T: int = 50, H: int = 16) -> dict[str, Any]:
    """The adding problem, solved."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    task = Adding(T, form="sum", halves=True)
    lstm, head = LSTM(2, H), torch.nn.Linear(H, 1)
    with torch.no_grad():
        lstm.bias_ih_l0[H : 2 * H] += 1
    both = [*lstm.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(both, 0.01)
    for k in range(1500):
        batch = task.batch(rng, 20)
        y, _ = lstm(torch.from_numpy(batch.x))
        total = torch.from_numpy(
            np.einsum("tb,tb->b", batch.x[..., 0], batch.x[..., 1]).astype(np.float32)
        )
        loss = ((head(y[-1])[:, 0] - total) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(both, 1.0)
        optimizer.step()
        if k % 300 == 0:
            print("adding", k, float(loss))
    held = task.batch(rng, 4)
    series = [
        {"name": f"sequence {b + 1}", "time": [str(t) for t in range(T)], "x": packed(held.x[:, b])}
        for b in range(4)
    ]
    about = f"{H} units that add the two marked numbers of {T}; trained for 1,500 steps."
    return model("Adding", about, lstm, head, outputs=["sum"], inputs=["number", "marker"],
                 series=series)  # fmt: skip


def waves(T: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """A weekly series with two drivers."""
    rng = np.random.default_rng(seed)
    t = np.arange(T)
    price = np.cumsum(rng.normal(0, 0.1, T))
    promotion = (rng.uniform(size=T) < 0.1).astype(float)
    y = np.sin(2 * np.pi * t / 13) + 0.5 * np.sin(2 * np.pi * t / 52 + seed) - 0.3 * price
    y = y + 0.8 * promotion + rng.normal(0, 0.15, T)
    x = np.stack([y, price, promotion], 1).astype(np.float32)
    days = np.datetime64("2021-01-04") + 7 * t
    return x, [str(d) for d in days]


def forecaster(T: int = 250, H: int = 32, horizon: int = 12) -> dict[str, Any]:
    """A network that tells the next value, and a forecast block that it makes step by step."""
    torch.manual_seed(1)
    data = [waves(T, s) for s in range(3)]
    x = torch.from_numpy(np.stack([d[0] for d in data], 1))
    lstm, head = LSTM(3, H), torch.nn.Linear(H, 1)
    optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()], 0.005)
    for k in range(300):
        y, _ = lstm(x[:-1])
        loss = ((head(y)[..., 0] - x[1:, :, 0]) ** 2)[10:].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if k % 100 == 0:
            print("forecaster", k, float(loss))
    with torch.no_grad():
        spread = float((head(lstm(x[:-1])[0])[..., 0] - x[1:, :, 0])[10:].std())

    def ahead(b: int, origin: int, shift: tuple[int, float] | None = None) -> list[float]:
        rows = x[:origin, b : b + 1].clone()
        found = []
        with torch.no_grad():
            for _ in range(horizon):
                value = float(head(lstm(rows)[0][-1])[0, 0])
                found.append(round(value, 4))
                new = rows[-1:].clone()
                new[0, 0, 0], new[0, 0, 2] = value, 0
                if shift:
                    new[0, 0, shift[0]] += shift[1] if len(found) == 1 else 0
                rows = torch.cat([rows, new])
        return found

    names = ["Oslo", "Bergen <b>&", "Tromsø"]
    series, forecasts, folds = [], [], []
    errors: dict[str, list[float]] = {"this network": [], "naive": [], "seasonal naive": []}
    for b, (rows, time) in enumerate(data):
        own = [round(float(v), 4) for v in rows[:, 0]]
        series.append({"name": names[b], "time": time, "x": packed(rows),
                       "target": {"name": "sales", "values": own}})  # fmt: skip
        middle = ahead(b, T)
        wide = [spread * np.sqrt(1 + 0.6 * k) for k in range(horizon)]
        future = [str(np.datetime64(time[-1]) + 7 * (k + 1)) for k in range(horizon)]
        forecasts.append({
            "name": names[b], "history": {"time": time[-100:], "values": own[-100:]},
            "time": future,
            "quantiles": {
                level: [round(float(m + z * w), 4) for m, w in zip(middle, wide, strict=True)]
                for level, z in (("0.05", -1.645), ("0.25", -0.674), ("0.5", 0.0),
                                 ("0.75", 0.674), ("0.95", 1.645))
            },
        })  # fmt: skip
        for origin in (T - 48, T - 36, T - 24, T - 12):
            actual = own[origin : origin + horizon]
            said = {
                "this network": ahead(b, origin),
                "naive": [own[origin - 1]] * horizon,
                "seasonal naive": own[origin - 13 : origin - 13 + horizon],
            }
            for method, values in said.items():
                errors[method] += [abs(a - v) for a, v in zip(actual, values, strict=True)]
            folds.append({"series": names[b], "origin": time[origin - 1],
                          "time": time[origin : origin + horizon], "actual": actual,
                          "forecasts": said})  # fmt: skip
    base = np.array(ahead(0, T))
    drivers = []
    for k, name, usual in ((1, "price", 0.3), (2, "promotion", 1.0)):
        effect = np.array(ahead(0, T, (k, usual))) - base
        sign = "+" if effect.sum() > 0.05 else "-" if effect.sum() < -0.05 else "0"
        drivers.append({"name": name, "effect": [round(float(e), 4) for e in effect],
                        "first": 1, "sign": sign, "known": "past only"})  # fmt: skip
    scores = {
        "columns": ["method", "MAE", "relative to naive"],
        "rows": [[m, round(float(np.mean(e)), 4),
                  round(float(np.mean(e) / np.mean(errors["naive"])), 3)]
                 for m, e in errors.items()],
    }  # fmt: skip
    gain = 1 - scores["rows"][0][2]
    sentence = (
        f"Over {len(folds)} folds the network's mean absolute error is "
        f"{abs(gain):.0%} {'below' if gain > 0 else 'above'} that of the naive forecast."
    )
    about = f"{H} units that tell next week's sales from sales, price and promotion."
    return model(
        "Weekly sales", about, lstm, head, outputs=["sales, next week"],
        inputs=["sales", "price", "promotion"], series=series,
        forecast={"sentence": sentence, "series": forecasts, "folds": folds, "scores": scores,
                  "drivers": drivers},
    )  # fmt: skip


def untrained(name: str, H: int, T: int, **how: Any) -> dict[str, Any]:
    """A network as it begins: for its size or for its cell."""
    torch.manual_seed(2)
    lstm = LSTM(4, H, **how)
    head = torch.nn.Linear((lstm.proj_size or H) * (2 if lstm.bidirectional else 1), 1)
    x = np.random.default_rng(3).normal(size=(T, 4)).astype(np.float32)
    return model(
        name, f"{H} units on {T:,} steps, not trained.", lstm, head, outputs=["y"],
        inputs=["a", "b", "c", "d"],
        series=[{"name": "noise", "time": [str(t) for t in range(T)], "x": packed(x)}],
    )  # fmt: skip


def claims() -> list[dict[str, Any]]:
    """What the lab has found, as the pages in docs/lab tell it."""
    store = Store(":memory:")
    store.bring(RESULTS)
    found = []
    for r in lab.results(store.rows(), quick=False):
        page, e = page_of(r.experiment, r.size, r.rows, r.verdict), r.experiment
        picture = ""
        if e.draw is not None:
            picture = to_svg(e.draw(r.rows), e.name, " ".join((e.draw.__doc__ or e.claim).split()))
        found.append({
            "name": e.name, "kind": e.kind, "claim": e.claim, "hypothesis": e.hypothesis,
            "word": r.verdict.word, "title": r.verdict.title, "sentence": r.verdict.sentence,
            "picture": picture,
            "table": {"columns": list(page.columns),
                      "rows": [[text(v) if not isinstance(v, str) else v for v in line]
                               for line in page.lines]},
            "design": {"metric": e.metric, "statistic": e.statistic,
                       "seeds": e.plans[r.size].seeds},
            "literature": e.literature, "amended": e.amended, "command": page.command,
        })  # fmt: skip
    return found


def main() -> None:
    """Write it."""
    models = [trained_adding(), forecaster()]
    models.append(untrained("Odd cell", 10, 40, num_layers=2, bidirectional=True,
                            cell=_odd(), proj_size=6))  # fmt: skip
    if "--big" in sys.argv:
        models += [untrained("Scrub", 128, 500), untrained("Swap", 64, 500),
                   untrained("Big", 256, 10_000)]  # fmt: skip
    data = {"format": 1, "title": "Two networks, looked into", "command": "gatewise explore",
            "models": models, "lab": claims()}  # fmt: skip
    (HERE / "fixture.json").write_text(json.dumps(data), "utf-8")


def _odd() -> Any:
    from gatewise import Cell

    return Cell(
        candidate=Activation("softsign", scale=2), peephole=True, coupled=True, layer_norm=True
    )


if __name__ == "__main__":
    main()
