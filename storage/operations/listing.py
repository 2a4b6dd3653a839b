"""Pages of a table: filters, an order that an index gives, and keyset cursors.

Lists never sort a table: they walk an index. An order is taken only where an index has the rows in it, given the
columns that the filters fix to one value. Pages go on behind the last row of the one before, so they cost the same
however far one is, and rows that come or go meanwhile neither repeat nor hide others.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pydantic
import sqlalchemy as sa
from pydantic import Field

from storage.graphs.errors import GraphError
from storage.graphs.queries import check_path
from storage.operations.spec import Model
from storage.tables.columns import Json


class InputError(GraphError):
    """The input fits its schema and still cannot be done: an order without an index, a cursor of another list."""


class Condition(Model):
    """A comparison; several together must all hold."""

    eq: str | float | int | bool | None = None
    ne: str | float | int | bool | None = None
    lt: str | float | int | None = None
    le: str | float | int | None = None
    gt: str | float | int | None = None
    ge: str | float | int | None = None
    in_: list[str | float | int] | None = Field(default=None, alias="in", max_length=1_000)
    prefix: str | None = None
    is_null: bool | None = None
    path: str | None = None
    """For JSON columns: compare what is there, for instance `$.status`."""


@dataclass(frozen=True)
class Listing:
    """How a table is listed."""

    table: sa.Table

    @cached_property
    def columns(self) -> list[sa.Column[Any]]:
        """What may be seen."""
        return [column for column in self.table.columns if not column.info.get("hidden")]

    @cached_property
    def keys(self) -> list[str]:
        """The primary key."""
        return [column.name for column in self.table.primary_key.columns]

    @cached_property
    def indexes(self) -> list[tuple[str, ...]]:
        """The columns of every index."""
        found = [tuple(self.keys)]
        found += [
            tuple(column.name for column in index.columns)
            for index in sorted(self.table.indexes, key=lambda index: str(index.name))
        ]
        return found + [
            tuple(column.name for column in constraint.columns)
            for constraint in self.table.constraints
            if isinstance(constraint, sa.UniqueConstraint)
        ]

    @cached_property
    def orders(self) -> list[tuple[str, ...]]:
        """Every beginning of every index whose last column is never NULL: rows come in that order, given the others."""
        found = {index[: length + 1] for index in self.indexes for length in range(len(index))}
        columns = self.table.columns
        never_null = {o for o in found if columns[o[-1]].primary_key or not columns[o[-1]].nullable}
        return sorted(never_null, key=lambda order: (len(order), order))

    def page_query(self, given: Any) -> tuple[sa.Select[Any], list[str]]:
        """The query of a page, one row longer than the page, and the columns it is ordered by.

        Raises:
            InputError: no index has the rows in that order, or the cursor is not of this list.
        """
        wheres, fixed = self.wheres(given.where)
        names = self.order(given.order_by, fixed)
        columns = [self.table.c[name] for name in names]
        if given.after is not None:
            last = read_cursor(given.after, names, given.descending)
            here, there = sa.tuple_(*columns), sa.tuple_(*(sa.literal(value) for value in last))
            wheres.append(here < there if given.descending else here > there)
        statement = sa.select(*self.columns).where(*wheres).limit(given.limit + 1)
        return statement.order_by(*(column.desc() if given.descending else column for column in columns)), names

    def wheres(self, where: Any) -> tuple[list[sa.ColumnElement[bool]], set[str]]:
        """The filters, and the columns that are fixed to one value."""
        found: list[sa.ColumnElement[bool]] = []
        fixed: set[str] = set()
        for column in self.columns if where is not None else ():
            name = safe(column.name)
            if name not in where.model_fields_set:
                continue
            value = getattr(where, name)
            if not isinstance(value, Condition):
                found.append(column.is_(None) if value is None else column == value)
                fixed.add(column.name)
                continue
            if value.path is None and value.eq is not None:
                fixed.add(column.name)
            found.extend(compare(column, value))
        return found, fixed

    def order(self, wanted: str | None, fixed: set[str]) -> list[str]:
        """The columns to order by: what is wanted, or what an index gives for nothing; made unique by the key."""
        usable = {order[-1] for order in self.orders if set(order[:-1]) <= fixed}
        if wanted is None:
            free = [order[-1] for order in self.orders if len(order) > 1 and set(order[:-1]) <= fixed]
            # An index that the filters fix to its end finds the rows by itself; another's order would only lead away.
            found = any(set(index) <= fixed for index in self.indexes)
            chosen = None if found else next((name for name in free if name not in fixed), None)
        else:
            chosen = next(order[-1] for order in self.orders if camel(order[-1]) == wanted)
            if chosen not in usable:
                needs = min((order[:-1] for order in self.orders if order[-1] == chosen), key=len)
                raise InputError(
                    f"no index has {self.table.name} in the order of {wanted} alone:"
                    f" filter by {' and '.join(camel(name) for name in needs)} too"
                )
        return self.keys if chosen is None or chosen in self.keys else [chosen, *self.keys]


def cursor(names: Sequence[str], descending: bool, row: dict[str, Any]) -> str:
    """The place behind a row, for the next page."""
    last = [row[name] for name in names]
    text = json.dumps([list(names), descending, last], default=lambda blob: {"hex": blob.hex()})
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(text: str, names: Sequence[str], descending: bool) -> list[Any]:
    """The values of the last row of the page before.

    Raises:
        InputError: the text is no cursor, or one of another order.
    """
    try:
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        of_names, of_descending, values = json.loads(decoded, object_hook=lambda blob: bytes.fromhex(blob["hex"]))
        fits = (of_names, of_descending, len(values)) == (list(names), descending, len(names))
        if fits and all(isinstance(value, str | int | float | bytes) for value in values):
            return list(values)
    except (binascii.Error, ValueError, TypeError, KeyError, UnicodeError, RecursionError):
        pass  # told below, with everything else that is no cursor of this list
    raise InputError(
        "'after' is no cursor of this list: take 'next' of the page before, with the same filters and order"
    )


def compare(column: sa.Column[Any], condition: Condition) -> list[sa.ColumnElement[bool]]:
    """A condition on a column. Raises InputError where it makes no sense."""
    left: Any = column
    if condition.path is not None:
        if not isinstance(column.type, Json):
            raise InputError(f"{column.name} holds no JSON: 'path' says nothing there")
        left = sa.literal_column(f"json_extract({column.table.name}.{column.name}, '{check_path(condition.path)}')")
    elif isinstance(column.type, Json):
        raise InputError(f"{column.name} holds JSON: say which part with 'path'")
    found: list[sa.ColumnElement[bool]] = []
    for name in condition.model_fields_set - {"path"}:
        value = getattr(condition, name)
        match name:
            case "eq":
                found.append(left.is_(None) if value is None else left == value)
            case "ne":
                found.append(left.is_not(None) if value is None else left.is_distinct_from(value))
            case "lt" | "le" | "gt" | "ge":
                found.append(getattr(left, f"__{name}__")(value))
            case "in_":
                found.append(left.in_(value or []))
            case "prefix":
                found.append(sa.and_(left >= value, left < f"{value}\U0010ffff"))
            case "is_null":
                found.append(left.is_(None) if value else left.is_not(None))
    return found


def safe(name: str) -> str:
    """A column's name as a field of a model, where it would hide a method of pydantic's."""
    return f"{name}_" if hasattr(pydantic.BaseModel, name) else name


def camel(name: str) -> str:
    """`created_at` as `createdAt`."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
