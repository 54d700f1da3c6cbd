"""What a node costs an hour, which decides among sizes that fit, and what a run will cost.

Three sources, each in place of the next: a file of the user's own; Azure's retail prices, which anybody may ask for
(https://learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices) and which are kept for a day in
the user's cache directory; and `data/vm_prices.json`, a few approximate list prices with their date, enough to tell
cheap from dear. What none of them knows is estimated from the size's vCPUs, memory and GPUs.

A price only helps to choose: no failure to learn one, and no slowness, may keep a run from beginning. So Azure is asked
in a thread that is waited for no longer than `PATIENCE`; what comes later is there for the next run. A region where
Azure has no price for a size does not offer it, of which `Prices.is_sold` knows.
"""

import json
import math
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from snakemake.azure.batch import vm_sizes
from snakemake.azure.batch.vm_sizes import VmSize
from snakemake.azure.settings import SettingsError

URL = "https://prices.azure.com/api/retail/prices"
API_VERSION = "2023-01-01-preview"
PATIENCE = 5.0
"""Seconds that a run waits for prices."""

TIMEOUT = 10.0
"""Seconds that a request may take, in its thread."""

KEPT = timedelta(days=1)
NOT_AGAIN = timedelta(hours=1)
"""For so long a region is not asked for prices again after that has failed."""

SIZES_PER_REQUEST = 15
"""So that the address stays well below 2,000 characters."""

MOST_PAGES = 20


@dataclass(frozen=True)
class Prices:
    """Prices of an hour of a node, by the lower-case names of sizes. `source` says where from, for people, and
    `currency` in what; `sought`: the sizes that Azure was asked for, of the region, and `unsold` those of them that
    have no price there."""

    source: str
    currency: str
    dedicated: Mapping[str, float]
    spot: Mapping[str, float] = field(default_factory=dict)
    spot_share: float = 0.2
    sought: frozenset[str] = frozenset()
    unsold: frozenset[str] = frozenset()
    elsewhere: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Sources and currencies of the sizes whose prices are not from `source`."""

    def of(self, vm: VmSize, spot: bool = False) -> float:
        """The price of an hour, an estimate where it is not known."""
        name = vm.name.lower()
        if spot:
            return self.spot.get(name, self.of(vm) * self.spot_share)
        known = self.dedicated.get(name)
        return estimate(vm) if known is None else known

    def knows(self, vm: VmSize) -> bool:
        """Whether the price of its dedicated nodes is no estimate."""
        return vm.name.lower() in self.dedicated

    def is_known(self, vm: VmSize, spot: bool = False) -> bool:
        """Whether the price is no estimate, and in the currency of most; for Spot nodes, both prices."""
        name, known = vm.name.lower(), self.knows(vm) and self.origin(vm)[1] == self.currency
        return known and (name in self.spot or not spot)

    def origin(self, vm: VmSize) -> tuple[str, str]:
        """Where the price of the size is from, and its currency."""
        return self.elsewhere.get(vm.name.lower(), (self.source, self.currency))

    def is_sold(self, vm: VmSize) -> bool:
        """False where Azure's prices of the region, which were asked for, have none for the size."""
        return vm.name.lower() not in self.unsold

    def over(self, others: "Prices") -> "Prices":
        """These, and those of the others for what these do not know."""
        return replace(
            self,
            dedicated={**others.dedicated, **self.dedicated},
            # A Spot price of the others for a size whose own price is another is none.
            spot={**{n: p for n, p in others.spot.items() if n not in self.dedicated}, **self.spot},
            elsewhere={
                **{
                    name: others.elsewhere.get(name, (others.source, others.currency))
                    for name in others.dedicated
                    if name not in self.dedicated
                },
                **self.elsewhere,
            },
        )


def estimate(vm: VmSize) -> float:
    """From how Azure's list prices rise with vCPUs, memory and GPUs."""
    memory = 4 * vm.vcpus if vm.memory_gib is None else vm.memory_gib
    return 0.0375 * vm.vcpus + 0.0035 * memory + 0.5 * (vm.gpus or 0)


@cache
def built_in() -> Prices:
    """Approximate list prices."""
    data = json.loads(
        (files("snakemake.azure.batch") / "data" / "vm_prices.json").read_text(encoding="utf-8")
    )
    dedicated = {name.lower(): price for name, price in data["sizes"].items()}
    by_series = {name.lower(): price for name, price in data["per_vcpu"].items()}
    for name, vm in vm_sizes.table().items():
        series = re.sub(r"\d+", "{n}", name, count=1)
        if name not in dedicated and series in by_series:
            dedicated[name] = round(vm.vcpus * by_series[series], 4)
    return Prices(
        source=f"approximate list prices of {data['region']}, as of {data['date']}",
        currency=data["currency"],
        dedicated=dedicated,
        spot_share=data["spot_share"],
    )


