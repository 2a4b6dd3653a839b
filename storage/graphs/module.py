"""Modules: a kind of graph as a class whose entries follow a naming convention (`reference/alkdev.md` 1.5).

    class Recipes(Module):
        Config = GraphConfig(type="directed")
        class DishNode(BaseNode): title: str
        class PartOfEdge(BaseEdge): amount: float
        PartOfEdgeConstraints = EdgeConstraints(source=["dish"], target=["dish"])

| entry | is |
|---|---|
| `Config` | the rules of the graph; required |
| `*Node` | a node type, named without the suffix: `DishNode` -> `dish` |
| `*Edge` | an edge type: `PartOfEdge` -> `part_of` |
| `*EdgeConstraints` | which node types the edge may join |
| any other model or enum | shared between entries, no type of its own |
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar

import pydantic
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from storage.graphs.errors import AttributesError, ModuleError

Scope: TypeAlias = Literal["system", "tenant", "user"]


class _Entry(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class GraphConfig(_Entry):
    """The rules of a graph, as in graphology."""

    type: Literal["directed", "undirected", "mixed"] = "mixed"
    multi: bool = False
    """Parallel edges are allowed."""
    allow_self_loops: bool = True


class BaseNode(_Entry):
    """Attributes that every node may have."""

    metadata: dict[str, Any] | None = None


class BaseEdge(_Entry):
    """Attributes that every edge has: `edgeType` is the name of its type."""

    edge_type: str
    metadata: dict[str, Any] | None = None


class EdgeConstraints(_Entry):
    """Node types that an edge type may join; an empty list is no restriction."""

    source: list[str] = Field(default_factory=list)
    target: list[str] = Field(default_factory=list)


class Module:
    """Base of modules."""

    name: ClassVar[str]
    description: ClassVar[str] = ""
    version: ClassVar[int] = 1
    scope: ClassVar[Scope] = "system"


@dataclass(frozen=True, slots=True)
class NodeType:
    """A row of `node_types`."""

    name: str
    description: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class EdgeType:
    """A row of `edge_types`."""

    name: str
    description: str
    schema: dict[str, Any]
    allowed_source_types: tuple[str, ...] = ()
    allowed_target_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GraphType:
    """A row of `graph_types` with its node and edge types: what `module_to_db_schema` makes."""

    name: str
    config: GraphConfig
    node_types: tuple[NodeType, ...] = ()
    edge_types: tuple[EdgeType, ...] = ()
    description: str = ""
    version: int = 1
    scope: Scope = "system"


def module_to_db_schema(module: type[Module]) -> GraphType:
    """Return the types that a module declares.

    Raises:
        ModuleError: no name or no Config; constraints without their edge, or that constrain nothing; an entry that is
            nothing a module may hold.
    """
    entries = {key: value for key, value in vars(module).items() if not key.startswith("_")}
    if not isinstance(getattr(module, "name", None), str):
        raise ModuleError(f"{module.__name__} has no name")
    config = entries.pop("Config", None)
    if not isinstance(config, GraphConfig):
        raise ModuleError(f"{module.__name__} has no Config = GraphConfig(…)")
    for fact in ("name", "description", "version", "scope"):
        entries.pop(fact, None)
    nodes: dict[str, NodeType] = {}
    edges: dict[str, EdgeType] = {}
    constraints: dict[str, EdgeConstraints] = {}
    for key, value in entries.items():
        if key.endswith("EdgeConstraints") and isinstance(value, EdgeConstraints):
            constraints[type_name(key, "EdgeConstraints")] = value
        elif key.endswith("Node") and _is(value, BaseNode):
            name = type_name(key, "Node")
            nodes[name] = NodeType(name, _doc(value), _schema(value))
        elif key.endswith("Edge") and _is(value, BaseEdge):
            name = type_name(key, "Edge")
            edges[name] = EdgeType(name, _doc(value), _schema(value))
        elif not _is(value, BaseModel) and not _is(value, enum.Enum):
            raise ModuleError(f"{module.__name__}.{key} is no entry: see storage.graphs.module")
    for name, constraint in constraints.items():
        if name not in edges:
            raise ModuleError(f"{module.__name__} constrains {name!r}, which is none of its edges")
        if not constraint.source and not constraint.target:
            raise ModuleError(f"{module.__name__}: the constraints of {name!r} are empty; leave them out")
        unknown = sorted({*constraint.source, *constraint.target} - set(nodes))
        if unknown:
            raise ModuleError(f"{module.__name__}: the constraints of {name!r} name {unknown}, which are no node types")
        edges[name] = EdgeType(
            name, edges[name].description, edges[name].schema, tuple(constraint.source), tuple(constraint.target)
        )
    return GraphType(
        module.name,
        config,
        tuple(nodes.values()),
        tuple(edges.values()),
        module.description,
        module.version,
        module.scope,
    )


def type_name(entry: str, suffix: str) -> str:
    """The name of a type.

    >>> type_name("DependsOnEdge", "Edge")
    'depends_on'
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", entry.removesuffix(suffix)).lower()


N = TypeVar("N", bound=BaseNode)
E = TypeVar("E", bound=BaseEdge)


def validate_node(entry: type[N], data: object) -> N:
    """Return attributes as the entry's model.

    Raises:
        AttributesError: names every field that does not fit.
    """
    return _validate(entry, data)


def validate_edge(entry: type[E], data: object) -> E:
    """Like `validate_node`, for an edge."""
    return _validate(entry, data)


def check_config(what: str, data: object) -> GraphConfig:
    """Return the rules of a graph type. Raises AttributesError."""
    return _validate(GraphConfig, data, f"config of {what}")


M = TypeVar("M", bound=BaseModel)


def _validate(entry: type[M], data: object, what: str | None = None) -> M:
    try:
        return entry.model_validate(data)
    except pydantic.ValidationError as error:
        problems = [
            f"{'.'.join(map(str, item['loc'])) or '(all)'}: {item['msg']}"
            for item in error.errors(include_url=False, include_input=False)
        ]
        raise AttributesError(what or entry.__name__, problems) from error


def attributes_of(model: BaseNode | BaseEdge) -> dict[str, Any]:
    """A model as attributes: camelCase, what was not given left out."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


def _schema(entry: type[BaseModel]) -> dict[str, Any]:
    """JSON Schema without the titles that pydantic makes up."""
    schema: dict[str, Any] = _untitled(entry.model_json_schema(by_alias=True))
    return schema


def _untitled(value: Any, *, names: bool = False) -> Any:
    if isinstance(value, dict):
        return {
            key: _untitled(item, names=key in ("properties", "$defs") and not names)
            for key, item in value.items()
            if names or key not in ("title", "description")
        }
    return [_untitled(item) for item in value] if isinstance(value, list) else value


def _doc(entry: type[BaseModel]) -> str:
    return (entry.__doc__ or "").strip().split("\n", 1)[0]


def _is(value: object, kind: type) -> bool:
    return isinstance(value, type) and issubclass(value, kind)
