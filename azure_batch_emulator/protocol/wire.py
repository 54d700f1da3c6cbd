"""How values look on the wire: times, durations, ids.

https://learn.microsoft.com/rest/api/batchservice/ ; durations are ISO 8601, times are RFC 3339 in UTC.
"""

import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache
from pathlib import PurePath

# .NET's TimeSpan.MaxValue, which the service uses for "no limit".
INFINITE = "P10675199DT2H48M5.4775807S"
_INFINITE_FROM = timedelta(days=10675199)
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DURATION = re.compile(
    r"(-)?P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?"
    r"(?:T(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?)?"
)


def is_id(text: str) -> bool:
    """Ids have 1 to 64 of letters, digits, hyphens and underscores."""
    return bool(_ID.fullmatch(text))


@lru_cache(maxsize=1024)
def parse_duration(text: str) -> timedelta:
    """The length of an ISO 8601 duration (a year has 365 days, a month 30); ValueError if it is none."""
    match = _DURATION.fullmatch(text.strip())
    if not match or not any(match.groups()[1:]) or text.endswith("T"):
        raise ValueError(f"{text!r} is not an ISO 8601 duration, such as PT15M or P7D")
    sign, years, months, weeks, days, hours, minutes, seconds = match.groups()
    try:
        length = timedelta(
            days=int(years or 0) * 365 + int(months or 0) * 30 + int(weeks or 0) * 7 + int(days or 0),
            hours=float(hours or 0),
            minutes=float(minutes or 0),
            seconds=float(seconds or 0),
        )
    except OverflowError:
        raise ValueError(f"{text!r} is longer than any duration can be") from None
    return -length if sign else length


def format_duration(length: timedelta) -> str:
    """As the service echoes it: no zero parts, days at most (`P1279DT12H30M5S`, `PT6M`, `PT0S`)."""
    if length >= _INFINITE_FROM:
        return INFINITE
    if length < timedelta():
        return "-" + format_duration(-length)
    hours, rest = divmod(length.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    fraction = f".{length.microseconds:06}".rstrip("0") if length.microseconds else ""
    parts = [f"{hours}H" if hours else "", f"{minutes}M" if minutes else ""]
    parts.append(f"{seconds}{fraction}S" if seconds or fraction else "")
    clock = "".join(parts)
    text = "P" + (f"{length.days}D" if length.days else "") + (f"T{clock}" if clock else "")
    return "PT0S" if text == "P" else text


def finite(duration: str | None) -> timedelta | None:
    """The length of a limit, or None where it is none."""
    if duration is None:
        return None
    length = parse_duration(duration)
    return None if length >= _INFINITE_FROM else length


def format_time(time: datetime) -> str:
    """RFC 3339 with up to seven fractional digits, trailing zeros trimmed."""
    text = time.astimezone(UTC).replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if time.microsecond else text) + "Z"


def parse_time(text: str) -> datetime:
    """A time in RFC 3339 (also with seven fractional digits, or without a zone: UTC) or RFC 1123."""
    text = text.strip()
    try:
        # Python takes at most six fractional digits.
        time = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except ValueError:
        try:
            time = parsedate_to_datetime(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a time such as 2026-03-13T14:30:00Z") from None
    try:
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is outside the calendar") from None


def file_name(path: PurePath | str) -> str:
    """A name of a file as it can be told: its bytes that are no UTF-8 are replaced."""
    return str(path).encode(errors="surrogateescape").decode(errors="replace")


def http_date(time: datetime) -> str:
    """RFC 1123, for headers."""
    return format_datetime(time.astimezone(UTC).replace(microsecond=0), usegmt=True)
