"""For how long a request is tried again: one policy for Batch, Blob Storage and logins, in tests as for users.

Time heals connections that fail or break, names that aren't resolved, time-outs, 408, 429 and 5xx: the request is sent
again, after pauses that grow and are drawn at random (full jitter), so that many that were refused together don't come
back together, and that are no shorter than a Retry-After. What ends that is a time, counted from the request's first
failure, and never a count. It is cut short in three ways:

- A service that has not answered once is rather a wrong address: it is given up after `REACH` seconds.
- When the run is to stop (`snakemake.azure.signals`), no request waits any longer.
- Blocks `with no_longer_than(seconds)`, for what only helps, and `with closing(seconds)`, for the clean-up, which goes
  on when the run is to stop.

Whoever waits for a service waits for it with others: that it is waited for, since when and why, is said once, and once
that it answers again. https://learn.microsoft.com/azure/batch/batch-retry-after-errors,
https://learn.microsoft.com/azure/storage/blobs/storage-performance-checklist#timeout-and-server-busy-errors
"""

import logging
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from snakemake.azure import signals

PATIENCE = 300.0
"""Seconds from the first failure of a request to its last attempt, where no option says so."""

# The same for a service that never answered; an emulator runs here or it doesn't.
REACH = 20.0
REACH_HERE = 1.0

FIRST_PAUSE = 0.5  # the most that the first pause can be; it doubles from one to the next
LONGEST_PAUSE = 30.0
STEP = 0.2  # seconds after which a pause looks whether it should go on
SAY_AFTER = 5.0  # seconds of waiting that nobody needs to hear of

VARIABLE = "SNAKEMAKE_AZ_BATCH_PATIENCE"
"""The environment variable that tells a task the minutes of --az-batch-patience."""

HEALED_BY_TIME = frozenset({408, 429, *range(500, 600)}) - {501, 505}
_CERTIFICATE = "CERTIFICATE_VERIFY_FAILED"


@dataclass(frozen=True)
class Trouble:
    """A failure that time may heal: `what` it was, for people; whether the service was reached at all; and the seconds
    that the service asks to wait."""

    what: str
    reached: bool = True
    retry_after: float = 0.0


@dataclass(frozen=True)
class _Limit:
    """The time on the clock that ends the attempts of a block; `closing` ones go on when the run is to stop."""

    end: float
    closing: bool


_limit: ContextVar[_Limit | None] = ContextVar("limit", default=None)


def _log(sentence: str) -> None:
    logging.getLogger("snakemake.logging").warning(sentence)


class Patience:
    """For how long the requests of this process are tried again, in seconds; the clock, random numbers, how to wait,
    and where people are told. `note` takes an outage and its end, as `snakemake.azure.report.journal` has them.
    `unconditional`: also a service that has not answered yet is waited for, as tasks do."""

    def __init__(
        self,
        seconds: float = PATIENCE,
        unconditional: bool = False,
        stopping: threading.Event = signals.stopping,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[float, float], float] = random.uniform,
        pause: Callable[[float], None] = time.sleep,
        say: Callable[[str], None] = _log,
        note: Callable[..., None] = lambda event, **values: None,
    ) -> None:
        self.seconds = seconds
        self.unconditional = unconditional
        self.stopping = stopping
        self.clock = clock
        self.draw = draw
        self.pause = pause
        self.say = say
        self.note = note

    def pause_before(self, count: int) -> float:
        """Seconds to wait before trying again after `count` failures, 1 at least."""
        return self.draw(0.0, min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(count - 1, 30)))

    def sleep(self, seconds: float, pause: Callable[[float], None] | None = None) -> bool:
        """Waits; False as soon as the run is to stop, but in the clean-up."""
        pause = pause or self.pause
        while not self._stops:
            if seconds <= 0:
                return True
            pause(min(seconds, STEP))
            seconds -= STEP
        return False

    @property
    def _stops(self) -> bool:
        limit = _limit.get()
        return self.stopping.is_set() and not (limit and limit.closing)

    @contextmanager
    def no_longer_than(self, seconds: float) -> Iterator[None]:
        """Requests of this thread, in the block, are not tried again when these seconds are over."""
        with _limited(_Limit(self.clock() + seconds, False)):
            yield

    @contextmanager
    def closing(self, seconds: float) -> Iterator[None]:
        """The same for the clean-up: signals don't end the waiting."""
        with _limited(_Limit(self.clock() + seconds, True)):
            yield

    def end(self, since: float, reach: float | None) -> float:
        """When a request that first failed at `since` is given up; `reach` seconds are for a service that has not been
        reached yet, None for others."""
        patience = self.seconds if reach is None else min(reach, self.seconds)
        limit = _limit.get()
        if limit is None:
            return since + patience
        return limit.end if limit.closing and reach is None else min(limit.end, since + patience)


@contextmanager
def _limited(limit: _Limit) -> Iterator[None]:
    token = _limit.set(limit)
    try:
        yield
    finally:
        _limit.reset(token)


process = Patience()
"""That of this process, which its options set."""


