"""What time it is at the service. A client's own clock may be wrong, and an emulator's may run fast."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any


class ServiceClock:
    """Goes by the `Date` of the service's last answer, and from there on by `monotonic` (in seconds)."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        own: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._monotonic, self._own = monotonic, own
        self._heard: tuple[datetime, float] | None = None
        self._lock = threading.Lock()

    def hear(self, response: Any) -> None:
        """Takes the time from an answer of the SDK's pipeline (`raw_response_hook`)."""
        date = response.http_response.headers.get("Date")
        if not date:
            return
        try:
            told = parsedate_to_datetime(date)
        except ValueError:
            return
        with self._lock:
            self._heard = (told, self._monotonic())

    def now(self) -> datetime:
        """In UTC, to a second or so; this machine's time before the service's first answer."""
        with self._lock:
            if self._heard is None:
                return self._own()
            told, when = self._heard
            return told + timedelta(seconds=self._monotonic() - when)
