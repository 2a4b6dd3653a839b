"""Migration 1 of a tenant file: everything that version 0.1.0 has. Published: never edited."""

from __future__ import annotations

SQL = """
CREATE TABLE node_facts (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE graph_types (
  id TEXT NOT NULL PRIMARY KEY,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  name TEXT NOT NULL UNIQUE,
  description TEXT NOT NULL DEFAULT '',
  config TEXT NOT NULL,
  version INTEGER NOT NULL DEFAULT 1,
  scope TEXT NOT NULL DEFAULT 'system' CHECK (scope IN ('system', 'tenant', 'user'))
);
CREATE TABLE node_types (
  id TEXT NOT NULL PRIMARY KEY,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  graph_type_id TEXT NOT NULL REFERENCES graph_types(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  description TEXT NOT NULL DEFAULT '',
  schema TEXT NOT NULL,
  UNIQUE (graph_type_id, name)
);
CREATE TABLE edge_types (
  id TEXT NOT NULL PRIMARY KEY,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  graph_type_id TEXT NOT NULL REFERENCES graph_types(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  description TEXT NOT NULL DEFAULT '',
  schema TEXT NOT NULL,
  allowed_source_types TEXT NOT NULL DEFAULT '[]',
  allowed_target_types TEXT NOT NULL DEFAULT '[]',
  UNIQUE (graph_type_id, name)
);
CREATE TABLE graphs (
  id TEXT NOT NULL PRIMARY KEY,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  graph_type_id TEXT REFERENCES graph_types(id) ON DELETE SET NULL,
  name TEXT NOT NULL,
  description TEXT NOT NULL DEFAULT '',
  status TEXT NOT NULL DEFAULT 'draft' CHECK (status IN ('active', 'archived', 'draft')),
  owner_id TEXT,
  project_id TEXT
);
CREATE INDEX idx_graphs_graph_type_id ON graphs(graph_type_id);
CREATE INDEX idx_graphs_owner_id ON graphs(owner_id);
CREATE INDEX idx_graphs_project_id ON graphs(project_id);
CREATE INDEX idx_graphs_owner_id_project_id ON graphs(owner_id, project_id);
CREATE TABLE nodes (
  id TEXT NOT NULL PRIMARY KEY,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  graph_id TEXT NOT NULL REFERENCES graphs(id) ON DELETE CASCADE,
  key TEXT NOT NULL,
  attributes TEXT NOT NULL DEFAULT '{}',
  UNIQUE (graph_id, key)
);
CREATE INDEX idx_nodes_key ON nodes(key);
CREATE TABLE edges (
  id TEXT NOT NULL PRIMARY KEY,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  graph_id TEXT NOT NULL REFERENCES graphs(id) ON DELETE CASCADE,
  key TEXT,
  source_node_key TEXT NOT NULL,
  target_node_key TEXT NOT NULL,
  attributes TEXT NOT NULL DEFAULT '{}',
  undirected INTEGER NOT NULL DEFAULT 0,
  UNIQUE (graph_id, key),
  FOREIGN KEY (graph_id, source_node_key) REFERENCES nodes(graph_id, key) ON DELETE CASCADE,
  FOREIGN KEY (graph_id, target_node_key) REFERENCES nodes(graph_id, key) ON DELETE CASCADE
);
CREATE INDEX idx_edges_source ON edges(graph_id, source_node_key);
CREATE INDEX idx_edges_target ON edges(graph_id, target_node_key);
CREATE TABLE acl_effective (
  graph_id TEXT NOT NULL REFERENCES graphs(id) ON DELETE CASCADE,
  principal_key TEXT NOT NULL,
  scopes TEXT NOT NULL,
  resources TEXT NOT NULL,
  evaluated_at INTEGER NOT NULL,
  PRIMARY KEY (graph_id, principal_key)
) WITHOUT ROWID;
CREATE TABLE sessions (
  id TEXT NOT NULL PRIMARY KEY,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  parent_id TEXT REFERENCES sessions(id) ON DELETE SET NULL,
  account_id TEXT,
  project_id TEXT,
  slug TEXT NOT NULL UNIQUE,
  title TEXT NOT NULL,
  source TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('active', 'completed', 'failed', 'aborted')),
  started_at INTEGER,
  ended_at INTEGER,
  position INTEGER NOT NULL
);
CREATE INDEX idx_sessions_position ON sessions(position);
CREATE INDEX idx_sessions_parent_id ON sessions(parent_id);
CREATE TABLE messages (
  id TEXT NOT NULL PRIMARY KEY,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
  role TEXT NOT NULL,
  agent TEXT,
  position INTEGER NOT NULL
);
CREATE INDEX idx_messages_session ON messages(session_id, position);
CREATE TABLE parts (
  id TEXT NOT NULL PRIMARY KEY,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  message_id TEXT NOT NULL REFERENCES messages(id) ON DELETE CASCADE,
  session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
  type TEXT NOT NULL,
  data TEXT NOT NULL,
  position INTEGER NOT NULL
);
CREATE INDEX idx_parts_message ON parts(message_id, position);
CREATE INDEX idx_parts_session_type ON parts(session_id, type);
CREATE TABLE imports (
  digest TEXT PRIMARY KEY,
  source TEXT NOT NULL,
  name TEXT NOT NULL,
  session_id TEXT NOT NULL,
  created_at INTEGER NOT NULL DEFAULT (unixepoch())
) WITHOUT ROWID;
CREATE TABLE call_orphans (
  request_id TEXT PRIMARY KEY,
  attributes TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE call_waiting_children (
  parent_id TEXT NOT NULL,
  child_id TEXT NOT NULL,
  graph_id TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (parent_id, child_id)
) WITHOUT ROWID;
CREATE TABLE projection_rejects (
  topic TEXT NOT NULL,
  offset INTEGER NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (topic, offset)
) WITHOUT ROWID;
CREATE TABLE link_generations (
  topic TEXT PRIMARY KEY,
  generation INTEGER NOT NULL,
  gen_id BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE link_positions (
  hub_id TEXT NOT NULL,
  topic TEXT NOT NULL,
  gen_id BLOB NOT NULL,
  offset INTEGER NOT NULL,
  hash BLOB NOT NULL,
  acked_at INTEGER NOT NULL,
  PRIMARY KEY (hub_id, topic)
) WITHOUT ROWID;
CREATE TABLE link_checkpoints (
  topic TEXT NOT NULL,
  gen_id BLOB NOT NULL,
  offset INTEGER NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY (topic, gen_id, offset)
) WITHOUT ROWID;
CREATE TABLE link_status (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  state TEXT NOT NULL,
  since INTEGER NOT NULL,
  hub_url TEXT NOT NULL,
  hub_id TEXT,
  error_code TEXT,
  error TEXT,
  hint TEXT,
  retry_at INTEGER,
  breaks INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE link_cursors (
  node_id TEXT NOT NULL,
  topic TEXT NOT NULL,
  gen_id BLOB NOT NULL,
  generation INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  hash BLOB NOT NULL,
  events INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (node_id, topic, gen_id)
) WITHOUT ROWID;
CREATE TABLE link_batches (
  node_id TEXT NOT NULL,
  topic TEXT NOT NULL,
  gen_id BLOB NOT NULL,
  first_offset INTEGER NOT NULL,
  source_offsets BLOB NOT NULL,
  PRIMARY KEY (node_id, topic, gen_id, first_offset)
) WITHOUT ROWID;
CREATE TABLE link_spokes (
  node_id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  agent TEXT NOT NULL,
  account_id TEXT NOT NULL,
  connected INTEGER NOT NULL,
  sessions INTEGER NOT NULL,
  connected_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL
) WITHOUT ROWID;
"""
