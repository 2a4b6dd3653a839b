"""One release follows another, and back: what is kept when the power goes, whichever moment it chooses.

A journal says how far it is. Until it says `switching`, nothing that counts was changed: who finds it then gives up.
From `switching` on the new release has passed its self-test, and what it may change is in a backup: who finds that
goes on, to the end or, if the new release does not work, back. `undoing` goes back: first the data, if it was migrated,
then the link; a release never meets data that is newer than itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import msgspec

from app.install.extras import lay_out
from app.install.gate import Gate, unwell
from app.install.layout import Installed, InstallError, Layout, point, read, write
from app.install.program import Program, make_owned, newer, works_there
from app.install.releases import order, prune, take_in, tidy, version_of
from app.install.service import Service
from app.paths import Paths
from app.release import Release
from app.systemd_unit import HUB, NAME, unit_names
from storage.private_file import sync
from storage.process_lock import ProcessLock, refuse_held

BACKUPS = "backups"


class Journal(msgspec.Struct, frozen=True):
    """How far an upgrade is. `serves`: the node's service ran before, and is to run after it; `hub`: the hub's."""

    step: Literal["preparing", "switching", "undoing"]
    old: str
    new: str = ""
    serves: bool = False
    backup: str | None = None
    reason: str = ""
    """Why it is undone."""
    asked: bool = False
    """Whether a person wanted that."""
    hub: bool = False

    @property
    def units(self) -> tuple[str, ...]:
        """The services that ran."""
        return unit_names(node=self.serves, hub=self.hub)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended: which release counts now, and which one did before or was tried.

    `restored` is whether the data was put back from `backup`.
    """

    state: Literal["upgraded", "same", "rolled back", "given up"]
    current: str
    other: str
    backup: str | None = None
    restored: bool = False
    reason: str = ""
    removed: tuple[str, ...] = ()


def upgrade(
    layout: Layout,
    file: Path,
    signed: Release | None,
    *,
    allow_downgrade: bool,
    gate: Gate,
    now: datetime,
    tell: Callable[[str], None],
) -> Outcome:
    """Make the release in `file` the current one, if it works; else everything is as it was.

    Raises:
        InstallError, ReleaseError, LockHeldError, OSError: it was not begun, or given up; the old release goes on.
    """
    _current(layout)  # before the lock, which is in the folder that may not be there
    with ProcessLock(layout.lock):
        resumed(layout, gate, tell)
        old, installed = _current(layout)
        active = Service(layout.system, installed.units).active()
        _alone(installed.paths, active)
        journal = Journal("preparing", old)
        write(layout.journal, journal)
        try:
            new = take_in(layout, file, signed)
            if new == old:
                return _abandon(layout, journal, state="same")
            _refuse_downgrade(old, new, allowed=allow_downgrade)
            tell(f"unpacked {new}; it tests itself")
            program = Program(layout.program(new), installed.paths)
            program.run("selftest", timeout_s=600)
            before = Program(layout.program(old), installed.paths)
            migrates = program.schemas() != before.schemas()
            journal = msgspec.structs.replace(journal, new=new, serves=NAME in active, hub=HUB in active)
            write(layout.journal, journal)
            if migrates:
                Service(
                    layout.system, active
                ).stop()  # what came after the backup would be lost if it has to be restored
            backup = _back_up(before, new, now)
            if backup is not None:
                tell(f"backup: {backup}")
            journal = msgspec.structs.replace(journal, step="switching", backup=backup)
        except BaseException:
            tidy(layout)
            _abandon(layout, journal)
            raise
        write(layout.journal, journal)
        return _switch(layout, journal, gate, tell)


def roll_back(layout: Layout, *, restore: bool, gate: Gate, tell: Callable[[str], None]) -> Outcome:
    """Go back to the release before the current one.

    Raises:
        InstallError: there is none, or its program cannot read the data as it is now, and `restore` is False.
    """
    _current(layout)
    with ProcessLock(layout.lock):
        resumed(layout, gate, tell)
        old, new, installed, active, _ = _way_back(layout, restore=restore)
        journal = Journal(
            "undoing", old, new, NAME in active, installed.backup, "asked for", asked=True, hub=HUB in active
        )
        write(layout.journal, journal)
        return _undo(layout, journal, tell)


