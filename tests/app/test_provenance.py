"""What the program says that it is made of, and what the build writes down for it."""

from __future__ import annotations

import json
import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from app import __version__
from app.provenance import DIRECT, Library, provenance
from tests.app.cli.test_cli import Spoke, node, spoke  # noqa: F401

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements" / "runtime.lock").read_text()
BUILD = runpy.run_path(str(ROOT / "packaging" / "build_info.py"))


def report(**hashes: str) -> dict[str, Any]:
    """As `pip install --report` writes it, of what the lock pins, and of the build's own tools."""
    pinned = re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)[^\n]*\\\n    --hash=sha256:(\w+)", LOCK, re.MULTILINE)
    return {
        "install": [
            {
                "metadata": {"name": name.replace("-", "."), "version": version},
                "download_info": {
                    "url": f"https://files.example/a/{name}-{version}-py3-none-any.whl",
                    "archive_info": {"hashes": {"sha256": hashes.get(name, sha256)}},
                },
            }
            for name, version, sha256 in [*pinned, ("pyinstaller", "6.22", "0" * 64)]
        ]
    }


def test_a_build_says_its_commit_and_the_wheels_that_pip_installed(tmp_path: Path) -> None:
    file = tmp_path / "build.json"
    file.write_text(json.dumps(BUILD["build_info"](report(), LOCK, "4f" * 20, " M app/main.py", 1_800_000_000)))
    made = provenance(file)
    assert (made.version, made.commit, made.changed) == (__version__, "4f" * 20, True)
    assert made.made_at == "2027-01-15T08:00:00Z"
    names = [library.name for library in made.libraries]
    assert names == sorted(names)
    assert set(DIRECT) <= set(names)
    assert "pyinstaller" not in names
    for library in made.libraries:
        assert library.sha256 is not None
        assert f"sha256:{library.sha256}" in LOCK
        assert library.wheel == f"{library.name}-{library.version}-py3-none-any.whl"


def test_a_build_of_something_else_than_the_lock_is_refused() -> None:
    with pytest.raises(ValueError, match="apsw"):
        BUILD["build_info"](report(apsw="f" * 64), LOCK, "", "", 0)


def test_from_source_nothing_is_guessed(spoke: Spoke) -> None:  # noqa: F811
    code, out, err = spoke("version", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["version"] == __version__
    assert told["commit"] is told["changed"] is told["madeAt"] is None
    assert told["libraries"]
    assert all(one["version"] and one["wheel"] is one["sha256"] is None for one in told["libraries"])
    assert told["openssl"].startswith("OpenSSL ")
    text = spoke("version")[1]
    assert re.search(rf"^sqlite +{re.escape(told['sqlite'])}$", text, re.MULTILINE)


def test_a_build_without_git_knows_no_commit() -> None:
    built = BUILD["build_info"](report(), LOCK, "", "", 0)
    assert (built["commit"], built["changed"]) == (None, None)
    assert Library(**built["libraries"][0]).sha256


def test_what_pyproject_names_is_told() -> None:
    named = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {re.split(r"[><=;]", one)[0].replace(".", "-") for one in named} == set(DIRECT)
