// Run by Node.js with the folder that @azure/batch is installed in (`node older.mjs FOLDER TASKS`): the life of a pool,
// a job and tasks, by that client.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(`${process.argv[2]}/package.json`);
const { BatchServiceClient, BatchSharedKeyCredentials } = require("@azure/batch");
const count = Number(process.argv[3]);
const { AZ_BATCH_ACCOUNT_NAME, AZ_BATCH_ACCOUNT_KEY, AZ_BATCH_ACCOUNT_URL } = process.env;
const credentials = new BatchSharedKeyCredentials(AZ_BATCH_ACCOUNT_NAME, AZ_BATCH_ACCOUNT_KEY);
const client = new BatchServiceClient(credentials, AZ_BATCH_ACCOUNT_URL);
const id = `js-${require("@azure/batch/package.json").version.replaceAll(".", "-")}`;

async function until(find) {
  for (let i = 0; i < 1200; i++) {
    if (await find()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail("it takes too long");
}

await client.pool.add({
  id,
  vmSize: "Standard_D2s_v3",
  virtualMachineConfiguration: {
    imageReference: { publisher: "canonical", offer: "ubuntu-24_04-lts", sku: "server", version: "latest" },
    nodeAgentSKUId: "batch.node.ubuntu 24.04",
  },
  targetDedicatedNodes: 2,
});
await until(async () => (await client.computeNode.list(id)).filter((node) => node.state === "idle").length === 2);
await client.job.add({ id, poolInfo: { poolId: id } });
for (let i = 0; i < count; i++) await client.task.add(id, { id: `t${i}`, commandLine: `/bin/sh -c 'echo ${i}'` });
await until(async () => (await client.job.getTaskCounts(id)).taskCounts?.completed === count
  || (await client.job.getTaskCounts(id)).completed === count);
for (const task of await client.task.list(id)) {
  assert.equal((await client.task.get(id, task.id)).executionInfo.exitCode, 0);
  await client.file.getPropertiesFromTask(id, task.id, "stdout.txt");
}
await client.job.deleteMethod(id);
await client.pool.deleteMethod(id);
