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


@dataclass
class Crowd:
    """Notices when the entries of a directory are asked for one after the other, so that a listing pays. No I/O.

    `seconds` is how long a listing is good for, and so the least time between two of a directory.
    """

    seconds: float
    threshold: int = 20
    _misses: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    _listed: dict[tuple[str, str], float] = field(default_factory=dict)

    def asks(self, container: str, directory: str, now: float) -> bool:
        """Whether to list the directory now, since one more of its entries is asked for."""
        key = (container, directory)
        last = self._listed.get(key)
        if last is not None and now - last < self.seconds:
            return False
        if last is None or now - last > 10 * self.seconds:
            recent = [t for t in self._misses.get(key, []) if now - t < 2 * self.seconds]
            self._misses[key] = [*recent, now]
            if len(recent) < self.threshold:
                return False
        self._listed[key] = now
        return True

    def give_up(self, container: str, directory: str) -> None:
        """The directory cannot be listed in one request: it is never suggested again."""
        self._listed[container, directory] = float("inf")


def parent_of(name: str) -> str:
    return name.rpartition("/")[0]


def lineage(directory: str) -> list[str]:
    """The directory and all around it, the innermost first, "" last."""
    chain = [directory]
    while directory:
        directory = parent_of(directory)
        chain.append(directory)
    return chain
