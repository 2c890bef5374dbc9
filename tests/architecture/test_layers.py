"""Imports go down only, and the torch-free part stays torch-free."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TORCH_FREE = "import gatewise, gatewise.runtime, gatewise.trace, gatewise.export, gatewise.cli"


def python(code, *options):
    return subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=60,
        cwd=ROOT, env=os.environ, check=False,
    )  # fmt: skip


def test_the_import_contracts_hold():
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_the_modules_of_nn_hide_no_import_of_each_other_from_the_contracts():
    for path in (ROOT / "src/gatewise/nn").glob("*.py"):
        assert "TYPE_CHECKING" not in path.read_text(), path


def test_the_torch_free_part_leaves_torch_out():
    done = python(f"{TORCH_FREE}; import sys; print('torch' in sys.modules)")
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.parametrize(
    "use",
    [
        "gatewise.Cell(); gatewise.native_info(); gatewise.ACTIVATIONS; gatewise.__version__",
        "gatewise.runtime.load; gatewise.weights.save_lstm; gatewise.reference.forward",
        "gatewise.trace.record; gatewise.trace.Trace; gatewise.trace.memory",
        "dir(gatewise)",
    ],
)
def test_using_the_torch_free_part_leaves_torch_out(use):
    done = python(f"import gatewise, sys; {use}; assert 'torch' not in sys.modules")
    assert done.returncode == 0, done.stderr


def test_a_saved_model_runs_without_torch(tmp_path):
    from gatewise.nn import LSTM
    from gatewise.weights import save_lstm

    save_lstm(LSTM(2, 3), tmp_path / "m")
    code = (
        "import sys; sys.modules['torch'] = None\n"  # importing it is an error now
        "import numpy as np, gatewise.runtime\n"
        f"model = gatewise.runtime.load({str(tmp_path / 'm')!r})\n"
        "y, _ = model.run(np.zeros((4, 1, 2)))\n"
        "assert y.shape == (4, 1, 3)\n"
        "assert model.stream().step(np.zeros(2)).shape == (3,)"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_there():
    import gatewise

    for name in gatewise.__all__:
        assert getattr(gatewise, name) is not None
    assert {*gatewise.__all__} < {*dir(gatewise)}
    with pytest.raises(AttributeError, match="no attribute 'LTSM'"):
        gatewise.LTSM  # noqa: B018
    for package in (gatewise.nn, gatewise.runtime, gatewise.trace):
        for name in package.__all__:
            assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'recrod'"):
        gatewise.trace.recrod  # noqa: B018
