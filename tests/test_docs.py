"""The documentation does what it says: its blocks run, and its links lead somewhere."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.tui.places import PLACES
from tests.pages import ELSEWHERE, ROOT, blocks, pages, script

NOT_RUN = 13
"""How many blocks of commands are marked as not run; `python -m tests.pages` lists them."""
BINARY = os.environ.get("SPOKE_BINARY")
FROM_SOURCE = {"operation.md"}
"""Pages with something that the built executable does not do: it loads no Python files."""
SAYS = {"backup.md": ("manifest.json", "what was here before is in", "0 problems")}
"""What must be read somewhere in what a page's commands say, beyond that they succeed."""
LOOPBACK = re.compile(r"(127\..*|::1|localhost|/.*|None|0\.0\.0\.0)$")
HOOK = """\
import os, sys

def told(event, args):
    if event in ("socket.connect", "socket.sendto"):
        where = args[1]
    elif event == "socket.getaddrinfo":
        where = args
    else:
        return
    name = where if isinstance(where, (str, bytes)) else where[0]
    with open(os.environ["CONTACTED"], "a") as file:
        print(name.decode() if isinstance(name, bytes) else name, file=file)

sys.addaudithook(told)
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A short path: a socket's path has at most 100 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="spoke-docs-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A port below those that the kernel gives to others by itself: nobody takes it before the page does."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for port in range(20_000 + 500 * worker + os.getpid() % 400, 32_000):
        with contextlib.suppress(OSError), socket.socket() as found:
            found.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


def run_page(page: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a page's script in a new home; whatever it left running is ended."""
    programs = home / "programs"
    programs.mkdir()
    spoke = shlex.quote(str(Path(BINARY).resolve())) if BINARY else f"{shlex.quote(sys.executable)} -m app"
    for name, line in (("spoke", spoke), ("python3", shlex.quote(sys.executable))):
        (programs / name).write_text(f'#!/bin/sh\nexec {line} "$@"\n')
        (programs / name).chmod(0o755)
    (programs / "sitecustomize.py").write_text(HOOK)
    (home / ".config/spoke").mkdir(parents=True)
    environment = {
        "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": f"{programs}:{ROOT}",
        "PYTHONUNBUFFERED": "1",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "SPOKE_DATA_DIR": str(home / ".local/share/spoke"),
        "SPOKE_CONFIG": str(home / ".config/spoke/spoke.toml"),
        "CONTACTED": str(home / "contacted"),
    }
    with (home / "out").open("w+") as out, (home / "err").open("w+") as err:
        started = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script(page, free_port())],
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        try:
            code = started.wait(280)
        finally:
            with contextlib.suppress(ProcessLookupError):  # nothing is left of it
                os.killpg(started.pid, signal.SIGKILL)
            started.wait()
        return subprocess.CompletedProcess([], code, *(Path(file.name).read_text() for file in (out, err)))


@pytest.mark.parametrize(
    "page",
    [
        page
        for page in pages()
        if any(block.runs for block in blocks(page)) and not (BINARY and page.name in FROM_SOURCE)
    ],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_a_page_does_what_it_says_and_speaks_to_this_machine_alone(page: Path, home: Path) -> None:
    done = run_page(page, home)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert "Traceback" not in done.stderr
    for words in SAYS.get(page.name, ()):
        assert words in done.stdout + done.stderr
    if BINARY is None:  # it has a Python of its own, without our hook
        contacted = (home / "contacted").read_text().splitlines() if (home / "contacted").exists() else []
        assert not [name for name in contacted if not LOOPBACK.match(name)]
        assert contacted or not any("spoke join" in block.text for block in blocks(page) if block.runs)


def test_what_is_not_run_is_counted_and_says_why() -> None:
    marked = [(page, block) for page in pages() for block in blocks(page) if block.why_not]
    assert len([block for _, block in marked if block.why_not.startswith("not run")]) == NOT_RUN
    for page, block in marked:
        if page.name not in ELSEWHERE and (elsewhere := re.match(r"run by (\S+)$", block.why_not)):
            assert page.name in (ROOT / elsewhere[1]).read_text(), f"{page}: {elsewhere[1]} does not name it"


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_block_is_one(page: Path) -> None:
    if page.name in ELSEWHERE:
        return
    for block in blocks(page):
        assert block.language, f"{page}:{block.line}: a fence names its language; `text` is not run"
        if block.language == "text":
            first = block.text.split("\n", 1)[0]
            assert not re.match(r"(spoke|make|sudo|systemctl) [a-z-]", first) or block.why_not, f"{page}:{block.line}"


def anchors(page: Path) -> set[str]:
    """The anchors that headings have on GitHub."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize(
    "page", [*pages(), ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"], ids=lambda page: str(page.relative_to(ROOT))
)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        assert there.exists(), f"{page}: {target}"
        assert not anchor or anchor in anchors(there), f"{page}: {target}"


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    targets = re.findall(r"\]\(([^)#]+)", index.read_text())
    known = {index, *((index.parent / target).resolve() for target in targets)}
    assert not [page for page in pages()[1:] if page not in known and page.parent.name != "decisions"]


def test_a_foreign_host_would_be_noted(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HOOK)
    code = "import contextlib, socket\nwith contextlib.suppress(OSError): socket.getaddrinfo('telemetry.invalid', 443)"
    environment = {"PYTHONPATH": str(tmp_path), "CONTACTED": str(tmp_path / "contacted")}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    (name,) = (tmp_path / "contacted").read_text().splitlines()
    assert name == "telemetry.invalid"
    assert not LOOPBACK.match(name)


def test_every_screen_has_a_command_that_says_the_same() -> None:
    rows = re.findall(r"^\| ([^|]+) \| .*`spoke ", (ROOT / "docs/howto/screen-reader.md").read_text(), re.MULTILINE)
    assert not [place.name for place in PLACES if place.name not in " ".join(rows)]
