"""Compute nodes: what they do with the tasks that they are given, and what they reach other services with."""
