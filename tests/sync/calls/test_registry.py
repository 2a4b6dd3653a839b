"""Executing: found, allowed, valid, run — in that order, with the protocol's codes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import Field

from storage.operations.spec import AccessControl, Identity, Model, OperationContext, OperationSpec
from storage.scopes import grants
from sync.calls.errors import (
    AccessDeniedError,
    CallFailed,
    ExecutionError,
    OperationNotFoundError,
    ValidationError,
)
from sync.calls.registry import Registry


class AddInput(Model):
    left_side: int
    right: int = Field(default=1, ge=0)


class AddOutput(Model):
    sum_of_both: int


ADD = OperationSpec(
    namespace="math",
    name="add",
    type="query",
    description="Add.",
    input_model=AddInput,
    output_model=AddOutput,
    access_control=AccessControl(required_scopes=("math:add",)),
)
ALLOWED = OperationContext("r1", Identity("me", ("math:*",)))


def add(value: AddInput, _: OperationContext) -> AddOutput:
    if value.left_side == 13:
        raise ZeroDivisionError("unlucky")
    return AddOutput(sum_of_both=value.left_side + value.right)


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.register(ADD, add)
    return registry


def test_wire_names_are_camel_case(registry: Registry) -> None:
    output = registry.execute("math.add", {"leftSide": 2, "right": 3}, ALLOWED)
    assert output.model_dump(by_alias=True) == {"sumOfBoth": 5}
    assert set(ADD.input_schema["properties"]) == {"leftSide", "right"}


def test_an_unknown_operation_names_the_nearest(registry: Registry) -> None:
    with pytest.raises(OperationNotFoundError) as caught:
        registry.execute("math.ad", {}, ALLOWED)
    assert "math.add" in caught.value.hint
    assert caught.value.details == {"operationId": "math.ad"}


@pytest.mark.parametrize("identity", [None, Identity("x"), Identity("x", ("math:sub", "fs:*", "*:read"))])
def test_a_caller_without_the_scope_is_refused_before_its_input_is_looked_at(
    registry: Registry, identity: Identity | None
) -> None:
    with pytest.raises(AccessDeniedError, match="math:add"):
        registry.execute("math.add", {"nonsense": 1}, OperationContext("r1", identity))


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({}, "leftSide"),
        ({"leftSide": "2"}, "leftSide"),
        ({"leftSide": 1, "right": -1}, "right"),
        ({"leftSide": 1, "other": 1}, "other"),
        ([], ""),
        (None, ""),
        ({"leftSide": 1.5}, "leftSide"),
    ],
)
def test_input_that_fails_its_schema_names_every_field(registry: Registry, value: Any, field: str) -> None:
    with pytest.raises(ValidationError, match=r"input of math\.add") as caught:
        registry.execute("math.add", value, ALLOWED)
    assert field in str(caught.value)


def test_an_exception_of_a_handler_is_an_execution_error(registry: Registry) -> None:
    with pytest.raises(ExecutionError, match="ZeroDivisionError: unlucky"):
        registry.execute("math.add", {"leftSide": 13}, ALLOWED)


def test_the_same_id_twice_is_refused(registry: Registry) -> None:
    with pytest.raises(ValueError, match="twice"):
        registry.register(ADD, add)


@pytest.mark.parametrize(
    ("held", "wanted", "expected"),
    [
        ("*", "a:b", True),
        ("a:*", "a:b", True),
        ("*:b", "a:b", True),
        ("a:b", "a:b", True),
        ("a", "a:b", False),
        ("a:*", "a:b:c", False),
        ("a:c", "a:b", False),
        ("", "a:b", False),
    ],
)
def test_scope_grammar(held: str, wanted: str, expected: bool) -> None:
    assert grants(held, wanted) is expected


def test_every_error_carries_its_code() -> None:
    assert {error.code for error in (OperationNotFoundError, AccessDeniedError, ValidationError, ExecutionError)} == {
        "OPERATION_NOT_FOUND",
        "ACCESS_DENIED",
        "VALIDATION_ERROR",
        "EXECUTION_ERROR",
    }
    assert CallFailed("x").details is None
