"""`spoke secret`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from app.cli.call_recorded import call_recorded
from app.cli.context import Context, as_wanted, json_option, print_json, say
from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode
from app.cli.options import dry_run, dry_run_option, interactive, told


@click.group()
def secret() -> None:
    """Keep secrets, encrypted in the node's database; the key is in a file beside it.

    \b
    Example:
      printf %s "hunter2" | spoke secret set github/token
    """


@secret.command(name="set")
@click.argument("name")
@click.option("--description", help="What it is for.")
@click.option("--expires", metavar="DATE", help="When it ends, for instance 2027-01-31.")
@dry_run_option
@click.pass_obj
def set_(context: Context, name: str, description: str | None, expires: str | None) -> None:
    """Keep the secret NAME; its value comes from stdin, or is asked for. Never from the command line.

    \b
    Example:
      printf %s "hunter2" | spoke secret set github/token --description "for CI"
    """
    value = click.prompt("value", hide_input=True, err=True) if interactive() else sys.stdin.read()
    if not value:
        raise CommandError("the secret is empty", hint="pipe its value in", code=ExitCode.DATA)
    given = {"name": name, "value": value, "description": description, "expiresAt": _date(expires)}
    _run(context, "secret.set", {key: item for key, item in given.items() if item is not None})
    say(f"secret {name} {told('is', 'would be')} kept")


@secret.command()
@click.argument("name")
@click.pass_obj
def get(context: Context, name: str) -> None:
    """Print the secret NAME. When it was used is noted; its value is in no log.

    \b
    Example:
      printf %s "hunter2" | spoke secret set github/token
      TOKEN=$(spoke secret get github/token)
    """
    value = _run(context, "secret.get", {"name": name})["value"]
    click.echo(value.encode(), nl=sys.stdout.isatty())  # as bytes: click takes escape sequences out of text


@secret.command(name="list")
@json_option
@click.pass_obj
def list_(context: Context, as_json: bool) -> None:
    """List the secrets, without their values.

    \b
    Example:
      spoke secret list
    """
    found = _run(context, "secret.list", {})["secrets"]
    if as_json:
        print_json(found)
        return
    from app.views.text import safe

    if not found:
        say('no secrets yet — keep one: printf %s "$TOKEN" | spoke secret set NAME')
    for item in found:
        used = _moment(item["lastUsedAt"]) if item["lastUsedAt"] else "never used"
        ends = f"  ends {_moment(item['expiresAt'], 10)}" if item["expiresAt"] else ""
        line = f"{item['name']:<32} key {item['keyVersion']}  {used}{ends}  {item['description'] or ''}"
        click.echo(safe(line.rstrip()))


@secret.command(name="delete")
@click.argument("name")
@dry_run_option
@click.pass_obj
def delete(context: Context, name: str) -> None:
    """Forget the secret NAME.

    \b
    Example:
      printf %s "hunter2" | spoke secret set github/token
      spoke secret delete github/token
    """
    _run(context, "secret.delete", {"name": name})
    say(f"secret {name} {told('is gone', 'would go')}")


@secret.command()
@json_option
@click.pass_obj
def rotate(context: Context, as_json: bool) -> None:
    """Make a new key, and encrypt every secret anew with it, in the background (`spoke run`).

    \b
    Example:
      spoke secret rotate

    Old keys stay in the key file: a backup of the database from before needs them.
    """
    made = _run(context, "secret.rotate", {})
    if as_json:
        print_json(made)
    else:
        from app.views.text import of

        waiting = f"{of(made['waiting'], 'secret')} to be encrypted with it"
        say(f"key {made['keyVersion']} is the current one; {waiting}")


def _run(context: Context, operation: str, value: dict[str, Any]) -> Any:
    """Call an operation as `spoke call` does: recorded, and what is in it hidden."""
    from app.operations import secrets

    with _key_file(context) as file:
        return call_recorded(context, lambda registry: secrets.register(registry, file), operation, value)


@contextmanager
def _key_file(context: Context) -> Iterator[Path]:
    """The file of the keys; with --dry-run a copy of it, for the first secret makes one."""
    if not dry_run():
        yield context.paths.key_file
        return
    from shutil import copyfile
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="spoke-") as folder:
        file = Path(folder) / context.paths.key_file.name
        if context.paths.key_file.exists():
            copyfile(context.paths.key_file, file)
            file.chmod(0o600)
        yield file


def _moment(text: str, length: int | None = None) -> str:
    """A moment as --time-format wants it; else the beginning of how it is written (ISO-8601)."""
    from datetime import datetime

    when = as_wanted()
    return text[:length] if when is None else when(datetime.fromisoformat(text).timestamp() * 1000)


def _date(text: str | None) -> str | None:
    from datetime import datetime

    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone().isoformat()
    except ValueError as error:
        raise CommandError(f"--expires {text!r} is no date", hint="write 2027-01-31", code=ExitCode.USAGE) from error
