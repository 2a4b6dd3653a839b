"""`spoke graph`: looking. What changes graphs is in `graph_edit`."""

from __future__ import annotations

import shutil
from typing import Any, Literal, TypeAlias

import click

from app.cli import graph_edit
from app.cli.context import Context, camel, json_option, print_json, relative, say
from app.views.columns import lay_out
from app.views.graphs.catalogue import (
    GraphRow,
    find_graph,
    graph_columns,
    graph_title,
    list_graphs,
    list_types,
    type_lines,
)
from app.views.graphs.neighbourhood import neighbourhood_lines, read_neighbourhood
from app.views.graphs.nodes import NodeRow, find_node, read_attributes, read_node
from app.views.graphs.outline import Fans, OutlineRow, open_to, outline, outline_line
from app.views.graphs.picture import closing_lines, draw_picture
from app.views.graphs.roots import read_roots
from app.views.graphs.whole import TOO_LARGE, read_whole
from storage.engine import Snapshot

Direction: TypeAlias = Literal["out", "in", "both"]
MOST_ROWS = 1_000
"""Rows of an outline unless `--limit` says more."""


@click.group()
def graph() -> None:
    """Look at graphs and change them. GRAPH is an id, the beginning of one, or a name.

    \b
    Example:
      spoke graph create task-dependencies release
      spoke graph put-node release task build '{"name": "Build"}'
      spoke graph put-node release task ship '{"name": "Ship"}'
      spoke graph put-edge release depends_on build ship
      spoke graph show release --picture
    """


