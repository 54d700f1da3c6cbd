pytest_plugins = [
    "support.examples",
    "support.azurite",
    "support.emulator",
    "support.certificates",
    "support.docker_engine",
    "support.container_runs",
    "support.mounting",
    "support.browser",
    "support.signals",
]
