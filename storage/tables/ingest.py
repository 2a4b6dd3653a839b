"""What the drop folder has read: how far of which file, and the lines that were no events (`app/services/ingest.py`).

A file is known by device, inode and its first bytes, so that it may be renamed, and another one may get its name.
"""

from __future__ import annotations

import sqlalchemy as sa

from storage.tables.columns import integer, text


def add(metadata: sa.MetaData) -> None:
    """The drop folder's tables."""
    sa.Table(
        "ingest_files",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True, nullable=True),
        integer("device"),
        integer("inode"),
        sa.Column("head", sa.LargeBinary, nullable=False),
        text("name"),
        integer("offset"),
        integer("line"),
        integer("events"),
        integer("rejected"),
        integer("updated_at"),
        sa.Index("idx_ingest_files_inode", "device", "inode"),
    )
    sa.Table(
        "ingest_rejects",
        metadata,
        sa.Column("file_id", sa.Integer, sa.ForeignKey("ingest_files.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("line", sa.Integer, primary_key=True),
        text("reason"),
        text("text"),
        sqlite_with_rowid=False,
    )
