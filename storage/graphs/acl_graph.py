"""AclGraph: who may do what, by delegation that only ever narrows (ADR-034 to 037); see `storage.graphs.acl`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from storage.graphs.module import BaseEdge, BaseNode, EdgeConstraints, GraphConfig, Module


class AclGraph(Module):
    """Principals, resources, and the edges between them."""

    name = "acl"
    description = "Who may do what"
    Config = GraphConfig(type="directed", multi=False, allow_self_loops=False)

    class PrincipalNode(BaseNode):
        """Somebody, or something, that acts."""

        identity_type: Literal["account", "org", "service", "role"]
        identity_id: str
        scopes: list[str] = Field(default_factory=list)
        resources: dict[str, list[str]] | None = None

    class ResourceNode(BaseNode):
        """Something that is acted on."""

        resource_type: str
        resource_id: str
        label: str | None = None

    class CanReadEdge(BaseEdge):
        """The principal may read the resource."""

        edge_type: Literal["can_read"] = "can_read"

    class CanWriteEdge(BaseEdge):
        """The principal may change the resource."""

        edge_type: Literal["can_write"] = "can_write"

    class CanExecuteEdge(BaseEdge):
        """The principal may execute the resource."""

        edge_type: Literal["can_execute"] = "can_execute"

    class BelongsToEdge(BaseEdge):
        """The account is a member of the organisation, or has the role. Derived from `organization_members`."""

        edge_type: Literal["belongs_to"] = "belongs_to"

    class DelegatesEdge(BaseEdge):
        """The source lets the target act for it, within limits."""

        edge_type: Literal["delegates"] = "delegates"
        narrowed_scopes: list[str]
        narrowed_resources: dict[str, list[str]] | None = None
        narrowable: bool = False
        """The target may delegate on."""

    CanReadEdgeConstraints = EdgeConstraints(source=["principal"], target=["resource"])
    CanWriteEdgeConstraints = EdgeConstraints(source=["principal"], target=["resource"])
    CanExecuteEdgeConstraints = EdgeConstraints(source=["principal"], target=["resource"])
    BelongsToEdgeConstraints = EdgeConstraints(source=["principal"], target=["principal"])
    DelegatesEdgeConstraints = EdgeConstraints(source=["principal"], target=["principal"])
