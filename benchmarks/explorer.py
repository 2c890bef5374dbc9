"""What the explorer's page takes in a browser: first view, swaps, scrubbing, training, long runs.

    python -m benchmarks.explorer

Headless Chromium; a fresh browser for each first view. Times are milliseconds as the page measures
them, frames are counted by requestAnimationFrame while the scrubber moves at every frame.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import tempfile
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np
import torch
from playwright.sync_api import Page, sync_playwright

from gatewise.bench.machine import describe
from gatewise.explorer.adding import adding_data
from gatewise.explorer.model import model_data
from gatewise.explorer.page import page_of

ROOT = Path(__file__).parents[1]
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
STARTS, FRAMES = 9, 240

SCRUB = """async (frames) => {
  const input = document.querySelector("[data-testid=step]"), times = [];
  let last = performance.now();
  for (let k = 0; k < frames; k++) {
    input.value = String((Number(input.value) + 1) % (Number(input.max) + 1));
    input.dispatchEvent(new Event("input", { bubbles: true }));
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    times.push(now - last);
    last = now;
  }
  return times;
}"""

SWAP = """async (name) => {
  const seen = (node, what) =>
    new Promise((done) => new MutationObserver(done).observe(node, what));
  const find = (id) => document.querySelector(`[data-testid=${id}]`);
  const began = performance.now();
  const all = Promise.all([
    seen(find("readout-change"), { attributes: true }),
    seen(find("heatmap-difference").querySelector("canvas"),
         { attributes: true, attributeFilter: ["width"] }),
  ]);
  const select = find("swap-cell_output");
  select.value = name;
  select.dispatchEvent(new Event("change", { bubbles: true }));
  await all;
  await new Promise(requestAnimationFrame);
  return performance.now() - began;
}"""


def network(inputs: int, units: int, steps: int) -> dict[str, Any]:
    """An untrained network with a read-out, and noise to read."""
    torch.manual_seed(0)
    x = np.random.default_rng(0).standard_normal((steps, 1, inputs)).astype(np.float32)
    return model_data(
        torch.nn.LSTM(inputs, units), x, name=f"{units} x {steps}",
        readout=torch.nn.Linear(units, 1),
    )  # fmt: skip


def summary(times: list[float]) -> dict[str, float]:
    """Median and range of milliseconds."""
    return {
        "median_ms": round(statistics.median(times), 1),
        "least_ms": round(min(times), 1),
        "most_ms": round(max(times), 1),
    }


def frames(page: Page) -> dict[str, float]:
    """Frames a second while the scrubber moves."""
    times = page.evaluate(SCRUB, FRAMES)
    return {
        "frames_per_s": round(1000 / statistics.fmean(times), 1),
        "slowest_ms": round(max(times), 1),
    }


def measure(browser: Any, program: str, playwright: Any, path: Path) -> dict[str, Any]:
    """Return all figures."""
    url, found = path.as_uri(), {}

    def opened(fragment: str) -> Page:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(url + fragment)
        page.wait_for_selector("html[data-ready]", state="attached")
        page.wait_for_timeout(1500)
        return page

    starts = []
    for _ in range(STARTS):
        fresh = playwright.chromium.launch(executable_path=program, args=FLAGS)
        page = fresh.new_page(viewport={"width": 1280, "height": 900})
        page.goto(url)
        page.wait_for_selector("html[data-ready]", state="attached")
        starts.append(page.evaluate("performance.getEntriesByName('first-view')[0].startTime"))
        fresh.close()
    found["first view"] = summary(starts)
    page = opened("#view=swap&model=1&unit=5&step=100")
    names = ["identity", "", "relu", "", "softsign", "", "hard_tanh", ""] * 2
    swaps = [page.evaluate(SWAP, name) for name in names]
    found["swap on screen, 64 units x 500 steps"] = {"first_ms": round(swaps[0], 1)} | summary(
        swaps[1:]
    )
    for view in ("cell", "time"):
        found[f"scrub 128 units x 500 steps, {view}"] = frames(
            opened(f"#view={view}&model=2&unit=5&step=100")
        )
        found[f"scrub 256 units x 10,000 steps, {view}"] = frames(
            opened(f"#view={view}&model=3&unit=5&step=100")
        )
    page = opened("#view=train")
    page.get_by_test_id("train-run").click()
    page.wait_for_timeout(2000)
    before = page.evaluate(
        "[performance.now(), Number(document.querySelector("
        "'[data-testid=train-step-count]').dataset.value)]"
    )
    shown = page.evaluate(
        """async () => { const t = performance.now(); let n = 0;
        while (performance.now() - t < 4000) { await new Promise(requestAnimationFrame); n++; }
        return n / 4; }"""
    )
    after = page.evaluate(
        "[performance.now(), Number(document.querySelector("
        "'[data-testid=train-step-count]').dataset.value)]"
    )
    rate = 1000 * (after[1] - before[1]) / (after[0] - before[0])
    found["train adding, T = 50, 16 units, 20 rows"] = {
        "steps_per_s": round(rate, 1), "frames_per_s": round(shown, 1)
    }  # fmt: skip
    return found


def main() -> None:
    """Measure, print, and write benchmarks/results/explorer.json."""
    program = os.environ.get("GATEWISE_CHROMIUM") or shutil.which("chromium") or "chromium"
    models = [adding_data(), network(5, 64, 500), network(5, 128, 500), network(8, 256, 10_000)]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder, "page.html")
        path.write_text(page_of(models), "utf-8")
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        found, version = measure(browser, program, playwright, path), browser.version
        browser.close()
    told = {
        "command": "python -m benchmarks.explorer", "machine": describe(), "chromium": version,
        "versions": {name: installed(name) for name in ("gatewise", "torch", "numpy")},
        "figures": found,
    }  # fmt: skip
    text = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
    (ROOT / "benchmarks" / "results" / "explorer.json").write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
