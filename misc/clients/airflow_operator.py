"""Run by an interpreter with apache-airflow-providers-microsoft-azure: AzureBatchOperator, from pool to deletion."""

import json
import os

os.environ["AIRFLOW_CONN_AZURE_BATCH_DEFAULT"] = json.dumps(
    {
        "conn_type": "azure_batch",
        "login": os.environ["AZ_BATCH_ACCOUNT_NAME"],
        "password": os.environ["AZ_BATCH_ACCOUNT_KEY"],
        "extra": {"account_url": os.environ["AZ_BATCH_ACCOUNT_URL"]},
    }
)

from airflow.providers.microsoft.azure.operators.batch import AzureBatchOperator  # noqa: E402

for latest in (False, True):
    name = f"airflow-{latest}"
    AzureBatchOperator(
        task_id="batch",
        batch_pool_id=name,
        batch_pool_vm_size="standard_d2s_v3",
        batch_job_id=name,
        batch_task_id="task",
        batch_task_command_line="/bin/sh -c 'echo hello'",
        vm_publisher="canonical",
        vm_offer="ubuntu-24_04-lts",
        vm_sku="server",
        sku_starts_with="server",
        vm_version="latest",
        vm_node_agent_sku_id="batch.node.ubuntu 24.04",
        use_latest_verified_vm_image_and_sku=latest,
        target_dedicated_nodes=1,
        should_delete_job=True,
        should_delete_pool=True,
        timeout=5,
    ).execute({})
