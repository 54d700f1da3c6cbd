"""Moves files between a folder and a container, timed from within, with the memory that it took.

    python moves.py SIDE WAY CONTAINER FOLDER COUNT

SIDE is `azblob` or `azure`, a storage plugin of Snakemake, driven through its provider as Snakemake does it: a task
group with one task for each file. Or it is `sdk`, the bare SDK at its best. WAY is `up` or `down`; files are
`FOLDER/CONTAINER/SIDE/0` and on. Prints JSON: seconds, cpu_s, peak_mb. The account is in AZURITE_CONNECTION_STRING.
"""

import asyncio
import importlib
import json
import logging
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

MIB = 1024 * 1024
API_VERSION = "2023-11-03"  # which each Azurite takes
THREADS = 16
CONCURRENCY = 4
BLOCK = 8 * MIB


def main(side: str, way: str, container: str, folder: str, count: str) -> None:
    names = [f"{side}/{n}" for n in range(int(count))]
    move = sdk if side == "sdk" else plugin
    work = move(side, way, container, Path(folder), names)
    start, used = time.monotonic(), time.process_time()
    work()
    result = {"seconds": time.monotonic() - start, "cpu_s": time.process_time() - used}
    result["peak_mb"] = peak() / 1e6
    print(json.dumps(result))


def peak() -> int:
    """Bytes, of this process alone: `ru_maxrss` may be that of the process which started it."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))) * 1024


def plugin(side: str, way: str, container: str, folder: Path, names: list[str]):
    module = importlib.import_module(f"snakemake_storage_plugin_{side}")
    text = os.environ["AZURITE_CONNECTION_STRING"]
    settings = {"connection_string": text} if side == "azblob" else {"account_name": "unused"}
    provider = module.StorageProvider(
        local_prefix=folder,
        logger=logging.getLogger("bench"),
        settings=module.StorageProviderSettings(**settings),
    )
    objects = [provider.object(f"az://{container}/{name}") for name in names]
    provider.object(f"az://{container}/warm-up").exists()  # loads what is loaded with the first request

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:
            for thing in objects:
                group.create_task(thing.managed_store() if way == "up" else thing.managed_retrieve())

    return lambda: asyncio.run(all_of_them())


def sdk(_: str, way: str, container: str, folder: Path, names: list[str]):
    import requests
    from azure.core.pipeline.transport import RequestsTransport
    from azure.storage.blob import BlobServiceClient

    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=THREADS * CONCURRENCY))
    sizes = dict.fromkeys(
        ("max_single_put_size", "max_block_size", "max_single_get_size", "max_chunk_get_size"), BLOCK
    )
    service = BlobServiceClient.from_connection_string(
        os.environ["AZURITE_CONNECTION_STRING"],
        api_version=API_VERSION,
        transport=RequestsTransport(session=session, connection_data_block_size=BLOCK),
        **sizes,
    )
    client = service.get_container_client(container)
    (folder / container / "sdk").mkdir(parents=True, exist_ok=True)
    client.get_blob_client("warm-up").exists()

    def up(name: str) -> None:
        path = folder / container / name
        with path.open("rb") as file:
            client.upload_blob(
                name,
                file,
                length=path.stat().st_size,
                overwrite=True,
                max_concurrency=CONCURRENCY,
                # Azurite takes three times the CPU for a block without MD5, of which it makes a CRC64 itself.
                validate_content=True,
            )

    def down(name: str) -> None:
        with (folder / container / name).open("wb") as file:
            client.download_blob(name, max_concurrency=CONCURRENCY).readinto(file)

    def work() -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(up if way == "up" else down, names))

    return work


if __name__ == "__main__":
    main(*sys.argv[1:])
