"""Delegation across tenants with real hub processes: what is wanted is in both files, through SIGKILL and restores."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.cli.exit_codes import ExitCode
from storage.delegation.traces import look_for_all
from storage.tenants import open_tenant_database

ROOT = Path(__file__).parents[3]
LIMIT_S = 60


class Machine:
    """One data directory, and `spoke` on it."""

    def __init__(self, folder: Path) -> None:
        self.hub = folder / "hub"
        self.environment = {**os.environ, "SPOKE_DATA_DIR": str(folder), "SPOKE_CONFIG": str(folder / "none.toml")}

    def run(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "app", "hub", *arguments],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stdout

    def call(self, operation: str, value: Mapping[str, Any], *more: str) -> Any:
        return json.loads(self.run("call", operation, json.dumps(value), *more))

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            [sys.executable, "-m", "app", "hub", "run", "--port", "0"],
            env=self.environment,
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            assert process.stderr is not None
            try:
                for line in process.stderr:
                    if "hub listens" in line:
                        break
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                process.communicate()

    def states(self) -> dict[str, str]:
        return {row["id"]: row["state"] for row in json.loads(self.run("delegation", "list", "--json"))}

    def live(self, slug: str) -> set[str]:
        db = open_tenant_database(self.hub / f"tenant-{slug}.db")
        try:
            with db.snapshot() as snapshot:
                return {which for which, trace in look_for_all(snapshot).items() if trace.live}
        finally:
            db.close()

    def wait(self, holds: Callable[[], bool]) -> None:
        limit = time.monotonic() + LIMIT_S
        while not holds():
            assert time.monotonic() < limit, self.run("delegation", "list")
            time.sleep(0.1)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """With the tenants acme and beta; press of acme may read graphs of its own right."""
    machine = Machine(tmp_path / "data")
    for spoke, tenant in (("press", "acme"), ("buyer", "beta")):
        machine.run("key", "create", spoke, "--tenant", tenant)
    assert json.loads(machine.run("delegation", "reconcile", "--json"))["delegations"] == 0
    return machine


def grant(machine: Machine, scopes: Sequence[str]) -> None:
    """Give the organisation acme authority of its own; its members have it through `belongs_to`."""
    (node,) = machine.call("nodes.list", {"where": {"graphId": "acl", "key": {"prefix": "org:"}}}, "--tenant", "acme")[
        "rows"
    ]
    changed = {"id": node["id"], "attributes": {**node["attributes"], "scopes": list(scopes)}}
    machine.call("nodes.update", changed, "--tenant", "acme")


PAIR = ("acme/press@acme.spoke", "beta/buyer@beta.spoke")


@pytest.mark.timeout(240)
def test_a_delegation_through_kills_and_restores(machine: Machine, tmp_path: Path) -> None:
    as_buyer = ("--tenant", "acme", "--as", "buyer@beta.spoke")
    with machine.running():
        refused = machine.run("delegation", "create", *PAIR, "--scope", "graphs:*").strip()
        machine.wait(lambda: machine.states() == {refused: "failed"})  # nobody gave press anything yet
        grant(machine, ["graphs:read"])
        made = machine.run("delegation", "create", *PAIR, "--scope", "graphs:*").strip()
        machine.wait(lambda: machine.states()[made] == "active")
        assert [row["id"] for row in machine.call("graphs.list", {}, *as_buyer)["rows"]] == ["acl"]
        machine.run("call", "graphs.create", '{"name": "g", "graphTypeId": "acl"}', *as_buyer, code=ExitCode.DENIED)
        grant(machine, [])
        machine.run("call", "graphs.list", *as_buyer, code=ExitCode.DENIED)  # at once
        grant(machine, ["graphs:read"])
    shutil.copytree(machine.hub, tmp_path / "backup")
    second = machine.run("delegation", "create", *PAIR, "--scope", "graphs:read").strip()
    for _ in range(3):  # killed somewhere in the middle of it
        with machine.running() as process:
            os.killpg(process.pid, signal.SIGKILL)
    with machine.running():
        machine.wait(lambda: machine.states()[second] == "active")
        machine.run("delegation", "revoke", made[:8])
        machine.wait(lambda: machine.states()[made] == "revoked")
        machine.wait(lambda: machine.live("acme") == machine.live("beta") == {second})

    for old in machine.hub.glob("tenant-beta.db*"):  # beta comes back as it was: without the second, with the first
        old.unlink()
    for saved in (tmp_path / "backup").glob("tenant-beta.db*"):
        shutil.copy(saved, machine.hub)
    assert machine.live("beta") == {made}
    with machine.running():
        machine.wait(lambda: machine.live("acme") == machine.live("beta") == {second})
        machine.call("accounts.update", {"id": account(machine, "press@acme.spoke"), "status": "deactivated"})
        machine.wait(lambda: machine.states()[second] == "revoked")
        machine.run("call", "graphs.list", *as_buyer, code=ExitCode.DENIED)
        machine.wait(lambda: machine.live("acme") == machine.live("beta") == set())
    trail = machine.call("audit_logs.list", {"limit": 1000})["rows"]
    told = [
        (row["details"]["id"], row["action"].removeprefix("delegation."))
        for row in trail
        if "delegation." in row["action"]
    ]
    assert {verb for which, verb in told if which == made} == {"created", "applied", "revoking", "revoked", "found"}
    assert {verb for which, verb in told if which == second} == {"created", "applied", "lost", "revoking", "revoked"}


def account(machine: Machine, email: str) -> str:
    return str(machine.call("accounts.list", {"where": {"email": email}})["rows"][0]["id"])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["create", "acme", "beta/buyer@beta.spoke", "--scope", "a:b"], ExitCode.USAGE),
        (["create", *PAIR], ExitCode.USAGE),
        (["create", *PAIR, "--resource", "doc:7"], ExitCode.USAGE),
        (["create", "acme/nobody", PAIR[1], "--scope", "a:b"], ExitCode.USAGE),
        (["revoke", "nothing"], ExitCode.USAGE),
    ],
)
def test_what_is_wrong_is_said(machine: Machine, arguments: list[str], code: int) -> None:
    assert machine.run("delegation", *arguments, code=code) == ""


def test_reconciling_without_a_hub_and_what_it_cannot_read(machine: Machine) -> None:
    made = json.loads(machine.run("delegation", "create", *PAIR, "--resource", "doc:7=read,write", "--json"))
    assert (made["state"], made["resources"]) == ("pending", {"doc:7": ["read", "write"]})
    (machine.hub / "tenant-beta.db").write_bytes(b"no database" * 100)
    machine.run("delegation", "reconcile", code=ExitCode.FAILURE)
    assert machine.call("delegations.find", {"id": made["id"]})["attempts"] == 1
    (machine.hub / "tenant-beta.db").unlink()
    report = json.loads(machine.run("delegation", "reconcile", "--json"))
    assert (report["settled"], report["failed"]) == (1, {})
    assert machine.states() == {made["id"]: "failed"}  # press holds nothing of it
    again = machine.call(
        "delegations.create",
        {
            "giver": {"org": "acme", "account": "press@acme.spoke"},
            "taker": {"org": "beta", "account": "buyer@beta.spoke"},
            "scopes": ["graphs:read"],
        },
    )
    assert machine.call("delegations.revoke", {"id": again["id"]})["state"] == "revoking"
    assert machine.call("delegations.reconcile", {}) == {"asked": True}
    with machine.running():
        machine.wait(lambda: machine.states()[again["id"]] == "revoked")
