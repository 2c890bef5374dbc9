"""What the command line says goes before a file of options, whatever its value."""

import json

import pytest

from gatewise.cli.options import ModelOptions


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "options.json"
    path.write_text(json.dumps({"transform": "difference", "lower": 5.0, "season_length": 7}))
    return path


@pytest.mark.parametrize(
    ("given", "transform", "lower"),
    [
        ({}, "difference", 5.0),
        ({"transform": "auto", "lower": "auto"}, "auto", "auto"),
        ({"transform": "none", "lower": "none"}, "none", None),
        ({"lower": "-2.5"}, "difference", -2.5),
    ],
)
def test_the_command_line_goes_before_the_file(file, given, transform, lower):
    config = ModelOptions(options=file, **given).forecaster().config
    assert (config.transform, config.lower, config.season_length) == (transform, lower, 7)
