"""SecretGraph: secrets as encrypted attributes of nodes (`reference/alkdev.md` 1.6)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from storage.graphs.module import BaseNode, GraphConfig, Module


class SecretGraph(Module):
    """A node a secret; its key is the secret's name."""

    name = "secret-graph"
    description = "Secrets: what they are for is readable, their values are not"
    Config = GraphConfig(type="directed", multi=False, allow_self_loops=False)

    class EncryptedData(BaseModel):
        """AES-256-GCM; binary as base64. See `storage.crypto`."""

        model_config = ConfigDict(extra="forbid", frozen=True)
        keyVersion: int
        salt: str
        iv: str
        data: str

    class SecretNode(BaseNode):
        """One secret."""

        key: str
        """Its name, for instance `github/api_key`."""
        value: SecretGraph.EncryptedData
        key_version: int
        description: str | None = None
        expires_at: str | None = None
        last_used_at: str | None = None


SecretGraph.SecretNode.model_rebuild()
