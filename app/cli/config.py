"""`spoke config`: what is set, what is wrong, and the schema."""

from __future__ import annotations

import os

import click

from app.cli.context import Context, json_option, print_json, say
from app.cli.exit_codes import ExitCode


@click.group()
def config() -> None:
    """The configuration: show it, check it, its schema for editors.

    \b
    Example:
      spoke config show --origin

    What is said later wins: defaults, `spoke join`, spoke.toml, SPOKE_* in the
    environment, --set TABLE.KEY=VALUE.
    """


@config.command()
@click.option("--origin", is_flag=True, help="Say what set each value.")
@json_option
@click.pass_obj
def show(context: Context, origin: bool, as_json: bool) -> None:
    """Show every value; secrets are masked.

    \b
    Example:
      spoke config show --origin
      SPOKE_API__PORT=9100 spoke --set name=bench config show --json
    """
    from app.config import read
    from app.config.reference import rows

    found = rows(read(context.paths, context.flags))
    if as_json:
        print_json(
            [
                {"key": row.key, "value": row.value, "origin": row.origin.kind, "where": row.origin.where}
                for row in found
            ]
        )
        return
    for row in found:
        click.echo(row.text(origin=origin))


@config.command()
@json_option
@click.pass_obj
def check(context: Context, as_json: bool) -> int:
    """Name everything that is wrong, with file and line; the keys of the terminal UI too.

    \b
    Example:
      spoke config check

    Exits with 78 when something is wrong. What runs goes on with what it had.
    """
    from app.config import ConfigError, read
    from app.config.layers import unknown_variables

    problems = []
    try:
        loaded = read(context.paths, context.flags)
    except ConfigError as error:
        problems = [str(problem) for problem in error.problems]
    else:
        if loaded.settings.keys:
            from app.config.keys import key_problems
            from app.tui.appearance import binding_ids

            found = key_problems(loaded.settings.keys, binding_ids())
            problems = [f"{loaded.origin(('keys', name))}: {text}" for name, text in found]
    problems += [str(problem) for problem in unknown_variables(os.environ)]
    if as_json:
        print_json({"file": str(context.paths.config_file), "ok": not problems, "problems": problems})
    else:
        for problem in problems:
            click.echo(problem)
        there = "" if context.paths.config_file.exists() else " (there is no such file: all defaults)"
        say(f"{context.paths.config_file}: {len(problems) or 'no'} problem{'s' * (len(problems) != 1)}{there}")
    return ExitCode.CONFIG if problems else ExitCode.OK


@config.command()
def schema() -> None:
    """Print the JSON Schema of spoke.toml, for editors.

    \b
    Example:
      spoke config schema > spoke.schema.json
    """
    import json

    from app.config.reference import schema as made

    click.echo(json.dumps(made(), indent=2, ensure_ascii=False))
