"""Entry point of `spoke`."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from app.cli import cli

    cli()
