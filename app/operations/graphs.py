"""`graph.*` and `acl.*`: types, walks, files, what somebody may do. Rows: `graphs.*`, `nodes.*`, `edges.*`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from app.operations.declare import Group
from storage.graphs import acl, document, queries, types, writing
from storage.graphs.formats import FORMATS
from storage.graphs.module import EdgeType, GraphConfig, GraphType, NodeType
from storage.operations.spec import Model, OperationContext
from sync.calls.registry import Registry


class EntryInput(Model):
    """A node type."""

    name: str
    description: str = ""
    json_schema: dict[str, Any] = Field(default_factory=dict, alias="schema")


class EdgeEntryInput(EntryInput):
    """An edge type; empty lists do not restrict what it joins."""

    allowed_source_types: list[str] = Field(default_factory=list)
    allowed_target_types: list[str] = Field(default_factory=list)


class DefineInput(Model):
    """A kind of graph."""

    name: str
    description: str = ""
    type: Literal["directed", "undirected", "mixed"] = "mixed"
    multi: bool = False
    allow_self_loops: bool = True
    node_types: list[EntryInput]
    edge_types: list[EdgeEntryInput] = Field(default_factory=list)


class TypeOutput(Model):
    """The graph type."""

    id: str


class ExportInput(Model):
    """Which graph, in which format."""

    graph_id: str
    format: Literal["json", "graphml", "dot", "mermaid"] = "json"


class TextOutput(Model):
    """The file."""

    text: str


class ImportInput(Model):
    """A file; types say what it does not say itself."""

    text: str
    format: Literal["json", "graphml", "dot", "mermaid"] = "json"
    graph_type: str | None = None
    node_type: str | None = None
    edge_type: str | None = None


class GraphOutput(Model):
    """A graph."""

    graph_id: str


class CreateInput(Model):
    """A graph to begin."""

    type: str
    name: str = Field(min_length=1, max_length=512)
    description: str = ""


class NodeInput(Model):
    """A node to write, or to write over."""

    graph_id: str
    type: str
    key: str
    attributes: dict[str, Any] = Field(default_factory=dict)


class EdgeInput(Model):
    """An edge to write; one of that key is replaced."""

    graph_id: str
    type: str
    source: str
    target: str
    attributes: dict[str, Any] = Field(default_factory=dict)
    key: str | None = None
    undirected: bool | None = None


class IdOutput(Model):
    """What was written."""

    id: str


class NodeKeyInput(Model):
    """A node of a graph."""

    graph_id: str
    key: str


class EdgeIdInput(Model):
    """An edge."""

    id: str


class DeletedNodeOutput(Model):
    """What is gone."""

    key: str
    edges: int
    """Edges that ended at the node and went with it."""


class WalkInput(Model):
    """Where a walk begins."""

    graph_id: str
    key: str
    edge_type: str | None = None


class NeighboursInput(WalkInput):
    """Which way to look."""

    direction: Literal["out", "in", "both"] = "both"


class PathInput(Model):
    """From where to where."""

    graph_id: str
    source: str
    target: str
    direction: Literal["out", "in", "both"] = "out"
    edge_type: str | None = None


class PathOutput(Model):
    """The keys on the way; null when there is none."""

    path: list[str] | None


class KeysOutput(Model):
    """Keys of nodes."""

    keys: list[str]


class OrderInput(Model):
    """Which graph."""

    graph_id: str
    edge_type: str | None = None


class OrderOutput(Model):
    """Sources before targets; or a cycle, which is why there is no such order."""

    keys: list[str] | None
    cycle: list[str] | None


class FindInput(Model):
    """Nodes by an attribute at a JSON path."""

    graph_id: str
    path: str
    value: str | int | float | bool | None
    operator: Literal["=", "!=", "<", "<=", ">", ">="] = "="
    after: str = ""
    limit: int = Field(default=100, ge=1, le=1_000)


class NodeOutput(Model):
    """A node."""

    key: str
    type: str | None
    attributes: dict[str, Any]


class NodesOutput(Model):
    """Nodes."""

    nodes: list[NodeOutput]


class IndexInput(Model):
    """An attribute that is searched often."""

    path: str


class NameOutput(Model):
    """Its name."""

    name: str


class CheckInput(Model):
    """Who, and what they want."""

    identity_id: str
    scopes: list[str] = Field(default_factory=list)
    any_of: list[str] = Field(default_factory=list)
    resource: str | None = None
    action: Literal["read", "write", "execute"] = "read"


class CheckOutput(Model):
    """Whether they may, and everything that they may."""

    allowed: bool
    scopes: list[str]
    resources: dict[str, list[str]]


def register(registry: Registry) -> None:
    """Add the operations of this module."""
    graph = Group(registry, "graph")

    @graph.mutation("define_type", "Add a kind of graph of one's own, or change it.")
    def define_type(given: DefineInput, context: OperationContext) -> TypeOutput:
        config = GraphConfig(type=given.type, multi=given.multi, allow_self_loops=given.allow_self_loops)
        nodes = tuple(NodeType(entry.name, entry.description, entry.json_schema) for entry in given.node_types)
        edges = tuple(
            EdgeType(
                entry.name,
                entry.description,
                entry.json_schema,
                tuple(entry.allowed_source_types),
                tuple(entry.allowed_target_types),
            )
            for entry in given.edge_types
        )
        wanted = GraphType(given.name, config, nodes, edges, given.description, scope="user")
        return TypeOutput(id=types.define_graph_type(context.transaction, wanted))

    @graph.query("export", "A graph as a file: graphology JSON, GraphML, DOT or Mermaid.")
    def export(given: ExportInput, context: OperationContext) -> TextOutput:
        with context.database.snapshot() as snapshot:
            return TextOutput(text=FORMATS[given.format].write(document.read_document(snapshot, given.graph_id)))

    @graph.mutation("import", "A file as a new graph; all of it, or nothing.")
    def import_(given: ImportInput, context: OperationContext) -> GraphOutput:
        found = FORMATS[given.format].read(given.text)
        return GraphOutput(
            graph_id=document.write_document(
                context.transaction,
                found,
                graph_type=given.graph_type,
                node_type=given.node_type,
                edge_type=given.edge_type,
            )
        )

    @graph.mutation("put_node", "Write a node, or write over it.")
    def put_node(given: NodeInput, context: OperationContext) -> IdOutput:
        writing.put_node(context.transaction, given.graph_id, given.type, given.key, given.attributes)
        return IdOutput(id=given.key)

    @graph.mutation("put_edge", "Write an edge; one of that key is replaced.")
    def put_edge(given: EdgeInput, context: OperationContext) -> IdOutput:
        made = writing.put_edge(
            context.transaction,
            given.graph_id,
            given.type,
            given.source,
            given.target,
            given.attributes,
            key=given.key,
            undirected=given.undirected,
        )
        return IdOutput(id=made)

    @graph.mutation("create", "Begin a graph of a type.")
    def create(given: CreateInput, context: OperationContext) -> GraphOutput:
        made = writing.create_graph(context.transaction, given.type, given.name, description=given.description)
        return GraphOutput(graph_id=made)

    @graph.mutation("delete_node", "Delete a node and every edge that ends at it.")
    def delete_node(given: NodeKeyInput, context: OperationContext) -> DeletedNodeOutput:
        edges = queries.edges_of(context.transaction, given.graph_id, given.key)
        writing.delete_node(context.transaction, given.graph_id, given.key)
        return DeletedNodeOutput(key=given.key, edges=len(edges))

    @graph.mutation("delete_edge", "Delete an edge.")
    def delete_edge(given: EdgeIdInput, context: OperationContext) -> IdOutput:
        writing.delete_edge(context.transaction, given.id)
        return IdOutput(id=given.id)

    @graph.query("neighbours", "The nodes one edge away.")
    def neighbours(given: NeighboursInput, context: OperationContext) -> KeysOutput:
        with context.database.snapshot() as snapshot:
            found = queries.neighbours(snapshot, given.graph_id, given.key, given.direction, given.edge_type)
        return KeysOutput(keys=found)

    @graph.query("ancestors", "The nodes from which this one can be reached, nearest first.")
    def ancestors(given: WalkInput, context: OperationContext) -> KeysOutput:
        with context.database.snapshot() as snapshot:
            return KeysOutput(keys=queries.ancestors(snapshot, given.graph_id, given.key, given.edge_type))

    @graph.query("descendants", "The nodes that can be reached from this one, nearest first.")
    def descendants(given: WalkInput, context: OperationContext) -> KeysOutput:
        with context.database.snapshot() as snapshot:
            return KeysOutput(keys=queries.descendants(snapshot, given.graph_id, given.key, given.edge_type))

    @graph.query("path", "A shortest path between two nodes.")
    def path(given: PathInput, context: OperationContext) -> PathOutput:
        with context.database.snapshot() as snapshot:
            found = queries.shortest_path(
                snapshot,
                given.graph_id,
                given.source,
                given.target,
                direction=given.direction,
                edge_type=given.edge_type,
            )
        return PathOutput(path=found)

    @graph.query("order", "The nodes in topological order, or a cycle.")
    def order(given: OrderInput, context: OperationContext) -> OrderOutput:
        with context.database.snapshot() as snapshot:
            try:
                return OrderOutput(
                    keys=queries.topological_order(snapshot, given.graph_id, given.edge_type), cycle=None
                )
            except queries.CycleError as error:
                return OrderOutput(keys=None, cycle=error.cycle)

    @graph.query("find", "Nodes by an attribute; quick where an index was made for it.")
    def find(given: FindInput, context: OperationContext) -> NodesOutput:
        with context.database.snapshot() as snapshot:
            found = queries.find_nodes(
                snapshot,
                given.graph_id,
                given.path,
                given.value,
                operator=given.operator,
                after=given.after,
                limit=given.limit,
            )
        return NodesOutput(
            nodes=[NodeOutput(key=node.key, type=node.type, attributes=node.attributes) for node in found]
        )

    @graph.mutation("index", "Make an index over an attribute of all nodes.")
    def index(given: IndexInput, context: OperationContext) -> NameOutput:
        return NameOutput(name=queries.create_attribute_index(context.transaction, given.path))

    @Group(registry, "acl").query("check", "What an account or a service may do, and whether it may do this.")
    def check(given: CheckInput, context: OperationContext) -> CheckOutput:
        with context.database.snapshot() as snapshot:
            found = acl.authority_of(snapshot, given.identity_id)
        return CheckOutput(
            allowed=found.allows(given.scopes, given.any_of, given.resource, given.action),
            scopes=sorted(found.scopes),
            resources={name: sorted(actions) for name, actions in sorted(found.resources.items())},
        )
