"""The service without I/O: stimuli in, changes of state and instructions out.

`BatchService.apply(now, stimulus, *arguments)` runs one stimulus: an API request that has been parsed, a timer that
fired, a node that came up, a run that ended. Stimuli are plain functions whose first argument is the machine. Each
either raises (and has changed nothing) or changes entities, always through the tables of `states`, and leaves
instructions in the outbox for the engine to carry out. After each stimulus `dispatch` puts waiting tasks on nodes that
have room, as `scheduler` decides.

Calls go downwards in this list, and so do imports. What a change means for those further up (a run has ended, so its
job may be over, so its pool may go) is told as one of `events`; `batch_service` has the table of who reacts to what.

Nothing in here reads a clock, draws a number from a generator of its own, starts a thread or touches a file.

Where to look, from top to bottom (tests/test_architecture.py holds this list against the folder):

- `timers` (what is done when one fires), `restart`, `snapshot` (the state as bytes)
- `batch_service`: what follows from each stimulus, and the table of reactions
- `views`, the answers: `views` (entities as JSON), `lists` (filters and orders), `statistics`, `extensions`
- `placing`, which task begins where: `dispatch`, `scheduler`, `preemption` (by jobs of a higher priority)
- `jobs`: `jobs`, `tasks` (what is asked of them), `job_schedules`
- `pools`: `pools` (what is asked of them), `checks`, `resizing` (targets, surplus), `allocation` (how nodes come),
  `quotas`, `scaling` (by formulas), `auto_pools`
- `nodes`: `boot`, `node_operations` (reboot and so on), `faults` (preemption, loss), `disks`, `leaving` (and whatever
  else waits for a node's tasks), `transitions`, `node_users`, `endpoints`, `usage` (core hours), `capacity` (of the
  region)
- `runs`, commands on nodes: `reports` (of nodes), `starting` (a task's first run), `start_preparation_release` (start,
  job preparation and job release tasks), `killing`, `multi_instance` (tasks on several nodes) with `instances`,
  `attempts` (retries, requeues, ends), `launching`
- `tasks`, what a task is beside its runs: `outcomes` (states, counts, dependencies), `waiting` (for a node), `files`
  (and their retention), `consumption` (of processors)
- `chance` (what goes wrong now), `machine` (all entities, and indexes of them), `events`, `instructions` (to the
  engine)
- `bodies` of requests: `task_specs`, `pool_specs`, `pool_properties`, `mounts`, `job_specs`, `containers`,
  `identities`, `applications`, `checks` (that all share), `catalogue` (what the region offers)
- `entities`, and what they are made of: `indexes` (`free_nodes`, `queues` of tasks and jobs, `task_index` for the order
  of lists, `id_ranges` of dependencies), `ledger` (what has been used so far), `states` (tables of moves)
- `autoscale`, the language of formulas: `grammar`, `interpreter`, `values`, `operators`, `functions`, `samples`,
  `errors`
- `profile` (how long things take, what the account may have, what goes wrong), `layout` (directories of a node)
"""
