"""The conformance kit: asks a Batch service, the emulator or Azure itself, what the emulator takes for true.

Each fact has one probe: a small function that uses the service over HTTP or with the published client, and returns
what it saw. What the emulator does is written beside it, so that a probe holds or differs. `run` goes through them, and
deletes what they made; `report` shows the result, with every request and answer, secrets removed. Nothing here knows
the emulator's inside: what holds for it is found out in the same way as for Azure.
"""
