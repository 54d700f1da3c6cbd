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


def run(inputs: int, plugin_inputs: int) -> None:
    """The plugin, which makes the same number of requests for each input, may have fewer inputs."""
    plugin_inputs = min(inputs, plugin_inputs)
    say(
        f"dryrun: `snakemake -n` on {inputs:,} inputs in {FOLDERS} directories; the plugin's on {plugin_inputs:,}"
    )
    before = report.conditions()
    with tempfile.TemporaryDirectory(prefix="azbatch-bench.") as name:
        folder = Path(name)
        with azurite(folder) as account:
            around = Services("", account.url.rpartition("/")[0], folder)
            from snakemake.azure.blob.service import connect

            with connect(account) as service, ThreadPoolExecutor(16) as pool:
                client = service.get_container_client(CONTAINER)
                list(
                    pool.map(
                        lambda n: client.upload_blob(f"run/data/{n % FOLDERS}/{n}.txt", b"x"), range(inputs)
                    )
                )
            ours = dry(around, [BIN / "snakemake"], "azblob", inputs)
            plugin = dry(around, [stock_python(), "-m", "snakemake"], "azure", plugin_inputs)
    each = plugin["requests"] / plugin_inputs
    result = {
        "inputs": inputs,
        "ours": ours,
        "plugin": plugin,
        "plugin_inputs": plugin_inputs,
        "ratio": round(ours["requests"] / (each * inputs), 6),
    }
    for side, figures in (("ours", ours), ("the plugin", plugin)):
        say(f"  {side}: {figures['requests']:,} requests, {figures['seconds']:.1f} s")
    say(
        f"  requests for each input, ours to the plugin's {each:.1f}: {result['ratio']:.5f}; seconds: "
        f"{ours['seconds'] / inputs / (plugin['seconds'] / plugin_inputs):.3f}"
    )
    report.publish("dryrun", before, result)


def dry(around: Services, snakemake: list[Any], provider: str, inputs: int) -> dict[str, Any]:
    (around.folder / "Snakefile").write_text(SNAKEFILE.format(folders=FOLDERS, inputs=inputs))
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