def _way_back(layout: Layout, *, restore: bool) -> tuple[str, str, Installed, tuple[str, ...], list[str]]:
    """The release to go back to, the current one, what is installed, what runs, and what the older one cannot read."""
    new, installed = _current(layout)
    old = installed.previous
    if old is None or not layout.program(old).exists():
        raise InstallError("there is no release to go back to", "an older one: spoke upgrade FILE --allow-downgrade")
    active = Service(layout.system, installed.units).active()
    _alone(installed.paths, active)
    known = Program(layout.program(old), installed.paths).schemas()
    if (late := newer(installed.paths, known)) and not restore:
        raise InstallError(
            f"{old} cannot read {', '.join(late)}: {new} has migrated it",
            f"with --restore the data is put back as it was in {installed.backup}; what came since is moved aside",
        )
    return old, new, installed, active, late


def preview(layout: Layout, file: Path, signed: Release | None, *, allow_downgrade: bool) -> Outcome:
    """What `upgrade` would come to if the release works with the data: it is unpacked and tests itself in a temporary
    folder.

    Raises:
        InstallError, ReleaseError, LockHeldError, OSError: it would not begin, or be given up.
    """
    refuse_while_changing(layout)
    old, installed = _current(layout)
    _alone(installed.paths, Service(layout.system, installed.units).active())
    with TemporaryDirectory(prefix="spoke-") as folder:
        trial = replace(layout, prefix=Path(folder))
        new = take_in(trial, file, signed)
        if new == old:
            return Outcome("same", old, "")
        _refuse_downgrade(old, new, allowed=allow_downgrade)
        Program(trial.program(new), installed.paths).run("selftest", timeout_s=600)
    return Outcome("upgraded", new, old)


def preview_back(layout: Layout, *, restore: bool) -> Outcome:
    """What `roll_back` would come to.

    Raises:
        InstallError, LockHeldError: it would not begin.
    """
    refuse_while_changing(layout)
    old, new, installed, _, late = _way_back(layout, restore=restore)
    return Outcome("rolled back", old, new, installed.backup, bool(late), "asked for")


def refuse_while_changing(layout: Layout) -> None:
    """Where something was cut off that would be ended first: how, is not known before.

    Raises:
        LockHeldError, InstallError: the installation is being changed, or was.
    """
    refuse_held(layout.lock)
    if (journal := read(layout.journal, Journal)) is not None:
        raise InstallError(f"an upgrade was cut off while {journal.step}", "end it first: spoke upgrade --resume")


def resume(layout: Layout, gate: Gate, tell: Callable[[str], None]) -> Outcome | None:
    """End what was cut off, if anything was."""
    if not layout.root.is_dir():
        return None
    with ProcessLock(layout.lock):
        return resumed(layout, gate, tell)


def resumed(layout: Layout, gate: Gate, tell: Callable[[str], None]) -> Outcome | None:
    """The same, for who holds the lock."""
    tidy(layout)
    journal = read(layout.journal, Journal)
    if journal is None:
        return None
    tell(f"an upgrade to {journal.new or 'another release'} was cut off while {journal.step}")
    match journal.step:
        case "preparing":
            outcome = _abandon(layout, journal)
        case "switching":
            outcome = _switch(layout, journal, gate, tell)
        case "undoing":
            outcome = _undo(layout, journal, tell)
    tell(f"{outcome.state}: {outcome.current} is the current release")
    return outcome


