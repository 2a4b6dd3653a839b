"""CallGraph: what was called, by whom, and how it ended. The projector writes it from `call-protocol`."""

from __future__ import annotations

from typing import Any, Literal

from storage.graphs.module import BaseEdge, BaseNode, EdgeConstraints, GraphConfig, Module


class CallGraph(Module):
    """One graph a session, a node a call, an edge from a call to those it made."""

    name = "call-graph"
    description = "What was called, by whom, and how it ended"
    Config = GraphConfig(type="directed", multi=False, allow_self_loops=False)

    class CallNode(BaseNode):
        """One call."""

        request_id: str
        operation_id: str
        status: Literal["pending", "running", "completed", "failed", "aborted"]
        parent_request_id: str | None = None
        input: Any = None
        output: Any = None
        error: dict[str, Any] | None = None
        """`{code, message, details?}`."""
        identity: dict[str, Any] | None = None
        started_at: str | None = None
        completed_at: str | None = None
        duration_ms: float | None = None

    class TriggeredEdge(BaseEdge):
        """The source call made the target call."""

        edge_type: Literal["triggered"] = "triggered"

    class DependsOnEdge(BaseEdge):
        """For observation only."""

        edge_type: Literal["depends_on"] = "depends_on"

    TriggeredEdgeConstraints = EdgeConstraints(source=["call"], target=["call"])
    DependsOnEdgeConstraints = EdgeConstraints(source=["call"], target=["call"])
