"""The naming convention of modules, and what it refuses."""

from __future__ import annotations

import enum
from typing import Any

import pytest

from storage.graphs.acl_graph import AclGraph
from storage.graphs.errors import AttributesError, ModuleError
from storage.graphs.module import (
    BaseEdge,
    BaseNode,
    EdgeConstraints,
    GraphConfig,
    Module,
    attributes_of,
    module_to_db_schema,
    type_name,
    validate_edge,
    validate_node,
)


def module(**entries: Any) -> type[Module]:
    return type("Made", (Module,), {"name": "made", "Config": GraphConfig(), **entries})


class DishNode(BaseNode):
    title: str
    servings: int = 1


class PartOfEdge(BaseEdge):
    amount: float


def test_entries_become_rows() -> None:
    class Course(enum.Enum):
        FIRST = "first"

    found = module_to_db_schema(
        module(
            DishNode=DishNode,
            PartOfEdge=PartOfEdge,
            CourseEnum=Course,
            PartOfEdgeConstraints=EdgeConstraints(source=["dish"]),
        )
    )
    assert [node.name for node in found.node_types] == ["dish"]
    assert found.node_types[0].schema["required"] == ["title"]
    (edge,) = found.edge_types
    assert (edge.name, edge.allowed_source_types, edge.allowed_target_types) == ("part_of", ("dish",), ())


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"Config": None}, "no Config"),
        ({"name": None}, "no name"),
        ({"LostEdgeConstraints": EdgeConstraints(source=["dish"])}, "none of its edges"),
        ({"PartOfEdge": PartOfEdge, "PartOfEdgeConstraints": EdgeConstraints()}, "are empty"),
        ({"PartOfEdge": PartOfEdge, "PartOfEdgeConstraints": EdgeConstraints(source=["nobody"])}, "no node types"),
        ({"something": 7}, "is no entry"),
        ({"DishNode": int}, "is no entry"),
    ],
)
def test_what_is_no_module_is_refused(entries: dict[str, Any], says: str) -> None:
    with pytest.raises(ModuleError, match=says):
        module_to_db_schema(module(**entries))


@pytest.mark.parametrize(
    ("entry", "name"), [("CallNode", "call"), ("HTTPCallNode", "httpcall"), ("Part2OfNode", "part2_of"), ("ANode", "a")]
)
def test_names_of_types(entry: str, name: str) -> None:
    assert type_name(entry, "Node") == name


def test_validation_names_every_field_that_does_not_fit() -> None:
    node = validate_node(AclGraph.PrincipalNode, {"identityType": "account", "identityId": "a", "scopes": ["fs:*"]})
    assert attributes_of(node) == {"identityType": "account", "identityId": "a", "scopes": ["fs:*"]}
    with pytest.raises(AttributesError) as caught:
        validate_node(AclGraph.PrincipalNode, {"identityType": "ghost", "extra": 1})
    assert len(caught.value.problems) == 3
    with pytest.raises(AttributesError, match="narrowedScopes"):
        validate_edge(AclGraph.DelegatesEdge, {})
