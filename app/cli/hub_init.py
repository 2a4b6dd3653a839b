"""`spoke hub init`."""

from __future__ import annotations

import socket

import click

from app.cli.context import Context, json_option, now, print_json, say
from app.cli.hub_files import hub_directory


@click.command()
@click.option("--name", "names", multiple=True, help="Host name or address that spokes dial; may be repeated.")
@click.option("--renew", is_flag=True, help="Make a new server certificate from the CA that there is.")
@json_option
@click.pass_obj
def init(context: Context, names: tuple[str, ...], renew: bool, as_json: bool) -> None:
    """Make the hub's own CA and a server certificate.

    \b
    Examples:
      spoke hub init --name hub.example --name 192.0.2.7
      spoke hub init --renew --name hub.example

    Without --name: this machine's host name and loopback. Join tokens pin the CA, so machines that join need no other
    preparation. `spoke hub run` renews the server certificate when less than 30 days of it are left.
    """
    from sync.hub.certificates import load_certificates, make_certificates, renew_server
    from sync.link.errors import CertificateError

    hub_directory(context)
    folder = context.paths.hub_certificates
    host = socket.gethostname()
    default = [*dict.fromkeys((host, "localhost")), "127.0.0.1", "::1"]
    if renew:
        found = load_certificates(folder)
        if found is None:
            raise CertificateError(f"{folder}: there is no CA yet")
        made = renew_server(found, now(), list(names) or None)
    else:
        made = make_certificates(folder, list(names) or default, now())
    ends = made.server.certificate.not_valid_after_utc
    if as_json:
        print_json(
            {
                "caFile": str(folder / "ca.crt"),
                "caSpkiSha256": made.pin.hex(),
                "names": made.names,
                "notAfter": ends.isoformat(timespec="seconds").replace("+00:00", "Z"),
            }
        )
        return
    say(f"server certificate for {', '.join(made.names)}, until {ends:%Y-%m-%d}; the CA: {folder / 'ca.crt'}")
    say("next: spoke hub token create")
