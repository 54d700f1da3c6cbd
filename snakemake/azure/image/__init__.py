"""The container image of the tasks: `reference` reads its name, `registry` asks its registry whether it can be pulled."""
