"""`spoke operations` and `spoke secret`, as a person uses them."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.cli.run_cli import run

Spoke = Callable[..., tuple[int, str, str]]


@pytest.fixture
def spoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Spoke:
    monkeypatch.setenv("SPOKE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPOKE_CONFIG", str(tmp_path / "spoke.toml"))

    def call(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = run(arguments)
        out, err = capfd.readouterr()
        return code, out, err

    return call


def test_operations_are_listed_looked_for_and_shown(spoke: Spoke) -> None:
    code, out, err = spoke("operations")
    assert (code, err) == (0, "")
    every = out.splitlines()
    assert len(every) > 100
    assert max(map(len, every)) <= 120
    _, out, _ = spoke("operations", "search", "shortest path")
    assert [line.split()[0] for line in out.splitlines()] == ["graph.path"]
    _, out, _ = spoke("operations", "search", "secret", "--json")
    assert {entry["operationId"] for entry in json.loads(out)} >= {"secret.set", "secret.get"}
    _, out, _ = spoke("operations", "schema", "secret.set", "--json")
    assert json.loads(out)["inputSchema"]["required"] == ["name", "value"]
    code, out, err = spoke("operations", "schema", "fs.raed")
    assert (code, out, "did you mean fs.read" in err) == (2, "", True)


def test_a_secret_is_kept_shown_and_rotated(spoke: Spoke, tmp_path: Path) -> None:
    assert spoke("secret", "set", "a", "--description", "for CI", "--expires", "2999-01-31", stdin="hunter2")[0] == 0
    assert spoke("secret", "get", "a") == (0, "hunter2", "")
    _, out, _ = spoke("secret", "list")
    assert "hunter2" not in out
    assert "ends 2999-01-3" in out
    assert spoke("secret", "rotate")[0] == 0
    assert spoke("secret", "get", "a") == (0, "hunter2", "")
    assert (tmp_path / "data" / "keyring.json").stat().st_mode & 0o777 == 0o600
    assert spoke("secret", "delete", "a")[0] == 0
    code, out, err = spoke("secret", "get", "a")
    assert (code != 0, out, "no secret 'a'" in err) == (True, "", True)
    code, _, err = spoke("secret", "set", "a", stdin="")
    assert (code, "the secret is empty" in err) == (65, True)
    code, _, err = spoke("secret", "set", "a", "--expires", "soon", stdin="x")
    assert (code, "is no date" in err) == (2, True)
    (tmp_path / "data" / "keyring.json").chmod(0o644)
    code, _, err = spoke("secret", "set", "a", stdin="hunter2")
    assert (code != 0, "others may read it" in err, "hunter2" in err) == (True, True, False)
