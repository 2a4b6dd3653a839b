"""`spoke graph`: what a person sees, what a program reads, what is refused, and that changes are recorded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from app.cli.exit_codes import ExitCode
from app.cli.run_cli import run
from storage.tenants import open_tenant_database

Spoke = Callable[..., tuple[int, str, str]]


@pytest.fixture
def spoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Spoke:
    monkeypatch.setenv("SPOKE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SPOKE_CONFIG", str(tmp_path / "spoke.toml"))
    for name in ("SPOKE_SESSION_ID", "SPOKE_PARENT_REQUEST_ID", "SPOKE_DEBUG"):
        monkeypatch.delenv(name, raising=False)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(("graph", *arguments))
        out, err = capfd.readouterr()
        return code, out, err

    return call


@pytest.fixture
def release(spoke: Spoke) -> str:
    graph = spoke("create", "task-dependencies", "release")[1].strip()
    for key, attributes in (
        ("build", {"name": "Build", "status": "completed"}),
        ("test", {"name": "Run \x1b[31mtests", "status": "failed"}),
        ("ship", {"name": "Ship"}),
    ):
        assert spoke("put-node", "release", "task", key, json.dumps(attributes))[0] == 0
    for source, target in (("build", "test"), ("test", "ship"), ("build", "ship"), ("ship", "build")):
        assert spoke("put-edge", "release", "depends_on", source, target)[0] == 0
    return graph


def test_a_graph_from_first_to_last(spoke: Spoke, release: str, tmp_path: Path) -> None:
    code, out, err = spoke("list", "--type", "task-dependencies")
    assert (code, out.split()[:4], err.split()[:2]) == (0, ["release", "task-dependencies", "3", "4"], ["NAME", "TYPE"])
    (row,) = json.loads(spoke("list", "--json", "--type", "task-dependencies")[1])
    assert (row["graphId"], row["nodeCount"], row["edgeCount"]) == (release, 3, 4)
    code, out, err = spoke("list", "--type", "acl")
    assert (code, out, err[:14]) == (0, "", "no graphs yet ")
    assert "edge depends_on" in spoke("types")[1]
    assert {"acl", "task-dependencies"} <= {row["name"] for row in json.loads(spoke("types", "--json")[1])}
    code, out, err = spoke("show", "release", "--width", "60")
    assert (code, err) == (0, "release · task-dependencies · 3 nodes · 4 edges\n")
    assert [re.split(r"  +", line.strip())[0] for line in out.splitlines()] == [
        "▾ ✓ Build",
        "├─▾ ✗ Run ␛[31mtests",
        "│ └─▾ Ship",
        "│",
        "└─↑ Ship",
    ]
    code, out, err = spoke("show", release[:8], "--picture", "--ascii", "--width", "80")
    assert "| x Run \\x1b[31mtests |" in out
    assert "@ Ship -> Build closes a cycle" in err
    shown = json.loads(spoke("show", "release", "--root", "ship", "--depth", "1", "--json")[1])
    rows = [(row["depth"], row["key"], row["mark"]) for row in shown["rows"]]
    assert rows == [(0, "ship", "open"), (1, "build", "closed")]
    assert len(json.loads(spoke("show", "release", "--picture", "--json")[1])["edges"]) == 4
    code, out, err = spoke("show", "release", "--limit", "2")
    assert (len(out.splitlines()), "there is more" in err) == (2, True)


def test_nodes_and_ways_between_them(spoke: Spoke, release: str) -> None:
    code, out, _ = spoke("node", "release", "build", "--width", "70")
    assert code == 0
    assert out.splitlines()[0] == "leads here: 1 depends_on │node             │leads on to: 2 depends_on"
    assert json.loads(out[out.index("{") :]) == {"name": "Build", "status": "completed"}
    found = json.loads(spoke("node", "release", "test", "--json")[1])
    assert [link["node"]["key"] for link in found["after"]] == ["ship"]
    assert "\x1b" not in spoke("node", "release", "test")[1]
    assert spoke("neighbours", "release", "test", "--direction", "in")[1] == "build  task  Build  completed\n"
    way = json.loads(spoke("path", "release", "ship", "test", "--json")[1])
    assert [row["key"] for row in way] == ["ship", "build", "test"]
    spoke("put-node", "release", "task", "alone", '{"name": "Alone"}')
    assert spoke("path", "release", "build", "alone") == (1, "", "no path leads from 'build' to 'alone'\n")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "nope"), ExitCode.USAGE, "no graph 'nope'"),
        (("node", "release", "nope"), ExitCode.USAGE, "no node 'nope'"),
        (("create", "nope", "x"), ExitCode.DATA, "no graph type 'nope'"),
        (("put-node", "release", "task", "x", "{"), ExitCode.DATA, "is not JSON"),
        (("put-node", "release", "task", "x", "{}"), ExitCode.DATA, "'name' is a required property"),
        (("put-node", "release", "task", "x", "[]"), ExitCode.DATA, "attributes"),
        (("put-edge", "release", "depends_on", "build", "nope"), ExitCode.DATA, "no node 'nope'"),
        (("put-edge", "release", "depends_on", "build", "build"), ExitCode.DATA, "no loops"),
        (("delete-edge", "nope"), ExitCode.USAGE, "no edge 'nope'"),
        (("export", "nope"), ExitCode.USAGE, "no graph 'nope'"),
    ],
)
def test_what_is_refused(spoke: Spoke, release: str, arguments: tuple[str, ...], code: int, words: str) -> None:
    done, out, err = spoke(*arguments)
    assert (done, out) == (code, "")
    assert words in err
    assert "internal error" not in err


def test_what_goes_with_a_node_is_told_and_changes_are_recorded(spoke: Spoke, release: str, tmp_path: Path) -> None:
    assert spoke("delete-node", "release", "ship", "--dry-run")[2] == "node ship and 3 edges would go\n"
    assert spoke("delete-node", "release", "ship")[2] == "node ship and 3 edges are gone\n"
    edge = json.loads(spoke("node", "release", "build", "--json")[1])["after"][0]["edgeId"]
    assert spoke("delete-edge", edge, "--json")[1] == f'{{"id":"{edge}"}}\n'
    db = open_tenant_database(tmp_path / "data" / "tenant-local.db")
    events = [json.loads(row["payload"]) for row in db.query("SELECT payload FROM _honker_stream ORDER BY offset")]
    db.close()
    called = [event["operationId"] for event in events if event["type"] == "call.requested"]
    assert called[-2:] == ["graph.delete_node", "graph.delete_edge"]
    assert len(called) == 1 + 3 + 4 + 2


@pytest.mark.parametrize("form", ["json", "graphml", "dot", "mermaid"])
def test_a_graph_as_a_file_and_back(spoke: Spoke, release: str, tmp_path: Path, form: str) -> None:
    hostile = '"]; evil -> x; <b>&amp;</b> %% \\ \x1b[31m\nend'
    spoke("put-node", "release", "task", 'a"b\\<c>&', json.dumps({"name": hostile}))
    code, out, _ = spoke("export", "release", "--format", form)
    assert code == 0
    assert "\x1b" not in out
    file = tmp_path / f"release.{form}"
    file.write_text(out)
    code, copy, _ = spoke("import", str(file), "--format", form)
    assert code == 0
    assert json.loads(spoke("node", copy.strip(), 'a"b\\<c>&', "--json")[1])["attributes"] == {"name": hostile}
    assert spoke("export", copy.strip(), "--format", form)[1] == out
    assert spoke("import", str(tmp_path / "nope"))[0] == ExitCode.NO_INPUT
