"""Without an extra, the error names what installs it; in subprocesses where imports are blocked."""

import subprocess
import sys

import pytest

BLOCKED = """
import sys
for name in {blocked!r}:
    sys.modules[name] = None
try:
    {statement}
except ImportError as error:
    print(type(error).__name__, error)
"""

CASES = [
    (["torch"], "import gatewise.nn", "torch"),
    (["torch"], "from gatewise.forecast import Forecaster", "forecast"),
    (["optuna"], "from gatewise.forecast.evaluation.tuning import _study; _study(0)", "tune"),
    (["jinja2"], "import gatewise.forecast.report", "forecast"),
    (["matplotlib"], "import gatewise.forecast.report", "forecast"),
]


@pytest.mark.parametrize(("blocked", "statement", "extra"), CASES)
def test_a_missing_extra_is_named(blocked, statement, extra):
    script = BLOCKED.format(blocked=blocked, statement=statement)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("MissingExtraError")
    assert f"pip install 'gatewise[{extra}]'" in done.stdout


def test_the_command_line_says_it_in_one_line(tmp_path):
    script = "import sys; sys.modules['torch'] = None; from gatewise.cli import main; main()"
    arguments = ["forecast", "--dataset", "sp500", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "pip install 'gatewise[forecast]'" in done.stderr
