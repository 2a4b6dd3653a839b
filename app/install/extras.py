"""What an installation has besides the program: completions, the manual page, the unit, the account."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

from app.environment import child_environment
from app.install.layout import READABLE, Installed, InstallError, Layout, make_folder
from app.install.program import Program
from app.install.service import Service
from app.paths import Paths
from app.systemd_unit import ACCOUNT, HUB, system_unit, user_unit
from storage.private_file import write_private

SERVICE_MAY_READ = 0o640
"""root's configuration: it may hold an API key."""

USERADD = ("useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/var/lib/spoke")


def unit(layout: Layout, paths: Paths, *, hub: bool) -> str:
    """The text of a unit, as this program wants to be run."""
    command = str(layout.command)
    return (
        system_unit(command, hub=hub)
        if layout.system
        else user_unit(command, paths.data_dir, paths.config_file, hub=hub)
    )


def asked(layout: Layout) -> dict[Path, tuple[str, ...]]:
    """The files that a release's program prints, and with which command."""
    share = layout.prefix / "share"
    return {
        share / "bash-completion" / "completions" / "spoke": ("completion", "bash"),
        share / "zsh" / "site-functions" / "_spoke": ("completion", "zsh"),
        share / "fish" / "vendor_completions.d" / "spoke.fish": ("completion", "fish"),
        share / "man" / "man1" / "spoke.1": ("man",),
    }


def files(layout: Layout, units: tuple[str, ...]) -> list[Path]:
    """All files that an installation has outside of its own folder."""
    return [layout.command, *asked(layout), *(layout.units / unit for unit in units)]


def lay_out(layout: Layout, installed: Installed, release: str) -> None:
    """Write the files as the program of that release prints them, so that they are of its version.

    Raises:
        InstallError: it prints nothing.
    """
    program = Program(layout.program(release), installed.paths)
    wanted = {path: program.run(*words, timeout_s=60) for path, words in asked(layout).items()}
    for name in installed.units:
        options = ("--system" if layout.system else "--user", *(("--hub",) if name == HUB else ()))
        wanted[layout.units / name] = program.run(
            "install", "--unit", *options, f"--prefix={layout.prefix}", timeout_s=60
        )
    for path, text in wanted.items():
        if not (path.is_file() and path.read_text() == text):
            make_folder(path.parent)
            write_private(path, text, mode=READABLE)
    if installed.units:
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


def give_to_account(paths: Paths) -> None:
    """Make the data directory of the machine's services (0700, theirs), and let them read the configuration.

    Raises:
        OSError: this is not root.
    """
    account = pwd.getpwnam(ACCOUNT)
    make_folder(paths.data_dir.parent)
    if not paths.data_dir.is_dir():
        paths.data_dir.mkdir(mode=0o700)
        os.chown(paths.data_dir, account.pw_uid, account.pw_gid)
    if paths.config_file.is_file():
        let_read(paths.config_file)


def let_read(config_file: Path) -> None:
    """Let the account's group read a configuration that it may not read yet; nobody else who is not its owner.

    Raises:
        OSError: this is not root.
    """
    account, found = pwd.getpwnam(ACCOUNT), config_file.stat()
    mine = found.st_uid == account.pw_uid, found.st_gid == account.pw_gid
    if not found.st_mode & (stat.S_IRUSR if mine[0] else stat.S_IRGRP if mine[1] else stat.S_IROTH):
        os.chown(config_file, -1, account.pw_gid)
        config_file.chmod(SERVICE_MAY_READ)
