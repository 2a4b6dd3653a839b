"""Runs SQLAlchemy's own dialect compliance suite against the adapter: `tests/storage/test_sqlalchemy_suite.py`."""

from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.dialects import registry
from sqlalchemy.pool import NullPool
from sqlalchemy.testing.provision import temp_table_keyword_args

from storage import engine
from storage.engine import Database
from storage.sqlalchemy.dbapi import Connection
from storage.sqlalchemy.dialect import Module, SpokeDialect

pytest.register_assert_rewrite("sqlalchemy.testing.assertions")

_open: dict[str, Database] = {}


def _connect(path: str) -> Connection:
    if path not in _open:
        db = _open[path] = engine.open(path, durability="normal")
        with db.exclusive() as connection:  # the suite makes foreign keys that point to columns which are not unique
            connection.pragma("foreign_keys", False)
        with db.transaction() as tx:  # the suite compares lists of all tables and views with its own
            for kind in ("view", "table"):
                for (name,) in tx.rows("SELECT name FROM sqlite_schema WHERE type = ?", (kind,)):
                    if name.startswith(("_honker_", "engine_")):
                        tx.execute(f"DROP {kind} {name}")
    return Connection(_open[path], None)


class SuiteDialect(SpokeDialect):
    """The adapter, reached by a URL: the suite makes its engines from one."""

    supports_statement_cache = True

    @classmethod
    def get_pool_class(cls, url: sqlalchemy.URL) -> type[NullPool]:
        return NullPool

    @classmethod
    def import_dbapi(cls) -> Any:
        return type("dbapi", (Module,), {"connect": staticmethod(_connect)})

    def create_connect_args(self, url: sqlalchemy.URL) -> Any:
        return [str(url.database)], {}


@temp_table_keyword_args.for_db("sqlite")
def _temp_table(cfg: Any, eng: Any) -> dict[str, list[str]]:
    return {"prefixes": ["TEMPORARY"]}


registry.register("sqlite.suite", __name__, "SuiteDialect")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Skip the variants with a schema whose tests forget to ask for schemas."""
    owner = item.nodeid.split("::")[1]
    if (owner.startswith("ComponentReflectionTestExtra") and "[True" in item.name) or item.name in (
        "test_metadata[False-_exclusions_01-True]",
        "test_metadata[True-_exclusions_00-True]",
    ):
        item.add_marker(pytest.mark.skip("requirement schemas"))


from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: E402, F403 - after the assertions are rewritten
