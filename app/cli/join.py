"""`spoke join`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.audit import audit
from app.cli.context import Context, json_option, now, print_json, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.cli.options import interactive

if TYPE_CHECKING:
    from storage.engine import Database

KEY_ENV = "SPOKE_HUB__API_KEY"
KEY_PREFIX = "alk_"


@click.command()
@click.argument("url")
@click.option("--token-file", type=click.Path(path_type=Path), help="File that holds a join token; - is stdin.")
@click.option("--key-file", type=click.Path(path_type=Path), help="File that holds an API key; - is stdin.")
@click.option("--ca-file", type=click.Path(path_type=Path), help="With a key: the CA of the hub's certificate (PEM).")
@json_option
@click.pass_obj
def join(
    context: Context, url: str, token_file: Path | None, key_file: Path | None, ca_file: Path | None, as_json: bool
) -> None:
    """Join a hub, with a token or a key; from then on `spoke run` keeps the link.

    \b
    Examples:
      spoke join wss://hub.example --token-file token.txt
      spoke join wss://hub.example --key-file key.txt

    A token (spoke hub token create) makes this machine a device of the hub: its own key is made here and never leaves
    it, and the hub is known by the CA that the token pins. What broke off is done again, with the same token.

    Token or key come from a file, else from SPOKE_HUB__API_KEY (a key), else they are asked for: never from the command
    line, where other users could read them. What is kept is in the data directory, readable by you alone.
    """
    from sync.spoke.address import check_url

    if token_file is not None and (key_file is not None or ca_file is not None):
        raise click.UsageError("--token-file stands alone: the token says which key and which CA")
    check_url(url, allow_plain=context.settings().hub.allow_plain)
    ca = None if ca_file is None else _read(ca_file)
    shown = (_read(token_file) if token_file is not None else _key(key_file)).strip()
    if token_file is not None or shown.startswith("spk1."):
        node_id = _with_token(context, url, shown)
    else:
        node_id = _with_key(context, url, shown, ca)
    if as_json:
        print_json({"url": url, "nodeId": node_id})
    else:
        say(f"joined {url} as {context.settings().name} — start the link: spoke run")


def _with_token(context: Context, url: str, text: str) -> str:
    """Enrol, then keep what the hub gave: first the database, last the file that makes the link start.

    A crash leaves the key of this machine, for which the hub answers again.
    """
    import asyncio

    from app.config import save_hub
    from storage.tenants import node_id
    from sync.link.device import open_device_key
    from sync.link.token import parse
    from sync.spoke.join import join as enrol
    from sync.spoke.ratchet import load_ratchet, save_ratchet
    from sync.spoke.reidentify import drop_foreign_key
    from sync.spoke.trust import Trust

    token = parse(text)
    settings = context.settings()
    with context.database() as db:
        _finish_leaving(context, db)
        drop_foreign_key(db, context.paths.device_key)
        key = open_device_key(context.paths.device_key)
        with db.snapshot() as snapshot:
            me = node_id(snapshot)
        hub = settings.hub
        trust = Trust(ca_file=hub.ca_file)
        asking = enrol(url, token, key, me, settings.name, allow_plain=hub.allow_plain, proxy=hub.proxy, trust=trust)
        joined = asyncio.run(asking)
        with db.transaction() as tx:
            _, epoch = load_ratchet(tx, joined.hub_id)
            save_ratchet(tx, joined.hub_id, joined.ratchet, epoch)
    save_hub(context.paths, url, ca=joined.ca_pem, hub_id=joined.hub_id)
    _note(context, url)
    return me


def _with_key(context: Context, url: str, key: str, ca: str | None) -> str:
    from app.config import save_hub
    from storage.tenants import node_id
    from sync.spoke.trust import client_context

    if not key.startswith(KEY_PREFIX):
        raise CommandError(
            "that is no key: keys begin with alk_, tokens with spk1.",
            hint="make one on the hub: spoke hub token create, or spoke hub key create NAME",
            code=ExitCode.DATA,
        )
    if ca is not None:
        client_context(ca)  # refused here, not when the link starts
    with context.database() as db:
        _finish_leaving(context, db)
    save_hub(context.paths, url, api_key=key, ca=ca)
    _note(context, url)
    with context.database() as db, db.snapshot() as snapshot:
        return node_id(snapshot)


def _finish_leaving(context: Context, db: Database) -> None:
    """What a crash kept `spoke leave` from; before anything of another hub is here."""
    from sync.spoke.leave import finish_leaving

    finish_leaving(db, context.paths.hub_file, context.paths.device_key, round(now().timestamp() * 1000))


def _note(context: Context, url: str) -> None:
    """So that the state of the link is "not running", not "no hub", from now on."""
    from sync.spoke.status import write_status

    at_ms = round(now().timestamp() * 1000)
    with context.database() as db, db.transaction() as tx:
        write_status(tx, state="offline", at_ms=at_ms, hub_url=url, hub_id=None)
        audit(tx, "join", url=url)


def _key(key_file: Path | None) -> str:
    if key_file is not None:
        return _read(key_file)
    if os.environ.get(KEY_ENV):
        return os.environ[KEY_ENV]
    if interactive():
        return str(click.prompt("Token (spk1.…) or key (alk_…)", hide_input=True, err=True))
    raise CommandError(
        "no token and no key was given",
        hint=f"use --token-file FILE or --key-file FILE, or set {KEY_ENV}",
        code=ExitCode.USAGE,
    )


def _read(path: Path) -> str:
    if str(path) == "-":
        return sys.stdin.read()
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not text"
        raise CommandError(f"{path}: {why}", hint="check the path", code=ExitCode.NO_INPUT) from error
