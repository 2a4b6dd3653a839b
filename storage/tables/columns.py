"""Column types and the columns that every table of the domain has (ADR-008).

Declared once more as SQLAlchemy tables, for typed queries and generated operations; what a file really has is what
the migrations made, and `tests/storage/migrations/test_drift.py` holds the two together.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles


class Json(sa.JSON):
    """A JSON value in a TEXT column (ADR-019)."""

    cache_ok = True


class Flag(sa.Boolean):
    """A yes or no in an INTEGER column."""

    cache_ok = True


@compiles(Json, "sqlite")
def _text(*_: Any, **__: Any) -> str:
    return "TEXT"


@compiles(Flag, "sqlite")
def _integer(*_: Any, **__: Any) -> str:
    return "INTEGER"


NOW = sa.text("(strftime('%s', 'now'))")
EMPTY = sa.text("'{}'")
NONE = sa.text("'[]'")


def common() -> tuple[sa.Column[Any], ...]:
    """`id`, `metadata` (keys `_subsystem.key`), `created_at` and `updated_at` (unix seconds)."""
    return (
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("metadata", Json, nullable=False, server_default=EMPTY),
        sa.Column("created_at", sa.Integer, nullable=False, server_default=NOW),
        sa.Column("updated_at", sa.Integer, nullable=False, server_default=NOW),
    )


def one_of(column: str, *values: str) -> sa.CheckConstraint:
    """A CHECK that a column holds one of some words; generated operations make an enum of it."""
    words = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({words})", info={"column": column, "values": values})


def text(name: str, *, default: str | None = None, null: bool = False, info: dict[str, Any] | None = None) -> Any:
    """A TEXT column."""
    given = None if default is None else sa.text(f"'{default}'")
    return sa.Column(name, sa.Text, nullable=null, server_default=given, info=info or {})


def integer(name: str, *, default: int | None = None, null: bool = False, info: dict[str, Any] | None = None) -> Any:
    """An INTEGER column."""
    given = None if default is None else sa.text(str(default))
    return sa.Column(name, sa.Integer, nullable=null, server_default=given, info=info or {})


def reference(name: str, to: str, on_delete: str, *, null: bool = False) -> Any:
    """A TEXT column that points to another table's id."""
    return sa.Column(name, sa.Text, sa.ForeignKey(to, ondelete=on_delete), nullable=null)
