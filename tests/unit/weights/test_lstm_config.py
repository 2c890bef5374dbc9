"""A configuration holds its invariants, whoever makes it."""

import sys
from dataclasses import replace

import pytest
import torch

from gatewise import Cell
from gatewise.errors import ConfigError
from gatewise.weights import LSTMConfig, expected_shapes, parameter_suffix


@pytest.mark.parametrize("name", ["input_size", "hidden_size", "num_layers"])
@pytest.mark.parametrize("value", [0, -1, 1.0, "3", True, None, 2**63])
def test_sizes_are_positive_whole_numbers_that_can_be_addressed(name, value):
    with pytest.raises(ConfigError, match=name):
        replace(LSTMConfig(3, 4), **{name: value})


@pytest.mark.parametrize("value", [-1, 4, 5, 2**62, 1.0, True])
def test_a_projection_is_smaller_than_the_hidden_state(value):
    with pytest.raises(ConfigError, match="proj_size is"):
        LSTMConfig(3, 4, proj_size=value)
    assert LSTMConfig(3, 4, proj_size=3).proj_size == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"bias": 1},
        {"batch_first": None},
        {"bidirectional": "no"},
        {"learn_initial_state": 0},
        {"cell": "tanh"},
        {"zoneout": 0.1},
        {"zoneout": (0.1,)},
        {"zoneout": (0, 0)},
        {"zoneout": (0.1, 1.0)},
        {"zoneout": (float("nan"), 0.1)},
    ],
    ids=repr,
)
def test_other_values_have_their_types_and_ranges(wrong):
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))} is"):
        LSTMConfig(3, 4, **wrong)


@pytest.mark.parametrize("sizes", [(2**31, 2**31, 1), (2, 2**31, 2), (1, 2, 2**60)])
def test_a_product_of_sizes_that_wraps_is_refused(sizes):
    with pytest.raises(ConfigError, match="can be addressed"):
        LSTMConfig(*sizes)


def test_the_bound_counts_every_byte_of_the_parameters():
    config = LSTMConfig(5, 7, 3, bidirectional=True, proj_size=2, cell=Cell(layer_norm=True))
    bytes_held = 8 * sum(torch.Size(shape).numel() for shape in expected_shapes(config).values())
    assert bytes_held < sys.maxsize
    # Just as many rows as their states fill the address space with are too many.
    rows = sys.maxsize // (8 * 4 * 7 * 3 * 2)
    assert config.fits(rows)
    assert not config.fits(rows + 1)


def test_a_configuration_is_a_plain_value():
    assert LSTMConfig(3, 4) == LSTMConfig(3, 4) != LSTMConfig(3, 5)
    assert len({LSTMConfig(3, 4), LSTMConfig(3, 4), LSTMConfig(3, 4, batch_first=True)}) == 2


def test_suffixes_are_those_of_pytorch():
    assert parameter_suffix(1, 1) == "_l1_reverse"
