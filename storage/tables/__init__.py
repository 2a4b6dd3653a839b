"""The tables of a tenant file and of the hub's system file as SQLAlchemy tables, one family a module.

Importing this costs SQLAlchemy: only typed queries, generated operations and the drift test do it.
"""

from __future__ import annotations

import sqlalchemy as sa

from storage.tables import (
    acl,
    delegation,
    durable_calls,
    identity,
    ingest,
    link,
    metagraph,
    node,
    projections,
    running,
    sessions,
)

TENANT = sa.MetaData()
"""What `tenant-{orgId}.db` holds."""
node.add(TENANT)
metagraph.add_types(TENANT)
metagraph.add_instances(TENANT)
acl.add(TENANT)
sessions.add(TENANT)
projections.add(TENANT)
running.add(TENANT)
link.add(TENANT)
ingest.add(TENANT)
durable_calls.add(TENANT)

SYSTEM = sa.MetaData()
"""What `system.db` holds."""
identity.add(SYSTEM)
delegation.add(SYSTEM)
metagraph.add_types(SYSTEM)
