"""Inputs that no job makes: which they are, and whether they can be read. It goes by what the DAG saw, which for a
directory is a listing."""

from collections.abc import Iterable, Iterator
from typing import Any

from snakemake.azure.blob.storage import StorageProvider
from snakemake.azure.settings import SettingsError

SHOWN = 3


def sources(dag: Any, jobs: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Jobs, and their inputs in storage that no job of the DAG makes."""
    for job in jobs:
        made = {f for files in dag.dependencies[job].values() for f in files}
        yield from ((job, f) for f in job.input if f.is_storage and f not in made)


def check_inputs(dag: Any, jobs: Iterable[Any]) -> None:
    """
    Raises
    ------
    SettingsError: there are inputs in the archive tier, from where nothing can be read.
    """
    archived: dict[str, str] = {}
    seen: set[str] = set()
    for job, file in sources(dag, jobs):
        found = file.storage_object
        if isinstance(found.provider, StorageProvider):
            if found.print_query not in seen and (query := _archived(found)):
                archived[query] = job.rule.name
            seen.add(found.print_query)
    if not archived:
        return
    names = [f"{query} (rule {rule})" for query, rule in archived.items()]
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    raise SettingsError(
        f"Inputs lie in the archive tier, where nothing can be read: {', '.join(names[:SHOWN])}{more}; set their tier "
        "to hot or cool (az storage blob set-tier --tier Hot) and wait until they are there, which takes hours."
    )


def _archived(found: Any) -> str | None:
    """The query of what lies in the archive tier: the file, or a file of the directory."""
    blob = found.store.known.blob(found.container, found.name)
    if blob is None or blob.is_folder:
        below = found.store.archived_below(found.container, found.name)
        return f"{found.print_query}{below.removeprefix(found.name)}" if below else None
    return found.print_query if blob.archived else None