class Service:
    """What this process knows of a service: whether it ever answered, and whether it is waited for. `name` is for
    people, `here` says whether it would be on this machine."""

    def __init__(self, name: str, here: bool = False, patience: Patience = process) -> None:
        self.name = name
        self.here = here
        self.patience = patience
        self.has_answered = False
        self.requests = 0
        """How many it has been sent; what was sent again counts once."""
        self._lock = threading.Lock()
        self._waited_since: float | None = None
        self._answered_again = float("-inf")

    def attempts(self, pause: Callable[[float], None] | None = None) -> "Attempts":
        """Those of one request; `pause` waits for some seconds in a way of its own."""
        self.requests += 1
        return Attempts(self, pause)

    def reach(self, trouble: Trouble) -> float | None:
        """See `Patience.end`."""
        if trouble.reached or self.has_answered or self.patience.unconditional:
            return None
        return REACH_HERE if self.here else REACH

    def failed(self, since: float, end: float, trouble: Trouble) -> None:
        """A request that first failed at `since` waits, until `end` at most."""
        now = self.patience.clock()
        with self._lock:
            since = max(since, self._answered_again)
            if self._waited_since is not None or now - since < SAY_AFTER:
                return
            self._waited_since = since
        self.patience.note("outage", service=self.name, why=trouble.what, seconds=round(now - since, 1))
        when = time.strftime("%H:%M:%S", time.localtime(time.time() - (now - since)))
        self.patience.say(
            f"{self.name} does not answer since {when} ({trouble.what}); waiting for it, for up to "
            f"{duration(end - now)} more."
        )

    def answered(self, had_failed: bool) -> None:
        self.has_answered = True
        if not had_failed:
            return
        with self._lock:
            since, self._waited_since = self._waited_since, None
            self._answered_again = now = self.patience.clock()
        if since is not None:
            self.patience.note("outage_over", service=self.name, seconds=round(now - since, 1))
            self.patience.say(f"{self.name} answers again, after {duration(now - since)}; going on.")


_services: dict[str, Service] = {}


def service(name: str, here: bool = False) -> Service:
    """The process's own for the service of this name."""
    return _services.setdefault(name, Service(name, here))


def requests() -> dict[str, int]:
    """How many requests each service has been sent by this process."""
    return {name: each.requests for name, each in list(_services.items()) if each.requests}


class Attempts:
    """The attempts of one request to a service."""

    def __init__(self, service: Service, pause: Callable[[float], None] | None) -> None:
        self._service = service
        self._pause = pause
        self.count = 0
        self._since = 0.0

    def again(self, trouble: Trouble | None) -> bool:
        """Waits as long as is right after this failure; False if the request is to be given up, as it is for None, a
        failure that time doesn't heal."""
        if trouble is None:
            return False
        service, patience = self._service, self._service.patience
        now = patience.clock()
        if not self.count:
            self._since = now
        self.count += 1
        end = patience.end(self._since, service.reach(trouble))
        if now >= end:
            return False
        service.failed(self._since, end, trouble)
        wanted = max(patience.pause_before(self.count), trouble.retry_after)
        return patience.sleep(min(wanted, end - now), self._pause)

    def over(self) -> None:
        """The service has answered."""
        self._service.answered(had_failed=self.count > 0)


def duration(seconds: float) -> str:
    """For people: `8 s`, `7 min`, `61 min`."""
    return f"{seconds:.0f} s" if seconds < 119.5 else f"{seconds / 60:.0f} min"


def of_answer(status: int, headers: Mapping[str, str], code: str = "") -> Trouble | None:
    """What an answer means: None for one that the service stands by."""
    if status not in HEALED_BY_TIME:
        return None
    return Trouble(f"HTTP status {status}{f' {code}' if code else ''}", retry_after=_retry_after(headers))


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after, and Azure's own in milliseconds."""
    try:
        if milliseconds := headers.get("x-ms-retry-after-ms") or headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1000)
        text = headers.get("Retry-After") or "0"
        if text.strip().isdigit():
            return float(text)
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return 0.0


def of_error(error: BaseException) -> Trouble | None:
    """What an exception of an SDK's connection means: None for what time doesn't heal, such as a certificate."""
    from azure.core.exceptions import (
        ClientAuthenticationError,
        HttpResponseError,
        ServiceRequestError,
        ServiceResponseError,
    )

    if _CERTIFICATE in str(error) or isinstance(error, ClientAuthenticationError):
        return None
    if isinstance(error, ServiceRequestError):  # nothing was sent
        return Trouble(_cause(error), reached=False)
    # An answer that broke off has no status.
    is_broken = isinstance(error, HttpResponseError) and error.status_code is None
    return Trouble(_cause(error)) if is_broken or isinstance(error, ServiceResponseError) else None


_CAUSES = (
    ("no connection", ("refused", "unreachable", "No route")),
    ("its name is not resolved", ("resolve", "getaddrinfo", "nodename nor", "Name or service", "name resolution")),
    ("no answer in time", ("timed out", "Timeout", "timeout")),
    ("connections break", ("aborted", "reset", "broken", "Broken", "IncompleteRead", "disconnected", "closed")),
)  # fmt: skip


def _cause(error: Any) -> str:
    """In plain words, and without the URL that the text may hold."""
    text = str(error)
    return next(
        (what for what, signs in _CAUSES if any(sign in text for sign in signs)), type(error).__name__
    )


_NO_CONNECTION = re.compile(
    r"Connection (aborted|refused|reset|broken)|Failed to (resolve|establish)|getaddrinfo|name resolution|timed out|"
    r"Max retries exceeded|unreachable|Temporary failure"
)


def of_login(error: BaseException) -> Trouble | None:
    """What it means that a login fails which has worked before: credentials tell of connections in their texts only."""
    if not of_error(error) and not _NO_CONNECTION.search(str(error)):
        return None
    return Trouble(_cause(error), reached=False)
