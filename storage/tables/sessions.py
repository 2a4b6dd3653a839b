"""Sessions, their messages and the parts of messages (`reference/alkdev.md` 5.4).

Columns that the reference leaves open are decided in `docs/decisions/0003-sessions.md`. Times are unix milliseconds,
NULL where nobody knows them: an imported log often has none, and an invented time would be a lie.
`imports` remembers what was imported by the digest of its bytes, so that importing again changes nothing.
"""

from __future__ import annotations

from storage.tables.metagraph import COMMON

DDL = f"""
CREATE TABLE sessions ({COMMON}
  parent_id TEXT REFERENCES sessions(id) ON DELETE SET NULL,
  account_id TEXT,
  project_id TEXT,
  slug TEXT NOT NULL UNIQUE,
  title TEXT NOT NULL,
  source TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('active', 'completed', 'failed', 'aborted')),
  started_at INTEGER,
  ended_at INTEGER,
  position INTEGER NOT NULL
);
CREATE INDEX idx_sessions_position ON sessions(position);
CREATE INDEX idx_sessions_parent_id ON sessions(parent_id);
CREATE TABLE messages ({COMMON}
  session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
  role TEXT NOT NULL,
  agent TEXT,
  position INTEGER NOT NULL
);
CREATE INDEX idx_messages_session ON messages(session_id, position);
CREATE TABLE parts ({COMMON}
  message_id TEXT NOT NULL REFERENCES messages(id) ON DELETE CASCADE,
  session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
  type TEXT NOT NULL,
  data TEXT NOT NULL,
  position INTEGER NOT NULL
);
CREATE INDEX idx_parts_message ON parts(message_id, position);
CREATE INDEX idx_parts_session_type ON parts(session_id, type);
CREATE TABLE imports (
  digest TEXT PRIMARY KEY,
  source TEXT NOT NULL,
  name TEXT NOT NULL,
  session_id TEXT NOT NULL,
  created_at INTEGER NOT NULL DEFAULT (unixepoch())
) WITHOUT ROWID;
"""
