"""Tasks: functions as jobs. A decorated function is enqueued when it is called; a worker runs it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from storage.engine.cron import CronSchedule
from storage.engine.errors import EngineError, UsageError

if TYPE_CHECKING:
    from storage.engine.queue import Queue

ENVELOPE = "__honker_task__"


class Retryable(Exception):
    """Raised by a task to run again after `delay_s` seconds."""

    def __init__(self, message: str = "", delay_s: float = 60) -> None:
        super().__init__(message)
        self.delay_s = delay_s


class UnknownTaskError(EngineError, LookupError):
    """No task has that name in this process."""

    hint = "import the module that defines it before the workers start"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """How a task is run. Times in seconds."""

    name: str
    queue: str
    fn: Callable[..., Any]
    retries: int
    retry_delay_s: float = 60
    timeout_s: float | None = None
    priority: int = 0
    expires_s: float | None = None
    store_result: bool = True
    result_ttl_s: float = 3_600


_registry: dict[str, TaskSpec] = {}


def registry() -> dict[str, TaskSpec]:
    """Every task of this process, by name."""
    return _registry


def find_task(name: str) -> TaskSpec:
    """Return a task.

    Raises:
        UnknownTaskError: there is none of that name.
    """
    spec = _registry.get(name)
    if spec is None:
        raise UnknownTaskError(f"unknown task {name!r}")
    return spec


class TaskResult:
    """The result of a task that was enqueued."""

    def __init__(self, queue: Queue, job_id: int) -> None:
        self._queue = queue
        self.id = job_id

    async def aget(self, timeout: float | None = None) -> Any:
        """Wait for the result on the event loop; `asyncio.TimeoutError` after `timeout` seconds."""
        return await self._queue.wait_result(self.id, timeout)

    def get(self, timeout: float | None = None) -> Any:
        """Wait for the result, outside an event loop; `TimeoutError` after `timeout` seconds."""
        import asyncio

        return asyncio.run(self.aget(timeout))


class Task:
    """A decorated function: calling it enqueues it."""

    def __init__(self, queue: Queue, spec: TaskSpec) -> None:
        self._queue = queue
        self.spec = spec
        self.fn = spec.fn
        self.name = spec.name
        functools.update_wrapper(self, spec.fn)

    def __call__(self, *args: Any, **kwargs: Any) -> TaskResult:
        """Enqueue a call of the function."""
        spec = self.spec
        job = self._queue.enqueue(
            task_payload(self.name, args, kwargs),
            priority=spec.priority,
            expires=spec.expires_s,
            max_attempts=spec.retries,
        )
        return TaskResult(self._queue, job)

    def call_local(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function here and now."""
        return self.fn(*args, **kwargs)


def task_payload(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The payload of a task's job."""
    return {ENVELOPE: {"task": name, "args": list(args), "kwargs": kwargs}}


def define(queue: Queue, fn: Callable[..., Any], name: str | None, **options: Any) -> Task:
    """Register a function as a task of a queue.

    Raises:
        UsageError: another function has the name.
    """
    task_name = name or f"{fn.__module__}.{fn.__qualname__}"
    known = _registry.get(task_name)
    if known is not None and known.fn is not fn:
        raise UsageError(f"task {task_name!r} is already another function")
    spec = TaskSpec(name=task_name, queue=queue.name, fn=fn, **options)
    _registry[task_name] = spec
    return Task(queue, spec)


def define_periodic(
    queue: Queue,
    fn: Callable[..., Any],
    schedule: CronSchedule | str,
    name: str | None,
    scheduler_name: str | None,
    **options: Any,
) -> Task:
    """Register a task and the schedule that enqueues it."""
    from storage.engine.scheduler import Scheduler

    task = define(queue, fn, name, **options)
    Scheduler(queue.db).add(
        name=scheduler_name or task.name,
        queue=queue.name,
        schedule=schedule,
        payload=task_payload(task.name, (), {}),
        priority=task.spec.priority,
        expires=None if task.spec.expires_s is None else int(task.spec.expires_s),
        max_attempts=task.spec.retries,
    )
    return task


async def call(spec: TaskSpec, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Run a task's function: a coroutine on the loop, anything else on a thread."""
    import asyncio

    if inspect.iscoroutinefunction(spec.fn):
        return await spec.fn(*args, **kwargs)
    return await asyncio.to_thread(spec.fn, *args, **kwargs)
