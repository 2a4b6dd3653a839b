"""What holds of the command line as a whole: contracts, pages made from the code, options that every command has."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from app.cli import cli, reference
from app.cli.contract import CONTRACTS, FORMS, IMPACTS
from app.cli.options import with_shared_options
from app.cli.run_cli import complaint
from tests.app.cli.test_cli import COMMANDS, Spoke, node, spoke  # noqa: F401

ROOT = Path(__file__).parents[3]
LEAVES = [name for name, command in COMMANDS.items() if not isinstance(command, click.Group)]


def options_of(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts if name.startswith("-")}


# -- contracts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_has_a_contract(name: str) -> None:
    """A new command: add its line to app/cli/contract.py."""
    contract = CONTRACTS[name]
    assert contract.impact in IMPACTS
    assert (contract.form is not None) == ("--json" in options_of(COMMANDS[name])), "a form where there is --json"
    assert contract.form is None or contract.form in FORMS
    assert contract.form is None or contract.fields or contract.note


def test_every_contract_has_a_command() -> None:
    assert set(CONTRACTS) <= set(LEAVES)


def test_the_pages_are_what_the_code_says() -> None:
    """`make pages` makes them anew."""
    assert (ROOT / "docs" / "cli.md").read_text() == reference.markdown(cli)
    assert (ROOT / "docs" / "cli-json.md").read_text() == reference.json_page(cli)


def test_the_spec_has_every_command_option_and_code(spoke: Spoke) -> None:  # noqa: F811
    code, out, err = spoke("spec", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    told = {command["name"]: command for command in document["commands"]}
    assert set(told) == {name for name, command in COMMANDS.items() if not command.hidden}
    for name, command in told.items():
        shown = {one for option in command["options"] for one in option["names"]}
        hidden = {one for p in COMMANDS[name].params if getattr(p, "hidden", False) for one in p.opts}
        assert shown >= options_of(COMMANDS[name]) - hidden
        assert command["examples"]
        assert command["summary"]
        assert name not in LEAVES or command["impact"] in IMPACTS
    assert json.loads(spoke("spec")[1]) == document
    assert {entry["code"] for entry in document["exitCodes"]} >= {0, 1, 2, 65, 69, 70, 130}


def test_the_manual_page_is_good_roff(spoke: Spoke, tmp_path: Path) -> None:  # noqa: F811
    code, out, _ = spoke("man")
    assert code == 0
    assert out.isascii()
    page = tmp_path / "spoke.1"
    page.write_text(out)
    for tool in (["groff", "-man", "-ww", "-Tutf8", "-z"], ["mandoc", "-T", "lint", "-W", "error"]):
        if shutil.which(tool[0]):
            done = subprocess.run([*tool, str(page)], check=True, capture_output=True, text=True)
            assert done.stdout + done.stderr == ""
    if shutil.which("man"):
        environment = {**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"}
        shown = subprocess.run(["man", "-l", page], check=True, capture_output=True, text=True, env=environment).stdout
        plain = re.sub(".\b", "", shown)
        for words in ("spoke hub token create", "EXIT STATUS", "(hub/…)", '\'{"path": "~"}\''):
            assert words in plain


@given(st.text())
def test_roff_obeys_nothing_in_a_text(text: str) -> None:
    line = reference._roff(" ".join(text.split()))
    assert line.isascii()
    assert not line.startswith((".", "'"))
    assert not re.search(r"\\(?!\(rs|\(aq|\(ga|\(ha|\(ti|\(dq|-|&|\[u[0-9A-F]+\])", line)


def test_paths(spoke: Spoke, node: Path) -> None:  # noqa: F811
    code, out, _ = spoke("paths", "--json")
    assert code == 0
    assert json.loads(out)["dataDir"] == {"path": str(node), "exists": False}
    assert not node.exists()
    assert str(node / "tenant-local.db") in spoke("paths")[1]


# -- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "record"])
def test_an_unknown_option_names_the_nearest(name: str, spoke: Spoke) -> None:  # noqa: F811
    for option in ("--colr=never", "--hepl"):
        code, out, err = spoke(*name.split(), option)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert {"--colr=never": "did you mean --color", "--hepl": "did you mean --help"}[option] in err


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if isinstance(command, click.Group)])
def test_an_unknown_command_of_a_group_names_the_nearest(name: str, spoke: Spoke) -> None:  # noqa: F811
    group = COMMANDS[name]
    assert isinstance(group, click.Group)
    for below in group.commands:
        code, out, err = spoke(*name.split(), f"{below}x")
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert re.search(rf" — did you mean .*\b{re.escape(below)}\b.*\?", err)
    _, _, err = spoke(*name.split(), "qqqqqq")
    assert f"`spoke {name} --help` says how" in err


@given(st.text(), st.text(), st.integers(20, 80))
def test_an_error_fits_the_terminal(message: str, hint: str, columns: int) -> None:
    lines = complaint(message, hint, columns).splitlines()
    assert lines[0].startswith("spoke:")
    for line in lines:
        assert len(line) <= columns
    assert "\n" not in complaint(message, hint, None)


# -- the options that every command has ------------------------------------------------------------------------------


def on_a_terminal(arguments: Sequence[str], **variables: str) -> str:
    """What `spoke ARGUMENTS` writes with stdin, stdout and stderr on a terminal of 80 columns."""
    controller, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", **variables}
    for name in ("NO_COLOR", *(name for name, value in variables.items() if not value)):
        if not variables.get(name):
            environment.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "-m", "app", *arguments], stdin=terminal, stdout=terminal, stderr=terminal, env=environment
    )
    os.close(terminal)
    written = b""
    try:
        while block := os.read(controller, 65_536):
            written += block
    except OSError:
        pass  # the terminal is gone with the process
    process.wait()
    os.close(controller)
    return written.decode()


def test_every_command_knows_them() -> None:
    for name, command in COMMANDS.items():
        assert name == "record" or {"--color", "--quiet", "--verbose", "--no-input"} <= options_of(command)
        before = list(command.params)
        assert with_shared_options(command).params == before


def test_color(spoke: Spoke) -> None:  # noqa: F811
    spoke("record", "--", "false")
    wanted = ("tail", "--where", "type=call.error")
    assert "\x1b" not in spoke(*wanted)[1]
    assert "\x1b[31mcall.error\x1b[0m" in spoke("--color", "always", *wanted)[1]
    assert "\x1b[31mcall.error\x1b[0m" in spoke(*wanted, "--color=always")[1]
    assert "\x1b" not in spoke("--color", "always", *wanted, "--color", "never")[1]
    assert "\x1b[31m" in on_a_terminal(wanted)
    assert "\x1b" not in on_a_terminal((*wanted, "--color", "never"))
    assert "\x1b" not in on_a_terminal(wanted, NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(wanted, TERM="dumb")
    assert "\x1b[31m" in on_a_terminal(("--color", "always", *wanted), NO_COLOR="1")


def test_quiet(spoke: Spoke) -> None:  # noqa: F811
    for arguments in (("record", "--", "true"), ("hub", "token", "list"), ("sync", "rejected")):
        assert spoke(*arguments)[2]
        assert spoke("-q", *arguments)[2] == ""
    assert spoke("sync", "rejected", "--quiet")[2] == ""
    code, _, err = spoke("-q", "session", "show", "zz")
    assert (code, err.count("\n")) == (2, 1), "an error is no talk"
    assert on_a_terminal(("--quiet", "status")).startswith("node")


def test_nobody_is_asked_without_a_terminal_or_with_no_input(spoke: Spoke) -> None:  # noqa: F811
    spoke("status")
    code, _, err = spoke("reidentify", "--no-input")
    assert (code, "--yes" in err) == (2, True)
    for arguments in (("reidentify", "--no-input"), ("--no-input", "join", "wss://hub.example")):
        assert "spoke: " in on_a_terminal(arguments)
    assert spoke("reidentify", "--yes")[0] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("tail", "--json"),
        ("sql", "select 1"),
        ("sql", "select 1", "--csv"),
        ("find", "true"),
        ("spec",),
        ("man",),
        ("status",),
        ("session", "list"),
        ("--help",),
    ],
)
def test_a_reader_that_has_left_is_no_error(arguments: tuple[str, ...], spoke: Spoke) -> None:  # noqa: F811
    spoke("record", "--", "true")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "app", *arguments], stdout=writer, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_errors_on_a_terminal_are_wrapped(spoke: Spoke) -> None:  # noqa: F811
    shown = on_a_terminal(("--color", "never", "sql", "selec"))
    assert len(shown.splitlines()) > 1
    assert max(map(cell_len, shown.splitlines())) <= 80
