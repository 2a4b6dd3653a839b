"""One release follows another: what is refused, what is kept, what comes back."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.install.gate import Gate
from app.install.layout import InstallError
from app.install.releases import order, version_of
from app.install.upgrade import Outcome, resume, roll_back, upgrade
from app.release import Release, ReleaseError, ReleaseFile
from app.systemd_unit import NAME
from storage.process_lock import LockHeldError, ProcessLock
from tests.app.install.fakes import NOW_WAITING, Machine, release, schema_of

AT = datetime(2026, 11, 25, 2, 30, tzinfo=UTC)


def follow(
    machine: Machine, file: Path, signed: Release | None = None, *, downgrade: bool = False, gate: Gate = NOW_WAITING
) -> Outcome:
    return upgrade(machine.layout, file, signed, allow_downgrade=downgrade, gate=gate, now=AT, tell=lambda text: None)


@pytest.fixture
def installed(machine: Machine, tmp_path: Path) -> Machine:
    machine.make_data()
    machine.install(release(tmp_path, "1.0.0"))
    return machine


def current(machine: Machine) -> str:
    return version_of(machine.layout.current_release() or "")


def test_a_good_one(installed: Machine, tmp_path: Path) -> None:
    done = follow(installed, release(tmp_path, "1.1.0", schema=2))
    assert (done.state, version_of(done.current), version_of(done.other)) == ("upgraded", "1.1.0", "1.0.0")
    assert (current(installed), schema_of(installed.paths), installed.state) == ("1.1.0", 2, "active")
    assert done.backup == str(installed.paths.data_dir / "backups" / "before-1.1.0-20261125T023000Z.zip")
    assert Path(done.backup).exists()
    assert "1.1.0" in (installed.layout.prefix / "share" / "man" / "man1" / "spoke.1").read_text()
    assert "1.1.0" in (installed.layout.units / NAME).read_text()
    # It was stopped before the backup, since the new one migrates; then it began anew.
    assert installed.asked()[-4:] == ["stop spoke.service", "daemon-reload", "reset-failed spoke.service",
                                      "restart spoke.service"]  # fmt: skip
    record = installed.layout.installed()
    assert record is not None
    assert (record.previous, record.backup) == (done.other, done.backup)
    assert installed.leftovers() == []


def test_only_the_release_before_is_kept(installed: Machine, tmp_path: Path) -> None:
    for version in ("1.1.0", "1.2.0"):
        done = follow(installed, release(tmp_path, version))
    assert [version_of(name) for name in done.removed] == ["1.0.0"]
    assert {version_of(path.name) for path in installed.layout.releases.iterdir()} == {"1.1.0", "1.2.0"}
    assert "stop spoke.service" not in installed.asked(), "nothing was migrated"


def test_one_that_does_not_work_goes_back_with_the_data(installed: Machine, tmp_path: Path) -> None:
    before = installed.paths.tenant_db.read_bytes()
    done = follow(installed, release(tmp_path, "2.0.0", schema=2, broken=1))
    assert (done.state, version_of(done.current), done.restored) == ("rolled back", "1.0.0", True)
    assert "restart spoke.service" in done.reason
    assert (current(installed), installed.state) == ("1.0.0", "active")
    assert installed.paths.tenant_db.read_bytes() == before
    assert "1.0.0" in (installed.layout.units / NAME).read_text()


def test_one_that_does_not_work_goes_back_without_a_service(installed: Machine, tmp_path: Path) -> None:
    (installed.bin / "state").write_text("inactive\n")
    done = follow(installed, release(tmp_path, "2.0.0", broken=1))
    assert (done.state, done.restored, done.reason) == ("rolled back", False, "status: spoke: broken")
    assert installed.state == "inactive", "what a person stopped stays stopped"


def test_it_has_some_time_to_come_up(installed: Machine, tmp_path: Path) -> None:
    passed: list[float] = []
    late = release(tmp_path, "2.0.0")
    program = tmp_path / "tree-2.0.0" / "spoke"
    services = '"services": [{"name": "projector", "state": "running"}]'
    program.write_text(program.read_text().replace(f"'{{{services}}}'", '"$(cat "$data/said")"'))
    (installed.paths.data_dir / "said").write_text('{"services": []}')

    def sleep(seconds: float) -> None:
        passed.append(seconds)
        if len(passed) == 3:
            (installed.paths.data_dir / "said").write_text(f"{{{services}}}")

    done = follow(installed, late, gate=Gate(60.0, 2.0, clock=lambda: sum(passed), sleep=sleep))
    assert (done.state, len(passed)) == ("upgraded", 5), "three until it was well, two of staying so"


def test_services_that_do_not_answer_in_time(installed: Machine, tmp_path: Path) -> None:
    late = release(tmp_path, "2.0.0")
    program = tmp_path / "tree-2.0.0" / "spoke"
    program.write_text(program.read_text().replace('{"name": "projector", "state": "running"}', ""))
    passed: list[float] = []
    done = follow(installed, late, gate=Gate(5.0, clock=lambda: sum(passed), sleep=passed.append))
    assert (done.state, done.reason, len(passed)) == ("rolled back", "the services do not answer", 5)


def test_a_self_test_that_fails_changes_nothing(installed: Machine, tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="selftest"):
        follow(installed, release(tmp_path, "2.0.0", selftest=70))
    assert (current(installed), installed.leftovers(), installed.state) == ("1.0.0", [], "active")


def test_a_downgrade_has_to_be_meant(installed: Machine, tmp_path: Path) -> None:
    old = release(tmp_path, "0.9.0")
    with pytest.raises(InstallError, match="older"):
        follow(installed, old)
    assert current(installed) == "1.0.0"
    assert follow(installed, old, downgrade=True).state == "upgraded"


def test_the_same_again(installed: Machine, tmp_path: Path) -> None:
    assert follow(installed, tmp_path / "spoke-1.0.0").state == "same"
    assert installed.leftovers() == []


def signed_as(file: Path, version: str) -> Release:
    data = file.read_bytes()
    described = ReleaseFile(len(data), hashlib.sha256(data).hexdigest())
    return Release(version, "linux-x86_64", "2.36", {file.name: described})


def test_what_was_signed_is_what_is_unpacked(installed: Machine, tmp_path: Path) -> None:
    file = release(tmp_path, "1.1.0")
    signed = signed_as(file, "1.1.0")
    file.write_text(file.read_text() + "# one more line\n")
    with pytest.raises(ReleaseError, match="not the file that was signed"):
        follow(installed, file, signed)
    with pytest.raises(InstallError, match=r"says that it is 1\.1\.0, it was signed as 1\.2\.0"):
        follow(installed, file, signed_as(file, "1.2.0"))
    assert (current(installed), installed.leftovers()) == ("1.0.0", [])
    assert follow(installed, file, signed_as(file, "1.1.0")).state == "upgraded"


def test_nothing_while_somebody_else_works_with_the_data(installed: Machine, tmp_path: Path) -> None:
    (installed.bin / "state").write_text("inactive\n")
    file = release(tmp_path, "1.1.0")
    installed.paths.hub_dir.mkdir()
    for lock in (installed.paths.daemon_lock, installed.paths.hub_dir / "hub.lock"):
        with ProcessLock(lock), pytest.raises(InstallError, match="works with"):
            follow(installed, file)
    with ProcessLock(installed.layout.lock), pytest.raises(LockHeldError):
        follow(installed, file)


def test_a_hubs_service_is_stopped_started_and_watched_too(installed: Machine, tmp_path: Path) -> None:
    installed.paths.hub_certificates.mkdir(parents=True)
    installed.install(tmp_path / "spoke-1.0.0", hub=True)
    assert installed.asked()[-3:] == [
        "enable spoke.service spoke-hub.service",
        "reset-failed spoke.service spoke-hub.service",
        "restart spoke.service spoke-hub.service",
    ]
    (installed.bin / "state").write_text("inactive\n")
    deaf = release(tmp_path, "2.0.0", schema=2)
    program = tmp_path / "tree-2.0.0" / "spoke"
    program.write_text(program.read_text().replace('health) echo "OK"', 'health) echo "CRITICAL: deaf"; exit 2'))
    done = follow(installed, deaf)
    assert (done.state, done.restored, done.reason) == ("rolled back", True, "health: CRITICAL: deaf")
    assert installed.asked()[-2:] == ["reset-failed spoke-hub.service", "restart spoke-hub.service"]
    assert installed.state == "inactive", "what a person stopped stays stopped"
    with ProcessLock(installed.paths.hub_dir / "hub.lock"):
        assert follow(installed, release(tmp_path, "3.0.0", schema=2)).state == "upgraded", "it is the service's own"


def test_older_copies_from_before_migrations_go_when_it_works(installed: Machine, tmp_path: Path) -> None:
    asked = installed.paths.data_dir / "asked"
    follow(installed, release(tmp_path, "2.0.0", broken=1))
    assert not asked.exists()
    follow(installed, release(tmp_path, "1.1.0"))
    assert asked.read_text() == "copies --prune\n"


# -- back ------------------------------------------------------------------------------------------------------------


def back(machine: Machine, *, restore: bool = False) -> Outcome:
    return roll_back(machine.layout, restore=restore, gate=NOW_WAITING, tell=lambda text: None)


def test_back_without_migration(installed: Machine, tmp_path: Path) -> None:
    follow(installed, release(tmp_path, "1.1.0"))
    done = back(installed)
    assert (done.state, current(installed), done.restored) == ("rolled back", "1.0.0", False)
    assert installed.state == "active"
    with pytest.raises(InstallError, match="no release to go back to"):
        back(installed)


def test_back_over_a_migration_is_refused_and_says_which_backup(installed: Machine, tmp_path: Path) -> None:
    upgraded = follow(installed, release(tmp_path, "1.1.0", schema=2))
    with pytest.raises(InstallError, match=r"cannot read tenant-local\.db") as refused:
        back(installed)
    assert str(upgraded.backup) in refused.value.hint
    assert (current(installed), schema_of(installed.paths)) == ("1.1.0", 2)
    assert back(installed, restore=True).restored
    assert (current(installed), schema_of(installed.paths), installed.state) == ("1.0.0", 1, "active")


def test_nothing_was_cut_off(installed: Machine) -> None:
    assert resume(installed.layout, NOW_WAITING, lambda text: None) is None


def test_what_is_not_installed_is_not_upgraded(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="not installed"):
        machine.layout.root.mkdir(parents=True)
        follow(machine, release(tmp_path, "1.0.0"))
    with pytest.raises(InstallError, match="not installed"):
        back(replace(machine))


@pytest.mark.parametrize(
    "rising", [["0.9.9", "0.10.0", "1.0.0"], ["1.0.0-rc1", "1.0.0-rc2", "1.0.0"], ["1.0.0", "1.0.1", "1.1.0"]]
)
def test_versions_have_an_order(rising: list[str]) -> None:
    assert sorted(reversed(rising), key=order) == rising
