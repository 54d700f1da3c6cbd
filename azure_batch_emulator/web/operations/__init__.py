"""What each operation of the Batch service does, by what it is about."""
