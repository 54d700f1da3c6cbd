"""Numbers and times as people read them."""

from collections.abc import Mapping
from datetime import UTC, datetime

from snakemake.azure.report.summary import amount, number

UNKNOWN = "price not known"


def lasting(seconds: float | None) -> str:
    """Such as `0.4 s`, `5 min 3 s` or `1 d 2 h`."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, smaller, its_unit in (
        (86_400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {its_unit}" if rest else "")
    return f"{whole} s"


def instant(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if at else "–"


def money(sums: Mapping[str, float], hours: float, unpriced: float = 0.0, places: int | None = None) -> str:
    """What hours of nodes have cost, by currency; says so where that is not known, or not of all of them. places: of
    numbers that stand below each other, and make up a sum."""
    if not hours:
        return "–"
    if unpriced >= hours * 0.9995 or not sums:
        return UNKNOWN
    said = amount(sums) if places is None else _with_places(sums, places)
    return said + (f" and {unpriced:.2f} h without a price" if unpriced >= 0.005 else "")


def _with_places(sums: Mapping[str, float], places: int) -> str:
    return " and ".join(
        f"{value:,.{places}f} {currency}".rstrip() for currency, value in sorted(sums.items())
    )


def places(sums: Mapping[str, float]) -> int:
    """For the numbers that make up these sums: cents, or hundredths of them where it is little."""
    return 2 if max(sums.values(), default=0.0) >= 10 else 4


def count(number: int, word: str, plural: str = "") -> str:
    return f"{number:,} {word if number == 1 else plural or word + 's'}"


def hours(value: float) -> str:
    return f"{value:,.2f}" if value >= 100 else number(value)


def share(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole else "–"


def megabytes(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"
