"""A release comes onto a machine, and goes again."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app.install.extras import give_to_account, let_read, unit
from app.install.installing import going, install, planned, steps, uninstall
from app.install.layout import InstallError, Layout, choose
from app.paths import Paths
from app.systemd_unit import HUB, NAME, user_unit
from storage.process_lock import ProcessLock
from tests.app.install.fakes import Machine, release

SHARED = (
    "bash-completion/completions/spoke",
    "zsh/site-functions/_spoke",
    "fish/vendor_completions.d/spoke.fish",
    "man/man1/spoke.1",
)


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_all_of_it(machine: Machine, tmp_path: Path) -> None:
    file, before = release(tmp_path, "1.0.0"), os.umask(0o077)
    try:
        name = machine.install(file)
    finally:
        os.umask(before)
    layout = machine.layout
    assert re.fullmatch(r"1\.0\.0-[0-9a-f]{12}", name)
    assert subprocess.run([layout.command, "--version"], capture_output=True, text=True, check=True).stdout == (
        "spoke 1.0.0\n"
    )
    for file in (*(layout.prefix / "share" / each for each in SHARED), layout.units / NAME):
        assert "of 1.0.0" in file.read_text()
        assert file.stat().st_mode & 0o777 == 0o644
    for folder in (layout.root, layout.releases, layout.command.parent):
        assert folder.stat().st_mode & 0o777 == 0o755
    assert machine.state == "active"
    assert machine.asked() == ["daemon-reload", "enable spoke.service", "reset-failed spoke.service",
                               "restart spoke.service"]  # fmt: skip
    assert machine.leftovers() == []


def test_again_and_without_the_service(machine: Machine, tmp_path: Path) -> None:
    file = release(tmp_path, "1.0.0")
    name = machine.install(file)
    layout = machine.layout
    (layout.prefix / "share" / SHARED[0]).unlink()
    assert install(layout, None, planned(layout, machine.paths, service=True)) == name
    assert (layout.prefix / "share" / SHARED[0]).exists()
    machine.install(file, service=False)
    assert not (layout.units / NAME).exists()
    assert machine.state == "inactive"
    assert "disable --now spoke.service" in machine.asked()


def test_a_hub_beside_and_instead_of_a_node(machine: Machine, tmp_path: Path) -> None:
    file, hub = release(tmp_path, "1.0.0"), machine.layout.units / HUB
    machine.install(file, hub=True)
    assert (machine.layout.units / NAME).exists()
    assert hub.read_text() == "install --unit of 1.0.0\n"
    assert machine.asked()[-3:] == ["enable spoke.service spoke-hub.service", "reset-failed spoke.service",
                                    "restart spoke.service"], "without a certificate it cannot start"  # fmt: skip
    machine.paths.hub_certificates.mkdir(parents=True)
    machine.install(file, service=False, hub=True)
    assert not (machine.layout.units / NAME).exists()
    assert "disable --now spoke.service" in machine.asked()
    assert machine.asked()[-1] == "restart spoke-hub.service"
    record = machine.layout.installed()
    assert record is not None
    assert record.units == (HUB,)
    uninstall(machine.layout, record, purge=False)
    assert not hub.exists()


@pytest.mark.parametrize("without", ["not booted", "no systemctl"])
def test_where_no_systemd_runs(machine: Machine, tmp_path: Path, without: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if without == "not booted":
        (machine.bin / "manager").write_text("offline\n")
    else:
        (machine.bin / "systemctl").unlink()
        bare = tmp_path / "bare"
        bare.mkdir()
        for tool in ("sh", "cp", "cat", "mkdir", "dirname", "readlink", "rm", "mv", "od"):
            (bare / tool).symlink_to(str(shutil.which(tool)))
        monkeypatch.setenv("PATH", str(bare))
    machine.install(release(tmp_path, "1.0.0"))
    assert (machine.layout.units / NAME).exists()
    assert machine.asked() == []
    told = "\n".join(steps(machine.layout, planned(machine.layout, machine.paths, service=True)))
    assert "systemd does not run here: systemctl --user enable --now spoke" in told


def test_another_program_of_that_name_is_left_alone(machine: Machine, tmp_path: Path) -> None:
    command = machine.layout.command
    command.parent.mkdir(parents=True)
    command.write_text("mine")
    with pytest.raises(InstallError, match="another program"):
        machine.install(release(tmp_path, "1.0.0"))
    assert everything(machine.layout.prefix) == ["bin/spoke"]


def test_the_file_may_lie_where_the_command_goes(machine: Machine, tmp_path: Path) -> None:
    command = machine.layout.command
    command.parent.mkdir(parents=True)
    shutil.move(release(tmp_path, "1.0.0"), command)
    machine.install(command)
    assert command.is_symlink()
    assert subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout == "spoke 1.0.0\n"


@pytest.mark.parametrize(
    "text", ["exit 3", "mkdir $2; printf '#!/bin/sh\necho else 1' > $2/spoke; chmod +x $2/spoke; touch $2/MANIFEST"]
)
def test_what_is_no_release(machine: Machine, tmp_path: Path, text: str) -> None:
    file = tmp_path / "file"
    file.write_text(f"#!/bin/sh\n{text}\n")
    with pytest.raises(InstallError, match=r"cannot be unpacked|this is no Spoke"):
        machine.install(file)
    assert machine.layout.current_release() is None


def test_a_service_of_the_machine_has_its_own_places(machine: Machine) -> None:
    layout = Layout(machine.folder, True, machine.folder / "units")
    with pytest.raises(InstallError, match="/var/lib/spoke"):
        planned(layout, machine.paths, service=True)
    assert planned(layout, machine.paths, service=False).paths == machine.paths
    ours = planned(layout, Paths(Path("/var/lib/spoke"), Path("/etc/spoke/spoke.toml")), service=True)
    assert f"ExecStart={layout.command} run" in unit(layout, ours.paths, hub=False)
    assert "User=spoke" in unit(layout, ours.paths, hub=False)


def test_services_can_read_what_root_wrote_and_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = Paths(tmp_path / "lib" / "spoke", tmp_path / "spoke.toml")
    account = pwd.struct_passwd(("spoke", "x", os.getuid() + 1, os.getgid(), "", "/", "/bin/false"))
    mine = pwd.struct_passwd(("spoke", "x", os.getuid(), os.getgid(), "", "/", "/bin/false"))
    monkeypatch.setattr("app.install.extras.pwd.getpwnam", lambda name: account)
    for mode, then in ((0o600, 0o640), (0o644, 0o644), (0o640, 0o640), (0o400, 0o640)):
        paths.config_file.write_text("")
        paths.config_file.chmod(mode)
        let_read(paths.config_file)
        assert paths.config_file.stat().st_mode & 0o777 == then
        paths.config_file.unlink()
    monkeypatch.setattr("app.install.extras.pwd.getpwnam", lambda name: mine)
    give_to_account(paths)
    assert paths.data_dir.stat().st_mode & 0o777 == 0o700
    paths.config_file.write_text("")
    paths.config_file.chmod(0o600)
    give_to_account(paths)
    assert paths.config_file.stat().st_mode & 0o777 == 0o600, "its owner may read it as it is"


def test_whose_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert choose(False, None) == Layout(tmp_path / ".local", False, tmp_path / ".config" / "systemd" / "user")
    assert choose(True, None) == Layout(Path("/usr/local"), True, Path("/etc/systemd/system"))
    assert choose(True, Path("/opt")).root == Path("/opt/lib/spoke")


# -- away ------------------------------------------------------------------------------------------------------------


def test_uninstall_leaves_nothing_but_the_data(machine: Machine, tmp_path: Path) -> None:
    machine.make_data()
    machine.install(release(tmp_path, "1.0.0"))
    installed = machine.layout.installed()
    assert installed is not None
    uninstall(machine.layout, installed, purge=False)
    assert everything(machine.folder / "home") == []
    assert machine.paths.tenant_db.exists()
    assert machine.asked()[-2:] == ["disable --now spoke.service", "daemon-reload"]


def test_purge_takes_the_data_but_not_from_under_somebody(machine: Machine, tmp_path: Path) -> None:
    machine.make_data()
    machine.paths.config_file.parent.mkdir()
    machine.paths.config_file.write_text("")
    machine.install(release(tmp_path, "1.0.0"))
    installed = machine.layout.installed()
    assert installed is not None
    assert machine.paths.data_dir in going(machine.layout, installed, purge=True)
    with ProcessLock(machine.paths.daemon_lock), pytest.raises(InstallError, match="works with"):
        uninstall(machine.layout, installed, purge=True)
    assert machine.layout.command.exists()
    uninstall(machine.layout, installed, purge=True)
    assert not machine.paths.data_dir.exists()
    assert not machine.paths.config_file.exists()
    assert machine.paths.config_file.parent.exists()


# -- the unit --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_a_units_words_are_read_back_by_systemd(tmp_path: Path) -> None:
    command = tmp_path / "a $HOME 100% b" / "spoke"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    file = tmp_path / NAME
    file.write_text(user_unit(str(command), tmp_path / 'with a "b"', tmp_path / "100%.toml"))
    checked = subprocess.run(
        ["systemd-analyze", "--user", "verify", "--man=no", file],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    assert '"SPOKE_DATA_DIR=' in file.read_text()
