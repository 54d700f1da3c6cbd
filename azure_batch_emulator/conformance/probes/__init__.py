"""The probes, by what they are about. Importing this makes them known."""

from . import autoscale, jobs, nodes, pools, protocol, storage, tasks

__all__ = ["autoscale", "jobs", "nodes", "pools", "protocol", "storage", "tasks"]
