"""The tables on disk: Honker's, column by column (`reference/honker-schema.txt`).

A file written by Honker is ours and the other way round. Statements create what is missing and change nothing that
exists, so columns that newer versions add are left alone; every INSERT of the engine names its columns. Two tables are
our own, for what the format has no place: the error of a job's last attempt (ids are never reused, so what another
program leaves there is harmless), and the queues that rest (`storage.engine.pauses`).
"""

from __future__ import annotations

import re

import apsw

STATEMENTS = """
CREATE TABLE IF NOT EXISTS _honker_notifications (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  channel TEXT NOT NULL,
  payload TEXT NOT NULL,
  created_at INTEGER NOT NULL DEFAULT (unixepoch())
);
CREATE INDEX IF NOT EXISTS _honker_notifications_recent ON _honker_notifications(channel, id);
CREATE TABLE IF NOT EXISTS _honker_live (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  queue TEXT NOT NULL,
  payload TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending',
  priority INTEGER NOT NULL DEFAULT 0,
  run_at INTEGER NOT NULL DEFAULT (unixepoch()),
  worker_id TEXT,
  claim_expires_at INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0,
  max_attempts INTEGER NOT NULL DEFAULT 3,
  created_at INTEGER NOT NULL DEFAULT (unixepoch()),
  expires_at INTEGER
);
CREATE INDEX IF NOT EXISTS _honker_live_claim ON _honker_live(queue, priority DESC, run_at, id)
  WHERE state IN ('pending', 'processing');
CREATE INDEX IF NOT EXISTS _honker_live_pending_deadline ON _honker_live(queue, run_at) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS _honker_live_processing_deadline ON _honker_live(queue, claim_expires_at)
  WHERE state = 'processing';
CREATE TABLE IF NOT EXISTS _honker_dead (
  id INTEGER PRIMARY KEY,
  queue TEXT NOT NULL,
  payload TEXT NOT NULL,
  priority INTEGER NOT NULL DEFAULT 0,
  run_at INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0,
  max_attempts INTEGER NOT NULL DEFAULT 0,
  last_error TEXT,
  created_at INTEGER NOT NULL DEFAULT (unixepoch()),
  died_at INTEGER NOT NULL DEFAULT (unixepoch())
);
CREATE TABLE IF NOT EXISTS _honker_locks (
  name TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  expires_at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS _honker_rate_limits (
  name TEXT NOT NULL,
  window_start INTEGER NOT NULL,
  count INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (name, window_start)
);
CREATE TABLE IF NOT EXISTS _honker_scheduler_tasks (
  name TEXT PRIMARY KEY,
  queue TEXT NOT NULL,
  cron_expr TEXT NOT NULL,
  payload TEXT NOT NULL,
  priority INTEGER NOT NULL DEFAULT 0,
  expires_s INTEGER,
  next_fire_at INTEGER NOT NULL,
  enabled INTEGER NOT NULL DEFAULT 1,
  max_attempts INTEGER NOT NULL DEFAULT 3
);
CREATE TABLE IF NOT EXISTS _honker_results (
  job_id INTEGER PRIMARY KEY,
  value TEXT,
  created_at INTEGER NOT NULL DEFAULT (unixepoch()),
  expires_at INTEGER
);
CREATE TABLE IF NOT EXISTS _honker_stream (
  offset INTEGER PRIMARY KEY AUTOINCREMENT,
  topic TEXT NOT NULL,
  key TEXT,
  payload TEXT NOT NULL,
  created_at INTEGER NOT NULL DEFAULT (unixepoch())
);
CREATE INDEX IF NOT EXISTS _honker_stream_topic ON _honker_stream(topic, offset);
CREATE TABLE IF NOT EXISTS _honker_stream_consumers (
  name TEXT NOT NULL,
  topic TEXT NOT NULL,
  offset INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (name, topic)
);
CREATE TABLE IF NOT EXISTS engine_job_errors (
  job_id INTEGER PRIMARY KEY,
  error TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS engine_paused_queues (
  queue TEXT NOT NULL PRIMARY KEY,
  paused_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS _honker_jobs AS
  SELECT id, queue, payload, state, priority, run_at, worker_id, claim_expires_at,
         attempts, max_attempts, NULL AS last_error, created_at
    FROM _honker_live
  UNION ALL
  SELECT id, queue, payload, 'dead' AS state, priority, run_at, NULL, NULL,
         attempts, max_attempts, last_error, created_at
    FROM _honker_dead;
"""

_OBJECTS = frozenset(re.findall(r"IF NOT EXISTS (\w+)", STATEMENTS))
"""Tables, named indexes and the view that `STATEMENTS` makes."""


def is_complete(connection: apsw.Connection) -> bool:
    """Tell whether every object is there, without writing."""
    # By name: a newer Honker's file has others too, and a count would let them stand for what is missing.
    rows = connection.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'index', 'view')").fetchall()
    return {str(name) for (name,) in rows} >= _OBJECTS


def bootstrap(connection: apsw.Connection) -> None:
    """Create what is missing, inside the caller's transaction; idempotent."""
    connection.execute(STATEMENTS)


def has_claimed_at(connection: apsw.Connection) -> bool:
    """Tell whether the file has the column that Honker got after 0.5.0 (its pull request 140)."""
    return bool(
        connection.execute("SELECT 1 FROM pragma_table_info('_honker_live') WHERE name = 'claimed_at'").fetchall()
    )
