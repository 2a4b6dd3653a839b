"""What `spoke version` tells of a build, as JSON on stdout: build_info.py REPORT COMMIT CHANGED.

REPORT is what `pip install --report` wrote when it made the build's environment: it names the wheel of every library
with its hash. Of those, the ones that requirements/runtime.lock pins are told. An empty COMMIT: not built from git.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[1] / "requirements" / "runtime.lock"


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def libraries(report: dict[str, Any], lock: str) -> list[dict[str, str]]:
    """Name, version, wheel and SHA-256 of what was installed and is in the lock, by name.

    Raises:
        ValueError: what was installed is not what the lock allows.
    """
    pinned = dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)", lock, re.MULTILINE))
    found = []
    for item in report["install"]:
        name, version = _canonical(item["metadata"]["name"]), item["metadata"]["version"]
        if name not in pinned:
            continue
        source = item["download_info"]
        sha256 = source["archive_info"]["hashes"]["sha256"]
        if version != pinned[name] or f"sha256:{sha256}" not in lock:
            raise ValueError(f"{name} {version} ({sha256}) is not what {LOCK.name} allows: make a new .venv-build")
        found.append({"name": name, "version": version, "wheel": source["url"].rsplit("/", 1)[-1], "sha256": sha256})
    return sorted(found, key=lambda one: one["name"])


def build_info(report: dict[str, Any], lock: str, commit: str, changed: str, made: int) -> dict[str, Any]:
    """The whole document; the same input gives the same text."""
    return {
        "commit": commit or None,
        "changed": bool(changed) if commit else None,
        "madeAt": datetime.datetime.fromtimestamp(made, datetime.UTC).isoformat().replace("+00:00", "Z"),
        "libraries": libraries(report, lock),
    }


if __name__ == "__main__":
    path, commit, changed = sys.argv[1:]
    made = int(os.environ["SOURCE_DATE_EPOCH"])
    print(json.dumps(build_info(json.loads(Path(path).read_text()), LOCK.read_text(), commit, changed, made), indent=1))
