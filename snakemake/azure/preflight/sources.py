"""The workflow's sources: packed for the nodes, with a word on what is missing or large among them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from snakemake.azure.sources import LARGE_ARCHIVE, SourceArchive, Survey, pack, survey


def survey_sources(files: Iterable[str], workdir: Path, warn: Callable[[str], None]) -> Survey:
    """What would be sent to the nodes, without the sending. Raises SourcesError."""
    found = survey(files, workdir)
    _tell_of_sources(found.missing, found.large, warn)
    return found


def pack_sources(
    files: Iterable[str], workdir: Path, warn: Callable[[str], None], more: Mapping[str, bytes] | None = None
) -> SourceArchive:
    archive = pack(files, workdir, more)
    _tell_of_sources(archive.missing, archive.large, warn)
    if len(archive.data) > LARGE_ARCHIVE:
        warn(
            f"The workflow's sources are {len(archive.data) / 1e6:.0f} MB packed; large files in the workflow's "
            "directory or its git repository are sent to every node. Data belongs into input files."
        )
    return archive


def _tell_of_sources(
    missing: Sequence[str], large: Iterable[tuple[str, int]], warn: Callable[[str], None]
) -> None:
    if missing:
        others = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        warn(
            "Files that the workflow or its git repository names are not there, and are not sent to the nodes: "
            f"{', '.join(missing[:3])}{others}."
        )
    for name, size in large:
        warn(
            f"The file {name} is among the workflow's sources and has {size / 1e6:.0f} MB: it is sent to every node. "
            "Data belongs into input files; keep it out of the git repository."
        )
