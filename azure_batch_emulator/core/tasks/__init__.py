"""Tasks: requests, states and counts, files."""
