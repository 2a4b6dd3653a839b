"""`spoke paths`."""

from __future__ import annotations

import click

from app.cli.context import Context, json_option, print_json
from app.paths import Paths
from app.views.text import safe

NAMES = (
    "data_dir",
    "config_file",
    *(name for name, value in vars(Paths).items() if isinstance(value, property) and name != "databases"),
)


@click.command()
@json_option
@click.pass_obj
def paths(context: Context, as_json: bool) -> None:
    """Where the files of this node are, and whether they are there.

    \b
    Example:
      spoke paths

    Opens and makes nothing. What decides: --data-dir and --config, SPOKE_DATA_DIR
    and SPOKE_CONFIG, then the platform's places (root: /var/lib, /etc).
    """
    found = {name: getattr(context.paths, name) for name in NAMES}
    if as_json:
        words = {name: name.split("_") for name in NAMES}
        keys = {name: word[0] + "".join(part.capitalize() for part in word[1:]) for name, word in words.items()}
        print_json({keys[name]: {"path": str(path), "exists": path.exists()} for name, path in found.items()})
        return
    for name, path in found.items():
        click.echo(f"{name.replace('_', ' '):<18} {safe(str(path))}" + ("" if path.exists() else "  (not there)"))
