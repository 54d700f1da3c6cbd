"""Answers: entities as JSON, lists, statistics."""
