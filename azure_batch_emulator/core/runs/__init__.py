"""Commands on nodes: tasks', and start, preparation and release tasks'."""
