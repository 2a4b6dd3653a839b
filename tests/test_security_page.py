"""docs/security.md: nothing is contacted but the hub, and no secret lies in the repository."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

from tests.pages import ROOT

NO_HOSTS = {
    "json-schema.org",  # the name of a dialect of JSON Schema
    "graphml.graphdrawing.org",  # the name space of a file format
    "pyinstaller.org",  # in a docstring: where a behaviour is documented
    "proxy",  # in a doctest
    "proxy.example",  # in the template of the configuration
    "127.0.0.1",
}
"""Hosts that stand in the code and are not spoken to."""
SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}"
    r"|\balk_[A-Za-z0-9_-]{20,}|\bspk1\.[a-z2-7]{20,}"  # ours: API keys, join tokens
    r"|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{30,}|\bglpat-[A-Za-z0-9_-]{20,}"
    r"|\bxox[abps]-[A-Za-z0-9-]{20,}|\bsk-[A-Za-z0-9_-]{20,}|\bpypi-[A-Za-z0-9_-]{40,}"
    r"|\beyJ[A-Za-z0-9_-]{20,}\.eyJ[A-Za-z0-9_-]{20,}"
)


def test_no_host_stands_in_the_code() -> None:
    """What a page's commands contact is asserted where they run, in test_docs.py."""
    found = {
        host
        for floor in ("app", "storage", "sync")
        for file in (ROOT / floor).rglob("*.py")
        for host in re.findall(r"\b(?:https?|wss?)://(?:\w+:\w+@)?([A-Za-z0-9][A-Za-z0-9.-]*)", file.read_text())
    }
    placeholders = {host for host in found if host.isupper() or host.endswith(".example") or "." not in host}
    assert found - placeholders - NO_HOSTS == set()
    assert NO_HOSTS - found - {"proxy"} == set(), "nobody is excused in vain"


def committed() -> Iterator[tuple[str, str]]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in listed.stdout.split("\0")[:-1]:
        file = ROOT / name
        if file.is_file():
            yield name, file.read_bytes().decode("utf-8", "replace")


def test_no_secret_is_in_the_repository() -> None:
    assert [(name, found) for name, text in committed() for found in SECRETS.findall(text)] == []


def test_secrets_would_be_found() -> None:
    key = "A" * 64
    for secret in (
        f"-----BEGIN PRIVATE KEY-----\n{key}\n",
        "alk" + "_" + key[:32],
        "spk1" + "." + "a" * 26 + ".b.c",
        "AKIA" + "ABCDEFGHIJKLMNOP",
        "ghp" + "_" + key[:36],
    ):
        assert SECRETS.search(f"x = '{secret}'")


def test_no_file_of_keys_is_in_the_repository() -> None:
    names = [name for name, _ in committed()]
    assert not [name for name in names if re.search(r"(\.pem|\.key|\.p12|keyring\.json|hub\.json|\.env)$", name)]
