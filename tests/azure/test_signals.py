"""What a signal ends, whatever the main thread waits for."""

import subprocess
import sys

# Each round sends a signal at about the moment at which the main thread begins to wait for ever. A timer does, as what
# another thread sends comes when this one waits already.
WAITS = """
import os, queue, select, signal, threading
from snakemake.azure import signals

signals.STANDSTILL, signals.FREED_WITHIN = 0.1, 60
signals.SIGNALS.append(signal.SIGALRM)
signal.signal(signal.SIGALRM, signals.as_interrupt)
signals.listen()
held = threading.Lock()
held.acquire()
silent, _ = os.pipe()
# These are waits in C: one written in Python may be left in the middle, with an error of its own.
waits = [held.acquire, queue.SimpleQueue().get, lambda: select.select([silent], [], [])]
ended = 0
for n in range(150):
    try:
        signal.setitimer(signal.ITIMER_REAL, 1e-5)
        waits[n % 3]()
    except KeyboardInterrupt:
        ended += 1
print(ended)
os._exit(0)
"""


def test_a_signal_just_before_an_endless_wait_ends_it():
    done = subprocess.run(
        [sys.executable, "-c", WAITS], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "150\n", done.stderr


LEFT = """
import asyncio, os, signal
from snakemake.azure import signals

async def request():
    try:
        await asyncio.sleep(100)
    finally:
        signals.stopping.wait(60)
        raise OSError("no answer")

async def main():
    asyncio.create_task(request())
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(100)

signals.listen()
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("ended")
os._exit(0)
"""


def test_what_a_signal_ends_is_told_with_no_traceback():
    done = subprocess.run(
        [sys.executable, "-c", LEFT], capture_output=True, text=True, timeout=120, check=True
    )
    assert (done.stdout, done.stderr) == ("ended\n", "")
