"""The passphrase of a backup's keys: from a file, or asked for; never from the command line, where others see it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from app.cli.errors import CommandError
from app.cli.exit_codes import ExitCode

FILE_ENV = "SPOKE_PASSPHRASE_FILE"


def passphrase(*, confirm: bool) -> str:
    """Return the passphrase: the first line of the file that SPOKE_PASSPHRASE_FILE names, else what is typed.

    Raises:
        CommandError: there is neither a file nor a terminal, or it is empty.
        OSError: the file cannot be read.
    """
    file = os.environ.get(FILE_ENV)
    if file:
        found = Path(file).read_text().partition("\n")[0]
    elif sys.stdin.isatty():
        found = click.prompt("passphrase", hide_input=True, confirmation_prompt=confirm, err=True)
    else:
        raise CommandError("no passphrase", hint=f"put it into a file and name that in {FILE_ENV}", code=ExitCode.USAGE)
    if not found:
        raise CommandError("the passphrase is empty", hint="keys are only kept encrypted", code=ExitCode.USAGE)
    return found
