"""Honker's SQL functions on the write connection: `SELECT honker_enqueue(…)` inside a transaction.

They are the functions of this package under their SQL names, with Honker's argument order, and run in the transaction
of the statement that calls them. Reader connections do not have them, as in Honker.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import apsw

from storage.engine import jobs, locks, rate_limit, results, schedules, schema, stream
from storage.engine.cron import next_fire
from storage.engine.errors import PayloadError
from storage.engine.payload import dumps, loads
from storage.engine.transaction import Transaction

Current = Callable[[], Transaction]
Clock = Callable[[], float]


def register(connection: apsw.Connection, current: Current, clock: Clock) -> None:
    """Register all of them.

    Args:
        connection: the write connection.
        current: gives the transaction that is open on it.
        clock: unix seconds.
    """
    for (name, arguments), function in _functions(connection, current, clock).items():
        connection.create_scalar_function(name, function, arguments)


def _functions(
    connection: apsw.Connection, current: Current, clock: Clock
) -> dict[tuple[str, int], Callable[..., Any]]:
    def enqueue(
        queue: str,
        payload: str,
        run_at: float | None,
        delay: float | None,
        priority: int,
        max_attempts: int,
        expires: float | None,
    ) -> int:
        return jobs.enqueue(
            current(),
            queue,
            payload,
            now=clock(),
            run_at=run_at,
            delay=delay,
            priority=priority or 0,
            max_attempts=max_attempts or 3,
            expires=expires,
        )

    def claim_batch(queue: str, worker: str, number: int, timeout_s: float) -> str:
        rows = jobs.claim(current(), queue, worker, number, timeout_s, now=clock())
        return json.dumps([row._asdict() for row in rows])

    def get_job(job: int) -> str:
        row = jobs.get_job(current(), job)
        return "" if row is None else json.dumps(row._asdict())

    def notify(channel: str, payload: str) -> int:
        return current().notify(channel, _json(payload))

    def publish(topic: str, key: str | None, payload: str) -> int:
        tx = current()
        offset = int(tx.rows(stream.SQL_PUBLISH, (topic, key, payload))[0][0])
        tx.touch("stream", topic)
        return offset

    def read_since(topic: str, offset: int, limit: int) -> str:
        rows = current().rows(stream.SQL_READ, (topic, offset, limit))
        names = ("offset", "topic", "key", "payload", "created_at")
        return json.dumps([dict(zip(names, row, strict=True)) for row in rows])

    def result_get(job: int) -> str | None:
        found, value = results.find_result(current(), job, now=clock())
        return dumps(value) if found else None

    def result_save(job: int, value: str, ttl: float | None) -> int:
        results.save_result(current(), job, value, ttl, now=clock())
        return 1

    def schedule_register(
        name: str,
        queue: str,
        expr: str,
        payload: str,
        priority: int,
        expires_s: int | None,
        max_attempts: int | None = 3,
    ) -> int:
        schedules.register(
            current(),
            name,
            queue,
            expr,
            payload,
            priority=priority or 0,
            expires_s=expires_s,
            max_attempts=max_attempts,
            now=clock(),
        )
        return 1

    def schedule_update(name: str, *values: Any) -> int:
        # (name, schedule, payload, priority, expires, max_attempts) and, with eight, flags: expires/attempts given
        keys = ("schedule", "payload", "priority", "expires", "max_attempts")
        fields = {key: value for key, value in zip(keys, values, strict=False) if value is not None}
        if "payload" in fields:
            fields["payload"] = _json(fields["payload"])
        if len(values) == 7:
            fields |= {"expires": values[3]} if values[5] else {}
            fields |= {"max_attempts": values[4]} if values[6] else {}
        return int(schedules.update(current(), name, fields, now=clock()))

    def tick(now: int) -> str:
        fired = schedules.tick(current(), now=now)
        return json.dumps([{name: getattr(row, name) for name in row.__slots__} for row in fired])

    def bootstrap() -> int:
        schema.bootstrap(connection)
        return 1

    return {
        ("honker_bootstrap", 0): bootstrap,
        ("notify", 2): notify,
        ("honker_enqueue", 7): enqueue,
        ("honker_claim_batch", 4): claim_batch,
        ("honker_ack", 2): lambda job, worker: int(jobs.ack(current(), job, worker, now=clock())),
        ("honker_ack_batch", 2): lambda ids, worker: jobs.ack_batch(current(), _json(ids), worker, now=clock()),
        ("honker_retry", 4): lambda job, worker, delay, error: int(
            jobs.retry(current(), job, worker, delay, error or "", now=clock())
        ),
        ("honker_fail", 3): lambda job, worker, error: int(jobs.fail(current(), job, worker, error or "", now=clock())),
        ("honker_heartbeat", 3): lambda job, worker, extend: int(
            jobs.heartbeat(current(), job, worker, extend, now=clock())
        ),
        ("honker_cancel", 1): lambda job: int(jobs.cancel(current(), job)),
        ("honker_get_job", 1): get_job,
        ("honker_queue_next_claim_at", 1): lambda queue: jobs.next_claim_at(current(), queue),
        ("honker_sweep_expired", 1): lambda queue: jobs.sweep_expired(current(), queue, now=clock()),
        ("honker_lock_acquire", 3): lambda name, owner, ttl: int(
            locks.acquire(current(), name, owner, ttl, now=clock())
        ),
        ("honker_lock_release", 2): lambda name, owner: int(locks.release(current(), name, owner)),
        ("honker_lock_renew", 3): lambda name, owner, ttl: int(locks.renew(current(), name, owner, ttl, now=clock())),
        ("honker_rate_limit_try", 3): lambda name, limit, per: int(
            rate_limit.try_rate_limit(current(), name, limit, per, now=clock())
        ),
        ("honker_rate_limit_sweep", 1): lambda age: rate_limit.sweep_rate_limits(current(), age, now=clock()),
        ("honker_result_save", 3): result_save,
        ("honker_result_get", 1): result_get,
        ("honker_result_sweep", 0): lambda: results.sweep_results(current(), now=clock()),
        ("honker_stream_publish", 3): publish,
        ("honker_stream_read_since", 3): read_since,
        ("honker_stream_save_offset", 3): lambda consumer, topic, offset: int(
            stream.save_offset(current(), consumer, topic, offset)
        ),
        ("honker_stream_get_offset", 2): lambda consumer, topic: stream.saved_offset(current(), consumer, topic),
        ("honker_cron_next_after", 2): next_fire,
        ("honker_scheduler_register", 6): schedule_register,
        ("honker_scheduler_register", 7): schedule_register,
        ("honker_scheduler_unregister", 1): lambda name: int(schedules.unregister(current(), name)),
        ("honker_scheduler_pause", 1): lambda name: int(
            schedules.set_enabled(current(), name, enabled=False, now=clock())
        ),
        ("honker_scheduler_resume", 1): lambda name: int(
            schedules.set_enabled(current(), name, enabled=True, now=clock())
        ),
        ("honker_scheduler_list", 0): lambda: dumps(schedules.list_schedules(current())),
        ("honker_scheduler_update", 6): schedule_update,
        ("honker_scheduler_update", 8): schedule_update,
        ("honker_scheduler_tick", 1): tick,
        ("honker_scheduler_soonest", 0): lambda: schedules.soonest(current()),
    }


def _json(text: str) -> Any:
    """What the JSON argument of a function says.

    Raises:
        PayloadError: it is not JSON.
    """
    if not isinstance(text, str):
        raise PayloadError("a JSON text is expected")
    return loads(text)
