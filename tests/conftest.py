pytest_plugins = ["support.azurite", "support.emulator", "support.docker_engine"]