def _switch(layout: Layout, journal: Journal, gate: Gate, tell: Callable[[str], None]) -> Outcome:
    _, installed = _current(layout)
    try:
        _make_current(layout, installed, journal.new)
        reason = _unwell(layout, installed, journal, gate, tell)
    except InstallError as error:
        reason = str(error)
    except KeyboardInterrupt:
        reason = "interrupted"
    if reason is not None:
        tell(f"{journal.new} does not work: {reason}")
        journal = msgspec.structs.replace(journal, step="undoing", reason=reason)
        write(layout.journal, journal)
        return _undo(layout, journal, tell)
    write(layout.record, msgspec.structs.replace(installed, previous=journal.old, backup=journal.backup))
    _close(layout)
    _forget_copies(Program(layout.program(journal.new), installed.paths), tell)
    removed = prune(layout, {journal.old, journal.new})
    return Outcome("upgraded", journal.new, journal.old, journal.backup, removed=tuple(removed))


def _unwell(
    layout: Layout, installed: Installed, journal: Journal, gate: Gate, tell: Callable[[str], None]
) -> str | None:
    program, service = Program(layout.program(journal.new), installed.paths), Service(layout.system, journal.units)
    if not journal.units:
        return program.look(()).reason if installed.paths.databases else None
    tell("the service begins anew")
    service.start()
    return unwell(lambda: program.look(journal.units), lambda: "failed" in service.states().values(), gate, tell)


def _forget_copies(program: Program, tell: Callable[[str], None]) -> None:
    """Copies made before migrations, but the newest. The upgrade stands, whether that works or not."""
    if not program.paths.databases:
        return
    try:
        program.run("db", "copies", "--prune")
    except InstallError as error:
        tell(f"old copies stay: {error}")


def _undo(layout: Layout, journal: Journal, tell: Callable[[str], None]) -> Outcome:
    """Idempotent. Where it fails, the journal stays, and the next command tries again."""
    _, installed = _current(layout)
    service, program = Service(layout.system, journal.units), Program(layout.program(journal.old), installed.paths)
    service.stop()
    late = newer(installed.paths, program.schemas())
    if late and journal.backup is None:
        raise InstallError(
            f"{journal.old} cannot read {', '.join(late)}, and no backup was made", "upgrade to a release that can"
        )
    if late:
        tell(f"the data is put back from {journal.backup}")
        program.run("restore", str(journal.backup), "--replace")
    _make_current(layout, installed, journal.old)
    if journal.asked:
        write(layout.record, msgspec.structs.replace(installed, previous=None, backup=None))
    service.start()
    _close(layout)
    return Outcome("rolled back", journal.old, journal.new, journal.backup, bool(late), journal.reason)


def _abandon(layout: Layout, journal: Journal, state: Literal["same", "given up"] = "given up") -> Outcome:
    active = Service(layout.system, journal.units).active()
    Service(layout.system, tuple(unit for unit in journal.units if unit not in active)).start()
    _close(layout)
    return Outcome(state, journal.old, journal.new)


def _make_current(layout: Layout, installed: Installed, release: str) -> None:
    lay_out(layout, installed, release)
    point(layout.current, f"releases/{release}")


def _back_up(program: Program, new: str, now: datetime) -> str | None:
    paths = program.paths
    if not paths.databases:
        return None
    folder = paths.data_dir / BACKUPS
    make_owned(folder, paths.data_dir)
    file = folder / f"before-{version_of(new)}-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}.zip"
    program.run("backup", str(file))
    return str(file)


def _current(layout: Layout) -> tuple[str, Installed]:
    release, installed = layout.current_release(), layout.installed()
    if release is None or installed is None:
        raise InstallError(
            f"{layout.root}: Spoke is not installed here", "spoke install does that; or name its --prefix"
        )
    return release, installed


def _alone(paths: Paths, active: tuple[str, ...]) -> None:
    pid = works_there(paths, but=active)
    if pid is not None:
        raise InstallError(f"process {pid} works with {paths.data_dir}", "stop it first; a service is stopped for you")


def _refuse_downgrade(old: str, new: str, *, allowed: bool) -> None:
    if not allowed and order(version_of(new)) < order(version_of(old)):
        raise InstallError(f"{new} is older than {old}", "--allow-downgrade, if you mean it; or: spoke rollback")


def _close(layout: Layout) -> None:
    layout.journal.unlink()
    sync(layout.root)
