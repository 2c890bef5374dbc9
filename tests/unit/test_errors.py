"""Errors derive from `GatewiseError` and the builtin that a caller expects."""

import time

import numpy as np
import pytest

from gatewise import errors
from gatewise.errors import LONGEST, GatewiseError, MissingExtraError, nearest, shortened, shown

CLASSES = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, GatewiseError)]


@pytest.mark.parametrize("error", CLASSES)
def test_every_error_has_a_builtin_beside_its_base(error):
    if error is GatewiseError:
        assert error.__bases__ == (Exception,)
        return
    base, builtin = error.__bases__
    assert base is GatewiseError
    assert builtin.__module__ == "builtins"
    assert error.__doc__


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("ShapeError", ValueError),
        ("DtypeError", TypeError),
        ("ConfigError", ValueError),
        ("ModelFileError", ValueError),
        ("ModuleError", TypeError),
        ("CheckpointError", ValueError),
        ("NotFittedError", RuntimeError),
        ("MissingExtraError", ImportError),
    ],
)
def test_the_builtin_is_the_matching_one(name, builtin):
    assert issubclass(getattr(errors, name), builtin)


def test_a_missing_extra_names_the_command_that_installs_it():
    error = MissingExtraError("Tracing", "trace")
    assert str(error).endswith("pip install 'gatewise[trace]'")
    assert str(error).startswith("Tracing needs")


def test_nearest_names_one_word_or_all():
    assert nearest("volum", ["open", "volume"]) == "Did you mean 'volume'?"
    assert nearest("xyzzy", ["open", "close"]) == "Known: 'open', 'close'."


def test_nearest_is_quick_and_short_whatever_it_is_given():
    names = [f"column {n} " + "y" * 10_000 for n in range(2_000)]
    begun = time.monotonic()
    text = nearest("x" * 20_000_000, ["open", "close"])
    many = nearest("zzz", names)
    assert time.monotonic() - begun < 2
    assert text == "Known: 'open', 'close'."
    assert many.endswith(" and 1980 more.")
    assert len(many) < 1000


deep: list = []
for _ in range(100_000):
    deep = [deep]


@pytest.mark.parametrize(
    "value",
    ["x" * 3_000_000, b"x" * 3_000_000, "\n\x1b[31m" * 1000, 10**5000, -(10**5000), [1] * 10**6,
     deep, {"a" * 1000: "b" * 1000}, np.zeros((1000, 1000)), "\ud800", object()],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_is_shown_is_one_short_line(value):
    text = shown(value)
    assert 0 < len(text) <= LONGEST
    assert text.isprintable()


@pytest.mark.parametrize("value", ["volume", "it's", 3, -2.5, None, True, (80, 95), ["a", "b"]])
def test_what_is_short_is_shown_as_it_is(value):
    assert shown(value) == repr(value)


def test_text_is_shortened_to_one_printable_line():
    assert shortened("two\n  lines\x1b[0m") == "two lines [0m"
    assert shortened("x" * 10**7) == "x" * 197 + "..."
    assert len(shortened(ValueError("word " * 10**6), 50)) == 50
