"""The process: how it starts, where it listens, where it keeps its state."""
