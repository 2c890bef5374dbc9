"""gatewise lab: claims listed, run and shown; a store that is none."""

import json

import pytest

from gatewise.cli.main import run


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_claims_are_listed(capsys):
    assert run(["lab", "list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"vanishing", "placement", "counting"} <= {e["name"] for e in found}
    assert run(["lab", "list"]) == 0
    assert "The second tanh stands in the update of the cell state." in capsys.readouterr().out


def test_a_claim_is_run_and_shown(capsys):
    assert run(["lab", "run", "placement", "second-derivative", "--quick", "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    assert "placement: CONTRADICTED" in said
    assert "tanh″(x) = 8 σ″(2x)" in said
    assert run(["lab", "show", "placement", "--quick", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "contradicted"
    assert found["trials"] == 3
    assert found["table"][0]["largest change of c"] == 0


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        (["run", "countin"], "Did you mean 'counting'"),
        (["show", "counting"], "There is no run store"),
        (["show", "placement", "--store", "bad.sqlite"], "is no whole run store"),
    ],
)
def test_what_there_is_not(folder, capsys, command, fault):
    (folder / "bad.sqlite").write_bytes(b"x" * 4096)
    assert run(["lab", *command]) == 1
    assert fault in capsys.readouterr().err
    assert not (folder / "lab.sqlite").exists()


def test_without_a_command_the_help_is_shown(capsys):
    assert run(["lab"]) in (0, 2)
    assert "list" in "".join(capsys.readouterr())
