"""What is in a built release, as CycloneDX 1.6 JSON on stdout: sbom.py FILE FOLDER, run with the build's Python.

The libraries of requirements/runtime.lock with the hashes that pip compared, the interpreter, SQLite and both OpenSSLs,
what the launcher and the bootloader carry, and every file of the release folder with its hash.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import ssl
import sys
import uuid
from pathlib import Path
from typing import Any

import apsw
from backports import zstd
from cryptography.hazmat.backends.openssl import backend

ROOT = Path(__file__).parents[1]
LOCKED = re.compile(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)([^\n]*(?:\\\n[^\n]*)*)", re.MULTILINE)
Component = dict[str, Any]


def _sha256(path: Path) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}]


def locked(lock: str) -> list[Component]:
    """The pinned libraries that are installed here, with every hash that the lock allows for each."""
    installed = {re.sub(r"[-_.]+", "-", d.name).lower(): d for d in importlib.metadata.distributions()}
    found = []
    for name, version, rest in LOCKED.findall(lock):
        distribution = installed.get(name)
        if distribution is None:  # for another platform or Python
            continue
        component: Component = {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name}@{version}",
            "name": name,
            "version": version,
            "purl": f"pkg:pypi/{name}@{version}",
            "externalReferences": [
                {
                    "type": "distribution",
                    "url": f"https://pypi.org/project/{name}/{version}/",
                    "comment": "installed from one of these files",
                    "hashes": [{"alg": "SHA-256", "content": h} for h in re.findall(r"sha256:([0-9a-f]{64})", rest)],
                }
            ],
        }
        licence = distribution.metadata.get("License-Expression")
        if licence:
            component["licenses"] = [{"expression": licence}]
        found.append(component)
    return found


def carried(folder: Path) -> list[Component]:
    """What is in there without being a Python library."""
    internal = folder / "_internal"
    library = next(internal.glob("libpython*.so*"))
    header = Path("/usr/include/zstd.h").read_text()
    launcher_zstd = ".".join(re.findall(r"#define ZSTD_VERSION_(?:MAJOR|MINOR|RELEASE) +(\d+)", header))
    parts = [
        ("python", platform.python_version(), f"the interpreter, {library.name}", _sha256(library)),
        ("sqlite", apsw.sqlite_lib_version(), f"in apsw; {apsw.sqlite3_sourceid()}", None),
        ("openssl", ssl.OPENSSL_VERSION.split()[1], "libssl, libcrypto", _sha256(next(internal.glob("libcrypto.so*")))),
        ("openssl", backend.openssl_version_text().split()[1], "in cryptography", None),
        ("zstd", zstd.zstd_version, "in backports.zstd", None),
        ("zstd", launcher_zstd, "in the launcher", None),
        ("glibc", platform.libc_ver()[1], "the part of it that is in the launcher", None),
        ("pyinstaller", importlib.metadata.version("pyinstaller"), "its bootloader, spoke", _sha256(folder / "spoke")),
    ]
    return [
        {
            "type": "library",
            "bom-ref": f"carried-{number}",
            "name": name,
            "version": version,
            "description": description,
            **({"hashes": hashes} if hashes else {}),
        }
        for number, (name, version, description, hashes) in enumerate(parts)
    ]


def bom(file: Path, folder: Path, version: str, made: int) -> dict[str, Any]:
    """The whole document; the same input gives the same text."""
    files = [
        {"type": "file", "bom-ref": f"file:{name}", "name": name, "hashes": _sha256(folder / name)}
        for name in sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    ]
    spoke = {"type": "application", "bom-ref": "spoke", "name": "spoke", "version": version, "hashes": _sha256(file)}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, spoke['hashes'][0]['content'])}",  # type: ignore[index]
        "version": 1,
        "metadata": {
            "timestamp": datetime.datetime.fromtimestamp(made, datetime.UTC).isoformat(),
            "component": spoke,
        },
        "components": [*locked((ROOT / "requirements" / "runtime.lock").read_text()), *carried(folder), *files],
    }


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from app import __version__

    made = int(os.environ["SOURCE_DATE_EPOCH"])
    print(json.dumps(bom(Path(sys.argv[1]), Path(sys.argv[2]), __version__, made), indent=1))
