"""Pools: their targets, where their nodes come from, and how they scale."""
