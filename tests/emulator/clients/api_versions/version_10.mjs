// Run by Node.js with the folder that @azure/batch 10 is installed in (`node version_10.mjs FOLDER`): the life of a
// pool, a job, tasks and files, by that client. It sends api-version 2022-10-01.16.0.
// https://www.npmjs.com/package/@azure/batch

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const require = createRequire(`${process.argv[2]}/package.json`);
const { BatchServiceClient, BatchSharedKeyCredentials } = require("@azure/batch");

const { AZ_BATCH_ACCOUNT_NAME, AZ_BATCH_ACCOUNT_KEY, AZ_BATCH_ACCOUNT_URL } = process.env;
const credentials = new BatchSharedKeyCredentials(AZ_BATCH_ACCOUNT_NAME, AZ_BATCH_ACCOUNT_KEY);
const client = new BatchServiceClient(credentials, AZ_BATCH_ACCOUNT_URL);

async function until(find, seconds = 30) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const found = await find();
    if (found) return found;
    assert(Date.now() < deadline, "it takes too long");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function refused(code, status, call) {
  await assert.rejects(call, (error) => {
    assert.equal(error.statusCode, status);
    // (Of an answer that it would have streamed, this client does not read the error.)
    if (code !== null) assert.equal(error.body.code, code);
    return true;
  });
}

async function text(response) {
  const chunks = [];
  for await (const chunk of response.readableStreamBody) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const virtualMachineConfiguration = {
  imageReference: { publisher: "microsoft-dsvm", offer: "ubuntu-hpc", sku: "2404", version: "latest" },
  nodeAgentSKUId: "batch.node.ubuntu 24.04",
};
const pool = { id: "pool", vmSize: "Standard_D2s_v3", virtualMachineConfiguration };

await client.pool.add({ ...pool, targetDedicatedNodes: 1, taskSlotsPerNode: 2, targetNodeCommunicationMode: "simplified" });
await refused("PoolExists", 409, client.pool.add(pool));
const [node] = await until(async () => {
  const nodes = await client.computeNode.list("pool");
  return nodes.length === 1 && nodes[0].state === "idle" && nodes;
});
const found = await client.pool.get("pool");
assert.equal(found.state, "active");
assert.equal(found.resizeTimeout, "PT15M");
assert.equal(found.creationTime instanceof Date, true);
assert.equal((await client.pool.exists("pool")).body, true);
await client.pool.updateProperties("pool", {
  certificateReferences: [],
  applicationPackageReferences: [],
  metadata: [{ name: "k", value: "v" }],
});
assert.equal((await client.pool.get("pool")).metadata[0].value, "v");
const images = await client.account.listSupportedImages({ accountListSupportedImagesOptions: { filter: "osType eq 'linux'" } });
assert(images.length > 0);

await client.job.add({ id: "job", poolInfo: { poolId: "pool" } });
await client.task.add("job", { id: "first", commandLine: "/bin/sh -c 'echo hello; exit 2'" });
const many = Array.from({ length: 30 }, (_, i) => ({ id: `t${i}`, commandLine: "true" }));
const added = await client.task.addCollection("job", many);
assert.deepEqual(new Set(added.value.map((one) => one.status)), new Set(["Success"])); // as recorded for its api-version
const first = await until(async () => {
  const task = await client.task.get("job", "first");
  return task.state === "completed" && task;
});
assert.equal(first.executionInfo.exitCode, 2);
assert.equal(first.executionInfo.result, "Failure");
assert.equal(first.nodeInfo.nodeId, node.id);
let page = await client.task.list("job", { taskListOptions: { maxResults: 12, select: "id,state" } });
const listed = [...page];
while (page.odatanextLink) {
  page = await client.task.listNext(page.odatanextLink);
  listed.push(...page);
}
assert.equal(listed.length, 31);
await until(async () => (await client.job.getTaskCounts("job")).taskCounts.completed === 31);

assert.equal(await text(await client.file.getFromTask("job", "first", "stdout.txt")), "hello\n");
const files = await client.file.listFromTask("job", "first", { recursive: true });
assert(files.some((file) => file.name === "stdout.txt" && file.properties.contentLength === 6));
await refused(null, 404, client.file.getFromTask("job", "first", "wd/a b#.txt"));

await client.task.deleteMethod("job", "t0");
await refused("TaskNotFound", 404, client.task.get("job", "t0"));
await client.job.terminate("job", { terminateReason: "enough" });
await until(async () => (await client.job.get("job")).executionInfo.terminateReason === "enough");
await client.job.deleteMethod("job");
await client.pool.deleteMethod("pool");
await until(async () => (await client.pool.list()).length === 0);
await refused("PoolNotFound", 404, client.pool.get("pool"));
console.log("done");
