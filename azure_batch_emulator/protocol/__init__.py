"""The REST API's own rules: errors, schemas, filters, conditions, versions, and how values look."""
