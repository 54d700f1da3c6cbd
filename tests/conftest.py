pytest_plugins = [
    "support.examples",
    "support.azurite",
    "support.emulator",
    "support.certificates",
    "support.docker_engine",
    "support.mounting",
    "support.signals",
]
