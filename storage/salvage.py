"""Reading a damaged database as far as it can be read, into a new one. The damaged file is never written to.

Tables are read in the order of their rows. Where a page is damaged SQLite refuses to read on: the next row that can be
read is looked for in steps that double, then halve, so that a hole costs some hundred seeks, however large it is.
Tables without row numbers are read from both ends. What cannot be found without the damaged page is lost; it is counted
where an index that is whole tells how many rows there were.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import apsw

from storage.archive import said_full
from storage.check import made_by
from storage.engine.connection import create_private
from storage.engine.errors import CannotOpenError, CorruptError, EngineError, translated
from storage.engine.schema import STATEMENTS
from storage.private_file import sync

MAX_ROWID = 2**63 - 1
BATCH = 500
DAMAGE = (apsw.CorruptError, apsw.IOError, apsw.NotADBError)


class SalvageError(EngineError):
    """Nothing of the file can be read."""

    hint = "restore the latest backup: spoke restore BACKUP --replace; a hub gives back what this node had sent"


@dataclass(frozen=True, slots=True)
class TableSaved:
    """A table: rows that were read, rows that there were (None when nobody knows), holes that were met.

    `unfit` are rows that were read and that the new file's rules refuse, half a row among them.
    """

    table: str
    rows: int
    expected: int | None
    holes: int
    unfit: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing of it is lost."""
        return not self.holes and not self.unfit and self.expected in (None, self.rows)


def salvage(
    damaged: Path, out: Path, migrations: Sequence[str], told: Callable[[TableSaved], None] = lambda table: None
) -> list[TableSaved]:
    """Make a new file of everything that can be read of a damaged one, with the schema that it had.

    The damaged file, and the log beside it, are copied first, and only the copy is opened: no program may write to them
    meanwhile. `out` appears whole or not at all.

    Args:
        damaged: the file to read.
        out: the file to write; it must not exist.
        migrations: what makes the tables of such a file.
        told: called when a table is done.

    Raises:
        SalvageError: not even the list of its tables can be read.
        FileNotFoundError: there is no such file.
        CannotOpenError: `out` exists.
        FullError: there is no room.
    """
    if not damaged.is_file():
        raise FileNotFoundError(errno.ENOENT, "there is no such file", str(damaged))
    if out.exists():
        raise CannotOpenError(f"{out}: there is something already")
    with said_full(out), tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        copy, made = Path(folder) / "damaged.db", Path(folder) / "made.db"
        shutil.copyfile(damaged, copy)
        wal = Path(f"{damaged}-wal")
        if wal.exists():
            shutil.copyfile(wal, f"{copy}-wal")
        create_private(str(made))
        with translated(str(damaged)):
            source = apsw.Connection(str(copy))
        try:
            with translated(str(out)):
                target = apsw.Connection(str(made))
                try:
                    found = _copy_all(source, target, damaged, migrations, told)
                finally:
                    target.close()
        finally:
            source.close()
        sync(made)
        made.rename(out)
        sync(out.parent)
    return found


def _copy_all(
    source: apsw.Connection,
    target: apsw.Connection,
    damaged: Path,
    migrations: Sequence[str],
    told: Callable[[TableSaved], None],
) -> list[TableSaved]:
    target.pragma("synchronous", "off")  # it is synced as a whole, once
    target.pragma("foreign_keys", False)
    source.pragma("cell_size_check", True)
    source.pragma("trusted_schema", False)
    try:
        version = int(source.pragma("user_version"))
        there = dict(source.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql IS NOT NULL"))
    except apsw.Error as error:
        raise SalvageError(f"{damaged}: not even the list of its tables can be read: {error}") from error
    target.execute(STATEMENTS)
    for migration in migrations[: max(0, version)]:
        target.execute(migration)
    target.execute(f"PRAGMA user_version = {version}")
    made = made_by(migrations[: max(0, version)])
    found = []
    for name, sql in there.items():
        if name.startswith("sqlite_"):
            continue
        if ("table", name) not in made:
            if " virtual " in sql[:40].lower():
                continue  # its content lies in tables of its own, which are read
            target.execute(sql)
        saved = _copy(source, target, name)
        found.append(saved)
        told(saved)
    _keep_sequences(source, target)
    found += _the_users_own(source, target, made)
    if target.pragma("integrity_check") != "ok":
        raise CorruptError(f"{damaged}: what was made of it is damaged, too: is the disk?")
    return found


def _copy(source: apsw.Connection, target: apsw.Connection, table: str) -> TableSaved:
    names = [str(row[0]) for row in target.execute("SELECT name FROM pragma_table_info(?)", (table,))]
    known = {str(row[0]) for row in source.execute("SELECT name FROM pragma_table_info(?)", (table,))}
    columns = [name for name in names if name in known]
    listed = ", ".join(_quoted(name) for name in columns)
    insert = f"INSERT OR REPLACE INTO {_quoted(table)} ({listed}) VALUES ({', '.join('?' * len(columns))})"
    holes = _Holes()
    if _has_rowid(source, table):
        rows = _by_rowid(source, table, listed, holes)
    else:
        rows = _from_both_ends(source, table, listed, holes)
    # Rows that a migration has put there are those of the damaged file, where they can be read.
    number = unfit = 0
    target.execute("BEGIN")
    for row in rows:
        try:
            target.execute(insert, row)
        except (apsw.ConstraintError, apsw.MismatchError):
            unfit += 1
            continue
        number += 1
        if number % BATCH == 0:
            target.execute("COMMIT; BEGIN")
    target.execute("COMMIT")
    return TableSaved(table, number, _expected(source, table), holes.number, unfit)


def _keep_sequences(source: apsw.Connection, target: apsw.Connection) -> None:
    """A number that was given to a row that is lost must not be given again: the link would take one for the other."""
    if not target.execute("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'").fetchall():
        return
    try:
        given = source.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
    except (*DAMAGE, apsw.SQLError):
        return  # the largest that was read counts
    for name, number in given:
        target.execute("UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1", (name, number))
        if not target.changes():
            target.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, number))


