"""Entry point of `spoke`: the one place where an error becomes a line and an exit code."""

from __future__ import annotations

import os
import sys

from app import executable as executable  # first: it takes its variable out of the environment that children get


def main() -> None:
    """Run the command line and leave with its exit code."""
    _fill_standard_streams()
    if sys.argv[1:] == ["--version"]:  # answered before anything else is imported
        from app import __version__

        print(f"spoke {__version__}")
        return
    try:
        from app.cli.run_cli import run
    except KeyboardInterrupt:  # run() knows it itself
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(run(sys.argv[1:]))


def _fill_standard_streams() -> None:
    """Give a process that was started without stdin, stdout or stderr /dev/null in their place.

    Else Python has None there, and the next file that is opened, a database, gets the number of a standard stream.
    """
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: `number`, if nobody has taken it
            os.set_inheritable(opened, opened == number)
            setattr(sys, name, os.fdopen(opened, mode))
