"""Requests to Blob Storage, and seconds, of `snakemake -n` on many inputs: ours, and snakemake-storage-plugin-azure."""

import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from misc.bench import report
from misc.bench.setting import BIN, CONTAINER, Services, azurite, clean_environ, say, stock_python

FOLDERS = 20
SNAKEFILE = """
SAMPLES = [f"{{n % {folders}}}/{{n}}" for n in range({inputs})]

rule all:
    input: expand("out/{{s}}.gz", s=SAMPLES)

rule one:
    input: "data/{{s}}.txt"
    output: "out/{{s}}.gz"
    shell: "gzip < {{input}} > {{output}}"
"""


def run(inputs: int) -> None:
    say(f"dryrun: `snakemake -n` on {inputs:,} inputs in {FOLDERS} directories")
    before = report.conditions()
    with tempfile.TemporaryDirectory(prefix="azbatch-bench.") as name:
        folder = Path(name)
        with azurite(folder) as account:
            around = Services("", account.url.rpartition("/")[0], folder)
            with account.service() as service, ThreadPoolExecutor(16) as pool:
                client = service.get_container_client(CONTAINER)
                list(
                    pool.map(
                        lambda n: client.upload_blob(f"run/data/{n % FOLDERS}/{n}.txt", b"x"), range(inputs)
                    )
                )
            (folder / "Snakefile").write_text(SNAKEFILE.format(folders=FOLDERS, inputs=inputs))
            ours = dry(around, [BIN / "snakemake"], "azblob")
            plugin = dry(around, [stock_python(), "-m", "snakemake"], "azure")
    result = {
        "inputs": inputs,
        "ours": ours,
        "plugin": plugin,
        "ratio": round(ours["requests"] / plugin["requests"], 6),
    }
    for side, figures in (("ours", ours), ("the plugin", plugin)):
        say(f"  {side}: {figures['requests']:,} requests, {figures['seconds']:.1f} s")
    say(
        f"  requests, ours to the plugin's: {result['ratio']:.5f}; seconds: {ours['seconds'] / plugin['seconds']:.2f}"
    )
    report.publish("dryrun", before, result)


def dry(around: Services, snakemake: list[Any], provider: str) -> dict[str, Any]:
    environ = clean_environ() | {
        "AZURITE_CONNECTION_STRING": around.connection_string,
        "AZ_BLOB_CONNECTION_STRING": around.connection_string,
    }
    options = ["-n", "-q", "--default-storage-provider", provider]
    options += ["--default-storage-prefix", f"az://{CONTAINER}/run"]
    if provider == "azure":
        options += ["--storage-azure-account-name", around.blob.name]
    mark = around.mark()
    start = time.monotonic()
    done = subprocess.run(
        [*snakemake, *options], cwd=around.folder, env=environ, capture_output=True, text=True
    )
    seconds = time.monotonic() - start
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
        raise SystemExit(f"The dry run with the provider {provider} failed.")
    requests = around.blob_requests(mark)
    return {
        "requests": len(requests),
        "by_method": dict(Counter(r.method for r in requests).most_common()),
        "seconds": round(seconds, 2),
    }
