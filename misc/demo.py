"""The example workflow on the local Azure Batch emulator, from nothing to a checked result (`make demo`).

Starts the emulator with Azurite beside it, puts the input into blob storage, runs the same command that would run
on Azure, fetches the results, and looks whether anything was left behind.
"""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / ".demo"
EXAMPLE = ROOT / "examples" / "variants"
BIN = Path(sys.executable).parent
REPORT = DEMO / "report.html"
CONTAINER, PREFIX = "snakemake", "variants"


def say(text: str = "") -> None:
    print(text, flush=True)


def title(text: str) -> None:
    say(f"\n\033[1m== {text}\033[0m" if sys.stdout.isatty() else f"\n== {text}")


def port(wanted: int) -> int:
    """The wanted port if it is free, else 0: whoever listens chooses then, so that nobody takes it in between."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", wanted))
        except OSError:
            return 0
    return wanted


@contextmanager
def emulator(batch_port: int, blob_port: int) -> Iterator[tuple[int, int]]:
    """The ports of the running emulator and of Azurite."""
    command = [BIN / "azure-batch-emulator", "start", "--port", batch_port, "--blob-port", blob_port]
    command += ["--profile", "fast", "--runner", "process", "--location", DEMO / "emulator"]
    say(
        "$ "
        + " ".join(shlex.quote(os.path.relpath(c, ROOT) if isinstance(c, Path) else str(c)) for c in command)
    )
    log = DEMO / "emulator.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=stderr, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            say(f"  {line.rstrip()}")
            if "ready" in line:
                break
        else:
            raise SystemExit(f"The emulator did not start:\n{log.read_text()}")
        batch, blobs = (urlsplit(url).port for url in re.findall(r"https?://[^\s,]+", line))
        assert batch is not None and blobs is not None
        yield batch, blobs
    finally:
        process.terminate()
        process.wait(timeout=30)


def upload(service, source: Path) -> None:
    container = service.get_container_client(CONTAINER)
    if not container.exists():
        container.create_container()
    for file in sorted(p for p in source.rglob("*") if p.is_file()):
        blob = f"{PREFIX}/{file.relative_to(source.parent).as_posix()}"
        with file.open("rb") as data:
            container.upload_blob(blob, data, overwrite=True)
        say(f"  {file.relative_to(ROOT)} -> az://{CONTAINER}/{blob}")


def download(service, target: Path) -> list[Path]:
    """All that the workflow left in blob storage, except its input."""
    container = service.get_container_client(CONTAINER)
    files = []
    for blob in container.list_blobs(name_starts_with=f"{PREFIX}/results/", include=["metadata"]):
        if "hdi_isfolder" in (blob.metadata or {}):
            continue
        path = target / blob.name.removeprefix(f"{PREFIX}/results/")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as f:
            container.download_blob(blob.name).readinto(f)
        files.append(path)
    return files


def leftovers(batch, service) -> list[str]:
    pools = [f"pool {p.id} ({p.state})" for p in batch.list_pools()]
    jobs = [f"Batch job {j.id} ({j.state})" for j in batch.list_jobs()]
    container = service.get_container_client(CONTAINER)
    sources = [
        f"source archive {b.name}" for b in container.list_blobs(name_starts_with=f"{PREFIX}/.snakemake")
    ]
    return pools + jobs + sources


def wait_until_clean(batch, service, seconds: float = 20) -> list[str]:
    deadline = time.monotonic() + seconds
    while (left := leftovers(batch, service)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left


def costs_and_report(workdir: Path) -> None:
    """What the run says of itself at its end, once more."""
    from snakemake.azure.report.costs import costs
    from snakemake.azure.report.journal import HOME, journals, read
    from snakemake.azure.report.summary import sentences

    journal = journals(workdir / HOME)[0]
    for sentence in sentences(costs(read(journal)), journal.relative_to(ROOT)):
        say(f"  {sentence}")
    if not REPORT.is_file():
        raise SystemExit("The run has written no report.")
    say(f"  The report: {REPORT.relative_to(ROOT)} (open it in a browser)")


def main() -> None:
    started = time.monotonic()
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.mkdir()
    workdir = DEMO / "variants"
    shutil.copytree(
        EXAMPLE, workdir, ignore=shutil.ignore_patterns(".snakemake", "results", "data", "README.md")
    )

    from snakemake.azure.batch.account import BatchAccount
    from snakemake.azure.blob.account import BlobAccount
    from snakemake.azure.settings import ExecutorSettings

    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AZ_", "AZURE_", "SNAKEMAKE_"))}

    title("Starting the Azure Batch emulator, and Azurite for Blob Storage")
    with ExitStack() as running:
        batch_port, blob_port = running.enter_context(emulator(port(10011), port(10000)))
        account_url = "emulator" if batch_port == 10011 else f"emulator:{batch_port}"
        blob = BlobAccount.azurite(blob_port)
        if blob_port != 10000:
            environment |= {"AZ_BLOB_ACCOUNT_URL": blob.url, "AZ_BLOB_ACCOUNT_KEY": blob.key or ""}
        from snakemake.azure.blob.service import connect

        service = running.enter_context(connect(blob))
        batch = BatchAccount.resolve(ExecutorSettings(account_url=account_url), {}).client()

        title("Uploading the workflow's input")
        upload(service, EXAMPLE / "data")

        title("Running the workflow; on Azure it is the same command with your account's URL")
        command = ["snakemake", "--az-batch", "--az-batch-account-url", account_url, "--jobs", "4"]
        command += ["--az-batch-vm-size", "Standard_D2ds_v5", "--az-batch-nodes", "2"]
        command += ["--seconds-between-status-checks", "1"]
        command += ["--az-batch-report", os.path.relpath(REPORT, workdir)]
        command += [
            "--default-storage-provider",
            "azblob",
            "--default-storage-prefix",
            f"az://{CONTAINER}/{PREFIX}",
        ]
        say(f"$ cd {workdir.relative_to(ROOT)}")
        say(f"$ {shlex.join(command)}\n")
        code = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=workdir, env=environment).returncode
        if code:
            raise SystemExit(f"\nThe workflow failed (exit code {code}).")

        title("Results")
        files = download(service, DEMO / "results")
        say(
            f"  az://{CONTAINER}/{PREFIX}/results/ ({len(files)} files) -> {(DEMO / 'results').relative_to(ROOT)}/"
        )
        for file in sorted(f for f in files if f.parent == DEMO / "results"):
            say(f"  {file.relative_to(ROOT)}")
        for table in sorted((DEMO / "results").rglob("summary*.tsv")):
            say("\n" + table.read_text().expandtabs(14))

        title("Cleaned up")
        if left := wait_until_clean(batch, service):
            raise SystemExit("Left behind: " + ", ".join(left))
        say("  No pool, no Batch job and no source archive is left; the emulator and Azurite stop now.")

        title("What it cost, and what there is to see")
        costs_and_report(workdir)
    say(f"\nDone in {time.monotonic() - started:.0f} s. Results: {(DEMO / 'results').relative_to(ROOT)}/")


if __name__ == "__main__":
    main()
