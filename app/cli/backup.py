"""`spoke backup`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app import __version__
from app.audit import audit_before
from app.cli.context import Context, Progress, as_wanted, json_option, now, print_json, say
from app.views.text import of, size
from app.views.times import told

if TYPE_CHECKING:
    from app.backup import Made


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--with-keys", is_flag=True, help="Also the keys, encrypted with a passphrase.")
@json_option
@click.pass_obj
def backup(context: Context, file: Path, with_keys: bool, as_json: bool) -> None:
    """Write everything that is here into FILE, while everything goes on.

    \b
    Example:
      spoke backup spoke-backup.zip

    The node's database, a hub's if this machine is one, and the configuration: one zip file with a manifest. It appears
    whole or not at all, is read back and compared before this returns, and replaces an older FILE only then. Keys
    (secrets, this machine's key, a hub's certificates) are left out unless --with-keys: then a passphrase is asked for,
    or read from the file that SPOKE_PASSPHRASE_FILE names. Without the keys, secrets cannot be read after a restore,
    and the node has to join again. Needs room beside FILE for a copy of the databases as they are.
    """
    from app.backup import make_backup, to_json
    from app.cli.passphrase import passphrase

    context.databases()
    audit_before(context.paths, "backup", say, file=str(file.absolute()), keys=with_keys)
    progress = Progress("backup: MB", 1_000_000)
    try:
        made = make_backup(
            context.paths,
            file.absolute(),
            program=f"spoke/{__version__}",
            now_ms=round(now().timestamp() * 1000),
            passphrase=passphrase(confirm=True) if with_keys else None,
            progress=progress,
        )
    finally:
        progress.end()
    if as_json:
        print_json(to_json(made))
        return
    for line in _told(made):
        say(line)


def _told(made: Made) -> list[str]:
    databases = made.manifest.of("database")
    whole = sum(member.bytes for member in databases)
    lines = [
        f"{made.file}: {of(len(databases), 'database')}, {size(whole)} in {size(made.bytes)},"
        " verified by reading it back"
    ]
    for name, grown in made.grown.items():
        new = f"{of(grown.events, 'new event')}, {size(grown.bytes)}"
        lines.append(f"{name}: {new} since the backup {told(grown.since_ms, made.manifest.created_ms, as_wanted())}")
    if made.left_out:
        lines.append(f"not in it, as they hold secrets: {', '.join(made.left_out)} — with them: --with-keys")
    lines += [f"attention: {name} could not be told of this backup: {why}" for name, why in made.unmarked.items()]
    return lines
