"""`snakemake --az-batch-efficiency`: a table for people, and a profile for the next run."""

from collections.abc import Callable, Iterable
from pathlib import Path

from snakemake_interface_common.exceptions import WorkflowError

from snakemake.azure.report.choice import choose
from snakemake.azure.report.efficiency import Efficiency, RuleUse, efficiency
from snakemake.azure.report.summary import amount, number, sentences

HEADER = "# Written by snakemake --az-batch-efficiency"
COLUMNS = ("rule", "jobs", "threads", "cores", "mem_mb", "peak", "runtime", "longest", "cost", "saving")


def write_efficiency(place: Path, target: Path, say: Callable[[str], None]) -> None:
    """Shows what a run's rules asked for and used, and writes the profile `target`. place: as of `choose`.

    Raises
    ------
    WorkflowError: there is no journal; or the file can't be written, or is somebody else's.
    """
    path, events = choose(place, "ended", "--az-batch-efficiency")
    found = efficiency(events)
    for line in (*table(found), "", *sentences(found.costs, path, advises=False), *_saved(found)):
        say(line)
    if not any(rule.settings() for rule in found.rules):
        say("The rules asked for what they need, or nothing was measured: no profile was written.")
        return
    try:
        if target.exists() and not target.read_text(encoding="utf-8").startswith(HEADER):
            raise WorkflowError(
                f"{target} is there and was not written by --az-batch-efficiency: give another file, as in "
                "--az-batch-efficiency FILE."
            )
        target.write_text("\n".join(profile(found, path.name)) + "\n", encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        reason = e.strerror if isinstance(e, OSError) else "it is no text"
        raise WorkflowError(f"Cannot write the profile {target}: {reason}.") from None
    say(
        f"Wrote {target}: look at it, and give it to the next run as --profile {target} (or --workflow-profile)."
    )


# -- the table --------------------------------------------------------------------------------------------------------


def table(found: Efficiency) -> list[str]:
    """Columns: what was asked for, each with the most that was used; minutes, MB, and money."""
    rows = [COLUMNS, *(_row(rule) for rule in found.rules)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    lines = []
    for name, *cells in rows:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *padded]))
    return lines


def _row(rule: RuleUse) -> tuple[str, ...]:
    return (
        rule.rule,
        str(rule.tasks) + (f" ({rule.failures} failed)" if rule.failures else ""),
        _asked(rule, "threads"),
        _number(rule.used.get("threads"), 1),
        _asked(rule, "mem_mb"),
        _number(rule.used.get("mem_mb"), 0),
        _asked(rule, "runtime"),
        _number(rule.used.get("runtime"), 1),
        number(rule.cost),
        " ".join(_signed(value) for value in rule.saving.values()) or "-",
    )


def _asked(rule: RuleUse, name: str) -> str:
    mark = "*" if name in rule.computed else ""
    return _number(rule.asked[name], 0) + mark


def _number(value: float | None, places: int) -> str:
    return "-" if value is None else f"{value:.{places}f}"


def _signed(value: float) -> str:
    return f"-{number(-value)}" if value < 0 else number(value)


def _saved(found: Efficiency) -> Iterable[str]:
    saving = {currency: value for currency, value in found.saving().items() if value > 0}
    if saving:
        yield f"With the profile, the jobs' share of the nodes would have cost {amount(saving)} less."
    if any(rule.computed for rule in found.rules):
        yield "* The rule computes it by a function, which the profile leaves alone."


# -- the profile ------------------------------------------------------------------------------------------------------


def profile(found: Efficiency, journal: str) -> list[str]:
    """The lines of a profile, which Snakemake reads as YAML."""
    lines = [f"{HEADER} from {journal}: what the jobs used at the most, with a margin."]
    threads = [line for rule in found.rules for line in _threads(rule)]
    resources = [line for rule in found.rules for line in _resources(rule)]
    lines += ["set-threads:", *threads] if threads else []
    return lines + (["set-resources:", *resources] if resources else [])


def _threads(rule: RuleUse) -> Iterable[str]:
    if "threads" in rule.settings():
        yield f"  {rule.rule}: {rule.enough['threads']}  # {_why(rule, 'threads')}"


def _resources(rule: RuleUse) -> Iterable[str]:
    wanted = {name: value for name, value in rule.settings().items() if name != "threads"}
    if not wanted:
        return
    yield f"  {rule.rule}:"
    for name, value in wanted.items():
        yield f"    {name}: {value}  # {_why(rule, name)}"
    for name in sorted(rule.computed & (rule.enough.keys() - {"threads"})):
        yield f"    # {name}: {rule.enough[name]}  # the rule computes it; {_why(rule, name)}"


def _why(rule: RuleUse, name: str) -> str:
    unit, places = {"threads": ("cores", 1), "mem_mb": ("MB", 0), "runtime": ("minutes", 1)}[name]
    asked = "none" if rule.asked[name] is None else _number(rule.asked[name], 0)
    failed = f", {rule.failed[name]:.0f} were too little" if name in rule.failed else ""
    return f"asked for {asked}, used {_number(rule.used.get(name), places)} {unit}{failed}"