# -- a file -----------------------------------------------------------------------------------------------------------


def read_file(path: Path) -> Prices:
    """The prices of --az-batch-prices: YAML or JSON, `SIZE: PRICE` or `SIZE: {dedicated: PRICE, spot: PRICE}`.

    Raises
    ------
    SettingsError: the file can't be read, or holds something else.
    """
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as e:
        reason = e.strerror if isinstance(e, OSError) else "it is no text"
        raise SettingsError(f"Cannot read the file given as --az-batch-prices: {path}: {reason}.") from None
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise SettingsError(
            f"The file given as --az-batch-prices is neither YAML nor JSON: {path}{where}."
        ) from None
    if not isinstance(data, dict) or not data:
        raise SettingsError(
            f"The file given as --az-batch-prices must hold lines such as 'Standard_D4ds_v5: 0.226': {path}."
        )
    dedicated: dict[str, float] = {}
    spot: dict[str, float] = {}
    for name, value in data.items():
        try:
            key = vm_sizes.vm_size(str(name)).name.lower()
        except vm_sizes.UnknownVmSize as e:
            raise SettingsError(f"{e} Correct it in {path}, the file of --az-batch-prices.") from None
        given = value if isinstance(value, dict) else {"dedicated": value}
        if not given or set(given) - {"dedicated", "spot"} or not all(map(_is_price, given.values())):
            raise SettingsError(
                f"The price of {name} in {path} must be a number of currency an hour, or such numbers as dedicated "
                f"and spot; correct it in the file of --az-batch-prices."
            )
        dedicated |= {key: given["dedicated"]} if "dedicated" in given else {}
        spot |= {key: given["spot"]} if "spot" in given else {}
    return Prices(f"prices of {path}", "", dedicated, spot)


