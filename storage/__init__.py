"""The embedded database floor: engine, event envelopes, tenant and system schema, graphs."""
