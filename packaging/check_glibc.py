"""Which glibc a built program needs: check_glibc.py FOLDER [FLOOR]. Fails where that is newer than FLOOR.

Prints the version, so that a package can depend on it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SYMBOL = re.compile(r"\(?GLIBC_(\d+(?:\.\d+)+)\)?")
Version = tuple[int, ...]


def needed(folder: Path) -> dict[Version, list[str]]:
    """The newest glibc version that each ELF file below `folder` needs -> the names of those files."""
    found: dict[Version, list[str]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.open("rb").read(4) == b"\x7fELF":
            done = subprocess.run(["objdump", "-T", str(path)], capture_output=True, text=True, check=True)
            lines = [line for line in done.stdout.splitlines() if "*UND*" in line]
            versions = {tuple(map(int, v.split("."))) for line in lines for v in SYMBOL.findall(line)}
            if versions:
                found.setdefault(max(versions), []).append(path.relative_to(folder).as_posix())
    return found


def main(folder: str, floor: str | None = None) -> int:
    """Print the version needed; 1 if it is newer than `floor`."""
    found = needed(Path(folder))
    newest = max(found)
    print(".".join(map(str, newest)))
    if floor is None or newest <= tuple(map(int, floor.split("."))):
        return 0
    for version in sorted(found, reverse=True):
        if version > tuple(map(int, floor.split("."))):
            files = ", ".join(found[version][:5])
            print(f"needs glibc {'.'.join(map(str, version))}, the stated floor is {floor}: {files}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
