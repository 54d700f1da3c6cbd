"""The container image of the tasks: `reference` reads its name, `registry` asks whether it can be pulled."""
