"""The Batch emulator as a fixture."""