@graph.command(name="list")
@click.option("--type", "graph_type", metavar="TYPE", help="Only graphs of this type.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@json_option
@click.pass_obj
def list_(context: Context, graph_type: str | None, limit: int, as_json: bool) -> None:
    """List the newest graphs first: type, nodes, edges, when they changed.

    \b
    Example:
      spoke graph list --type call-graph
    """
    with graph_edit.projected(context) as snapshot:
        rows = list_graphs(snapshot, limit, graph_type)
    if as_json:
        print_json([_graph_json(row) for row in rows])
        return
    if not rows:
        say('no graphs yet — begin one: spoke graph create task-dependencies "release 1.2"')
        return
    layout = lay_out(graph_columns(relative), shutil.get_terminal_size().columns)
    say(layout.header().rstrip())
    for row in rows:
        click.echo(layout.line(row).rstrip())


@graph.command()
@json_option
@click.pass_obj
def types(context: Context, as_json: bool) -> None:
    """List the kinds of graph there are, with their node and edge types.

    \b
    Example:
      spoke graph types
    """
    with graph_edit.projected(context) as snapshot:
        rows = list_types(snapshot)
    if as_json:
        print_json(camel(rows))
        return
    for row in rows:
        click.echo("\n".join(type_lines(row)))


_edge_option = click.option("--edge", "edge_type", metavar="TYPE", help="Only along edges of this type.")


@graph.command()
@click.argument("name", metavar="GRAPH")
@click.option("--outline", "face", flag_value="outline", default="outline", help="As a tree (the default).")
@click.option("--picture", "face", flag_value="picture", help="As boxes and lines; small graphs only.")
@click.option("--root", metavar="KEY", help="Begin the outline at this node.")
@click.option("--depth", type=click.IntRange(min=0), default=3, show_default=True, help="Edges below the roots.")
@_edge_option
@click.option("--limit", type=click.IntRange(min=1), default=MOST_ROWS, show_default=True, help="At most so many rows.")
@click.option("--width", type=click.IntRange(min=20), help="Columns to draw in (default: the terminal's).")
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw with ASCII alone.")
@json_option
@click.pass_obj
def show(context: Context, /, name: str, face: str, **said: Any) -> None:
    """Show a graph: as an outline from its roots, or as a picture (up to 30 nodes).

    \b
    Example:
      spoke graph create task-dependencies release
      spoke graph show release --depth 2
      spoke graph show release --picture

    A node that stands above already is shown once more as "see above", one that is on the way to itself as a cycle.
    """
    width = said["width"] or shutil.get_terminal_size().columns
    ascii_only: bool = said["ascii_only"]
    with graph_edit.projected(context) as snapshot:
        row = find_graph(snapshot, name)
        whole = read_whole(snapshot, row.id, said["edge_type"]) if face == "picture" else None
        rows, more = ([], False) if whole else _outline(snapshot, row, said)
    if said["as_json"]:
        shown: dict[str, Any] = {"rows": [_row_json(each) for each in rows], "more": more}
        if whole is not None:
            shown = {"nodes": camel(whole.nodes), "edges": camel(whole.edges)}
        print_json({**_graph_json(row), **shown})
        return
    say(graph_title(row, ascii_only=ascii_only))
    if whole is not None:
        picture = draw_picture(whole.nodes, whole.edges, width, ascii_only=ascii_only)
        click.echo("\n".join(picture.lines))
        for line in closing_lines(picture, whole.nodes, width, ascii_only=ascii_only):
            say(line)
        if picture.width > width:
            say(f"the picture has {picture.width} columns; the terminal has {width}")
        return
    if face == "picture":
        say(TOO_LARGE)
    for each in rows:
        click.echo(outline_line(each, width, ascii_only=ascii_only).rstrip())
    if more:
        say("there is more: --limit, --depth or --root show it")


def _outline(snapshot: Snapshot, row: GraphRow, said: dict[str, Any]) -> tuple[list[OutlineRow], bool]:
    edge_type: str | None = said["edge_type"]
    limit: int = said["limit"]
    fan_of = Fans(snapshot, row.id, edge_type, limit)
    if said["root"] is not None:
        roots: tuple[NodeRow, ...] = (find_node(snapshot, row.id, said["root"]),)
        more = False
    else:
        found = read_roots(snapshot, row.id, edge_type)
        roots, more = found.nodes, found.after is not None
    rows = outline(roots, fan_of, open_to(roots, fan_of, said["depth"], limit), limit + 1)
    return rows[:limit], more or len(rows) > limit


@graph.command()
@click.argument("name", metavar="GRAPH")
@click.argument("key")
@_edge_option
@click.option("--width", type=click.IntRange(min=40), help="Columns to draw in (default: the terminal's).")
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw with ASCII alone.")
@json_option
@click.pass_obj
def node(
    context: Context,
    name: str,
    key: str,
    edge_type: str | None,
    width: int | None,
    ascii_only: bool,
    as_json: bool,
) -> None:
    """Show a node: what leads to it, what it leads to, its attributes.

    \b
    Example:
      spoke graph create task-dependencies release
      spoke graph put-node release task build '{"name": "Build"}'
      spoke graph node release build
    """
    import json

    with graph_edit.projected(context) as snapshot:
        row = find_graph(snapshot, name)
        found = read_neighbourhood(snapshot, row.id, find_node(snapshot, row.id, key).key, edge_type)
        attributes = read_attributes(snapshot, row.id, found.node.key)
    if as_json:
        document = {"graphId": row.id, **camel(found.node), "attributes": attributes}
        sides = {"before": found.before, "after": found.after}
        print_json(
            {**document, **{side: [_link_json(fan_link) for fan_link in fan.links] for side, fan in sides.items()}}
        )
        return
    columns = width or shutil.get_terminal_size().columns
    click.echo("\n".join(neighbourhood_lines(found, columns, ascii_only=ascii_only)))
    # JSON escapes what a terminal would obey, so indentation and line breaks are its own.
    click.echo("\n" + json.dumps(attributes, ensure_ascii=True, indent=2))


@graph.command()
@click.argument("name", metavar="GRAPH")
@click.argument("key")
@click.option("--direction", type=click.Choice(["out", "in", "both"]), default="both", show_default=True)
@_edge_option
@json_option
@click.pass_obj
def neighbours(
    context: Context, name: str, key: str, direction: Direction, edge_type: str | None, as_json: bool
) -> None:
    """List the nodes one edge away from KEY.

    \b
    Example:
      spoke graph create task-dependencies release
      spoke graph put-node release task build '{"name": "Build"}'
      spoke graph neighbours release build --direction out
    """
    from storage.graphs.queries import neighbours as keys_near

    with graph_edit.projected(context) as snapshot:
        row = find_graph(snapshot, name)
        start = find_node(snapshot, row.id, key).key
        keys = keys_near(snapshot, row.id, start, direction, edge_type)
        _print_nodes([read_node(snapshot, row.id, each) for each in keys], as_json)


@graph.command()
@click.argument("name", metavar="GRAPH")
@click.argument("source")
@click.argument("target")
@click.option("--direction", type=click.Choice(["out", "both"]), default="out", show_default=True)
@_edge_option
@json_option
@click.pass_obj
def path(
    context: Context,
    name: str,
    source: str,
    target: str,
    direction: Direction,
    edge_type: str | None,
    as_json: bool,
) -> None:
    """Find a shortest path from SOURCE to TARGET.

    \b
    Example:
      spoke graph create task-dependencies release
      spoke graph put-node release task build '{"name": "Build"}'
      spoke graph put-node release task ship '{"name": "Ship"}'
      spoke graph put-edge release depends_on build ship
      spoke graph path release build ship

    Where there is none, nothing is printed and the exit code is 1.
    """
    from storage.graphs.queries import shortest_path

    with graph_edit.projected(context) as snapshot:
        row = find_graph(snapshot, name)
        ends = [find_node(snapshot, row.id, key).key for key in (source, target)]
        keys = shortest_path(snapshot, row.id, ends[0], ends[1], direction=direction, edge_type=edge_type)
        if keys is None:
            say(f"no path leads from {source!r} to {target!r}")
            raise click.exceptions.Exit(1)
        _print_nodes([read_node(snapshot, row.id, key) for key in keys], as_json)


for _command in graph_edit.COMMANDS:
    graph.add_command(_command)


def _print_nodes(nodes: list[NodeRow], as_json: bool) -> None:
    from app.views.text import safe

    if as_json:
        print_json([_node_json(each) for each in nodes])
        return
    for each in nodes:
        click.echo("  ".join(safe(word) for word in (each.key, each.type, each.label, each.status) if word))


def _graph_json(row: GraphRow) -> dict[str, Any]:
    return {
        "graphId": row.id,
        "name": row.name,
        "type": row.type,
        "status": row.status,
        "nodeCount": row.nodes,
        "edgeCount": row.edges,
        "changedAt": row.changed_ms,
    }


def _node_json(row: NodeRow) -> dict[str, Any]:
    return {"key": row.key, "type": row.type, "label": row.label, "status": row.status}


def _link_json(link: Any) -> dict[str, Any]:
    return {
        "edgeId": link.edge_id,
        "edgeType": link.type,
        "undirected": link.undirected,
        "node": _node_json(link.node),
    }


def _row_json(row: OutlineRow) -> dict[str, Any]:
    return {
        "depth": len(row.path) - 1,
        **_node_json(row.node),
        "edgeType": row.link.type if row.link else None,
        "mark": row.mark,
        "more": row.more,
    }
