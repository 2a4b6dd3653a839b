"""`spoke config` and `spoke init` as a person uses them."""

from __future__ import annotations

import json
import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pexpect
import pytest

from app.cli.exit_codes import ExitCode
from app.cli.run_cli import run

Spoke = Callable[..., tuple[int, str, str]]


@pytest.fixture
def spoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Spoke:
    monkeypatch.setenv("SPOKE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPOKE_CONFIG", str(tmp_path / "etc" / "spoke.toml"))
    monkeypatch.setenv("HOME", str(tmp_path))

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        out, err = capfd.readouterr()
        return code, out, err

    return call


@pytest.fixture
def config(tmp_path: Path, spoke: Spoke) -> Path:
    (tmp_path / "etc").mkdir()
    return tmp_path / "etc" / "spoke.toml"


def test_show_says_what_set_each_value_and_no_secret(
    spoke: Spoke, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text('name = "bench"\n')
    monkeypatch.setenv("SPOKE_HUB__API_KEY", "alk_planted")
    code, out, err = spoke("--set", "api.port=9", "config", "show", "--origin")
    assert (code, err, "planted" in out) == (0, "", False)
    assert f'name = "bench"  # {config}:1' in out.splitlines()
    assert 'hub.api_key = "***"  # SPOKE_HUB__API_KEY' in out.splitlines()
    assert "api.port = 9  # --set api.port" in out.splitlines()
    rows = {row["key"]: row for row in json.loads(spoke("config", "show", "--json")[1])}
    assert rows["name"] == {"key": "name", "value": "bench", "origin": "file", "where": f"{config}:1"}
    assert rows["hub.api_key"]["value"] == "***"
    assert rows["ui.theme"] == {"key": "ui.theme", "value": None, "origin": "default", "where": "default"}


def test_check_names_everything(spoke: Spoke, config: Path) -> None:
    code, out, err = spoke("config", "check")
    assert (code, out, "no problems" in err, "all defaults" in err) == (0, "", True, True)
    config.write_text('nmae = "x"\n[hub]\nulr = 1\n')
    code, out, _ = spoke("config", "check")
    assert code == ExitCode.CONFIG
    assert sorted(out.splitlines()) == [
        f"{config}:1: nmae: unknown key, did you mean name?",
        f"{config}:3: hub.ulr: unknown key, did you mean url?",
    ]
    config.write_text('[keys]\n"view.copi" = "c"\n"view.copy" = "q"\n')
    code, out, _ = spoke("config", "check", "--json")
    found = json.loads(out)
    assert (code, found["ok"], found["file"]) == (ExitCode.CONFIG, False, str(config))
    assert {one.partition(": ")[0] for one in found["problems"]} == {f"{config}:2", f"{config}:3"}
    assert "did you mean view.copy?" in found["problems"][0]
    assert any("app.quit" in one for one in found["problems"][1:])


def test_a_wrong_value_on_the_command_line(spoke: Spoke) -> None:
    code, out, err = spoke("--set", "api.prot=1", "call", "system.info")
    assert (code, out) == (ExitCode.CONFIG, "")
    assert "--set api.prot: api.prot: unknown key, did you mean port?" in err


def test_the_schema_is_one(spoke: Spoke) -> None:
    code, out, _ = spoke("config", "schema")
    assert code == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(out))
    assert json.loads(out)["properties"]["name"]["description"]


def test_init_writes_once(spoke: Spoke, tmp_path: Path) -> None:
    config = tmp_path / "etc" / "spoke.toml"
    code, out, err = spoke("init", "--name", 'a "b"', "--root", "~/x", "--hub", "wss://hub.example", "--no-input")
    assert (code, str(config) in err, config.stat().st_mode & 0o777) == (0, True, 0o600)
    assert [line.strip() for line in out.splitlines()][2] == "spoke join wss://hub.example --token-file token.txt"
    assert len(out.splitlines()) == 3
    rows = {row["key"]: row["value"] for row in json.loads(spoke("config", "show", "--json")[1])}
    assert (rows["name"], rows["fs.roots"], rows["hub.url"]) == ('a "b"', [str(tmp_path / "x")], None)
    before = config.read_bytes()
    code, _, err = spoke("init", "--no-input")
    assert (code, "spoke config show" in err, config.read_bytes() == before) == (ExitCode.CANNOT_CREATE, True, True)


def test_what_root_writes_for_the_machine_can_be_read_by_its_services(
    spoke: Spoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "etc" / "spoke.toml"
    account = pwd.struct_passwd(("spoke", "x", os.getuid() + 1, os.getgid(), "", "/", "/bin/false"))
    monkeypatch.setattr("app.cli.init.SYSTEM_CONFIG", config)
    monkeypatch.setattr("app.install.extras.pwd.getpwnam", lambda name: account)
    code, _, err = spoke("init", "--no-input")
    assert (code, config.stat().st_mode & 0o777, config.parent.stat().st_mode & 0o777) == (0, 0o640, 0o755), err
    assert "account spoke may read it" in err


def test_init_refuses_an_unsafe_hub_and_writes_nothing(spoke: Spoke, tmp_path: Path) -> None:
    code, _, err = spoke("init", "--hub", "ws://hub.example", "--no-input")
    assert (code, "wss://" in err, (tmp_path / "etc").exists()) == (ExitCode.USAGE, True, False)


def test_init_asks_three_questions(spoke: Spoke, tmp_path: Path) -> None:
    environment = {**os.environ, "TERM": "dumb"}
    child = pexpect.spawn(sys.executable, ["-m", "app", "init"], env=environment, encoding="utf-8", timeout=60)
    for question, answer in (("Name of this node", "bench"), ("Folder", ""), ("hub", "")):
        child.expect(question)
        child.sendline(answer)
    child.expect("spoke run")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    rows = {row["key"]: row["value"] for row in json.loads(spoke("config", "show", "--json")[1])}
    assert (rows["name"], rows["fs.roots"]) == ("bench", [str(tmp_path)])


@pytest.mark.parametrize("flag", ["name", "nmae=x", "hub.ulr=x", "api.port=x"])
def test_a_flag_that_says_nothing_is_refused_by_every_command(spoke: Spoke, flag: str) -> None:
    """Also by one that never reads the configuration."""
    code, out, err = spoke("--set", flag, "status")
    assert (code, out) == (ExitCode.CONFIG, "")
    assert f"--set {flag.partition('=')[0]}: " in err
    assert spoke("--set", flag, "config", "check")[0] == ExitCode.CONFIG
