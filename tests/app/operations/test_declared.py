"""Operations of the user's own: commands with a JSON Schema, and Python files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config import ConfigError, OperationSettings, Settings
from app.operations import node_registry
from app.operations.declared import argv_of
from app.paths import Paths
from storage.engine import Database
from storage.operations.spec import Identity
from sync.calls.errors import AccessDeniedError, CallFailed, CallTimeoutError, ExecutionError, ValidationError
from sync.calls.events import Call
from sync.calls.recorder import Recorder
from sync.calls.registry import Registry
from tests.app.operations.clock import ids, now

ME = Identity("me", ("*",))
ECHO = "import sys, json, os; print(json.dumps([sys.argv[1:], sys.stdin.read(), sorted(os.environ)]))"
TARGET = {"properties": {"target": {"type": "string", "pattern": "^[a-z]+$"}, "n": {"type": "integer"}}}


def registry(tmp_path: Path, **operations: dict[str, Any]) -> Registry:
    declared = {name.replace("__", "."): OperationSettings(**given) for name, given in operations.items()}
    return node_registry(Settings(operations=declared), Paths(tmp_path, tmp_path / "spoke.toml"))


def call(db: Database, of: Registry, operation: str, value: Any, identity: Identity = ME) -> dict[str, Any]:
    (outcome,) = Recorder(db, now, ids()).execute(of, [Call(operation_id=operation, input=value, identity=identity)])
    if outcome.error is not None:
        raise outcome.error
    assert outcome.output is not None
    return outcome.output


def echo(**more: Any) -> dict[str, Any]:
    return {"argv": (sys.executable, "-c", ECHO, "{target}", "--n={n}"), "output": "json", "input": TARGET, **more}


def test_the_input_becomes_arguments_and_json_on_the_input(
    tenant: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    monkeypatch.setenv("LANG", "C.UTF-8")
    of = registry(tmp_path, shelf__put=echo(stdin="json", environment=("LANG",)))
    argv, stdin, environment = call(tenant, of, "shelf.put", {"target": "red", "n": 3})["result"]
    assert argv == ["red", "--n=3"]
    assert json.loads(stdin) == {"target": "red", "n": 3}
    assert "SECRET_TOKEN" not in environment
    assert {"LANG", "SPOKE_PARENT_REQUEST_ID"} <= set(environment)
    assert call(tenant, of, "shelf.put", {"n": 3})["result"][0] == ["--n=3"], "a missing argument is left out"


@pytest.mark.parametrize(
    "value", [{"target": "RED"}, {"target": 7}, {"other": 1}, [], None, "red", {"target": "a; rm"}]
)
def test_what_the_schema_refuses_is_not_run(tenant: Database, tmp_path: Path, value: Any) -> None:
    of = registry(tmp_path, shelf__put=echo(argv=("touch", str(tmp_path / "ran"))))
    with pytest.raises(ValidationError):
        call(tenant, of, "shelf.put", value)
    assert not (tmp_path / "ran").exists()


def test_a_caller_needs_its_scope(tenant: Database, tmp_path: Path) -> None:
    of = registry(tmp_path, shelf__put=echo(), shelf__get=echo(scopes=("read:all",)))
    with pytest.raises(AccessDeniedError, match="shelf:put"):
        call(tenant, of, "shelf.put", {}, Identity("x", ("read:all",)))
    call(tenant, of, "shelf.get", {}, Identity("x", ("read:all",)))


def test_failures_are_told_with_what_the_command_said(tenant: Database, tmp_path: Path) -> None:
    of = registry(
        tmp_path,
        a__fails={"argv": ("sh", "-c", "echo out; echo err >&2; exit 3")},
        a__slow={"argv": ("sleep", "60"), "timeout_s": 0.05},
        a__nojson={"argv": ("echo", "no json"), "output": "json"},
        a__missing={"argv": ("/no/such/program",)},
        a__nowhere={"argv": ("true",), "cwd": "/no/such/folder"},
    )
    with pytest.raises(ExecutionError, match="exit code 3") as caught:
        call(tenant, of, "a.fails", {})
    assert caught.value.details == {"exitCode": 3, "stdout": "out\n", "stderr": "err\n"}
    with pytest.raises(CallTimeoutError):
        call(tenant, of, "a.slow", {})
    with pytest.raises(ExecutionError, match="did not write JSON"):
        call(tenant, of, "a.nojson", {})
    with pytest.raises(ExecutionError, match="/no/such/program"):
        call(tenant, of, "a.missing", {})
    with pytest.raises(ExecutionError, match="/no/such/folder"):
        call(tenant, of, "a.nowhere", {})


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("nodot", {}, "NAMESPACE.NAME"),
        ("queue.mine", {}, "program's own"),
        ("fs.list", {}, "twice"),
        ("a.b", {"input": {"properties": 7}}, "input"),
        ("a.b", {"input": {"$ref": "https://example.com/x"}}, "input"),
    ],
)
def test_a_declaration_that_cannot_be_used_is_named(tmp_path: Path, name: str, given: Any, says: str) -> None:
    settings = Settings(operations={name: OperationSettings(argv=("true",), **given)})
    with pytest.raises(ConfigError, match=says) as caught:
        node_registry(settings, Paths(tmp_path, tmp_path / "spoke.toml"))
    assert name in str(caught.value)


def test_the_schema_is_shown_as_it_was_written(tmp_path: Path) -> None:
    spec = registry(tmp_path, shelf__put=echo()).get_spec("shelf.put")
    assert spec.input_schema["properties"] == TARGET["properties"]
    assert spec.input_schema["additionalProperties"] is False


PYTHON_FILE = """
from storage.operations.spec import Model, OperationSpec


class Number(Model):
    n: int


def register(registry):
    spec = OperationSpec(
        namespace="mine", name="double", type="query", description="Twice.", input_model=Number, output_model=Number
    )
    registry.register(spec, lambda value, context: Number(n=2 * value.n))
"""


def test_python_files_are_loaded(tenant: Database, tmp_path: Path) -> None:
    (tmp_path / "operations").mkdir()
    (tmp_path / "operations" / "mine.py").write_text(PYTHON_FILE)
    assert call(tenant, registry(tmp_path), "mine.double", {"n": 21}) == {"n": 42}


@pytest.mark.parametrize("text", ["syntax error(", "1/0", "x = 1", "def register(r): raise RuntimeError('no')"])
def test_a_python_file_that_breaks_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "operations").mkdir()
    (tmp_path / "operations" / "bad.py").write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.py"):
        registry(tmp_path)


@given(
    template=st.lists(st.text(max_size=10) | st.just("{a}") | st.just("x{a}y"), max_size=5),
    given_=st.dictionaries(
        st.sampled_from(["a", "b"]),
        st.text(alphabet=st.characters(exclude_characters="\0"), max_size=9) | st.integers(),
    ),
)
def test_a_value_is_always_one_argument(template: list[str], given_: dict[str, Any]) -> None:
    found = argv_of(tuple(template), given_)
    left_out = sum((part == "{a}" and "a" not in given_) or (part == "{b}" and "b" not in given_) for part in template)
    assert len(found) == len(template) - left_out


def test_an_error_of_the_call_is_a_call_failed(tenant: Database, tmp_path: Path) -> None:
    of = registry(tmp_path, shelf__put=echo())
    with pytest.raises(CallFailed):
        call(tenant, of, "shelf.put", {"target": "a\0b"})
