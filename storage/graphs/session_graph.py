"""SessionGraph: sessions, their messages and calls as one tree (`reference/alkdev.md` 5.4)."""

from __future__ import annotations

from typing import Any, Literal

from storage.graphs.module import BaseEdge, BaseNode, EdgeConstraints, GraphConfig, Module


class SessionGraph(Module):
    """For trees that people build and exchange; what this machine recorded is in the `sessions` table."""

    name = "session-graph"
    description = "Sessions, their messages and calls"
    Config = GraphConfig(type="directed", multi=False, allow_self_loops=False)

    class SessionNode(BaseNode):
        """One session."""

        session_id: str
        title: str
        status: Literal["active", "completed", "failed", "aborted"]
        source: str | None = None
        started_at: str | None = None
        ended_at: str | None = None

    class MessageNode(BaseNode):
        """One message of a session."""

        message_id: str
        role: str
        agent: str | None = None
        parts: list[dict[str, Any]] | None = None

    class CallNode(BaseNode):
        """One call of a session."""

        request_id: str
        operation_id: str
        status: Literal["pending", "running", "completed", "failed", "aborted"]

    class ChildEdge(BaseEdge):
        """The source session began the target session."""

        edge_type: Literal["child"] = "child"

    class ContainsEdge(BaseEdge):
        """The session holds the message or the call."""

        edge_type: Literal["contains"] = "contains"

    class CausedEdge(BaseEdge):
        """The message led to the call, or a call to another."""

        edge_type: Literal["caused"] = "caused"

    ChildEdgeConstraints = EdgeConstraints(source=["session"], target=["session"])
    ContainsEdgeConstraints = EdgeConstraints(source=["session"], target=["message", "call"])
    CausedEdgeConstraints = EdgeConstraints(source=["message", "call"], target=["call"])
