"""Requests' bodies: what the service fills in, and its rules."""
