#!/bin/sh
# The az CLI, by the account's key: what its quickstart does, and some more. `az.sh TASKS`.
set -eu
export AZURE_BATCH_ACCOUNT=$AZ_BATCH_ACCOUNT_NAME AZURE_BATCH_ACCESS_KEY=$AZ_BATCH_ACCOUNT_KEY
export AZURE_BATCH_ENDPOINT=$AZ_BATCH_ACCOUNT_URL AZURE_CORE_COLLECT_TELEMETRY=no
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
az batch pool create --id az --vm-size Standard_D2s_v3 --target-dedicated-nodes 2 --task-slots-per-node 4 \
    --image canonical:ubuntu-24_04-lts:server --node-agent-sku-id 'batch.node.ubuntu 24.04'
until [ "$(az batch pool show --pool-id az --query allocationState --output tsv)" = steady ]; do sleep 1; done
az batch node list --pool-id az --output none
az batch pool supported-images list --output none
az batch job create --id az --pool-id az
python3 - "$1" > "$folder/tasks.json" <<'PY'
import json, sys
print(json.dumps([{"id": f"t{i}", "commandLine": f"/bin/sh -c 'echo {i}'"} for i in range(int(sys.argv[1]))]))
PY
az batch task create --job-id az --json-file "$folder/tasks.json" --output none
az batch task create --job-id az --task-id one --command-line "/bin/sh -c 'printenv | grep AZ_BATCH'"
until [ "$(az batch task show --job-id az --task-id one --query state --output tsv)" = completed ]; do sleep 1; done
az batch task list --job-id az --query "[].id" --output none
az batch task file list --job-id az --task-id one --output none
az batch task file download --job-id az --task-id one --file-path stdout.txt --destination "$folder/out.txt"
grep -q AZ_BATCH_TASK_ID=one "$folder/out.txt"
az batch job task-counts show --job-id az --output none
az batch pool resize --pool-id az --target-dedicated-nodes 0
az batch task delete --job-id az --task-id one --yes
az batch job delete --job-id az --yes
az batch pool delete --pool-id az --yes
