"""Run by an interpreter with azure-batch 11 and azure-storage-blob: Microsoft's quickstart for Python.

`python quickstart.py FOLDER`, the `src` of a clone of https://github.com/Azure-Samples/batch-python-quickstart. Two
things are changed: the place of storage, which the sample takes for https://ACCOUNT.DOMAIN, and its image, whose
support has ended.
"""

import builtins
import datetime
import os
import runpy
import sys
from functools import partial

import azure.batch.models as models
import azure.storage.blob as blob

FOLDER, BLOB_URL = sys.argv[1], os.environ["AZ_BLOB_ACCOUNT_URL"].partition("?")[0]
sys.path.insert(0, FOLDER)
sys.argv = ["python_quickstart_client.py"]
sys.path[0] = FOLDER

import config  # noqa: E402

config.BATCH_ACCOUNT_NAME = os.environ["AZ_BATCH_ACCOUNT_NAME"]
config.BATCH_ACCOUNT_KEY = os.environ["AZ_BATCH_ACCOUNT_KEY"]
config.BATCH_ACCOUNT_URL = os.environ["AZ_BATCH_ACCOUNT_URL"]
config.STORAGE_ACCOUNT_NAME = "devstoreaccount1"
config.STORAGE_ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


class Service(blob.BlobServiceClient):
    def __init__(self, account_url, credential):
        super().__init__(BLOB_URL, credential, api_version="2021-12-02")


class Image(models.ImageReference):
    def __init__(self, **given):
        given |= {"publisher": "canonical", "offer": "ubuntu-24_04-lts", "sku": "server"}
        super().__init__(**given)


class Machine(models.VirtualMachineConfiguration):
    def __init__(self, **given):
        super().__init__(**given | {"node_agent_sku_id": "batch.node.ubuntu 24.04"})


class File(models.ResourceFile):
    def __init__(self, http_url, **more):
        elsewhere, _, path = http_url.partition(".blob.core.windows.net/")
        super().__init__(http_url=f"{BLOB_URL}/{path}" if path else elsewhere, **more)


def main():
    blob.BlobServiceClient = Service
    models.ImageReference, models.VirtualMachineConfiguration, models.ResourceFile = Image, Machine, File
    sign = blob.generate_blob_sas
    blob.generate_blob_sas = partial(sign, start=datetime.datetime.utcnow() - datetime.timedelta(minutes=5))
    # It asks whether to delete the job and the pool: yes; and for Enter at its end.
    builtins.input = lambda prompt="": "y"
    runpy.run_path(f"{FOLDER}/python_quickstart_client.py", run_name="__main__")


main()
