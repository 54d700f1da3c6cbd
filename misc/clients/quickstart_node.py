"""Microsoft's getting-started sample for Node.js, with what its comments tell to put in.

`quickstart_node.py SAMPLE MODULES`: SAMPLE is `JavaScript/Node.js` of a clone of
https://github.com/Azure-Samples/azure-batch-samples, MODULES a folder with @azure/batch 8. Its image, whose support has
ended, is changed. The two scripts that it sends to nodes would install packages on this machine; in their place are two
that show that they run, the first with `sudo` as the sample's does.
"""

import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from azure.batch import BatchClient
from azure.core.credentials import AzureNamedKeyCredential
from azure.storage.blob import BlobServiceClient

SCRIPTS = {
    "startup_prereq.sh": "cd $(dirname $0)\nsudo sh -c 'echo prepared > prepared.txt'\n",
    "processcsv.py": "import sys\nprint(sys.argv)\n",
}


def main(sample: Path, modules: Path) -> None:
    environ = os.environ
    urls = {}
    with BlobServiceClient(environ["AZ_BLOB_ACCOUNT_URL"], api_version="2023-11-03") as service:
        container = service.get_container_client(f"node-{int(time.time())}")
        container.create_container()
        for name, text in SCRIPTS.items():
            container.upload_blob(name, text)
            base, _, sas = environ["AZ_BLOB_ACCOUNT_URL"].partition("?")
            urls[name] = f"{base.rstrip('/')}/{container.container_name}/{name}?{sas}"
    text = sample.joinpath("sample.js").read_text()
    for old, new in {
        "<batch-account-name>": environ["AZ_BATCH_ACCOUNT_NAME"],
        "<batch-account-key>": environ["AZ_BATCH_ACCOUNT_KEY"],
        "<batch-account-url>": environ["AZ_BATCH_ACCOUNT_URL"],
        "<startup prereq script SAS URI>": urls["startup_prereq.sh"],
        "<python script SAS URI>": urls["processcsv.py"],
        "UbuntuServer": "ubuntu-24_04-lts",
        "18.04-LTS": "server-gen1",
        "batch.node.ubuntu 18.04": "batch.node.ubuntu 24.04",
    }.items():
        assert old in text, old
        text = text.replace(old, new)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "node_modules").symlink_to(modules / "node_modules")
        Path(folder, "package.json").write_text('{"type": "module"}')
        Path(folder, "sample.js").write_text(text)
        subprocess.run(["node", "sample.js"], cwd=folder, check=True)
    key = AzureNamedKeyCredential(environ["AZ_BATCH_ACCOUNT_NAME"], environ["AZ_BATCH_ACCOUNT_KEY"])
    with BatchClient(environ["AZ_BATCH_ACCOUNT_URL"], key) as client:
        end = datetime.now(UTC) + timedelta(minutes=2)
        while any(task.state != "completed" for task in client.list_tasks("processcsvjob")):
            assert datetime.now(UTC) < end, "it takes too long"
            time.sleep(0.5)
        tasks = list(client.list_tasks("processcsvjob"))
        assert [task.execution_info.exit_code for task in tasks] == [0] * 4, [t.execution_info for t in tasks]
        statuses = list(client.list_job_preparation_and_release_task_status("processcsvjob"))
        assert all(s.job_preparation_task_execution_info.exit_code == 0 for s in statuses)


main(Path(sys.argv[1]), Path(sys.argv[2]))
