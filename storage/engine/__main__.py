"""`python -m storage.engine worker MODULE:DATABASE`: run the tasks that a module defines, until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import signal
import sys

from storage.engine.database import Database
from storage.engine.tasks import registry


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m storage.engine")
    worker = parser.add_subparsers(dest="command", required=True).add_parser("worker", help="run tasks")
    worker.add_argument("target", help="module:name of the open database")
    worker.add_argument("--queue", action="append", help="only this queue; may be given again")
    worker.add_argument("--concurrency", type=int, default=None)
    worker.add_argument("--list", action="store_true", help="print the tasks and stop")
    options = parser.parse_args(arguments)
    module, _, name = options.target.partition(":")
    sys.path.insert(0, "")
    db = getattr(importlib.import_module(module), name or "db")
    if not isinstance(db, Database):
        parser.error(f"{options.target} is no open database")
    if options.list:
        for spec in registry().values():
            print(f"{spec.queue}\t{spec.name}")
        return 0
    asyncio.run(_work(db, options.queue, options.concurrency))
    return 0


async def _work(db: Database, queues: list[str] | None, concurrency: int | None) -> None:
    from storage.engine.worker import run_workers

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await run_workers(db, queues, concurrency, stop)


if __name__ == "__main__":
    sys.exit(main())
