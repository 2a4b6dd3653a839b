"""The exit codes of `spoke`, after sysexits; the only list of them."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended. `EXPLAINED` says each in one line, for `spoke --help` and the docs."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    DATA = 65
    NO_INPUT = 66
    UNAVAILABLE = 69
    BUG = 70
    CANNOT_CREATE = 73
    IO = 74
    TEMPORARY = 75
    DENIED = 77
    CONFIG = 78
    INTERRUPTED = 130


EXPLAINED: dict[ExitCode, str] = {
    ExitCode.OK: "done",
    ExitCode.FAILURE: "the operation was tried and failed",
    ExitCode.USAGE: "the command line is wrong, or names something that does not exist",
    ExitCode.DATA: "the input is not what it should be (JSON, schema, trajectory, database file)",
    ExitCode.NO_INPUT: "an input file is missing or cannot be read",
    ExitCode.UNAVAILABLE: "the hub cannot be reached",
    ExitCode.BUG: "a defect of Spoke; please report it",
    ExitCode.CANNOT_CREATE: "a file or directory cannot be created or written",
    ExitCode.IO: "reading or writing failed, or the disk is full",
    ExitCode.TEMPORARY: "busy or timed out; the same command may work later",
    ExitCode.DENIED: "access denied, or the hub refused the key",
    ExitCode.CONFIG: "the configuration is wrong",
    ExitCode.INTERRUPTED: "interrupted with ^C",
}
