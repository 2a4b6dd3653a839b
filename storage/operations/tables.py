"""Operations made from tables (ADR-048): `create`, `find`, `list`, `update`, `delete`, specs and handlers.

Nothing is written by hand for a table but its rules (`storage.operations.rules`): what must hold beyond its
constraints, and who hears of it. A table without rules can only be read.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import pydantic
import sqlalchemy as sa
from pydantic import ConfigDict, Field, create_model

from storage.engine import Database
from storage.graphs.errors import GraphError, NotFoundError
from storage.operations.listing import Condition, Listing, camel, cursor, safe
from storage.operations.rules import RULES, Change, Rules
from storage.operations.spec import AccessControl, Handler, Kind, Model, OperationContext, OperationSpec
from storage.sqlalchemy import joined, shared_engine
from storage.tables.columns import Flag, Json

MAX_ROWS = 1_000


class Deleted(Model):
    """What was deleted."""

    deleted: bool


class ConflictError(GraphError):
    """A constraint of the table refuses the row: the key is taken, or what it points to is not there."""

    hint = "choose another key, or create what it points to first"


@dataclass(frozen=True, slots=True)
class TableOperation:
    """An operation of a table: what it is, and what does it."""

    spec: OperationSpec[Any, Any]
    handler: Handler[Any, Any]


def table_operations(table: sa.Table) -> list[TableOperation]:
    """The operations of a table: `find` and `list`, and the other three where it has rules for them."""
    return _Maker(table, RULES.get(table.name)).operations()


class _Maker:
    def __init__(self, table: sa.Table, rules: Rules | None) -> None:
        self.table = table
        self.rules = rules
        self.listing = Listing(table)
        self.columns = self.listing.columns
        self.keys = list(table.primary_key.columns)
        self.row = self._model("Row", {column.name: (_type(column, table), ...) for column in self.columns})
        self.where_model, self.list_model, self.page_model = self._list_models()

    def operations(self) -> list[TableOperation]:
        word = self.table.name.replace("_", " ")
        made = [
            self._operation(
                "find", "query", f"Find one row of {word} by its key.", self._key_model(), self.row, self.find
            ),
            self._operation(
                "list",
                "query",
                f"List rows of {word}: filters, order, pages.",
                self.list_model,
                self.page_model,
                self.list_page,
            ),
        ]
        rules = self.rules
        if rules is None:
            return made
        if rules.create:
            made.append(
                self._operation(
                    "create", "mutation", f"Create a row of {word}.", self._create_model(), self.row, self.create
                )
            )
        made.append(
            self._operation(
                "update", "mutation", f"Change a row of {word}.", self._update_model(), self.row, self.update
            )
        )
        made.append(
            self._operation("delete", "mutation", f"Delete a row of {word}.", self._key_model(), Deleted, self.delete)
        )
        return made

    def _operation(
        self,
        name: str,
        kind: Kind,
        description: str,
        given: type[Model],
        gives: type[Model],
        handler: Handler[Any, Any],
    ) -> TableOperation:
        spec: OperationSpec[Any, Any] = OperationSpec(
            namespace=self.table.name,
            name=name,
            type=kind,
            description=description,
            input_model=given,
            output_model=gives,
            tags=("table",),
            access_control=AccessControl(
                required_scopes=(f"{self.table.name}:{'read' if kind == 'query' else 'write'}",)
            ),
            transactional=kind == "mutation",
        )
        return TableOperation(spec, handler)

    # -- models ------------------------------------------------------------------------------------------------------

    def _model(self, suffix: str, fields: dict[str, Any]) -> type[Model]:
        name = "".join(part.capitalize() for part in self.table.name.split("_")) + suffix
        named = {safe(key): value for key, value in fields.items()}
        model: type[Model] = create_model(name, __base__=_Named, **named)
        return model

    def _key_model(self) -> type[Model]:
        return self._model("Key", {column.name: (_type(column, self.table), ...) for column in self.keys})

    def _writable(self) -> list[sa.Column[Any]]:
        return [column for column in self.columns if column.name not in ("created_at", "updated_at")]

    def _create_model(self) -> type[Model]:
        fields = {}
        for column in self._writable():
            optional = column.nullable or column.server_default is not None or column.name == "id"
            fields[column.name] = (_type(column, self.table), None if optional else ...)
        return self._model("Create", fields)

    def _update_model(self) -> type[Model]:
        keys = {column.name for column in self.keys}
        fixed = keys | set(self.rules.fixed if self.rules else ())
        return self._model(
            "Update",
            {
                column.name: (_type(column, self.table), ...)
                if column.name in keys
                else (_type(column, self.table) | None, None)
                for column in self._writable()
                if column.name in keys or column.name not in fixed
            },
        )

    def _list_models(self) -> tuple[type[Model], type[Model], type[Model]]:
        where = self._model(
            "Where",
            {
                c.name: (
                    Condition | None if isinstance(c.type, Json) else _plain(c, self.table) | Condition | None,
                    None,
                )
                for c in self.columns
            },
        )
        names = sorted({camel(order[-1]) for order in self.listing.orders})
        given = self._model(
            "List",
            {
                "where": (where | None, None),
                "order_by": (Literal[tuple(names)] | None, None),
                "descending": (bool, False),
                "limit": (int, Field(default=100, ge=1, le=MAX_ROWS)),
                "after": (str | None, None),
            },
        )
        page = self._model("Page", {"rows": (list[self.row], ...), "next": (str | None, None)})  # type: ignore[name-defined]
        return where, given, page

    # -- handlers ----------------------------------------------------------------------------------------------------

    def find(self, given: Model, context: OperationContext) -> Model:
        """One row. Raises NotFoundError."""
        with shared_engine(context.database).connect() as connection:
            return self._output(self._fetch(connection, given))

    def list_page(self, given: Any, context: OperationContext) -> Model:
        """A page of rows. Raises InputError."""
        statement, order = self.listing.page_query(given)
        with shared_engine(context.database).connect() as connection:
            rows = [dict(row) for row in connection.execute(statement).mappings()]
        more = len(rows) > given.limit
        rows = rows[: given.limit]
        following = cursor(order, given.descending, rows[-1]) if more else None
        return self._page(rows, following)

    def create(self, given: Model, context: OperationContext) -> Model:
        """A new row, as it is stored."""
        values = {
            column.name: value
            for column in self._writable()
            if (value := getattr(given, safe(column.name))) is not None
        }
        if "id" in self.table.columns:
            values.setdefault("id", str(uuid.uuid4()))
        with self._writing(context) as connection:
            change = Change(context.transaction, self.table, None, values, _actor(context))
            self._rules.check(change)
            connection.execute(sa.insert(self.table).values(values))
            after = self._fetch(connection, values)
            self._rules.tell(Change(context.transaction, self.table, None, after, _actor(context)))
            return self._output(after)

    def update(self, given: Model, context: OperationContext) -> Model:
        """The row as it is stored now. Raises NotFoundError."""
        keys = {column.name for column in self.keys}
        changes = {
            column.name: getattr(given, safe(column.name))
            for column in self._writable()
            if column.name not in keys and safe(column.name) in given.model_fields_set
        }
        with self._writing(context) as connection:
            before = self._fetch(connection, given)
            wanted = {**before, **changes}
            self._rules.check(Change(context.transaction, self.table, before, wanted, _actor(context)))
            stamp = {"updated_at": sa.text("unixepoch()")} if "updated_at" in self.table.columns else {}
            connection.execute(sa.update(self.table).where(self._is(before)).values({**changes, **stamp}))
            after = self._fetch(connection, before)
            self._rules.tell(Change(context.transaction, self.table, before, after, _actor(context)))
            return self._output(after)

    def delete(self, given: Model, context: OperationContext) -> Deleted:
        """Whether it is gone: it is. Raises NotFoundError when it never was there."""
        with self._writing(context) as connection:
            before = self._fetch(connection, given)
            self._rules.check(Change(context.transaction, self.table, before, None, _actor(context)))
            connection.execute(sa.delete(self.table).where(self._is(before)))
            self._rules.tell(Change(context.transaction, self.table, before, None, _actor(context)))
            return Deleted(deleted=True)

    # -- inside ------------------------------------------------------------------------------------------------------

    @property
    def _rules(self) -> Rules:
        return self.rules if self.rules is not None else Rules()

    @contextmanager
    def _writing(self, context: OperationContext) -> Iterator[sa.Connection]:
        try:
            with joined(shared_engine(context.database), context.transaction) as connection:
                yield connection
        except sa.exc.IntegrityError as error:
            path, _, why = str(error.orig).partition(": ")
            raise ConflictError(f"{self.table.name}: {why or path}") from error

    def _key(self, source: Any) -> dict[str, Any]:
        """The primary key out of a row, or out of an input."""
        row = isinstance(source, dict)
        return {c.name: source[c.name] if row else getattr(source, safe(c.name)) for c in self.keys}

    def _is(self, source: Any) -> sa.ColumnElement[bool]:
        values = self._key(source)
        return sa.and_(*(column == values[column.name] for column in self.keys))

    def _fetch(self, connection: sa.Connection, source: Any) -> dict[str, Any]:
        row = connection.execute(sa.select(self.table).where(self._is(source))).mappings().one_or_none()
        if row is None:
            wanted = ", ".join(f"{name} {value!r}" for name, value in self._key(source).items())
            raise NotFoundError(f"no row of {self.table.name} with {wanted}")
        return dict(row)

    def _output(self, row: dict[str, Any]) -> Model:
        return self.row.model_construct(**{safe(c.name): row[c.name] for c in self.columns})

    def _page(self, rows: Sequence[dict[str, Any]], following: str | None) -> Model:
        made: dict[str, Any] = {"rows": [self._output(row) for row in rows], "next": following}
        return self.page_model.model_construct(**made)


class _Named(Model):
    """Columns under their names in JSON: `schema` is `schema`, in Python `schema_`."""

    model_config = ConfigDict(
        alias_generator=lambda name: camel(name.rstrip("_")), populate_by_name=True, extra="forbid", frozen=True
    )


def _type(column: sa.Column[Any], table: sa.Table) -> Any:
    kind = _plain(column, table)
    return kind | None if column.nullable else kind


def _plain(column: sa.Column[Any], table: sa.Table) -> Any:
    for check in table.constraints:
        if isinstance(check, sa.CheckConstraint) and check.info.get("column") == column.name:
            return Literal[tuple(check.info["values"])]
    if isinstance(column.type, Json):
        return dict[str, Any] | list[Any]
    if isinstance(column.type, Flag):
        return bool
    if isinstance(column.type, sa.LargeBinary):
        return pydantic.Base64Bytes
    return int if isinstance(column.type, sa.Integer) else str


def _actor(context: OperationContext) -> str | None:
    return context.identity.id if context.identity is not None else None


def plan(db: Database, table: sa.Table, given: object) -> list[str]:
    """How SQLite answers a `list`: the lines of EXPLAIN QUERY PLAN; for tests and benchmarks."""
    maker = _Maker(table, RULES.get(table.name))
    statement, _ = maker.listing.page_query(maker.list_model.model_validate(given))
    with shared_engine(db).connect() as connection:
        text = statement.compile(connection, compile_kwargs={"literal_binds": True})
        return [str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]


def all_operations(metadata: sa.MetaData) -> list[TableOperation]:
    """The operations of every table of a file."""
    return [operation for table in metadata.sorted_tables for operation in table_operations(table)]
