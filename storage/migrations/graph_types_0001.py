"""The shipped graph types as version 0.1.0 has them, for both kinds of file. Published: never edited."""
# ruff: noqa: E501

from __future__ import annotations

SQL = """
INSERT INTO graph_types (id, name, description, config, version, scope) VALUES
  ('call-graph', 'call-graph', 'What was called, by whom, and how it ended', '{"type":"directed","multi":false,"allowSelfLoops":false}', 1, 'system');
INSERT INTO node_types (id, graph_type_id, name, description, schema) VALUES
  ('call-graph/call', 'call-graph', 'call', 'One call.',
   '{"additionalProperties":false,"properties":{"metadata":{"anyOf":[{"additionalProperties":true,"type":"object"},{"type":"null"}],"default":null},"requestId":{"type":"string"},"operationId":{"type":"string"},"status":{"enum":["pending","running","completed","failed","aborted"],"type":"string"},"parentRequestId":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null},"input":{"default":null},"output":{"default":null},"error":{"anyOf":[{"additionalProperties":true,"type":"object"},{"type":"null"}],"default":null},"identity":{"anyOf":[{"additionalProperties":true,"type":"object"},{"type":"null"}],"default":null},"startedAt":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null},"completedAt":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null},"durationMs":{"anyOf":[{"type":"number"},{"type":"null"}],"default":null}},"required":["requestId","operationId","status"],"type":"object"}');
INSERT INTO edge_types (id, graph_type_id, name, description, schema, allowed_source_types, allowed_target_types) VALUES
  ('call-graph/triggered', 'call-graph', 'triggered', 'The source call made the target call.',
   '{"additionalProperties":false,"properties":{"edgeType":{"const":"triggered","default":"triggered","type":"string"},"metadata":{"anyOf":[{"additionalProperties":true,"type":"object"},{"type":"null"}],"default":null}},"type":"object"}',
   '["call"]', '["call"]');
INSERT INTO edge_types (id, graph_type_id, name, description, schema, allowed_source_types, allowed_target_types) VALUES
  ('call-graph/depends_on', 'call-graph', 'depends_on', 'For observation only.',
   '{"additionalProperties":false,"properties":{"edgeType":{"const":"depends_on","default":"depends_on","type":"string"},"metadata":{"anyOf":[{"additionalProperties":true,"type":"object"},{"type":"null"}],"default":null}},"type":"object"}',
   '["call"]', '["call"]');
INSERT INTO graph_types (id, name, description, config, version, scope) VALUES
  ('secret-graph', 'secret-graph', 'Secrets: what they are for is readable, their values are not', '{"type":"directed","multi":false,"allowSelfLoops":false}', 1, 'system');
INSERT INTO node_types (id, graph_type_id, name, description, schema) VALUES
  ('secret-graph/secret', 'secret-graph', 'secret', 'One secret.',
   '{"$defs":{"EncryptedData":{"additionalProperties":false,"properties":{"keyVersion":{"minimum":1,"type":"integer"},"salt":{"type":"string"},"iv":{"type":"string"},"data":{"type":"string"}},"required":["keyVersion","salt","iv","data"],"type":"object"}},"additionalProperties":false,"properties":{"metadata":{"anyOf":[{"additionalProperties":true,"type":"object"},{"type":"null"}],"default":null},"key":{"type":"string"},"value":{"$ref":"#/$defs/EncryptedData"},"keyVersion":{"type":"integer"},"description":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null},"expiresAt":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null},"lastUsedAt":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null}},"required":["key","value","keyVersion"],"type":"object"}');
INSERT INTO graph_types (id, name, description, config, version, scope) VALUES
  ('acl', 'acl', 'Who may do what', '{"type":"directed","multi":false,"allowSelfLoops":false}', 1, 'system');
INSERT INTO node_types (id, graph_type_id, name, description, schema) VALUES
  ('acl/principal', 'acl', 'principal', 'Somebody, or something, that acts.',
   '{"additionalProperties":false,"properties":{"metadata":{"anyOf":[{"additionalProperties":true,"type":"object"},{"type":"null"}],"default":null},"identityType":{"enum":["account","org","service","role"],"type":"string"},"identityId":{"type":"string"},"scopes":{"items":{"type":"string"},"type":"array"},"resources":{"anyOf":[{"additionalProperties":{"items":{"type":"string"},"type":"array"},"type":"object"},{"type":"null"}],"default":null}},"required":["identityType","identityId"],"type":"object"}');
INSERT INTO node_types (id, graph_type_id, name, description, schema) VALUES
  ('acl/resource', 'acl', 'resource', 'Something that is acted on.',
   '{"additionalProperties":false,"properties":{"metadata":{"anyOf":[{"additionalProperties":true,"type":"object"},{"type":"null"}],"default":null},"resourceType":{"type":"string"},"resourceId":{"type":"string"},"label":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null}},"required":["resourceType","resourceId"],"type":"object"}');
INSERT INTO edge_types (id, graph_type_id, name, description, schema, allowed_source_types, allowed_target_types) VALUES
  ('acl/can_read', 'acl', 'can_read', 'The principal may read the resource.',
   '{"additionalProperties":false,"properties":{"edgeType":{"const":"can_read","default":"can_read","type":"string"},"metadata":{"anyOf":[{"additionalProperties":true,"type":"object"},{"type":"null"}],"default":null}},"type":"object"}',
   '["principal"]', '["resource"]');
INSERT INTO edge_types (id, graph_type_id, name, description, schema, allowed_source_types, allowed_target_types) VALUES
  ('acl/can_write', 'acl', 'can_write', 'The principal may change the resource.',
   '{"additionalProperties":false,"properties":{"edgeType":{"const":"can_write","default":"can_write","type":"string"},"metadata":{"anyOf":[{"additionalProperties":true,"type":"object"},{"type":"null"}],"default":null}},"type":"object"}',
   '["principal"]', '["resource"]');
INSERT INTO edge_types (id, graph_type_id, name, description, schema, allowed_source_types, allowed_target_types) VALUES
  ('acl/can_execute', 'acl', 'can_execute', 'The principal may execute the resource.',
   '{"additionalProperties":false,"properties":{"edgeType":{"const":"can_execute","default":"can_execute","type":"string"},"metadata":{"anyOf":[{"additionalProperties":true,"type":"object"},{"type":"null"}],"default":null}},"type":"object"}',
   '["principal"]', '["resource"]');
INSERT INTO edge_types (id, graph_type_id, name, description, schema, allowed_source_types, allowed_target_types) VALUES
  ('acl/belongs_to', 'acl', 'belongs_to', 'The account is a member of the organisation, or has the role. Derived from `organization_members`.',
   '{"additionalProperties":false,"properties":{"edgeType":{"const":"belongs_to","default":"belongs_to","type":"string"},"metadata":{"anyOf":[{"additionalProperties":true,"type":"object"},{"type":"null"}],"default":null}},"type":"object"}',
   '["principal"]', '["principal"]');
INSERT INTO edge_types (id, graph_type_id, name, description, schema, allowed_source_types, allowed_target_types) VALUES
  ('acl/delegates', 'acl', 'delegates', 'The source lets the target act for it, within limits.',
   '{"additionalProperties":false,"properties":{"edgeType":{"const":"delegates","default":"delegates","type":"string"},"metadata":{"anyOf":[{"additionalProperties":true,"type":"object"},{"type":"null"}],"default":null},"narrowedScopes":{"items":{"type":"string"},"type":"array"},"narrowedResources":{"anyOf":[{"additionalProperties":{"items":{"type":"string"},"type":"array"},"type":"object"},{"type":"null"}],"default":null},"narrowable":{"default":false,"type":"boolean"}},"required":["narrowedScopes"],"type":"object"}',
   '["principal"]', '["principal"]');
INSERT INTO graph_types (id, name, description, config, version, scope) VALUES
  ('session-graph', 'session-graph', 'Sessions, their messages and calls', '{"type":"directed","multi":false,"allowSelfLoops":false}', 1, 'system');
INSERT INTO node_types (id, graph_type_id, name, description, schema) VALUES
  ('session-graph/session', 'session-graph', 'session', 'One session.',
   '{"additionalProperties":false,"properties":{"metadata":{"anyOf":[{"additionalProperties":true,"type":"object"},{"type":"null"}],"default":null},"sessionId":{"type":"string"},"title":{"type":"string"},"status":{"enum":["active","completed","failed","aborted"],"type":"string"},"source":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null},"startedAt":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null},"endedAt":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null}},"required":["sessionId","title","status"],"type":"object"}');
INSERT INTO node_types (id, graph_type_id, name, description, schema) VALUES
  ('session-graph/message', 'session-graph', 'message', 'One message of a session.',
   '{"additionalProperties":false,"properties":{"metadata":{"anyOf":[{"additionalProperties":true,"type":"object"},{"type":"null"}],"default":null},"messageId":{"type":"string"},"role":{"type":"string"},"agent":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null},"parts":{"anyOf":[{"items":{"additionalProperties":true,"type":"object"},"type":"array"},{"type":"null"}],"default":null}},"required":["messageId","role"],"type":"object"}');
INSERT INTO node_types (id, graph_type_id, name, description, schema) VALUES
  ('session-graph/call', 'session-graph', 'call', 'One call of a session.',
   '{"additionalProperties":false,"properties":{"metadata":{"anyOf":[{"additionalProperties":true,"type":"object"},{"type":"null"}],"default":null},"requestId":{"type":"string"},"operationId":{"type":"string"},"status":{"enum":["pending","running","completed","failed","aborted"],"type":"string"}},"required":["requestId","operationId","status"],"type":"object"}');
INSERT INTO edge_types (id, graph_type_id, name, description, schema, allowed_source_types, allowed_target_types) VALUES
  ('session-graph/child', 'session-graph', 'child', 'The source session began the target session.',
   '{"additionalProperties":false,"properties":{"edgeType":{"const":"child","default":"child","type":"string"},"metadata":{"anyOf":[{"additionalProperties":true,"type":"object"},{"type":"null"}],"default":null}},"type":"object"}',
   '["session"]', '["session"]');
INSERT INTO edge_types (id, graph_type_id, name, description, schema, allowed_source_types, allowed_target_types) VALUES
  ('session-graph/contains', 'session-graph', 'contains', 'The session holds the message or the call.',
   '{"additionalProperties":false,"properties":{"edgeType":{"const":"contains","default":"contains","type":"string"},"metadata":{"anyOf":[{"additionalProperties":true,"type":"object"},{"type":"null"}],"default":null}},"type":"object"}',
   '["session"]', '["message","call"]');
INSERT INTO edge_types (id, graph_type_id, name, description, schema, allowed_source_types, allowed_target_types) VALUES
  ('session-graph/caused', 'session-graph', 'caused', 'The message led to the call, or a call to another.',
   '{"additionalProperties":false,"properties":{"edgeType":{"const":"caused","default":"caused","type":"string"},"metadata":{"anyOf":[{"additionalProperties":true,"type":"object"},{"type":"null"}],"default":null}},"type":"object"}',
   '["message","call"]', '["call"]');
INSERT INTO graph_types (id, name, description, config, version, scope) VALUES
  ('task-dependencies', 'task-dependencies', 'Tasks and what they depend on', '{"type":"directed","multi":false,"allowSelfLoops":false}', 1, 'system');
INSERT INTO node_types (id, graph_type_id, name, description, schema) VALUES
  ('task-dependencies/task', 'task-dependencies', 'task', 'One task.',
   '{"additionalProperties":false,"properties":{"metadata":{"anyOf":[{"additionalProperties":true,"type":"object"},{"type":"null"}],"default":null},"name":{"type":"string"},"status":{"anyOf":[{"enum":["pending","in-progress","completed","failed","blocked"],"type":"string"},{"type":"null"}],"default":null},"scope":{"anyOf":[{"enum":["single","narrow","moderate","broad","system"],"type":"string"},{"type":"null"}],"default":null},"risk":{"anyOf":[{"enum":["trivial","low","medium","high","critical"],"type":"string"},{"type":"null"}],"default":null},"impact":{"anyOf":[{"enum":["isolated","component","phase","project"],"type":"string"},{"type":"null"}],"default":null},"level":{"anyOf":[{"enum":["planning","decomposition","implementation","review","research"],"type":"string"},{"type":"null"}],"default":null},"priority":{"anyOf":[{"enum":["low","medium","high","critical"],"type":"string"},{"type":"null"}],"default":null},"tags":{"anyOf":[{"items":{"type":"string"},"type":"array"},{"type":"null"}],"default":null},"assignee":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null},"due":{"anyOf":[{"type":"string"},{"type":"null"}],"default":null}},"required":["name"],"type":"object"}');
INSERT INTO edge_types (id, graph_type_id, name, description, schema, allowed_source_types, allowed_target_types) VALUES
  ('task-dependencies/depends_on', 'task-dependencies', 'depends_on', 'The target task needs the source task done.',
   '{"additionalProperties":false,"properties":{"edgeType":{"const":"depends_on","default":"depends_on","type":"string"},"metadata":{"anyOf":[{"additionalProperties":true,"type":"object"},{"type":"null"}],"default":null},"qualityRetention":{"default":0.9,"maximum":1,"minimum":0,"type":"number"}},"type":"object"}',
   '["task"]', '["task"]');
"""
