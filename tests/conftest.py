pytest_plugins = ["support.azurite", "support.emulator"]
