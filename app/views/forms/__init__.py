"""Forms made from a JSON Schema: from a schema to fields, from texts to a value, errors at their fields. Pure."""
