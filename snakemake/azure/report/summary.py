"""What is said of a run's costs at its end, in two lines."""

from collections.abc import Mapping
from pathlib import Path

from snakemake.azure.report.costs import Costs


def amount(money: Mapping[str, float]) -> str:
    """Sums by currency, such as `1.20 USD`; of a price list that names no currency, a number alone."""
    return " and ".join(f"{number(value)} {currency}".rstrip() for currency, value in sorted(money.items()))


def number(value: float) -> str:
    """With two places, or the first two that are not 0."""
    return f"{value:.2f}" if value >= 0.1 or value < 0.00005 else f"{value:.4f}"


def sentences(found: Costs, journal: Path | str, advises: bool = True) -> list[str]:
    """Two lines, or none where the run had no nodes. The first has the money, and which prices that rests on; with
    `advises` the second says where to read on."""
    if not found.parts:
        return []
    further = ", and --az-batch-efficiency says what to ask for" if advises else ""
    return [_of_money(found), f"{_of_slots(found)}; the journal is {journal}{further}."]


def _of_money(found: Costs) -> str:
    hours, money = found.total("hours"), found.money()
    if not money:
        return f"Azure Batch: {hours:.2f} node-hours, whose price is not known."
    parts = [
        f"{words} {amount(found.money(of))}"
        for of, words in (
            ("jobs", "jobs"),
            ("staging", "of that staging"),
            ("start_up", "nodes that start"),
            ("idle", "idle nodes"),
        )
    ]
    unsure = [
        f"{found.total(of):.2f} of the hours have {what}"
        for of, what in (("unpriced", "no known price and are left out"), ("estimated", "an estimated price"))
        if found.total(of) >= 0.005
    ]
    return (
        f"Azure Batch: the nodes cost about {amount(money)} for {hours:.2f} node-hours ({', '.join(parts)}), by "
        f"{' and '.join(found.sources) or 'prices of unknown origin'}"
        + "".join(f"; {each}" for each in unsure)
        + "."
    )


def _of_slots(found: Costs) -> str:
    share, used, paid = found.efficiency, found.total("slot_hours_used"), found.total("slot_hours")
    said = "no slots were paid for" if share is None else (
        f"jobs used {share:.0%} of the task slots that were paid for ({used:.2f} of {paid:.2f} slot-hours)"
    )  # fmt: skip
    return f"Azure Batch: {said}"