def _the_users_own(
    source: apsw.Connection, target: apsw.Connection, made: dict[tuple[str, str], str]
) -> list[TableSaved]:
    """Indexes, views and triggers that no migration made; one that cannot be made is reported like a table."""
    failed = []
    for kind, name, sql in source.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE type <> 'table' AND sql IS NOT NULL"
    ).fetchall():
        if (kind, name) in made:
            continue
        try:
            target.execute(str(sql))
        except apsw.Error:
            failed.append(TableSaved(f"{kind} {name}", 0, None, 0, unfit=1))
    return failed


class _Holes:
    number = 0


def _by_rowid(
    source: apsw.Connection, table: str, listed: str, holes: _Holes
) -> Iterator[tuple[apsw.SQLiteValue, ...]]:
    low = -MAX_ROWID - 1
    sql = f"SELECT rowid, {listed} FROM {_quoted(table)} WHERE rowid >= ? ORDER BY rowid"
    while True:
        try:
            for rowid, *row in source.execute(sql, (low,)):
                assert isinstance(rowid, int)
                low = rowid + 1
                yield tuple(row)
        except DAMAGE:
            holes.number += 1
            found = _next_readable(source, table, listed, low)
            if found is None:
                return
            low = found
        else:
            return


def _next_readable(source: apsw.Connection, table: str, listed: str, low: int) -> int | None:
    """The first row number behind a hole from which on a row can be read; None when there is none."""
    sql = f"SELECT rowid, {listed} FROM {_quoted(table)} WHERE rowid >= ? ORDER BY rowid LIMIT 1"

    def first_at(rowid: int) -> int | None:
        """The row that is found from there on: MAX_ROWID at the end of the table, None when reading fails."""
        try:
            rows = source.execute(sql, (rowid,)).fetchall()
        except DAMAGE:
            return None
        return int(str(rows[0][0])) if rows else MAX_ROWID

    bad, step = low, 1
    while True:
        if bad == MAX_ROWID - 1:
            return None
        good = min(low + step, MAX_ROWID - 1)
        reached = first_at(good)
        if reached is not None:
            break
        bad, step = good, step * 2
    while good - bad > 1:
        middle = (bad + good) // 2
        found = first_at(middle)
        if found is None:
            bad = middle
        else:
            good, reached = middle, found
    return None if reached == MAX_ROWID else reached


def _from_both_ends(
    source: apsw.Connection, table: str, listed: str, holes: _Holes
) -> Iterator[tuple[apsw.SQLiteValue, ...]]:
    keys = source.execute("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (table,)).fetchall()
    for direction in ("ASC", "DESC"):
        order = ", ".join(f"{_quoted(str(key))} {direction}" for (key,) in keys)
        try:
            yield from source.execute(f"SELECT {listed} FROM {_quoted(table)} ORDER BY {order}")
        except DAMAGE:
            holes.number = 1
        else:
            return


def _has_rowid(source: apsw.Connection, table: str) -> bool:
    rows = source.execute("SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?", (table,)).fetchall()
    return not rows or not rows[0][0]


def _expected(source: apsw.Connection, table: str) -> int | None:
    try:
        ((number,),) = source.execute(f"SELECT count(*) FROM {_quoted(table)}").fetchall()
    except DAMAGE:
        return None
    return int(str(number))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
