"""Entry point of `spoke`: the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import sys

from app import executable as executable  # first: it takes its variable out of the environment that children get


def main() -> None:
    """Run the command line and leave with its exit code."""
    if sys.argv[1:] == ["--version"]:  # answered before anything else is imported
        from app import __version__

        print(f"spoke {__version__}")
        return
    from app.cli.run_cli import run

    sys.exit(run(sys.argv[1:]))
