"""What a task is beside its runs: states and counts, dependencies, files."""
