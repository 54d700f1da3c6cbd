"""The command `azure-batch-emulator`, also where the packages that the emulator runs on are not installed."""

import sys
from importlib.util import find_spec

NEEDED = ("certifi", "cryptography", "docker", "jwt", "lark", "msgspec", "psutil", "starlette", "uvicorn")


def main() -> int:
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        print(
            f"azure-batch-emulator needs {', '.join(missing)}: install it as pip install 'snakemake[emulator]'.",
            file=sys.stderr,
        )
        return 1
    from .cli import main as run

    return run()
