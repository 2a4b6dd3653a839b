"""`spoke join`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from app.cli.context import Context, now, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode

KEY_ENV = "SPOKE_HUB__API_KEY"


@click.command()
@click.argument("url")
@click.option("--key-file", type=click.Path(path_type=Path), help="File that holds the key; - is stdin.")
@click.pass_obj
def join(context: Context, url: str, key_file: Path | None) -> None:
    """Tell this node its hub and key; from then on `spoke run` keeps the link.

    \b
    Example:
      spoke join wss://hub.example --key-file key.txt

    The key comes from --key-file, else from SPOKE_HUB__API_KEY, else it is asked for: never from the command line,
    where other users could read it. It is kept in the data directory, readable by you alone.
    """
    from app.config import save_hub
    from sync.spoke.address import check_url
    from sync.spoke.status import write_status

    check_url(url, allow_plain=context.settings().hub.allow_plain)
    key = _key(key_file).strip()
    if not key.startswith("alk_"):
        raise CommandError(
            "that is no key: keys begin with alk_",
            hint="make one on the hub: spoke hub key create NAME",
            code=ExitCode.DATA,
        )
    context.make_data_dir()
    save_hub(context.paths, url, key)
    with context.database() as db, db.transaction() as tx:
        # So that the state of the link is "not running", not "no hub", from now on.
        at_ms = round(now().timestamp() * 1000)
        write_status(tx, state="offline", at_ms=at_ms, hub_url=url, hub_id=None)
    say(f"joined {url} — start the link: spoke run")


def _key(key_file: Path | None) -> str:
    if key_file is not None:
        if str(key_file) == "-":
            return sys.stdin.read()
        try:
            return key_file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{key_file}: {error}", hint="check the path", code=ExitCode.NO_INPUT) from error
    if os.environ.get(KEY_ENV):
        return os.environ[KEY_ENV]
    if sys.stdin.isatty():
        return str(click.prompt("Key (alk_…)", hide_input=True))
    raise CommandError("no key was given", hint=f"use --key-file FILE, or set {KEY_ENV}", code=ExitCode.USAGE)
