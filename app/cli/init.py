"""`spoke init`."""

from __future__ import annotations

import socket
from pathlib import Path

import click

from app.audit import audit_before
from app.cli.context import Context, json_option, print_json, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.cli.options import interactive
from app.systemd_unit import ACCOUNT, SYSTEM_CONFIG


@click.command()
@click.option("--name", help="How this node is called in the hub's lists.")
@click.option("--root", "roots", multiple=True, type=click.Path(path_type=Path), help="A folder that may be read.")
@click.option("--hub", help="The hub's address, if there is one: wss://HOST[:PORT].")
@json_option
@click.pass_obj
def init(context: Context, name: str | None, roots: tuple[Path, ...], hub: str | None, as_json: bool) -> None:
    """Write a spoke.toml with everything in it, commented out; it asks three questions.

    \b
    Example:
      spoke init --name workshop-pc --root ~ --no-input

    Everything works without one. A file that is there is never overwritten. root's, of the machine, can be read by the
    group of the services' account, if there is one; `spoke install` sees to that too. Prints the next commands.
    """
    from app.config.template import template
    from app.install.layout import make_folder
    from storage.private_file import write_private

    file = context.paths.config_file
    exists = CommandError(
        f"{file} is there already", hint="see it with: spoke config show --origin", code=ExitCode.CANNOT_CREATE
    )
    if file.exists():
        raise exists
    if interactive() and not as_json:
        name = name or click.prompt("Name of this node", default=socket.gethostname(), err=True)
        if not roots:
            answer = click.prompt("Folder whose files it may show", default=str(Path.home()), err=True)
            roots = (Path(answer),)
        if hub is None:
            hub = click.prompt("Address of a hub (Enter: none)", default="", show_default=False, err=True)
    said: dict[tuple[str, ...], object] = {}
    if name:
        said["name",] = name
    if roots:
        said["fs", "roots"] = [str(root.expanduser().absolute()) for root in roots]
    if hub:
        from sync.spoke.address import check_url

        check_url(hub, allow_plain=False)
    audit_before(context.paths, "init", say, file=str(file), hub=hub or None)
    try:
        if file == SYSTEM_CONFIG:
            make_folder(file.parent)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_private(file, template(said), replace=False)
        if file == SYSTEM_CONFIG:
            _let_services_read(file)
    except FileExistsError as error:
        raise exists from error
    except OSError as error:
        raise CommandError(
            f"{file}: cannot be written: {error.strerror}", hint="choose another --config", code=ExitCode.CANNOT_CREATE
        ) from error
    steps = [
        "spoke record -- ls -l",
        "spoke status",
        f"spoke join {hub} --token-file token.txt" if hub else "spoke run",
    ]
    if as_json:
        print_json({"file": str(file), "next": steps})
        return
    say(f"wrote {file}; next:")
    for step in steps:
        click.echo(f"  {step}")


def _let_services_read(file: Path) -> None:
    """A machine's services are not root; what root writes for them is of no use if they cannot read it."""
    from app.install.extras import has_account, let_read

    if has_account():
        let_read(file)
        say(f"the services of the account {ACCOUNT} may read it")
