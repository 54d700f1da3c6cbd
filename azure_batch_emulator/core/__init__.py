"""The service without I/O: stimuli in, changes of state and instructions out.

`Machine.apply(now, stimulus, *arguments)` runs one stimulus: an API request that has been parsed, a timer that
fired, a node that came up, a run that ended. Stimuli are plain functions whose first argument is the machine. Each
either raises (and has changed nothing) or changes entities, always through the tables of `states`, and leaves
instructions in the outbox for the engine to carry out. After each stimulus `dispatch` puts waiting tasks on nodes that
have room, as `scheduler` decides.

Nothing in here reads a clock, draws a number from a generator of its own, starts a thread or touches a file.

Where to look (tests/test_architecture.py holds this list against the folder):

- the whole: `machine` (all entities, and indexes of them), `entities`, `states` (tables of moves), `instructions`,
  `timers` (what is done when one fires), `snapshot` (the state as bytes), `restart`
- requests' bodies: `task_specs`, `pool_specs`, `pool_properties`, `mounts`, `job_specs`, `containers`, `identities`,
  `applications`, `checks` (that all share), `catalogue` (what the region offers)
- answers: `views` (entities as JSON), `lists` (filters and orders), `layout` (directories), `statistics` with `ledger`
  (what has been kept of the past)
- pools: `pools`, `allocation` (how nodes come), `quotas`, `capacity` (of the region), `scaling` with `autoscale`
  (formulas), `auto_pools`, `usage`
- nodes: `nodes` (boot, load, leaving), `node_operations` (reboot and so on), `faults` (preemption, loss, chance),
  `node_users`, `extensions`, `endpoints`
- jobs: `jobs`, `job_schedules`, `auxiliaries` (start, preparation and release tasks)
- tasks: `tasks` (requests), `outcomes` (states, counts, dependencies), `id_ranges`, `task_index` (order of lists),
  `retention`
- tasks on nodes: `dispatch`, `scheduler`, `free_nodes` (index), `preemption` (by jobs of a higher priority), `runs` (a
  command on a node), `gangs` (multi-instance tasks)
"""
