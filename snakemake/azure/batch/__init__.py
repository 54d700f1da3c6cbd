"""Azure Batch as the user's side sees it: the account and the requests to it, pools, jobs and tasks of a run.

`account` resolves endpoint and credentials, `client` is the one door to the service: a `connection` with
`pool_requests`, `job_requests` and `task_requests`, which fail with the sentences of `errors`. `ids` makes names that
Batch allows. `run` is the Azure side of a run, which goes by its `run_settings`: its `resources` and their deletion,
`placement` (where a job runs), the `pool_queue` of each pool (with its Batch job) and the `pool_watch`, `pools`,
`os_images` and `vm_sizes` (what a pool is made of), `tasks` (the requests for tasks), `monitor` (how they ended),
`node_health` (nodes that fail what works elsewhere), `task_logs`, and what was `taken_over`. `lease` keeps a dead
client's pools from billing on, by the `service_clock`; `recovery` finds what another run has left, `orphans` notes what
this one could not delete.
"""
