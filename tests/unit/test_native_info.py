"""What Python knows of the core: instruction sets and threads."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gatewise import _native, native_info
from gatewise._native import arrays
from gatewise.errors import ConfigError

PROCESSOR = Path("/proc/cpuinfo")
ON_AMD = PROCESSOR.is_file() and "AuthenticAMD" in PROCESSOR.read_text()
WITH_512_BITS = ["avx512bf16", "avx512"] if ON_AMD else ["avx512", "avx512bf16"]
KNOWN = [*WITH_512_BITS, "avx2", "neon", "portable"]


def python(code, **env):
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | env, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def test_the_best_instruction_set_comes_first_and_portable_last():
    available = native_info()["available"]
    assert available == [k for k in KNOWN if k in available]
    assert available[-1] == "portable"


def test_the_default_is_the_best_instruction_set():
    done = python("import gatewise; print(gatewise.native_info()['isa'])", GATEWISE_ISA="")
    assert done.stdout.strip() == native_info()["available"][0], done.stderr


def test_select_isa_chooses(isa):
    assert native_info()["isa"] == isa == _native.isa_name()


def test_bfloat16_is_the_processor_s_own_in_its_instruction_set_only(isa):
    expected = "avx512_bf16" if isa == "avx512bf16" else "emulated"
    assert native_info()["bfloat16"] == expected


def test_an_unknown_instruction_set_is_refused_and_changes_nothing():
    before = _native.isa_name()
    with pytest.raises(ConfigError, match=r"'sse9' is not available: .*portable"):
        _native.select_isa("sse9")
    assert _native.isa_name() == before


@pytest.mark.parametrize("name", native_info()["available"])
def test_the_environment_forces_an_instruction_set(name):
    done = python("import gatewise; print(gatewise.native_info()['isa'])", GATEWISE_ISA=name)
    assert done.stdout.strip() == name, done.stderr


def test_an_unknown_name_in_the_environment_is_refused():
    done = python("import gatewise; gatewise.native_info()", GATEWISE_ISA="sse9")
    assert done.returncode == 1
    assert "ConfigError: Instruction set 'sse9' is not available" in done.stderr


def test_threads_follow_torch_when_it_is_loaded(threads):
    threads(3)
    assert _native.thread_count() == 3 == native_info()["threads"]


@pytest.mark.parametrize(("asked", "expected"), [("3", 3), ("0", None), ("", None), ("x", None)])
def test_threads_without_torch_follow_the_environment_or_the_cores(monkeypatch, asked, expected):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(5), raising=False)
    assert _native.thread_count() == (expected or 5)
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert _native.thread_count() == (expected or 7)


def call(**changed):
    a = {
        "x": np.zeros((2, 3, 4)), "h0": np.zeros((1, 3, 5)), "c0": np.zeros((1, 3, 5)),
        "y": np.zeros((2, 3, 5)), "h_n": np.zeros((1, 3, 5)), "c_n": np.zeros((1, 3, 5)),
    }  # fmt: skip
    w = {"w_ih": np.zeros((20, 4)), "w_hh": np.zeros((20, 5)), "b_ih": None, "b_hh": None}
    w |= {k: v for k, v in changed.items() if k in w}
    a |= {k: v for k, v in changed.items() if k not in w}
    arrays.Network([tuple(w.values())]).forward(**a)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", np.zeros((2, 3, 8))[:, :, ::2]),
        ("x", np.zeros((2, 3, 4), np.float32)),
        ("h0", np.zeros((1, 4, 5))),
        ("w_hh", np.zeros((16, 5))),
        ("b_ih", np.zeros(19)),
        ("y", np.zeros((2, 3, 4))),
        ("y", np.zeros((1, 3, 5))),
        ("h_n", np.zeros((1, 2, 5))),
        ("c_n", np.zeros((1, 3, 6))),
        ("tape", np.zeros(7)),
    ],
)
def test_an_array_of_another_shape_is_refused_by_name(name, value):
    call()
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        call(**{name: value})
