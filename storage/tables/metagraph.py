"""The metagraph: types of graphs, nodes and edges, and their instances (`reference/alkdev.md` 1.2 and 1.3)."""

from __future__ import annotations

COMMON = """
  id TEXT PRIMARY KEY,
  metadata TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
  updated_at INTEGER NOT NULL DEFAULT (strftime('%s', 'now')),
"""
"""The columns of every table (ADR-008); times are unix seconds."""

DDL = f"""
CREATE TABLE graph_types ({COMMON}
  name TEXT NOT NULL UNIQUE,
  description TEXT NOT NULL DEFAULT '',
  config TEXT NOT NULL,
  version INTEGER NOT NULL DEFAULT 1,
  scope TEXT NOT NULL DEFAULT 'system' CHECK (scope IN ('system', 'tenant', 'user'))
);
CREATE TABLE node_types ({COMMON}
  graph_type_id TEXT NOT NULL REFERENCES graph_types(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  description TEXT NOT NULL DEFAULT '',
  schema TEXT NOT NULL,
  UNIQUE (graph_type_id, name)
);
CREATE TABLE edge_types ({COMMON}
  graph_type_id TEXT NOT NULL REFERENCES graph_types(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  description TEXT NOT NULL DEFAULT '',
  schema TEXT NOT NULL,
  allowed_source_types TEXT NOT NULL DEFAULT '[]',
  allowed_target_types TEXT NOT NULL DEFAULT '[]',
  UNIQUE (graph_type_id, name)
);
CREATE TABLE graphs ({COMMON}
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
CREATE TABLE nodes ({COMMON}
  graph_id TEXT NOT NULL REFERENCES graphs(id) ON DELETE CASCADE,
  key TEXT NOT NULL,
  attributes TEXT NOT NULL DEFAULT '{{}}',
  UNIQUE (graph_id, key)
);
CREATE INDEX idx_nodes_key ON nodes(key);
CREATE TABLE edges ({COMMON}
  graph_id TEXT NOT NULL REFERENCES graphs(id) ON DELETE CASCADE,
  key TEXT,
  source_node_key TEXT NOT NULL,
  target_node_key TEXT NOT NULL,
  attributes TEXT NOT NULL DEFAULT '{{}}',
  undirected INTEGER NOT NULL DEFAULT 0,
  UNIQUE (graph_id, key),
  FOREIGN KEY (graph_id, source_node_key) REFERENCES nodes(graph_id, key) ON DELETE CASCADE,
  FOREIGN KEY (graph_id, target_node_key) REFERENCES nodes(graph_id, key) ON DELETE CASCADE
);
CREATE INDEX idx_edges_source ON edges(graph_id, source_node_key);
CREATE INDEX idx_edges_target ON edges(graph_id, target_node_key);
"""
