"""What every test shares: one Hypothesis profile, Ctrl-C, the state of the native core put back."""

import importlib
import os
import shutil
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

# Before torch is loaded: the tests run in several processes, whose threads would fight for cores.
# What is about threads asks for its own number of them; tests/machines.py asks for more.
os.environ["OMP_NUM_THREADS"] = os.environ.get("GATEWISE_TEST_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "suite",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=30,
    # The fixtures used with @given only choose an instruction set for all examples.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("suite")

# A shell lets what it starts in the background ignore Ctrl-C, and so do the children of that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "isa" in metafunc.fixturenames:
        from gatewise import native_info

        metafunc.parametrize("isa", native_info()["available"], indirect=True)


@pytest.fixture
def isa(request: pytest.FixtureRequest):
    """Each instruction set of this machine in turn; the one before is put back."""
    from gatewise import _native

    before = _native.isa_name()
    _native.select_isa(request.param)
    yield request.param
    _native.select_isa(before)


@pytest.fixture
def portable():
    """The instruction set that the explorer's WebAssembly module has, too."""
    from gatewise import _native

    before = _native.isa_name()
    _native.select_isa("portable")
    yield
    _native.select_isa(before)


@pytest.fixture
def threads():
    """`torch.set_num_threads`; the number before is put back."""
    import torch

    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def chromium():
    """Headless Chromium, driven by Playwright; GATEWISE_CHROMIUM names one that must be there."""
    named = os.environ.get("GATEWISE_CHROMIUM")
    program = named or shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium, or GATEWISE_CHROMIUM")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch):
    """The modules of benchmarks.forecasts, which stand beside the package; they leave again."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    names = (
        "linear", "measure", "neural", "peers", "picture", "report", "resuming", "scores", "seen",
        "sets",
    )  # fmt: skip
    home = "benchmarks.forecasts"
    modules = {name: importlib.import_module(f"{home}.{name}") for name in names}
    main, common = (importlib.import_module(n) for n in (f"{home}.__main__", "benchmarks.report"))
    yield SimpleNamespace(main=main, common=common, **modules)
    for name in [m for m in sys.modules if m.split(".")[0] == "benchmarks"]:
        del sys.modules[name]
