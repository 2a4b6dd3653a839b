"""Release folders: made of one file, named, removed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from app.environment import child_environment
from app.install.layout import InstallError, Layout, make_folder
from app.release import Release, verify
from storage.private_file import sync

INCOMING, NEW = ".incoming", ".new"
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(.*)")
Version = tuple[int, int, int, bool, str]


def take_in(layout: Layout, file: Path, signed: Release | None) -> str:
    """Make a release folder of `file` and return its name; the same release twice is one folder.

    What is verified, if `signed` is given, is a copy that nobody else can change, and that copy is unpacked.

    Raises:
        ReleaseError: it is not the file that was signed.
        InstallError: it cannot be unpacked, or says that it is another version than the signed one.
        OSError: it cannot be read or copied.
    """
    make_folder(layout.releases)
    tidy(layout)
    incoming, new = layout.releases / INCOMING, layout.releases / NEW
    shutil.copyfile(file, incoming)
    incoming.chmod(0o700)
    if signed is not None:
        signed.check(file.name, incoming.stat().st_size, _sha256(incoming))
    _output([str(incoming), "--unpack", str(new)], f"{file}: it cannot be unpacked")
    incoming.unlink()
    program, _, version = _output([str(new / "spoke"), "--version"], f"{file}: it does not run here").partition(" ")
    if program != "spoke" or not _VERSION.fullmatch(version) or "/" in version:
        raise InstallError(f"{file}: this is no Spoke")
    if signed is not None and version != signed.version:
        raise InstallError(f"{file}: it says that it is {version}, it was signed as {signed.version}")
    name = f"{version}-{_sha256(new / 'MANIFEST')[:12]}"
    if (layout.releases / name).exists():
        shutil.rmtree(new)
    else:
        new.rename(layout.releases / name)
    sync(layout.releases)
    return name


def tidy(layout: Layout) -> None:
    """Remove what a cut left half made."""
    for left in (layout.releases / INCOMING, *layout.root.glob(".*")):
        left.unlink(missing_ok=True)
    for left in layout.releases.glob(".*"):
        shutil.rmtree(left)  # also what FILE --unpack was making


def prune(layout: Layout, keep: set[str]) -> list[str]:
    """Remove the releases that are not to be kept; returns their names. A program that still runs there goes on."""
    gone = [path for path in layout.releases.iterdir() if path.name not in keep and not path.name.startswith(".")]
    for path in gone:
        doomed = path.with_name(f".{path.name}")
        path.rename(doomed)  # never half a release under its name
        shutil.rmtree(doomed)
    return sorted(path.name for path in gone)


def verified(file: Path, signature: Path, trusted: dict[str, bytes]) -> tuple[Release, str]:
    """Return what is signed as the release of `file`, and who signed it.

    Raises:
        ReleaseError: it was not signed by a trusted key, or is for another kind of machine.
        OSError: the signature cannot be read.
    """
    release, key = verify(signature.read_bytes(), trusted)
    here = f"linux-{os.uname().machine}"
    if release.platform != here:
        raise InstallError(f"{file}: this release is for {release.platform}, this machine is {here}")
    return release, key


def version_of(release: str) -> str:
    """The version in a release's name."""
    return release.rpartition("-")[0]


def order(version: str) -> Version:
    """A key by which versions are compared: numbers, then anything with a suffix before the version itself.

    >>> order("0.9.0") < order("0.10.0-rc1") < order("0.10.0")
    True
    """
    found = _VERSION.fullmatch(version)
    if found is None:
        raise InstallError(f"{version!r} is no version")
    return int(found[1]), int(found[2]), int(found[3]), not found[4], found[4]


def _output(command: list[str], wrong: str) -> str:
    try:
        done = subprocess.run(
            command, env=child_environment(), capture_output=True, text=True, timeout=300, check=False, cwd="/"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(f"{wrong}: {error}") from error
    if done.returncode != 0:
        raise InstallError(f"{wrong}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout.strip()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