def _is_price(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


# -- Azure's retail prices --------------------------------------------------------------------------------------------


def retail(region: str, sizes: Iterable[str], get: Callable[[str, Mapping[str, str]], Any]) -> Prices:
    """Asks for the prices of sizes in a region. `get` takes a URL and its query and returns the answer's JSON; what it
    raises is passed on. ValueError for an answer of another shape."""
    names = sorted(set(sizes))
    dedicated: dict[str, float] = {}
    spot: dict[str, float] = {}
    low: dict[str, float] = {}
    for first in range(0, len(names), SIZES_PER_REQUEST):
        for item in _items(region, names[first : first + SIZES_PER_REQUEST], get):
            if (found := _kind(item)) is None:
                continue
            prices = {"Spot": spot, "Low Priority": low}.get(found, dedicated)
            name = str(item["armSkuName"]).lower()
            # Some sizes have several meters, of which those of the region come first.
            prices.setdefault(name, float(item["retailPrice"]))
    return _of_region(region, "", dedicated, low | spot, frozenset(name.lower() for name in names))


def _of_region(
    region: str, when: str, dedicated: dict[str, float], spot: dict[str, float], sought: frozenset[str]
) -> Prices:
    return Prices(
        source=f"Azure's list prices of {region}{when}",
        currency="USD",
        dedicated=dedicated,
        spot=spot,
        sought=sought,
        unsold=sought - set(dedicated),
    )


def _items(
    region: str, names: list[str], get: Callable[[str, Mapping[str, str]], Any]
) -> Iterator[Mapping[str, Any]]:
    """All pages. Values in filters are case-sensitive."""
    among = " or ".join(f"armSkuName eq '{name}'" for name in names)
    query = (
        f"serviceName eq 'Virtual Machines' and priceType eq 'Consumption' and armRegionName eq '{region}' "
        f"and ({among})"
    )
    answer = get(URL, {"api-version": API_VERSION, "$filter": query})
    for _ in range(MOST_PAGES):
        if not isinstance(answer, dict) or not isinstance(answer.get("Items"), list):
            raise ValueError("not a page of retail prices")
        yield from (item for item in answer["Items"] if isinstance(item, dict))
        if not (following := answer.get("NextPageLink")):
            return
        answer = get(following, {})


def _kind(item: Mapping[str, Any]) -> str | None:
    """Spot, Low Priority or nothing in particular; None for what is no node of a Linux pool."""
    product, meter = (
        str(item.get("productName", "")),
        f"{item.get('meterName', '')} {item.get('skuName', '')}",
    )
    if item.get("type", "Consumption") != "Consumption" or item.get("unitOfMeasure", "1 Hour") != "1 Hour":
        return None
    if re.search(r"Windows|Cloud ?Services|Dedicated Host|Dev/?Test", product) or not item.get("armSkuName"):
        return None
    if not _is_price(item.get("retailPrice")) or not item["retailPrice"]:
        return None
    return next((kind for kind in ("Spot", "Low Priority") if kind in meter), "")


@dataclass(frozen=True)
class Cache:
    """The prices of regions, each in a file below `home`. What can't be read or written is not there."""

    home: Path
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def _file(self, region: str) -> Path:
        return self.home / f"prices-{region}.json"

    def load(self, region: str, sizes: Iterable[str]) -> Prices | None:
        """What is not older than a day, and was asked for all of these sizes."""
        data = self._read(region)
        try:
            age = self.now() - datetime.fromisoformat(data["asked"])
            sought = frozenset(data["sought"])
            if not timedelta(0) <= age < KEPT or not {name.lower() for name in sizes} <= sought:
                return None
            dedicated, spot = (
                {str(n): float(p) for n, p in data[kind].items()} for kind in ("dedicated", "spot")
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
        when = f", as of {datetime.fromisoformat(data['asked']):%Y-%m-%d}"
        return _of_region(region, when, dedicated, spot, sought)

    def may_ask(self, region: str) -> bool:
        try:
            failed = datetime.fromisoformat(self._read(region)["failed"])
        except (KeyError, TypeError, ValueError):
            return True
        return not timedelta(0) <= self.now() - failed < NOT_AGAIN

    def store(self, region: str, prices: Prices) -> None:
        self._write(
            region,
            {
                "asked": self.now().isoformat(),
                "sought": sorted(prices.sought),
                "dedicated": dict(prices.dedicated),
                "spot": dict(prices.spot),
            },
        )

    def note_failure(self, region: str) -> None:
        self._write(region, {**self._read(region), "failed": self.now().isoformat()})

    def _read(self, region: str) -> dict[str, Any]:
        try:
            data = json.loads(self._file(region).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return data if isinstance(data, dict) else {}

    def _write(self, region: str, data: Mapping[str, Any]) -> None:
        target = self._file(region)
        beside = target.with_suffix(f".{threading.get_native_id()}.tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps(data), encoding="utf-8")
            beside.replace(target)
        except OSError:
            with suppress(OSError):
                beside.unlink(missing_ok=True)


def fetch(url: str, query: Mapping[str, str]) -> Any:
    """The JSON that a GET request brings; without the credentials that a .netrc may have for the host."""
    import requests

    with requests.Session() as session:
        session.trust_env = True
        answer = session.get(
            url, params=dict(query), timeout=TIMEOUT, auth=lambda r: r, headers={"Accept": "application/json"}
        )
    answer.raise_for_status()
    return answer.json()


def region_of(endpoint: str) -> str | None:
    """The region in a Batch account's URL of the public cloud, whose prices are the ones that Azure tells."""
    found = re.fullmatch(r"https://[^./]+\.([a-z0-9]+)\.batch\.azure\.com/?", endpoint, re.IGNORECASE)
    return found[1].lower() if found else None


def look_up(
    endpoint: str,
    sizes: Iterable[str],
    cache: Cache,
    get: Callable[[str, Mapping[str, str]], Any] = fetch,
    patience: float = PATIENCE,
) -> Prices:
    """The prices for the account's region: kept ones, else Azure's, else the built-in ones. Never raises, and takes no
    longer than `patience` seconds."""
    region, names = region_of(endpoint), list(sizes)
    if region is None:
        return built_in()
    if kept := cache.load(region, names):
        return kept.over(built_in())
    if not cache.may_ask(region):
        return built_in()
    found: list[Prices] = []

    def ask() -> None:
        try:
            prices = retail(region, names, get)
            if not prices.dedicated:
                raise ValueError("no prices")
            found.append(prices)
            cache.store(region, prices)
        except Exception:  # noqa: BLE001 - whatever it is, it is no reason not to run
            cache.note_failure(region)

    thread = threading.Thread(target=ask, name="az-batch-prices", daemon=True)
    thread.start()
    thread.join(patience)
    return found[0].over(built_in()) if found else built_in()
