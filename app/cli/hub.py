"""`spoke hub`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app import logs
from app.cli.context import Context, camel, json_option, now, print_json, say
from app.cli.durable_calls import calls, operations
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.cli.hub_call import call_
from app.cli.hub_delegation import delegation
from app.cli.hub_devices import devices, revoke_node
from app.cli.hub_files import hub_directory, system_file
from app.cli.hub_init import init
from app.cli.hub_tenant import tenant, tenants
from app.cli.hub_token import token
from app.cli.hub_views import gaps, rejected, spokes, status
from app.cli.options import dry_run_option, told
from app.storage_limit import obey

if TYPE_CHECKING:
    from app.config import Settings
    from sync.hub.server import Hub
    from sync.logs.incoming import Stable


@click.group()
def hub() -> None:
    """Be the hub that spokes send their streams to.

    \b
    Example:
      spoke hub init
      spoke hub token create > token.txt
      spoke hub run --host 0.0.0.0
    """


hub.add_command(delegation)


@hub.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=7710, show_default=True, type=click.IntRange(0, 65_535), help="0: any free one.")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Certificate chain (PEM).")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Its private key (PEM).")
@click.option("--allow-plain", is_flag=True, help="Listen without TLS on other addresses than this machine's own.")
@click.option(
    "--stable",
    type=click.Choice(["acked", "backup"]),
    default="acked",
    show_default=True,
    help="What spokes may forget: what is on this disk, or only what is in its newest backup.",
)
@click.option(
    "--health-port", type=click.IntRange(0, 65_535), help="/healthz, /readyz, /metrics on this port of 127.0.0.1."
)
@click.pass_obj
def run(
    context: Context,
    host: str,
    port: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    allow_plain: bool,
    stable: Stable,
    health_port: int | None,
) -> None:
    """Run the hub in the foreground until SIGTERM or ^C.

    \b
    Example:
      spoke hub run --host 0.0.0.0 --tls-cert hub.pem --tls-key hub.key

    Uses the certificates of `spoke hub init` when there are any and no others are given. Prints the address to stderr
    once it listens. An event is acknowledged after it is on disk.
    """
    from sync.hub.certificates import SERVER_FILE, load_certificates, renewed_if_due, server_context
    from sync.hub.server import Hub

    tls = ca_pem = None
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key belong together")
    if tls_cert is not None:
        tls = server_context(tls_cert, tls_key)
    elif (own := load_certificates(context.paths.hub_certificates)) is not None:
        tls = server_context(renewed_if_due(own, now()).folder / SERVER_FILE)
        ca_pem = own.ca.pem
    settings = context.settings()
    logs.set_up(logs.Logging.of(settings))
    folder = hub_directory(context)
    server = Hub(
        folder,
        host=host,
        port=port,
        tls=tls,
        ca_pem=ca_pem,
        allow_plain=allow_plain,
        stable=stable,
        max_bytes=settings.storage.max_bytes,
    )
    address = f"{'wss' if tls else 'ws'}://{host}"
    asyncio.run(
        _serve(context, settings, server, lambda ready: say(f"hub listens on {address}:{ready.port}"), health_port)
    )


async def _serve(
    context: Context, settings: Settings, server: Hub, ready: Callable[[Hub], None], health_port: int | None
) -> None:
    from app.services.draining import leave_if_needed
    from app.services.hub import run_hub
    from app.services.reload import Reloading
    from app.services.sd_notify import notifying, own_manager, writer_of
    from app.services.signals import asked_by_hangup, stop_on_signals

    stop, to, listens = stop_on_signals(), own_manager(), asyncio.Event()

    def listening(hub: Hub) -> None:
        listens.set()
        ready(hub)

    async def alive() -> None:
        await listens.wait()
        await writer_of(server.system)()

    reloading = Reloading(
        context.paths,
        settings,
        flags=context.flags,
        asked=asked_by_hangup(),
        on_log=logs.set_up,
        on_change=partial(obey, server),
        needed=lambda _: None,  # a hub goes by `[log]` and `[storage]`, which need no new beginning
    )
    following = asyncio.create_task(reloading.changed(stop))
    try:
        async with notifying(alive, stop, to):
            await run_hub(server, context.paths.hub_dir, stop, listening, health_port=health_port)
            leave_if_needed()
    except OSError as error:
        raise CommandError(
            f"cannot listen: {error.strerror or error}", hint="choose another --port", code=ExitCode.UNAVAILABLE
        ) from error
    finally:
        stop.set()
        await following


@hub.group()
def key() -> None:
    """API keys of spokes.

    \b
    Example:
      spoke hub key create workshop-pc
    """


@key.command()
@click.argument("spoke_name", metavar="NAME")
@click.option("--tenant", default="local", show_default=True, help="The tenant whose file its events go to.")
@click.option("--days", type=click.IntRange(1), help="Days until the key ends; without it, never.")
@click.option("--scope", "scopes", multiple=True, help="What the spoke may call on the hub, such as sessions:read.")
@json_option
@click.pass_obj
def create(
    context: Context, spoke_name: str, tenant: str, days: int | None, scopes: tuple[str, ...], as_json: bool
) -> None:
    """Make a key for the spoke NAME and print it: this once, it is stored as a hash.

    \b
    Example:
      spoke hub key create workshop-pc --tenant acme > key.txt
    """
    from sync.hub.keys import create_key

    with system_file(context) as db:
        ends = None if days is None else int(time.time()) + days * 86_400
        made = create_key(db, spoke_name, tenant, expires_at=ends, scopes=scopes or None)
    if as_json:
        print_json({"key": made, "spoke": spoke_name, "tenant": tenant})
    else:
        click.echo(made)
        say("keep it: it cannot be shown again — on the spoke: spoke join wss://THIS-HUB --key-file FILE")


@key.command(name="list")
@json_option
@click.pass_obj
def list_(context: Context, as_json: bool) -> None:
    """List the keys, without their secrets.

    \b
    Example:
      spoke hub key list
    """
    from sync.hub.keys import list_spoke_keys

    with system_file(context) as db, db.snapshot() as snapshot:
        keys = list_spoke_keys(snapshot)
    if as_json:
        print_json(camel(keys))
        return
    if not keys:
        say("no keys yet: spoke hub key create NAME")
    for found in keys:
        click.echo(f"{found.id[:8]}  {found.tenant:<12} {found.spoke:<24} {'enabled' if found.enabled else 'disabled'}")


@key.command()
@click.argument("key_id", metavar="ID")
@dry_run_option
@json_option
@click.pass_obj
def revoke(context: Context, key_id: str, as_json: bool) -> None:
    """End the key ID at once: its id, the beginning of one, or a name.

    \b
    Example:
      spoke hub key create workshop-pc > key.txt
      spoke hub key revoke workshop-pc
    """
    from storage.identity.api_keys import find_key, revoke_key
    from sync.hub.keys import operator

    with system_file(context) as db, db.transaction() as tx:
        found = find_key(tx, key_id)
        ended = revoke_key(tx, found.id, actor_id=operator(tx).id, now=int(time.time()))
    if as_json:
        print_json({"id": found.id, "revoked": ended})
    else:
        say(f"key {found.id} {told('is', 'would be')} revoked" if ended else f"key {found.id} was revoked before")


@key.command()
@click.argument("key_id", metavar="ID")
@click.option(
    "--grace", default=86_400, show_default=True, type=click.IntRange(0), help="Seconds the old key still works."
)
@json_option
@click.pass_obj
def rotate(context: Context, key_id: str, grace: int, as_json: bool) -> None:
    """Make the successor of the key ID and print it, once; the old key works for a while more.

    \b
    Example:
      spoke hub key create workshop-pc > key.txt
      spoke hub key rotate workshop-pc --grace 3600 > new-key.txt
    """
    from storage.identity.api_keys import rotate_key
    from sync.hub.keys import operator

    with system_file(context) as db, db.transaction() as tx:
        new = rotate_key(tx, key_id, actor_id=operator(tx).id, now=int(time.time()), grace_s=grace)
    if as_json:
        print_json({"id": new.id, "key": new.secret})
    else:
        click.echo(new.secret)
        say("keep it: it cannot be shown again")


hub.add_command(calls)
hub.add_command(operations)
hub.add_command(call_)
hub.add_command(init)
hub.add_command(token)
hub.add_command(devices)
hub.add_command(revoke_node)
for command in (status, spokes, gaps, rejected, tenant, tenants):
    hub.add_command(command)
