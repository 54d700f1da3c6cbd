"""The service without I/O: stimuli in, changes of state and instructions out.

`Machine.apply(now, stimulus, *arguments)` runs one stimulus: an API request that has been parsed, a timer that
fired, a node that came up, a run that ended. Stimuli are plain functions whose first argument is the machine;
they live in `pools`, `nodes`, `jobs`, `tasks` and `runs`. Each either raises (and has changed nothing) or changes
entities, always through `states.move`, and leaves instructions in the outbox for the engine to carry out.
After each stimulus `dispatch` puts waiting tasks on nodes that have room, as `scheduler` decides.

Nothing in here reads a clock, draws a number from a generator of its own, starts a thread or touches a file.
"""
