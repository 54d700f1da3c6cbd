"""The service without I/O: stimuli in, changes of state and instructions out.

`Machine.apply(now, stimulus, *arguments)` runs one stimulus: an API request that has been parsed, a timer that
fired, a node that came up, a run that ended. Stimuli are plain functions whose first argument is the machine. Each
either raises (and has changed nothing) or changes entities, always through the tables of `states`, and leaves
instructions in the outbox for the engine to carry out. After each stimulus `dispatch` puts waiting tasks on nodes that
have room, as `scheduler` decides.

Nothing in here reads a clock, draws a number from a generator of its own, starts a thread or touches a file.

Where to look (tests/test_architecture.py holds this list against the folder):

- the whole: `machine` (all entities, and indexes of them), `entities`, `states` (tables of moves), `instructions`,
  `timers` (what is done when one fires), `snapshot` (the state as bytes), `restart`, `profile` (how long things take,
  what the account may have, what goes wrong), `ledger` (what has been used so far), `layout` (directories of a node)
- `bodies` of requests: `task_specs`, `pool_specs`, `pool_properties`, `mounts`, `job_specs`, `containers`,
  `identities`, `applications`, `checks` (that all share), `catalogue` (what the region offers)
- `views`, the answers: `views` (entities as JSON), `lists` (filters and orders), `statistics`, `extensions`
- `pools`: `pools`, `allocation` (how nodes come), `quotas`, `capacity` (of the region), `scaling` (by formulas),
  `auto_pools`, `usage`
- `autoscale`, the language of formulas: `grammar`, `interpreter`, `values`, `operators`, `functions`, `samples`,
  `errors`
- `nodes`: `nodes` (boot, load, leaving), `node_operations` (reboot and so on), `faults` (preemption, loss, chance),
  `node_users`, `endpoints`
- `jobs`: `jobs`, `job_schedules`
- `tasks`: `tasks` (requests), `outcomes` (states, counts, dependencies), `retention`
- `runs`, commands on nodes: `runs`, `start_preparation_release` (start, job preparation and job release tasks),
  `multi_instance` (tasks on several nodes)
- `placing`: `dispatch`, `scheduler`, `preemption` (by jobs of a higher priority)
- `indexes`: `free_nodes`, `task_index` (order of lists), `id_ranges` (of dependencies)
"""
