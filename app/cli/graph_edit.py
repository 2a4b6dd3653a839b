"""`spoke graph`: what changes graphs, and files of other programs. Changes are recorded calls of operations."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import click

from app.cli.call_recorded import call_recorded
from app.cli.context import Context, json_option, print_json, say
from app.cli.options import dry_run_option, told
from app.cli.projecting import project_log
from app.views.graphs.catalogue import find_graph
from app.views.text import of, safe
from storage.engine import Snapshot

if TYPE_CHECKING:
    from sync.calls.registry import Registry

FORMATS = ("json", "graphml", "dot", "mermaid")


@click.command()
@click.argument("graph_type", metavar="TYPE")
@click.argument("name")
@click.option("--description", default="", help="What it is for.")
@json_option
@click.pass_obj
def create(context: Context, graph_type: str, name: str, description: str, as_json: bool) -> None:
    """Begin a graph of TYPE (`spoke graph types`) called NAME, and print its id.

    \b
    Example:
      spoke graph create task-dependencies release
    """
    made = _call(context, "graph.create", {"type": graph_type, "name": name, "description": description})
    if as_json:
        print_json(made)
    else:
        click.echo(made["graphId"])


@click.command(name="put-node")
@click.argument("name", metavar="GRAPH")
@click.argument("node_type", metavar="TYPE")
@click.argument("key")
@click.argument("attributes", metavar="[JSON]", default="{}")
@dry_run_option
@json_option
@click.pass_obj
def put_node(context: Context, name: str, node_type: str, key: str, attributes: str, as_json: bool) -> None:
    """Write the node KEY of TYPE with the attributes JSON (- is stdin); one of that key is replaced.

    \b
    Example:
      spoke graph create task-dependencies release
      spoke graph put-node release task build '{"name": "Build", "risk": "low"}'
    """
    value = {"graphId": _graph_id(context, name), "type": node_type, "key": key, "attributes": _attributes(attributes)}
    _done(_call(context, "graph.put_node", value), as_json, f"node {key} {told('is', 'would be')} written")


@click.command(name="put-edge")
@click.argument("name", metavar="GRAPH")
@click.argument("edge_type", metavar="TYPE")
@click.argument("source")
@click.argument("target")
@click.argument("attributes", metavar="[JSON]", default="{}")
@click.option("--key", help="A key of its own; an edge of that key is replaced.")
@click.option("--undirected", is_flag=True, help="It leads both ways (in graphs that may have both kinds).")
@json_option
@click.pass_obj
def put_edge(
    context: Context,
    name: str,
    edge_type: str,
    source: str,
    target: str,
    attributes: str,
    key: str | None,
    undirected: bool,
    as_json: bool,
) -> None:
    """Write an edge of TYPE from the node SOURCE to the node TARGET, and print its id.

    \b
    Example:
      spoke graph create task-dependencies release
      spoke graph put-node release task build '{"name": "Build"}'
      spoke graph put-node release task ship '{"name": "Ship"}'
      spoke graph put-edge release depends_on build ship
    """
    value: dict[str, Any] = {
        "graphId": _graph_id(context, name),
        "type": edge_type,
        "source": source,
        "target": target,
        "attributes": _attributes(attributes),
    }
    value |= {"key": key} if key is not None else {}
    value |= {"undirected": True} if undirected else {}
    made = _call(context, "graph.put_edge", value)
    if as_json:
        print_json(made)
    else:
        click.echo(made["id"])


@click.command(name="delete-node")
@click.argument("name", metavar="GRAPH")
@click.argument("key")
@dry_run_option
@json_option
@click.pass_obj
def delete_node(context: Context, name: str, key: str, as_json: bool) -> None:
    """Delete the node KEY and every edge that ends at it.

    \b
    Example:
      spoke graph create task-dependencies release
      spoke graph put-node release task build '{"name": "Build"}'
      spoke graph delete-node release build --dry-run
      spoke graph delete-node release build
    """
    gone = _call(context, "graph.delete_node", {"graphId": _graph_id(context, name), "key": key})
    _done(gone, as_json, f"node {key} and {of(gone['edges'], 'edge')} {told('are gone', 'would go')}")


@click.command(name="delete-edge")
@click.argument("edge_id", metavar="EDGE")
@dry_run_option
@json_option
@click.pass_obj
def delete_edge(context: Context, edge_id: str, as_json: bool) -> None:
    """Delete the edge of that id (`spoke graph node … --json` shows ids).

    \b
    Example:
      spoke graph create task-dependencies release
      spoke graph put-node release task build '{"name": "Build"}'
      spoke graph put-node release task ship '{"name": "Ship"}'
      EDGE=$(spoke graph put-edge release depends_on build ship)
      spoke graph delete-edge $EDGE
    """
    gone = _call(context, "graph.delete_edge", {"id": edge_id})
    _done(gone, as_json, f"edge {edge_id} {told('is gone', 'would go')}")


_format_option = click.option("--format", "format_", type=click.Choice(FORMATS), default="json", show_default=True)


@click.command()
@click.argument("name", metavar="GRAPH")
@_format_option
@click.pass_obj
def export(context: Context, name: str, format_: str) -> None:
    """Print a graph as a file of another program: graphology JSON, GraphML, Graphviz DOT, Mermaid.

    \b
    Example:
      spoke graph create task-dependencies release
      spoke graph export release --format mermaid > release.mmd
    """
    from storage.graphs.document import read_document
    from storage.graphs.formats import FORMATS as WRITERS

    with projected(context) as snapshot:
        document = read_document(snapshot, find_graph(snapshot, name).id)
    written = WRITERS[format_].write(document).removesuffix("\n")
    click.echo("\n".join(map(safe, written.split("\n"))) if sys.stdout.isatty() else written)


@click.command(name="import")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@_format_option
@click.option("--graph-type", help="The type of graph, where the file does not say.")
@click.option("--node-type", help="The type of nodes that have none in the file.")
@click.option("--edge-type", help="The type of edges that have none in the file.")
@json_option
@click.pass_obj
def import_(context: Context, /, file: IO[str], format_: str, as_json: bool, **types: str | None) -> None:
    """Make a new graph of FILE (- is stdin): all of it, or nothing. Prints the graph's id.

    \b
    Example:
      spoke graph create task-dependencies release
      spoke graph export release --format dot > release.dot
      spoke graph import release.dot --format dot
    """
    given = {"text": file.read(), "format": format_}
    names = {"graph_type": "graphType", "node_type": "nodeType", "edge_type": "edgeType"}
    given |= {names[option]: value for option, value in types.items() if value is not None}
    made = _call(context, "graph.import", given)
    if as_json:
        print_json(made)
    else:
        click.echo(made["graphId"])


@contextmanager
def projected(context: Context) -> Iterator[Snapshot]:
    """What is in the file once the log is projected."""
    with context.database() as db:
        project_log(db)
        with db.snapshot() as snapshot:
            yield snapshot


COMMANDS = (create, put_node, put_edge, delete_node, delete_edge, export, import_)


def _call(context: Context, operation: str, value: dict[str, Any]) -> Any:
    def register(registry: Registry) -> None:
        from app.operations import graphs

        graphs.register(registry)

    return call_recorded(context, register, operation, value)


def _graph_id(context: Context, name: str) -> str:
    with projected(context) as snapshot:
        return find_graph(snapshot, name).id


def _attributes(text: str) -> Any:
    from app.cli.call import parse_json  # costs pydantic

    return parse_json(sys.stdin.read() if text == "-" else text, "the attributes")


def _done(value: dict[str, Any], as_json: bool, text: str) -> None:
    if as_json:
        print_json(value)
    else:
        say(text)
