"""`spoke man`."""

from __future__ import annotations

import click


@click.command()
@click.option("--markdown", "page", flag_value="markdown", help="As docs/cli.md.")
@click.option("--json-page", "page", flag_value="json", help="docs/cli-json.md: what --json prints.")
@click.pass_context
def man(ctx: click.Context, page: str | None) -> None:
    """Print the manual page, spoke(1), in roff: of this very version.

    \b
    Example:
      spoke man > spoke.1      then: man -l spoke.1
    """
    from app.cli import reference

    root = ctx.find_root().command
    assert isinstance(root, click.Group)
    made = {"markdown": reference.markdown, "json": reference.json_page, None: reference.manual}[page]
    click.echo(made(root), nl=False)
