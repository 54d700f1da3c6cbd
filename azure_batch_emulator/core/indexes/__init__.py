"""Collections that answer one question fast."""
