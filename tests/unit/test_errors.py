"""Errors derive from `GatewiseError` and the builtin that a caller expects."""

import pytest

from gatewise import errors
from gatewise.errors import GatewiseError, MissingExtraError, nearest

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
