"""What an installation has besides the program: completions, the manual page, the unit, the account."""

from __future__ import annotations

import pwd
import shutil
import subprocess
from pathlib import Path

from app.environment import child_environment
from app.install.layout import READABLE, Installed, InstallError, Layout, make_folder
from app.install.program import Program
from app.install.service import Service
from app.systemd_unit import ACCOUNT, system_unit, user_unit
from storage.private_file import write_private

USERADD = ("useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/var/lib/spoke")


def unit(layout: Layout, installed: Installed) -> str:
    """The text of the unit, as this program wants to be run."""
    command = str(layout.command)
    paths = installed.paths
    return system_unit(command) if layout.system else user_unit(command, paths.data_dir, paths.config_file)


def asked(layout: Layout) -> dict[Path, tuple[str, ...]]:
    """The files that a release's program prints, and with which command."""
    share = layout.prefix / "share"
    return {
        share / "bash-completion" / "completions" / "spoke": ("completion", "bash"),
        share / "zsh" / "site-functions" / "_spoke": ("completion", "zsh"),
        share / "fish" / "vendor_completions.d" / "spoke.fish": ("completion", "fish"),
        share / "man" / "man1" / "spoke.1": ("man",),
    }


def files(layout: Layout, *, service: bool) -> list[Path]:
    """All files that an installation has outside of its own folder."""
    return [layout.command, *asked(layout), *([layout.unit] if service else [])]


def lay_out(layout: Layout, installed: Installed, release: str) -> None:
    """Write the files as the program of that release prints them, so that they are of its version.

    Raises:
        InstallError: it prints nothing.
    """
    program = Program(layout.program(release), installed.paths)
    wanted = {path: program.run(*words, timeout_s=60) for path, words in asked(layout).items()}
    if installed.service:
        which = "--system" if layout.system else "--user"
        wanted[layout.unit] = program.run("install", "--unit", which, f"--prefix={layout.prefix}", timeout_s=60)
    for path, text in wanted.items():
        if not (path.is_file() and path.read_text() == text):
            make_folder(path.parent)
            write_private(path, text, mode=READABLE)
    if installed.service:
        Service(layout.system).reread()


def has_account() -> bool:
    """Whether there is the account that the machine's service runs as."""
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        return False
    return True


def make_account() -> None:
    """Make the account that the machine's service runs as, unless there is one.

    Raises:
        InstallError: it cannot be made.
    """
    if has_account():
        return
    nologin = shutil.which("nologin", path="/usr/sbin:/sbin:/usr/bin:/bin") or "/bin/false"
    try:
        done = subprocess.run(
            [*USERADD, "--shell", nologin, ACCOUNT],
            env=child_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise InstallError(f"useradd: {error.strerror}", f"make the account {ACCOUNT}, or say --no-service") from error
    if done.returncode != 0:
        raise InstallError(f"useradd: {done.stderr.strip()}", f"make the account {ACCOUNT}, or say --no-service")
