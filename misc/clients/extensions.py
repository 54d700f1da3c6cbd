"""Run by an interpreter with azure-batch-extensions: a pool and a job from templates, and a parametric sweep.

`python extensions.py TASKS`.
"""

import os
import sys
import time

from azext.batch import BatchExtensionsClient
from azure.batch.batch_auth import SharedKeyCredentials

COUNT, NAME = int(sys.argv[1]), "extensions"
POOL = {
    "id": NAME,
    "vmSize": "standard_d2s_v3",
    "virtualMachineConfiguration": {
        "imageReference": {
            "publisher": "canonical",
            "offer": "ubuntu-24_04-lts",
            "sku": "server",
            "version": "latest",
        },
        "nodeAgentSKUId": "batch.node.ubuntu 24.04",
    },
    "targetDedicatedNodes": 2,
    "taskSlotsPerNode": 4,
}
JOB = {
    "id": NAME,
    "poolInfo": {"poolId": NAME},
    "taskFactory": {
        "type": "parametricSweep",
        "parameterSets": [{"start": 1, "end": COUNT, "step": 1}],
        "repeatTask": {"commandLine": "/bin/sh -c 'echo {0}'"},
    },
}
credentials = SharedKeyCredentials(os.environ["AZ_BATCH_ACCOUNT_NAME"], os.environ["AZ_BATCH_ACCOUNT_KEY"])
client = BatchExtensionsClient(credentials, batch_url=os.environ["AZ_BATCH_ACCOUNT_URL"])
client.pool.add(client.pool.poolparameter_from_json(client.pool.expand_template({"pool": POOL})))
client.job.add(client.job.jobparameter_from_json(client.job.expand_template({"job": JOB})))
while any(task.state != "completed" for task in client.task.list(NAME)):
    time.sleep(0.3)
assert len(list(client.task.list(NAME))) == COUNT
for task in client.task.list(NAME):
    assert client.task.get(NAME, task.id).execution_info.exit_code == 0
client.job.delete(NAME)
client.pool.delete(NAME)
