"""TaskGraph: tasks and what they depend on (`reference/alkdev.md` 4.4)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from storage.graphs.module import BaseEdge, BaseNode, EdgeConstraints, GraphConfig, Module


class TaskGraph(Module):
    """A node a task; an edge from a task to one that depends on it."""

    name = "task-dependencies"
    description = "Tasks and what they depend on"
    Config = GraphConfig(type="directed", multi=False, allow_self_loops=False)

    class TaskNode(BaseNode):
        """One task."""

        name: str
        status: Literal["pending", "in-progress", "completed", "failed", "blocked"] | None = None
        scope: Literal["single", "narrow", "moderate", "broad", "system"] | None = None
        risk: Literal["trivial", "low", "medium", "high", "critical"] | None = None
        impact: Literal["isolated", "component", "phase", "project"] | None = None
        level: Literal["planning", "decomposition", "implementation", "review", "research"] | None = None
        priority: Literal["low", "medium", "high", "critical"] | None = None
        tags: list[str] | None = None
        assignee: str | None = None
        due: str | None = None

    class DependsOnEdge(BaseEdge):
        """The target task needs the source task done."""

        edge_type: Literal["depends_on"] = "depends_on"
        quality_retention: float = Field(default=0.9, ge=0, le=1)

    DependsOnEdgeConstraints = EdgeConstraints(source=["task"], target=["task"])
