"""Azure Batch as the user's side sees it: the account and the requests to it, pools, jobs and tasks of a run.

`account` resolves endpoint and credentials, `client` is the one door to the service, `ids` makes names that Batch
allows, `run` holds what a run has made, `pools`, `os_images` and `vm_sizes` say what a pool is made of, `tasks` makes
the requests for tasks, `monitor` finds out how they ended, and `task_logs` fetches their logs.
"""
