"""Which prefixes to list, so that a workflow's files are known from a few requests and not from one each.

A directory that a file lies in is listed, not recursively. When a third directory around the same parent is
asked for (`results/a/`, `results/b/`, `results/c/`), the parent is listed with all that is below it, and so
on upwards. Only the container itself, which others may use as well, waits until as many of its directories
are asked for as its listing may take requests. A listing ends after MAX_PAGES requests: what it saw counts,
but nothing is concluded about the rest, and files there are asked for one by one. So a workflow on a large
shared container lists its own corner of it.

Directories are names without slashes at the ends; "" is the container itself.
"""

from dataclasses import dataclass, field

SIBLINGS = 2
MAX_PAGES = 20  # of 5,000 entries


@dataclass(frozen=True)
class Listing:
    container: str
    directory: str
    recursive: bool

    @property
    def prefix(self) -> str:
        return f"{self.directory}/" if self.directory else ""


@dataclass
class ListingPlan:
    """What is listed already, and what to list next. No I/O."""

    _whole: set[tuple[str, str]] = field(default_factory=set)
    _flat: set[tuple[str, str]] = field(default_factory=set)
    _too_large: set[Listing] = field(default_factory=set)
    _asked: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def root(self, container: str, directory: str) -> str | None:
        """The listed directory that tells all about the entries of `directory`, or None."""
        if (container, directory) in self._flat:
            return directory
        for above in lineage(directory):
            if (container, above) in self._whole:
                return above
        return None

    def next(self, container: str, directory: str) -> Listing | None:
        """What to list to know the entries of `directory`, or None if that is known or too large to know.

        Ask again after `done`: a listing that was too large is followed by a smaller one.
        """
        if self.root(container, directory) is not None:
            return None
        choice = Listing(container, directory, recursive=False)
        node = directory
        while node:
            parent = parent_of(node)
            wider = Listing(container, parent, recursive=True)
            apart = SIBLINGS if parent else MAX_PAGES
            if len(self._asked.get((container, parent), set()) | {node}) <= apart:
                break
            if wider in self._too_large:
                break
            choice, node = wider, parent
        return None if choice in self._too_large else choice

    def done(self, listing: Listing, complete: bool) -> None:
        container, directory = listing.container, listing.directory
        if directory:
            self._asked.setdefault((container, parent_of(directory)), set()).add(directory)
        if complete:
            (self._whole if listing.recursive else self._flat).add((container, directory))
            return
        self._too_large.add(listing)
        if listing.recursive:
            # What is around something too large is too large as well.
            self._too_large.update(Listing(container, above, True) for above in lineage(directory))


PAGE = 5000  # entries of a listing in one answer
FEWEST = 20
"""Names of a directory that are asked for before a listing of it is considered."""
PER_NAME = 40
"""Entries of a listing that cost as much as a request for one blob: see misc/bench/README.md."""


@dataclass
class Directories:
    """Whether a listing of a directory costs less than a request for each name that is asked for. No I/O."""

    _entries: dict[tuple[str, str], int] = field(default_factory=dict)
    _misses: dict[tuple[str, str], int] = field(default_factory=dict)
    _next: dict[tuple[str, str], int] = field(default_factory=dict)

    def saw(self, container: str, directory: str, entries: int) -> None:
        """A listing had so many entries, or more if it was not read to its end."""
        self._entries[container, directory] = entries

    def pages(self, container: str, directory: str, names: int) -> int:
        """Up to how many pages of a listing may be read to learn of so many names; 0 if none."""
        worth = names * PER_NAME
        if names < FEWEST or self._entries.get((container, directory), 0) > worth:
            return 0
        return -(-worth // PAGE)

    def missed(self, container: str, directory: str) -> int:
        """One more name was asked for by itself. How many there were, when it is time to consider a listing; else 0.

        It is time after FEWEST names, then after twice as many, and so on: there are never more requests than names.
        """
        key = container, directory
        self._misses[key] = misses = self._misses.get(key, 0) + 1
        if misses <= self._next.get(key, FEWEST):
            return 0
        self._next[key] = 2 * misses
        return misses


def parent_of(name: str) -> str:
    return name.rpartition("/")[0]


def lineage(directory: str) -> list[str]:
    """The directory and all around it, the innermost first, "" last."""
    chain = [directory]
    while directory:
        directory = parent_of(directory)
        chain.append(directory)
    return chain
