"""Running a program for a call: bounded output, a time-out, and no process left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from app.environment import child_environment
from app.operations.output import Tail
from storage.operations.spec import OperationContext
from sync.calls.errors import AbortedError, CallTimeoutError, ExecutionError


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended; `exit_code` is negative for the number of a signal."""

    exit_code: int
    duration_ms: float
    out: Tail
    err: Tail


def run_program(
    argv: Sequence[str],
    context: OperationContext,
    *,
    timeout_s: float,
    limit_bytes: int,
    cwd: Path | None = None,
    environment: Sequence[str] | None = None,
    stdin: bytes | None = None,
) -> Ended:
    """Run a program to its end; at its time-out, or when the call is aborted, its whole process group is killed.

    Calls that it makes with `spoke call` are children of this one. `environment` names the variables that it gets;
    None is all of ours.

    Raises:
        ExecutionError: it cannot be started.
        CallTimeoutError, AbortedError: it was killed.
    """
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=_environment(environment, context),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        what = cwd if cwd is not None and not cwd.is_dir() else argv[0]
        raise ExecutionError(
            f"{what}: {error.strerror}", hint="check argv and cwd of the command in the configuration"
        ) from error
    out, err = Tail(limit_bytes), Tail(limit_bytes)
    with process:
        threads = [out.read_in_thread(process.stdout), err.read_in_thread(process.stderr)]
        if process.stdin is not None:
            threads.append(_write_in_thread(process.stdin, stdin or b""))
        try:
            with context.abort.calling(partial(_kill_group, process.pid)):
                exit_code = process.wait(timeout_s)
            if context.abort.requested:
                raise AbortedError(f"{argv[0]} was killed")
        except subprocess.TimeoutExpired as error:
            raise CallTimeoutError(f"{argv[0]} did not end within {timeout_s:g} s") from error
        finally:
            # Also after a normal end: what the command left behind in its group would hold the pipes open.
            _kill_group(process.pid)
            process.wait()
            for thread in threads:
                thread.join()
    return Ended(exit_code, round((time.monotonic() - began) * 1000, 3), out, err)


def _environment(allowed: Sequence[str] | None, context: OperationContext) -> Mapping[str, str]:
    lineage = {"SPOKE_PARENT_REQUEST_ID": context.request_id}
    if context.session_id is not None:
        lineage["SPOKE_SESSION_ID"] = context.session_id
    environment = child_environment()
    if allowed is not None:
        kept = {*allowed, "PYINSTALLER_RESET_ENVIRONMENT"}
        environment = {name: value for name, value in environment.items() if name in kept}
    return environment | lineage


def _write_in_thread(pipe: IO[bytes], data: bytes) -> threading.Thread:
    def work() -> None:
        # A program that does not read its input to the end is none of our business.
        with suppress(BrokenPipeError), pipe:
            pipe.write(data)

    thread = threading.Thread(target=work, name="stdin", daemon=True)
    thread.start()
    return thread


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return  # everybody in it has ended
