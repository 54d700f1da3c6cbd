"""Azurite, the Blob Storage emulator, as a fixture."""
