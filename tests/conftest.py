pytest_plugins = [
    "support.azurite",
    "support.emulator",
    "support.certificates",
    "support.docker_engine",
    "support.mounting",
]
