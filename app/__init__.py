"""Spoke: the program. Command line, terminal UI, background services, operations, importers."""

__version__ = "0.1.0"
