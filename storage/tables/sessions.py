"""Sessions, their messages and the parts of messages (`reference/alkdev.md` 5.4).

Columns that the reference leaves open are decided in `docs/decisions/0003-sessions.md`. Times are unix milliseconds,
NULL where nobody knows them: an imported log often has none, and an invented time would be a lie.
`imports` remembers what was imported by the digest of its bytes, so that importing again changes nothing.
"""

from __future__ import annotations

import sqlalchemy as sa

from storage.tables.columns import Json, common, integer, one_of, reference, text


def add(metadata: sa.MetaData) -> None:
    """`sessions`, `messages`, `parts`, `imports`: projections of `session-events`; written by nobody else."""
    sa.Table(
        "sessions",
        metadata,
        *common(),
        reference("parent_id", "sessions.id", "SET NULL", null=True),
        text("account_id", null=True),
        text("project_id", null=True),
        sa.Column("slug", sa.Text, nullable=False, unique=True),
        text("title"),
        text("source"),
        text("status"),
        integer("started_at", null=True),
        integer("ended_at", null=True),
        integer("position"),
        one_of("status", "active", "completed", "failed", "aborted"),
        sa.Index("idx_sessions_position", "position"),
        sa.Index("idx_sessions_parent_id", "parent_id"),
    )
    sa.Table(
        "messages",
        metadata,
        *common(),
        reference("session_id", "sessions.id", "CASCADE"),
        text("role"),
        text("agent", null=True),
        integer("position"),
        sa.Index("idx_messages_session", "session_id", "position"),
    )
    sa.Table(
        "parts",
        metadata,
        *common(),
        reference("message_id", "messages.id", "CASCADE"),
        reference("session_id", "sessions.id", "CASCADE"),
        text("type"),
        sa.Column("data", Json, nullable=False),
        integer("position"),
        sa.Index("idx_parts_message", "message_id", "position"),
        sa.Index("idx_parts_session_type", "session_id", "type"),
    )
    sa.Table("import_events", metadata, sa.Column("id", sa.LargeBinary, primary_key=True), sqlite_with_rowid=False)
    sa.Table(
        "imports",
        metadata,
        sa.Column("digest", sa.Text, primary_key=True),
        text("source"),
        text("name"),
        text("session_id"),
        sa.Column("created_at", sa.Integer, nullable=False, server_default=sa.text("(unixepoch())")),
        sqlite_with_rowid=False,
    )
