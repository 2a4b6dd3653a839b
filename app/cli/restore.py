"""`spoke restore`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.audit import this_operator
from app.cli.context import Context, Progress, json_option, now, print_json, say
from app.cli.options import dry_run, dry_run_option, told
from app.views.text import of

if TYPE_CHECKING:
    from app.restore import Restored


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--replace", is_flag=True, help="Move a database that is here aside. Nothing is deleted.")
@click.option("--with-keys", is_flag=True, help="Also the keys; asks for their passphrase.")
@dry_run_option
@json_option
@click.pass_obj
def restore(context: Context, file: Path, replace: bool, with_keys: bool, as_json: bool) -> None:
    """Put the backup FILE back into the data directory.

    \b
    Example:
      spoke backup spoke-backup.zip
      spoke restore spoke-backup.zip --replace --dry-run
      spoke restore spoke-backup.zip --replace

    Verifies all of it first; refuses while a program works with the data directory. Killing it, or a power cut, leaves
    everything as it was, or everything restored. What the hub has beyond the backup comes back from it at the next
    connection; what was written here since then goes on beside it. If the machine that this is a backup of still runs,
    the two are one node twice: then `spoke reidentify` makes this one a node of its own.
    """
    from app.cli.passphrase import passphrase
    from app.restore import preview
    from app.restore import restore as put_back

    progress = Progress("restore: MB", 1_000_000)
    secret = passphrase(confirm=False) if with_keys else None
    look = preview if dry_run() else partial(put_back, by=str(this_operator()))
    try:
        done = look(
            context.paths,
            file.absolute(),
            passphrase=secret,
            replace=replace,
            now_ms=round(now().timestamp() * 1000),
            progress=progress,
        )
    finally:
        progress.end()
    if as_json:
        print_json(
            {
                "createdMs": done.manifest.created_ms,
                "host": done.manifest.host,
                "databases": [member.name for member in done.manifest.of("database")],
                "keys": list(done.keys),
                "aside": None if done.aside is None else str(done.aside),
                "configKept": done.config_kept,
            }
        )
        return
    for line in _told(done):
        say(line)


def _told(done: Restored) -> list[str]:
    databases = done.manifest.of("database")
    what = f"{of(len(databases), 'database')}, from a backup made on {done.manifest.host}"
    lines = [f"{told('restored', 'would be restored')}: {what}"]
    if done.aside is not None:
        aside = told(f"was here before is in {done.aside}; remove it when", f"is here would be in {done.aside} until")
        lines.append(f"what {aside} all is well")
    if done.config_kept:
        alone = told("was left alone", "would be left alone")
        lines.append(f"this machine's configuration differs from the backup's and {alone}")
    if dry_run():
        return [*lines, f"keys: {', '.join(done.keys) or 'none would be restored'}"]
    if not done.keys:
        lines.append(
            "keys were not restored: without those that were here, secrets cannot be read and this node has to"
        )
        lines.append("join again, with a token of the hub's operator for this node: spoke join URL --token-file FILE")
    lines.append("next: spoke db check; spoke run")
    return lines
