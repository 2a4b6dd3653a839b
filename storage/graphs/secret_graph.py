"""SecretGraph: secrets as encrypted attributes of nodes (`reference/alkdev.md` 1.6)."""

from __future__ import annotations

from storage.crypto import EncryptedData
from storage.graphs.module import BaseNode, GraphConfig, Module


class SecretGraph(Module):
    """A node a secret; its key is the secret's name."""

    name = "secret-graph"
    description = "Secrets: what they are for is readable, their values are not"
    Config = GraphConfig(type="directed", multi=False, allow_self_loops=False)

    class SecretNode(BaseNode):
        """One secret."""

        key: str
        """Its name, for instance `github/api_key`."""
        value: EncryptedData
        key_version: int
        description: str | None = None
        expires_at: str | None = None
        last_used_at: str | None = None
