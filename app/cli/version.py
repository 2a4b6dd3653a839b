"""`spoke version`."""

from __future__ import annotations

import click

from app.cli.context import Context, camel, json_option, print_json


@click.command()
@json_option
@click.pass_obj
def version(_: Context, as_json: bool) -> None:
    """What this program is made of: commit, Python, SQLite, OpenSSL, libraries and the wheels that they came in.

    \b
    Example:
      spoke version --json

    From source the commit and the wheels are not known (null). A release's SBOM names every file too. `spoke --version`
    says the number alone, and nothing is quicker.
    """
    from app.provenance import provenance

    made = provenance()
    if as_json:
        print_json(camel(made))
        return
    commit = "not known (from source)" if made.commit is None else made.commit + (", changed" if made.changed else "")
    for name, value in (
        ("spoke", made.version),
        ("commit", commit),
        ("made", made.made_at or "-"),
        ("python", made.python),
        ("sqlite", made.sqlite),
        ("openssl", made.openssl),
    ):
        click.echo(f"{name:<20} {value}")
    for library in made.libraries:
        click.echo(f"{library.name:<20} {library.version:<12} {library.sha256 or ''}".rstrip())
