"""Target numbers of a pool's nodes, and what nodes cost."""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What nodes of a pool are bought as."""

    DEDICATED = "dedicated"
    SPOT = "Spot"


@dataclass(frozen=True)
class Size:
    """Target numbers of a pool's nodes."""

    dedicated: int
    spot: int = 0

    def __str__(self) -> str:
        if not self.spot:
            return f"{self.dedicated} nodes"
        spot = f"{self.spot} Spot nodes"
        return f"{self.dedicated} nodes and {spot}" if self.dedicated else spot


@dataclass(frozen=True)
class NodePrices:
    """Of a node, an hour; what matters is how they compare."""

    dedicated: float = 1.0
    spot: float = 0.2

    def of(self, kind: Kind) -> float:
        return self.dedicated if kind is Kind.DEDICATED else self.spot

    def of_size(self, size: Size) -> float:
        """Of all its nodes."""
        return self.dedicated * size.dedicated + self.spot * size.spot
