"""What an import must not bring along, in subprocesses."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("gatewise.nn", "torch._dynamo"),  # takes as long as PyTorch itself
        ("gatewise.cli.main", "torch"),
        ("gatewise.runtime", "torch"),
    ],
)
def test_an_import_is_light(module, heavy):
    script = f"import sys, {module}; assert {heavy!r} not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
