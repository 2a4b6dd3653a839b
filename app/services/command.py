"""Running a command of the user's as a recorded call: its output passes through, its ends are kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from app.environment import child_environment
from app.operations.output import Tail
from sync.calls.errors import CallFailed
from sync.calls.events import Call
from sync.calls.recorder import Recorder

KEEP_BYTES = 8_192
"""Of each output: the first and the last four KiB."""
OUTPUT_LOST = 74
"""What `app.cli.exit_codes` calls IO."""


class CommandFailedError(CallFailed):
    """The command ran and said that it failed."""

    code = "EXIT_CODE"


class CannotStartError(CallFailed):
    """The command cannot be started; `shell_code` is what a shell would return."""

    code = "CANNOT_START"
    hint = "is it installed, and on the PATH?"

    def __init__(self, program: str, error: OSError) -> None:
        super().__init__(f"{program}: {error.strerror}", details={"errno": error.errno})
        self.shell_code = 127 if isinstance(error, FileNotFoundError) else 126


@dataclass(frozen=True, slots=True)
class _Ended:
    """How the command ended; `exit_code` is negative for the number of a signal."""

    exit_code: int
    duration_ms: float
    out: Tail
    err: Tail
    not_passed_on: OSError | None
    """Why a part of its output could not be written to where ours goes."""

    def as_json(self) -> dict[str, Any]:
        return {
            "exitCode": self.exit_code,
            "durationMs": self.duration_ms,
            "stdoutBytes": self.out.total,
            "stderrBytes": self.err.total,
            "stdout": self.out.text(),
            "stderr": self.err.text(),
        }


def run_recorded(recorder: Recorder, call: Call, argv: list[str]) -> int:
    """Run `argv` with this process's terminal and record it as `call`; returns what a shell would return.

    The request is durable before the command starts. A command that ends with an exit code other than 0 is recorded
    as `call.error` with code EXIT_CODE and everything that a success carries. ^C goes to the command (it is in the
    same foreground group); we wait for what it makes of it. A command that cannot be started is recorded as
    CANNOT_START and gives 127 or 126. One that succeeds, but whose output cannot be passed on, gives 74.
    """
    code = 0
    lost = None
    try:
        with recorder.manual(call) as running:
            ended = _run(argv, running.request_id, call.session_id)
            code, lost = ended.exit_code, ended.not_passed_on
            if lost is not None:
                print(f"spoke: output of {argv[0]} could not be passed on: {lost.strerror}", file=sys.stderr)
            if code != 0:
                raise CommandFailedError(_how(code), details=ended.as_json())
            running.succeed(ended.as_json())
    except CommandFailedError:
        return 128 - code if code < 0 else code
    except CannotStartError as error:
        print(f"spoke: {error.message} — {error.hint}", file=sys.stderr)
        return error.shell_code
    return 0 if lost is None else OUTPUT_LOST


def _run(argv: list[str], request_id: str, session_id: str | None) -> _Ended:
    environment = child_environment(SPOKE_PARENT_REQUEST_ID=request_id)
    if session_id is not None:
        environment["SPOKE_SESSION_ID"] = session_id
    began = time.monotonic()
    try:
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    except OSError as error:
        raise CannotStartError(argv[0], error) from error
    out, err = Tail(KEEP_BYTES), Tail(KEEP_BYTES)
    to_stdout, to_stderr = _Echo(sys.stdout.fileno()), _Echo(sys.stderr.fileno())
    readers = (out.read_in_thread(process.stdout, to_stdout), err.read_in_thread(process.stderr, to_stderr))
    exit_code = _wait(process)
    for reader in readers:
        reader.join()
    took_ms = round((time.monotonic() - began) * 1000, 3)
    return _Ended(exit_code, took_ms, out, err, to_stdout.error or to_stderr.error)


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end; ^C and SIGTERM are the command's to answer, not ours."""

    def forward(number: int, _: object) -> None:
        if number == signal.SIGTERM:  # ^C reaches the whole foreground group by itself
            process.send_signal(number)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Echo:
    """Passes output on to a descriptor; `error` is why it no longer can, unless the reader has left."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.error: OSError | None = None

    def __call__(self, data: bytes) -> None:
        """Write it all.

        Raises:
            OSError: it cannot be written.
        """
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            self.error = error
            raise


def _how(exit_code: int) -> str:
    if exit_code < 0:
        return f"ended by signal {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"
